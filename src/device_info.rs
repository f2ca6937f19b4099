//! What a device is made of, how busy it is, and whether it is well.

use crate::{Device, ErrorKind, Result, guard, runtime::acl};
use ascendcl_sys as sys;
use std::ptr;

/// What a device is made of. `None` is what the chip or the loaded release does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[doc(alias = "aclrtDevAttr")]
#[non_exhaustive]
pub struct DeviceInfo {
    /// AI cores, which run operators. Where an AI core is one cube core and some vector cores, it counts as one.
    #[doc(alias = "ACL_DEV_ATTR_AICORE_CORE_NUM")]
    pub ai_cores: Option<u32>,
    /// Cores that multiply matrices.
    #[doc(alias = "ACL_DEV_ATTR_CUBE_CORE_NUM")]
    pub cube_cores: Option<u32>,
    /// Cores that work on vectors.
    #[doc(alias = "ACL_DEV_ATTR_VECTOR_CORE_NUM")]
    pub vector_cores: Option<u32>,
    /// Processors of the device that run operators which its AI cores cannot.
    #[doc(alias = "ACL_DEV_ATTR_AICPU_CORE_NUM")]
    pub ai_cpus: Option<u32>,
    /// Memory in bytes.
    #[doc(alias = "ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE")]
    pub memory: Option<u64>,
    /// The cache that all cores share, in bytes.
    #[doc(alias = "ACL_DEV_ATTR_L2_CACHE_SIZE")]
    pub l2_cache: Option<u64>,
    /// The version of the architecture: 2002 for Ascend 310P, 2201 for Ascend 910B.
    #[doc(alias = "ACL_DEV_ATTR_NPU_ARCH")]
    pub architecture: Option<u32>,
    /// The number of the chip in the machine, whatever this process sees of it.
    #[doc(alias = "ACL_DEV_ATTR_PHY_CHIP_ID")]
    pub physical_id: Option<u32>,
    /// Whether it is a part of a chip that several virtual machines or containers share.
    #[doc(alias = "ACL_DEV_ATTR_IS_VIRTUAL")]
    pub is_virtual: Option<bool>,
}

/// How busy a device was of late, in percent. `None` is what the chip does not have, or does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[doc(alias = "aclrtUtilizationInfo")]
#[non_exhaustive]
pub struct Utilization {
    /// The cores that multiply matrices, or the AI cores where these are one.
    pub cube: Option<u32>,
    /// The cores that work on vectors.
    pub vector: Option<u32>,
    /// The device's own processors.
    pub ai_cpu: Option<u32>,
    /// Memory. No release tells it so far: see [`Device::memory_info`].
    pub memory: Option<u32>,
}

/// Whether a device is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[doc(alias = "aclrtDeviceStatus")]
#[non_exhaustive]
pub enum DeviceStatus {
    /// It works.
    #[doc(alias = "ACL_RT_DEVICE_STATUS_NORMAL")]
    Normal,
    /// It does not, and work on it fails. What the driver knows of it is told by `npu-smi info -t health`.
    #[doc(alias = "ACL_RT_DEVICE_STATUS_ABNORMAL")]
    Abnormal,
}

impl Device {
    /// What the device is made of.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let device = ascendcl::Acl::new()?.device(0)?;
    /// match device.info() {
    ///     Ok(info) => println!("{} AI cores, L2 of {} bytes", info.ai_cores.unwrap_or(0), info.l2_cache.unwrap_or(0)),
    ///     Err(ascendcl::Error::MissingSymbol { .. }) => println!("this release does not tell"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`](crate::Error::MissingSymbol) before CANN 8.5; an error of ACL; [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtGetDeviceInfo")]
    pub fn info(&self) -> Result<DeviceInfo> {
        // A negative number is no answer either.
        let bytes = |attribute| -> Result<Option<u64>> {
            Ok(self.attribute(attribute)?.and_then(|value| value.try_into().ok()))
        };
        let count = |attribute| -> Result<Option<u32>> {
            Ok(self.attribute(attribute)?.and_then(|value| value.try_into().ok()))
        };
        Ok(DeviceInfo {
            ai_cores: count(sys::ACL_DEV_ATTR_AICORE_CORE_NUM)?,
            cube_cores: count(sys::ACL_DEV_ATTR_CUBE_CORE_NUM)?,
            vector_cores: count(sys::ACL_DEV_ATTR_VECTOR_CORE_NUM)?,
            ai_cpus: count(sys::ACL_DEV_ATTR_AICPU_CORE_NUM)?,
            memory: bytes(sys::ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE)?,
            l2_cache: bytes(sys::ACL_DEV_ATTR_L2_CACHE_SIZE)?,
            architecture: count(sys::ACL_DEV_ATTR_NPU_ARCH)?,
            physical_id: count(sys::ACL_DEV_ATTR_PHY_CHIP_ID)?,
            is_virtual: self.attribute(sys::ACL_DEV_ATTR_IS_VIRTUAL)?.map(|is| is != 0),
        })
    }

