//! `aclAppLog`, the one function with a variable number of arguments.
//!
//! Stable Rust cannot define such a function, so a few instructions do what a C compiler would: they save the registers that may hold
//! arguments, build a `va_list` over them and hand it on. The C library formats it.
//!
//! The line goes to the `log` crate under the target `ascendcl::app`, and to standard output if `ASCEND_SLOG_PRINT_TO_STDOUT` is 1, from
//! the level in `ASCEND_GLOBAL_LOG_LEVEL` on (0 debug to 3 error, which is the default). No log files are written.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};

use ascendcl_sys::{self as sys, AclApi, aclLogLevel};

use super::call_or;

/// A line with its NUL, as in the runtime; a longer one ends with a mark.
const LONGEST: usize = 1024;
const CUT: &str = "...[truncated]";

// SAFETY: [os] the function of the C library, as these platforms pass its last parameter.
unsafe extern "C" {
    /// The last parameter is a `va_list`, which on the platforms below is passed as a pointer.
    fn vsnprintf(buffer: *mut c_char, size: usize, format: *const c_char, arguments: *mut c_void) -> c_int;
}

/// What a C caller sees: five arguments and then any number.
type Variadic = unsafe extern "C" fn(aclLogLevel, *const c_char, *const c_char, u32, *const c_char, ...);
type Fixed = unsafe extern "C" fn(aclLogLevel, *const c_char, *const c_char, u32, *const c_char);

/// System V: arguments in rdi, rsi, rdx, rcx, r8, r9 and xmm0 to xmm7 (al says whether any of the latter), then on the stack. The frame
/// has the `va_list` (24 bytes) at 0, the general registers at 32 and the vector registers at 80.
#[cfg(target_arch = "x86_64")]
#[cfg_attr(feature = "export", unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn aclAppLog(
    logLevel: aclLogLevel,
    func: *const c_char,
    file: *const c_char,
    line: u32,
    fmt: *const c_char,
) {
    naked_asm!(
        "sub rsp, 216",
        "mov [rsp + 32], rdi",
        "mov [rsp + 40], rsi",
        "mov [rsp + 48], rdx",
        "mov [rsp + 56], rcx",
        "mov [rsp + 64], r8",
        "mov [rsp + 72], r9",
        "test al, al",
        "je 2f",
        "movaps [rsp + 80], xmm0",
        "movaps [rsp + 96], xmm1",
        "movaps [rsp + 112], xmm2",
        "movaps [rsp + 128], xmm3",
        "movaps [rsp + 144], xmm4",
        "movaps [rsp + 160], xmm5",
        "movaps [rsp + 176], xmm6",
        "movaps [rsp + 192], xmm7",
        "2:",
        // Five general registers are taken, no vector register.
        "mov dword ptr [rsp], 40",
        "mov dword ptr [rsp + 4], 48",
        "lea rax, [rsp + 224]",
        "mov [rsp + 8], rax",
        "lea rax, [rsp + 32]",
        "mov [rsp + 16], rax",
        "mov r9, rsp",
        "call {log}",
        "add rsp, 216",
        "ret",
        log = sym log_arguments,
    )
}

/// AAPCS64: arguments in x0 to x7 and q0 to q7, then on the stack. The frame has the `va_list` (32 bytes) at 0, the general registers at
/// 32, the vector registers at 96, and the frame record at 224.
#[cfg(target_arch = "aarch64")]
#[cfg_attr(feature = "export", unsafe(no_mangle))]
#[unsafe(naked)]
unsafe extern "C" fn aclAppLog(
    logLevel: aclLogLevel,
    func: *const c_char,
    file: *const c_char,
    line: u32,
    fmt: *const c_char,
) {
    naked_asm!(
        "sub sp, sp, #240",
        "stp x29, x30, [sp, #224]",
        "add x29, sp, #224",
        "stp x0, x1, [sp, #32]",
        "stp x2, x3, [sp, #48]",
        "stp x4, x5, [sp, #64]",
        "stp x6, x7, [sp, #80]",
        "stp q0, q1, [sp, #96]",
        "stp q2, q3, [sp, #128]",
        "stp q4, q5, [sp, #160]",
        "stp q6, q7, [sp, #192]",
        "add x9, sp, #240",
        "str x9, [sp]",
        "add x9, sp, #96",
        "str x9, [sp, #8]",
        "add x9, sp, #224",
        "str x9, [sp, #16]",
        // Three general registers are left, and all vector registers.
        "mov w9, #-24",
        "str w9, [sp, #24]",
        "mov w9, #-128",
        "str w9, [sp, #28]",
        "mov x5, sp",
        "bl {log}",
        "ldp x29, x30, [sp, #224]",
        "add sp, sp, #240",
        "ret",
        log = sym log_arguments,
    )
}

