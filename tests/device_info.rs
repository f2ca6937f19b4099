//! What devices say of themselves: what they are made of, how busy they are, whether they are well.

mod support;

use ascendcl::{DeviceInfo, DeviceStatus, Error, Result, Utilization};
use ascendcl_sim::{Config, Fault, FaultKind, Profile};
use support::{Gate, with_config, with_profile, with_table};

fn in_callback<T: std::fmt::Debug>(result: Result<T>) {
    assert!(matches!(result, Err(Error::InCallback { .. })), "{result:?}");
}

backend_test! {
    fn each_device_is_described(acl) {
        for device in acl.devices()? {
            let info = device.info()?;
            assert!(info.ai_cores.is_some_and(|cores| cores > 0), "{info:?}");
            assert!(info.memory.is_some_and(|bytes| bytes > 0), "{info:?}");
            assert_eq!(device.status()?, DeviceStatus::Normal);
            let Utilization { cube, vector, ai_cpu, memory, .. } = device.utilization()?;
            assert!([cube, vector, ai_cpu, memory].into_iter().flatten().all(|percent| percent <= 100));
        }
    }
}

backend_test! {
    fn not_inside_a_callback(acl) {
        let device = acl.device(0)?;
        let stream = device.create_context()?.create_stream()?;
        stream
            .launch_callback(move || {
                in_callback(device.info());
                in_callback(device.utilization());
                in_callback(device.status());
            })?
            .wait()?;
    }
}

sim_test! {
    fn on_every_chip() {
        for name in Profile::NAMES {
            with_profile(Profile::by_name(name).expect("it has a profile"), |acl| {
                let device = acl.device(0)?;
                let info = device.info()?;
                assert_eq!(info.memory, Some(device.memory_info()?.total as u64), "{name}");
                assert_eq!((info.physical_id, info.is_virtual), (Some(0), Some(false)), "{name}");
                let DeviceInfo { ai_cores, cube_cores, vector_cores, architecture, .. } = info;
                let cores = (ai_cores, cube_cores, vector_cores, architecture);
                let utilization = device.utilization()?;
                assert_eq!((utilization.cube, utilization.memory), (Some(0), None), "{name}");
                match *name {
                    // Its vector units are parts of its AI cores.
                    "ascend310" => {
                        assert_eq!(cores, (Some(2), Some(2), Some(0), Some(1000)));
                        assert_eq!(utilization.vector, None);
                    }
                    "ascend310p" => assert_eq!(cores, (Some(8), Some(8), Some(7), Some(2002))),
                    "ascend910b" => assert_eq!(cores, (Some(24), Some(24), Some(48), Some(2201))),
                    _ => assert!(ai_cores > Some(0)),
                }
                let stream = device.create_context()?.create_stream()?;
                let gate = Gate::close(&stream)?;
                assert_eq!(device.utilization()?.cube, Some(100), "{name}: there is work on it");
                gate.open()?;
                stream.synchronize()?;
                Ok(())
            })?;
        }
    }
}

sim_test! {
    fn visible_devices_keep_their_physical_numbers() {
        with_config(Config::new().devices(4).visible_devices("1,3"), |acl| {
            let numbers: Result<Vec<_>> = acl.devices()?.iter().map(|device| Ok(device.info()?.physical_id)).collect();
            assert_eq!(numbers?, [Some(1), Some(3)]);
            Ok(())
        })?;
    }
}

sim_test! {
    fn what_a_release_does_not_know_is_none() {
        let of_memory = Fault::nth("aclrtGetDeviceInfo", 5, FaultKind::Error(107_000));
        let of_the_cache = Fault::nth("aclrtGetDeviceInfo", 6, FaultKind::Error(207_000));
        with_config(Config::new().fault(of_memory).fault(of_the_cache), |acl| {
            let info = acl.device(0)?.info()?;
            assert_eq!((info.memory, info.l2_cache), (None, None));
            assert_eq!(info.ai_cores, Some(2));
            Ok(())
        })?;
        with_config(Config::new().fault(Fault::nth("aclrtGetDeviceInfo", 1, FaultKind::Error(507_899))), |acl| {
            let error = acl.device(0)?.info().unwrap_err();
            assert_eq!(error.code().map(|code| code.0), Some(507_899));
            Ok(())
        })?;
        with_table(
            |api| (api.aclrtGetDeviceInfo, api.aclrtQueryDeviceStatus) = (None, None),
            |acl| {
                let device = acl.device(0)?;
                for error in [device.info().unwrap_err(), device.status().unwrap_err()] {
                    assert!(matches!(error, Error::MissingSymbol { .. }), "{error}");
                }
                Ok(())
            },
        )?;
    }
}

sim_test! {
    fn a_lost_device_is_not_well() {
        with_config(Config::new().fault(Fault::nth("aclrtCreateEvent", 1, FaultKind::LoseDevice)), |acl| {
            let device = acl.device(0)?;
            let context = device.create_context()?;
            assert_eq!(device.status()?, DeviceStatus::Normal);
            // What happens to it shows with the next work.
            let _ = context.create_event();
            assert_eq!(device.status()?, DeviceStatus::Abnormal);
            Ok(())
        })?;
    }
}