    /// `None` if the chip or the release does not know it.
    fn attribute(&self, attribute: sys::aclrtDevAttr) -> Result<Option<i64>> {
        guard::check("aclrtGetDeviceInfo")?;
        let mut value = 0;
        // Numbers of devices are not negative.
        let id = self.id().unsigned_abs();
        // SAFETY: [place] a valid place for the answer.
        match unsafe { acl!(self, aclrtGetDeviceInfo(id, attribute, &mut value)) } {
            Ok(()) => Ok(Some(value)),
            Err(error)
                if error.code().is_some_and(|code| {
                    matches!(code.kind(), ErrorKind::NotSupported | ErrorKind::InvalidArgument)
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How busy the device was of late, with the work of all processes. While a profiler runs, the figures mean nothing.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// let device = ascendcl::Acl::new()?.device(0)?;
    /// if let Some(percent) = device.utilization()?.cube {
    ///     println!("device {} is busy {percent} % of the time", device.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`](crate::Error::MissingSymbol) before CANN 6.3; an error of ACL; [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtGetDeviceUtilizationRate")]
    pub fn utilization(&self) -> Result<Utilization> {
        guard::check("aclrtGetDeviceUtilizationRate")?;
        let mut info = sys::aclrtUtilizationInfo {
            cubeUtilization: -1,
            vectorUtilization: -1,
            aicpuUtilization: -1,
            memoryUtilization: -1,
            utilizationExtend: ptr::null_mut(),
        };
        // SAFETY: [place] a valid place for the answer, without the extension, which must be NULL.
        unsafe { acl!(self, aclrtGetDeviceUtilizationRate(self.id(), &mut info)) }?;
        // What cannot be asked is -1.
        let percent = |value: i32| u32::try_from(value).ok();
        Ok(Utilization {
            cube: percent(info.cubeUtilization),
            vector: percent(info.vectorUtilization),
            ai_cpu: percent(info.aicpuUtilization),
            memory: percent(info.memoryUtilization),
        })
    }

    /// Whether the device is well.
    ///
    /// ```
    /// # fn main() -> Result<(), ascendcl::Error> {
    /// use ascendcl::DeviceStatus;
    ///
    /// for device in ascendcl::Acl::new()?.devices()? {
    ///     if device.status()? != DeviceStatus::Normal {
    ///         eprintln!("device {} is left out", device.id());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::MissingSymbol`](crate::Error::MissingSymbol) before CANN 7; an error of ACL; [`Error::InCallback`](crate::Error::InCallback) inside a callback.
    #[doc(alias = "aclrtQueryDeviceStatus")]
    pub fn status(&self) -> Result<DeviceStatus> {
        guard::check("aclrtQueryDeviceStatus")?;
        let mut status = sys::ACL_RT_DEVICE_STATUS_ABNORMAL;
        // SAFETY: [place] a valid place for the answer.
        unsafe { acl!(self, aclrtQueryDeviceStatus(self.id(), &mut status)) }?;
        Ok(match status {
            sys::ACL_RT_DEVICE_STATUS_NORMAL => DeviceStatus::Normal,
            _ => DeviceStatus::Abnormal,
        })
    }
}
