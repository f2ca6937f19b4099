//! Versions of installed packages: read from the files that CANN installs, which the simulator does not bring along. Without them the
//! answer is that of a broken installation, 100003.

use core::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};

use ascendcl_sys::{self as sys, AclApi, aclCANNPackageName, aclCANNPackageVersion, aclError};

use super::{call, fill, invalid, not_null};
use crate::error::fail;

/// Where the driver says what is installed where.
const INSTALLED: &str = "/etc/ascend_install.info";
const KEY: &str = "Version=";
/// `ACL_PKG_VERSION_MAX_SIZE`
const LONGEST: usize = 128;

fn missing(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_FILE, what)
}

/// The rest of the first line of a file that has `key` in it.
fn line_after(file: &Path, key: &str) -> Option<String> {
    let text = std::fs::read(file).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| line.split_once(key).map(|(_, rest)| rest.to_owned()))
}

fn home() -> Result<PathBuf, aclError> {
    std::env::var_os("ASCEND_HOME_PATH")
        .map(PathBuf::from)
        .ok_or_else(|| missing("ASCEND_HOME_PATH is not set, so that no installed package is found"))
}

/// Where the driver or the firmware is installed.
fn driver_place(key: &str) -> Result<PathBuf, aclError> {
    line_after(Path::new(INSTALLED), key)
        .filter(|place| !place.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| missing(format_args!("{INSTALLED} does not say where the package is installed")))
}

/// Names with hyphens may be spelled with underscores and the other way round.
fn other_spelling(name: &str) -> Option<String> {
    if name.contains('-') {
        Some(name.replace('-', "_"))
    } else {
        name.contains('_').then(|| name.replace('_', "-"))
    }
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclsysGetCANNVersion(
    name: aclCANNPackageName,
    version: *mut aclCANNPackageVersion,
) -> aclError {
    call!("aclsysGetCANNVersion", || {
        not_null(version, "version")?;
        let package = match name {
            sys::ACL_PKG_NAME_CANN | sys::ACL_PKG_NAME_RUNTIME => "runtime",
            sys::ACL_PKG_NAME_COMPILER => "bisheng-compiler",
            sys::ACL_PKG_NAME_HCCL => "hccl",
            sys::ACL_PKG_NAME_TOOLKIT => "oam-tools",
            sys::ACL_PKG_NAME_OPP | sys::ACL_PKG_NAME_OPP_KERNEL => "ops-legacy",
            sys::ACL_PKG_NAME_DRIVER => "driver",
            _ => return Err(invalid(format_args!("package {} is unknown", name.0))),
        };
        let place = if name == sys::ACL_PKG_NAME_DRIVER {
            driver_place("Driver_Install_Path_Param=")?
        } else {
            home()?.join("share/info")
        };
        let file =
            |package: &str| Some(place.join(package).join("version.info")).filter(|file| file.exists());
        let file = file(package).or_else(|| file(&package.replace('-', "_")));
        let file = file.ok_or_else(|| missing(format_args!("package {package} is not installed")))?;
        let text = line_after(&file, KEY).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| missing(format_args!("{} tells no version", file.display())))?;
        let filled = split(&text)
            .ok_or_else(|| missing(format_args!("{} tells no version of two parts", file.display())))?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { version.write(filled) };
        Ok(())
    })
}

/// A version and its parts; what follows a hyphen counts as one part.
fn split(text: &str) -> Option<aclCANNPackageVersion> {
    let text = match text.split_once('-') {
        Some((front, rest)) => format!("{front}.{}", rest.replace('.', "")),
        None => text.to_owned(),
    };
    let mut parts: Vec<&str> = text.split('.').collect();
    if parts.len() < 2 {
        return None;
    }
    parts.resize(parts.len().max(4), "0");
    if parts[..4].iter().any(|part| part.is_empty()) {
        return None;
    }
    let mut version = [0; LONGEST];
    let mut fields = [[0; 64]; 4];
    fit(&mut version, &text);
    for (field, part) in fields.iter_mut().zip(parts) {
        fit(field, part);
    }
    let [majorVersion, minorVersion, releaseVersion, patchVersion] = fields;
    Some(aclCANNPackageVersion {
        version,
        majorVersion,
        minorVersion,
        releaseVersion,
        patchVersion,
        reserved: [0; 128],
    })
}

/// As much of a text as fits with a NUL behind it.
fn fit(field: &mut [c_char], text: &str) {
    let end = field.len() - 1;
    for (to, &from) in field[..end].iter_mut().zip(text.as_bytes()) {
        *to = from as c_char;
    }
}

/// What `aclsysGetVersionStr` and `aclsysGetVersionNum` find for a package.
fn find(package: &str) -> Result<String, aclError> {
    find_spelled(package)
        .or_else(|code| other_spelling(package).map_or(Err(code), |package| find_spelled(&package)))
}

