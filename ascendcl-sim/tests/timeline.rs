//! The timeline: what is in the file.

mod common;

use core::ffi::c_void;
use std::collections::BTreeMap;

use common::*;

/// The value of `"key":` in a line of the file, as it is written there.
fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let start =
        line.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {line}")) + key.len() + 3;
    let end = line[start..].find([',', '}']).unwrap() + start;
    line[start..end].trim_matches('"')
}

#[test]
fn a_row_for_each_stream_and_arrows_for_each_wait() {
    unsafe extern "C" fn nothing(_: *mut c_void) {}
    let path = std::env::temp_dir().join(format!("ascendcl-sim-timeline-{}.json", std::process::id()));
    {
        let _session = session(Config::new().trace(&path));
        ok!(aclrtSetDevice, 0);
        let (one, two, reporter) = (stream(), stream(), Reporter::start());
        let event = flagged(sys::ACL_EVENT_SYNC);
        let memory = device_memory(1024);
        ok!(aclrtSubscribeReport, reporter.id, two);
        ok!(aclrtStreamWaitEvent, two, event);
        ok!(aclrtMemsetAsync, memory, 1024, 1, 1024, one);
        ok!(aclrtRecordEvent, event, one);
        ok!(aclrtResetEvent, event, two);
        ok!(aclrtLaunchCallback, Some(nothing), std::ptr::null_mut(), sys::ACL_CALLBACK_BLOCK, two);
        ok!(aclrtSynchronizeStream, two);
        assert_eq!(acl!(aclrtMemset, std::ptr::null_mut(), 1, 1, 1), 100_000);
        ok!(aclrtUnSubscribeReport, reporter.id, two);
        ok!(aclrtDestroyEvent, event);
        ok!(aclrtDestroyStream, one);
        ok!(aclrtDestroyStream, two);
        ok!(aclrtFree, memory);
    }
    // Another machine ends the file of the one before.
    drop(card());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(text.starts_with("[\n{") && text.ends_with("}\n]\n"), "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();

    let bars: Vec<_> = lines.iter().filter(|line| value(line, "ph") == "X").collect();
    let bar = |name: &str| {
        *bars.iter().find(|line| value(line, "name") == name).unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let (set, wait, record) = (bar("memset"), bar("event wait"), bar("event record"));
    assert_eq!(value(set, "queued by"), "aclrtMemsetAsync");
    assert_eq!((value(set, "pid"), value(set, "tid")), (value(record, "pid"), value(record, "tid")));
    assert_ne!(value(set, "tid"), value(wait, "tid"), "a row for each stream");
    assert_eq!(
        (value(bar("aclrtSynchronizeStream"), "code"), value(bar("aclrtMemset"), "code")),
        ("0", "100000")
    );
    assert_ne!(
        value(bar("callback"), "tid"),
        value(bar("aclrtLaunchCallback"), "tid"),
        "on the thread that serves it"
    );
    let time = |line: &str, key| value(line, key).parse::<f64>().unwrap();
    let end = |line| time(line, "ts") + time(line, "dur");
    assert!(end(wait) >= time(record, "ts"), "the wait lasts until the record");
    assert!(time(wait, "ts") >= time(bar("aclrtStreamWaitEvent"), "ts"));

    // Arrows begin and end, and one leads from the record's stream to the wait's.
    let mut arrows: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in lines.iter().filter(|line| matches!(value(line, "ph"), "s" | "f")) {
        arrows.entry(value(line, "id")).or_default().push((value(line, "ph"), value(line, "tid")));
    }
    assert!(
        arrows.values().any(|ends| ends[..] == [("s", value(record, "tid")), ("f", value(wait, "tid"))]),
        "{arrows:?}"
    );
    assert!(
        arrows
            .values()
            .any(|ends| ends[..] == [("s", value(wait, "tid")), ("f", value(bar("callback"), "tid"))])
    );
    // Nobody waits for the reset of the event, nor for the write of the memory: no arrow leads nowhere.
    for ends in arrows.values() {
        assert!(ends.iter().filter(|end| end.0 == "f").count() <= 1, "{arrows:?}");
    }
    let names: Vec<_> = lines
        .iter()
        .filter(|line| value(line, "ph") == "M")
        .map(|line| line.rsplit_once("\"name\":").unwrap().1)
        .collect();
    assert!(names.iter().any(|name| name.starts_with("\"device 0\"")), "{names:?}");
}

#[test]
fn arrows_for_notifies_and_values_and_marks_of_the_program() {
    let path = std::env::temp_dir().join(format!("ascendcl-sim-arrows-{}.json", std::process::id()));
    {
        let _session = session(Config::new().profile(Profile::full()).trace(&path));
        ok!(aclrtSetDevice, 0);
        let (one, two, flag) = (stream(), stream(), device_memory(64));
        ok!(aclrtMemset, flag, 64, 0, 64);
        let mut notify = std::ptr::null_mut();
        ok!(aclrtCreateNotify, &mut notify, 0);
        ok!(aclrtWaitAndResetNotify, notify, two, 0);
        ok!(aclrtRecordNotify, notify, one);
        ok!(aclrtValueWait, flag, 5, sys::ACL_STREAM_WAIT_VALUE_EQ, two);
        ok!(aclrtValueWrite, flag, 5, 0, one);
        ok!(aclrtSynchronizeStream, two);
        // Marks are taken while the profiler runs, as on a card.
        let folder = path.with_extension("prof");
        let name = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        ok!(aclprofInit, name.as_ptr(), name.count_bytes());
        let (mut device, metrics) = ([0u32], sys::ACL_AICORE_NONE);
        let config = acl!(
            aclprofCreateConfig,
            device.as_mut_ptr(),
            1,
            metrics,
            std::ptr::null(),
            sys::ACL_PROF_MSPROFTX
        );
        ok!(aclprofStart, config);
        ok!(aclprofMarkEx, c"a step of the program".as_ptr(), 21, one);
        ok!(aclrtSynchronizeStream, one);
        ok!(aclprofStop, config);
        ok!(aclprofDestroyConfig, config);
        ok!(aclprofFinalize);
        std::fs::remove_dir_all(&folder).unwrap();
        ok!(aclrtDestroyNotify, notify);
        ok!(aclrtDestroyStream, one);
        ok!(aclrtDestroyStream, two);
        ok!(aclrtFree, flag);
    }
    drop(card());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    let arrows = |phase: &str| {
        let of = |line: &&&str| value(line, "ph") == phase && value(line, "name") == "wait";
        lines.iter().filter(of).map(|line| value(line, "tid")).collect::<Vec<_>>()
    };
    let bar = |name: &str| *lines.iter().find(|line| value(line, "name") == name).unwrap();
    let (from, to) = (value(bar("value write"), "tid"), value(bar("value wait"), "tid"));
    assert_eq!((arrows("s"), arrows("f")), (vec![from, from], vec![to, to]), "{text}");
    assert!(text.contains("a step of the program"), "{text}");
}