/// # Safety
/// The strings are NULL or C strings; `arguments` is a `va_list` with what `fmt` names.
unsafe extern "C" fn log_arguments(
    level: aclLogLevel,
    func: *const c_char,
    file: *const c_char,
    line: u32,
    fmt: *const c_char,
    arguments: *mut c_void,
) {
    call_or!("aclAppLog", |_| (), || {
        if fmt.is_null() || func.is_null() || file.is_null() || !is_wanted(level) {
            return;
        }
        // SAFETY: [caller] not NULL, and the caller passes C strings.
        let (func, file, format) =
            unsafe { (CStr::from_ptr(func), CStr::from_ptr(file), CStr::from_ptr(fmt)) };
        if writes_back(format.to_bytes()) {
            return put(sys::ACL_ERROR, "aclAppLog format string is invalid");
        }
        let mut buffer = [0u8; LONGEST];
        // SAFETY: [caller] the buffer has that size, and the caller passes the arguments that the format names.
        let length = unsafe { vsnprintf(buffer.as_mut_ptr().cast(), LONGEST, fmt, arguments) };
        let Ok(length) = usize::try_from(length) else {
            return put(sys::ACL_ERROR, "aclAppLog format string is invalid");
        };
        let text = String::from_utf8_lossy(&buffer[..length.min(LONGEST - 1)]);
        // SAFETY: [os] no preconditions.
        let thread = unsafe { libc::gettid() };
        let whole =
            format!("{thread} {}:{}:{line}: \"{text}\"", func.to_string_lossy(), file.to_string_lossy());
        if length >= LONGEST || whole.len() >= LONGEST {
            let end = whole.floor_char_boundary_below(LONGEST - 1 - CUT.len());
            return put(level, &format!("{}{CUT}", &whole[..end]));
        }
        put(level, &whole);
    });
}

trait Boundary {
    fn floor_char_boundary_below(&self, at: usize) -> usize;
}

impl Boundary for str {
    fn floor_char_boundary_below(&self, at: usize) -> usize {
        (0..=at.min(self.len())).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}

/// Whether a format has `%n`, which would write through an argument.
fn writes_back(format: &[u8]) -> bool {
    let mut rest = format;
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        rest = &rest[at + 1..];
        let end = rest
            .iter()
            .position(|byte| byte.is_ascii_alphabetic() && !b"hlLqjzt".contains(byte) || *byte == b'%');
        let Some(end) = end else { return false };
        if rest[end] == b'n' {
            return true;
        }
        rest = &rest[end + 1..];
    }
    false
}

fn rust_level(level: aclLogLevel) -> log::Level {
    match level {
        sys::ACL_DEBUG => log::Level::Debug,
        sys::ACL_INFO => log::Level::Info,
        sys::ACL_WARNING => log::Level::Warn,
        _ => log::Level::Error,
    }
}

fn is_printed(level: aclLogLevel) -> bool {
    let is = |name: &str, wanted: &str| std::env::var_os(name).is_some_and(|value| value == wanted);
    if !is("ASCEND_SLOG_PRINT_TO_STDOUT", "1") {
        return false;
    }
    let from = std::env::var("ASCEND_GLOBAL_LOG_LEVEL").ok().and_then(|text| text.parse::<u32>().ok());
    level.0 >= from.unwrap_or(sys::ACL_ERROR.0)
}

fn is_wanted(level: aclLogLevel) -> bool {
    log::log_enabled!(target: "ascendcl::app", rust_level(level)) || is_printed(level)
}

fn put(level: aclLogLevel, text: &str) {
    log::log!(target: "ascendcl::app", rust_level(level), "{text}");
    if is_printed(level) {
        println!("[{}] APP({},{}", rust_level(level), std::process::id(), text);
    }
}

pub(crate) fn fill(api: &mut AclApi) {
    // SAFETY: [caller] the function reads the arguments behind the fifth as the platform passes variable ones.
    api.aclAppLog = Some(unsafe { core::mem::transmute::<Fixed, Variadic>(aclAppLog) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_write_are_noticed() {
        assert!(writes_back(b"%d%n"));
        assert!(writes_back(b"%-5hhn"));
        assert!(!writes_back(b"100%% no"));
        assert!(!writes_back(b"%5.2f %s%"));
    }
}