fn find_spelled(package: &str) -> Result<String, aclError> {
    let place = match package {
        "driver" => driver_place("Driver_Install_Path_Param=")?,
        "firmware" => driver_place("Firmware_Install_Path_Param=")?,
        _ => {
            let home = home()?;
            let home = home.canonicalize();
            home.map_err(|error| missing(format_args!("ASCEND_HOME_PATH names no place: {error}")))?
                .join("share/info")
        }
    };
    let file = place.join(package).join("version.info");
    let text = line_after(&file, KEY).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    text.ok_or_else(|| missing(format_args!("{} tells no version", file.display())))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclsysGetVersionStr(pkgName: *mut c_char, versionStr: *mut c_char) -> aclError {
    call!("aclsysGetVersionStr", || {
        not_null(versionStr, "versionStr")?;
        not_null(pkgName, "pkgName")?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let version = find(&unsafe { CStr::from_ptr(pkgName) }.to_string_lossy())?;
        if version.len() >= LONGEST {
            return Err(fail(
                sys::ACL_ERROR_INTERNAL_ERROR,
                format_args!("the version has {} bytes, 127 at most fit", version.len()),
            ));
        }
        // SAFETY: [caller] not NULL, and the caller passes room for 128 bytes.
        unsafe {
            versionStr.copy_from_nonoverlapping(version.as_ptr().cast(), version.len());
            versionStr.add(version.len()).write(0);
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn aclsysGetVersionNum(pkgName: *mut c_char, versionNum: *mut i32) -> aclError {
    call!("aclsysGetVersionNum", || {
        not_null(versionNum, "versionNum")?;
        not_null(pkgName, "pkgName")?;
        // SAFETY: [caller] not NULL, and the caller passes a C string.
        let version = find(&unsafe { CStr::from_ptr(pkgName) }.to_string_lossy())?;
        let number = number(&version).ok_or_else(|| {
            fail(sys::ACL_ERROR_INTERNAL_ERROR, format_args!("{version} is no version with a number"))
        })?;
        // SAFETY: [caller] not NULL, and the caller passes a place to write to.
        unsafe { versionNum.write(number) };
        Ok(())
    })
}

/// 8.5.1 is 80501000; a pre-release is less: alpha by 300, beta by 200, rc by 100, plus its number.
fn number(version: &str) -> Option<i32> {
    let (major, rest) = version.split_once('.')?;
    let (minor, rest) = rest.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (patch, suffix) = rest.split_at(digits);
    let part = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<i32>().ok()
    };
    let base = part(major)?
        .checked_mul(10_000_000)?
        .checked_add(part(minor)?.checked_mul(100_000)?)?
        .checked_add(part(patch)?.checked_mul(1000)?)?;
    if suffix.is_empty() {
        return Some(base);
    }
    let suffix = suffix.to_ascii_lowercase();
    let (at, word, weight) = [("alpha", 300), ("beta", 200), ("rc", 100)]
        .into_iter()
        .find_map(|(word, weight)| suffix.find(word).map(|at| (at, word, weight)))?;
    if at > 1 {
        return None;
    }
    let rest = &suffix[at + word.len()..];
    let number = match rest.find(|c: char| c.is_ascii_digit()) {
        None if rest.is_empty() => 0,
        None => return None,
        Some(digit) if digit > 1 || !rest[..digit].chars().all(|c| c == '.' || c == '-') => return None,
        Some(digit) => rest[digit..].parse::<i32>().ok()?,
    };
    base.checked_sub(weight)?.checked_add(number)
}

pub(crate) fn fill(api: &mut AclApi) {
    fill!(api: aclsysGetCANNVersion, aclsysGetVersionStr, aclsysGetVersionNum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        for (version, expected) in [
            ("8.5.1", Some(80_501_000)),
            ("8.5.0.alpha001", Some(80_499_701)),
            ("8.5.0-beta.2", Some(80_499_802)),
            ("8.1.0.RC1", Some(80_099_901)),
            ("8.1.RC1", None),
            ("8.1.0..rc1", None),
            ("8.1.0.rcx", None),
            ("8", None),
        ] {
            assert_eq!(number(version), expected, "{version}");
        }
    }

    #[test]
    fn versions_have_parts() {
        let text = |field: &[c_char]| {
            let bytes: Vec<u8> = field.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
            String::from_utf8(bytes).unwrap()
        };
        let version = split("9.0.0-beta.1").unwrap();
        assert_eq!(text(&version.version), "9.0.0.beta1");
        assert_eq!(text(&version.releaseVersion), "0");
        assert_eq!(text(&version.patchVersion), "beta1");
        assert_eq!(text(&split("8.3").unwrap().patchVersion), "0");
        assert!(split("8").is_none());
        assert!(split("8..1").is_none());
    }
}
