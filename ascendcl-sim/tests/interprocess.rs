//! Notifies and events between processes: this test binary starts itself once more and talks to its child by lines of text.

mod common;

use core::ffi::c_char;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use sys::{aclrtIpcEventHandle, aclrtNotify};

/// A child that runs one of the ignored tests below.
struct Peer {
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Peer {
    fn start(test: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ASCEND")) {
            command.env_remove(name);
        }
        command.env("ASCENDCL_SIM_PROFILE", "full").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (say, hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, say, hear }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn say(&mut self, line: &str) {
        writeln!(self.say, "{line}").unwrap();
    }

    /// The next thing that the child said.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.hear.read_line(&mut line).unwrap(), 0, "the child ended without a word");
            if let Some(said) = line.trim_end().strip_prefix('@') {
                return said.to_owned();
            }
        }
    }

    fn ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The child's side of the talk.
fn tell(what: &str) {
    // The test harness leaves lines open.
    println!("\n@{what}");
}

fn told() -> String {
    let mut line = String::new();
    stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn child_session() {
    ok!(aclInit, ptr::null());
    ok!(aclrtSetDevice, 0);
}

fn child_end() {
    ok!(aclrtResetDevice, 0);
    ok!(aclFinalize);
    assert_eq!(live(), []);
}

fn export(notify: aclrtNotify, flags: u32) -> String {
    let mut key = [0 as c_char; 65];
    ok!(aclrtNotifyGetExportKey, notify, key.as_mut_ptr(), key.len(), flags.into());
    text(&key)
}

fn text(chars: &[c_char]) -> String {
    chars.iter().take_while(|&&char| char != 0).map(|&char| char as u8 as char).collect()
}

fn import(key: &str) -> Result<aclrtNotify, aclError> {
    let key = CString::new(key).unwrap();
    let mut notify = ptr::null_mut();
    match acl!(aclrtNotifyImportByKey, &mut notify, key.as_ptr(), 0) {
        0 => Ok(notify),
        code => Err(code),
    }
}

fn notify() -> aclrtNotify {
    let mut notify = ptr::null_mut();
    ok!(aclrtCreateNotify, &mut notify, 0);
    notify
}

fn shared_event() -> aclrtEvent {
    extended(sys::ACL_EVENT_IPC)
}

fn handle(event: aclrtEvent) -> String {
    let mut handle = aclrtIpcEventHandle { reserved: [7; 64] };
    ok!(aclrtIpcGetEventHandle, event, &mut handle);
    text(&handle.reserved)
}

fn open(text: &str) -> Result<aclrtEvent, aclError> {
    let mut reserved = [0; 64];
    for (place, byte) in reserved.iter_mut().zip(text.bytes()) {
        *place = byte as c_char;
    }
    let mut event = ptr::null_mut();
    match acl!(aclrtIpcOpenEventHandle, aclrtIpcEventHandle { reserved }, &mut event) {
        0 => Ok(event),
        code => Err(code),
    }
}

fn recorded(event: aclrtEvent) -> bool {
    let mut status = sys::ACL_EVENT_RECORDED_STATUS_NOT_READY;
    ok!(aclrtQueryEventStatus, event, &mut status);
    status == sys::ACL_EVENT_RECORDED_STATUS_COMPLETE
}

#[test]
fn a_notify_wakes_streams_of_other_processes() {
    let _session = full();
    let (there, back, stream) = (notify(), notify(), stream());
    let mut peer = Peer::start("child_notifies");
    let (there_key, back_key) = (export(there, 0), export(back, 2));
    peer.say(&there_key);
    assert_eq!(peer.hear(), "207006", "it was not allowed yet");
    let mut pid = peer.pid();
    ok!(aclrtNotifySetImportPid, there, &mut pid, 1);
    peer.say(&there_key);
    peer.say(&back_key);
    assert_eq!(peer.hear(), "waiting");
    for _ in 0..50 {
        ok!(aclrtRecordNotify, there, stream);
        ok!(aclrtWaitAndResetNotify, back, stream, 60);
    }
    ok!(aclrtSynchronizeStream, stream);
    // A record that nobody waited for is there when somebody does.
    ok!(aclrtRecordNotify, there, stream);
    ok!(aclrtSynchronizeStream, stream);
    peer.say("go on");
    assert_eq!(peer.hear(), "got it");
    // The child goes on with what it has when the exporter has destroyed its own.
    ok!(aclrtDestroyNotify, there);
    peer.say("end");
    peer.ends_well();
    ok!(aclrtDestroyNotify, back);
    ok!(aclrtDestroyStream, stream);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_notifies() {
    child_session();
    tell(&import(&told()).unwrap_err().to_string());
    let (there, back) = (import(&told()).unwrap(), import(&told()).unwrap());
    let stream = stream();
    for _ in 0..50 {
        ok!(aclrtWaitAndResetNotify, there, stream, 60);
        ok!(aclrtRecordNotify, back, stream);
    }
    tell("waiting");
    ok!(aclrtSynchronizeStream, stream);
    told();
    ok!(aclrtWaitAndResetNotify, there, stream, 60);
    ok!(aclrtSynchronizeStream, stream);
    tell("got it");
    told();
    ok!(aclrtRecordNotify, there, stream);
    ok!(aclrtWaitAndResetNotify, there, stream, 60);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyNotify, there);
    ok!(aclrtDestroyNotify, back);
    ok!(aclrtDestroyStream, stream);
    child_end();
}

#[test]
fn an_event_is_recorded_here_and_waited_for_there() {
    let _session = full();
    let (event, stream, gate) = (shared_event(), stream(), Gate::new());
    assert!(recorded(event), "nothing to wait for");
    ok!(aclrtStreamWaitEvent, stream, event);
    ok!(aclrtSynchronizeEvent, event);
    gate.hold(stream);
    ok!(aclrtRecordEvent, event, stream);
    assert!(!recorded(event));
    assert_eq!(acl!(aclrtSynchronizeEventWithTimeout, event, 10), 507_047);
    let mut peer = Peer::start("child_waits");
    peer.say(&handle(event));
    assert_eq!(peer.hear(), "waiting");
    gate.open();
    ok!(aclrtSynchronizeEvent, event);
    assert_eq!(peer.hear(), "passed");
    // The other way round.
    assert_eq!(peer.hear(), "recorded");
    assert!(!recorded(event));
    ok!(aclrtStreamWaitEvent, stream, event);
    thread::sleep(Duration::from_millis(20));
    assert!(!is_complete(stream));
    peer.say("open the gate");
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtSynchronizeEvent, event);
    assert!(recorded(event));
    peer.ends_well();
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
#[ignore = "runs in a process of its own"]
fn child_waits() {
    child_session();
    let (event, stream) = (open(&told()).unwrap(), stream());
    ok!(aclrtStreamWaitEvent, stream, event);
    assert!(!is_complete(stream) && !recorded(event));
    tell("waiting");
    ok!(aclrtSynchronizeStream, stream);
    assert!(recorded(event));
    tell("passed");
    let gate = Gate::new();
    gate.hold(stream);
    ok!(aclrtRecordEvent, event, stream);
    tell("recorded");
    told();
    gate.open();
    ok!(aclrtSynchronizeEvent, event);
    drop(gate);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
    child_end();
}

#[test]
fn a_process_that_dies_holds_nobody_up() {
    let _session = full();
    let (event, stream) = (shared_event(), stream());
    let mut peer = Peer::start("child_dies");
    peer.say(&handle(event));
    let (its_notify, its_event) = (peer.hear(), peer.hear());
    let (imported, opened) = (import(&its_notify).unwrap(), open(&its_event).unwrap());
    // It has recorded our event on a stream that does not get there.
    assert!(!recorded(event));
    ok!(aclrtStreamWaitEvent, stream, event);
    peer.kill();
    let start = Instant::now();
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtSynchronizeEvent, event);
    assert!(start.elapsed() < Duration::from_secs(20));
    // What it exported is no more, but those who have it may go on using it.
    assert_eq!(import(&its_notify).unwrap_err(), 507_899);
    assert_eq!(open(&its_event).unwrap_err(), 507_899);
    ok!(aclrtRecordNotify, imported, stream);
    ok!(aclrtWaitAndResetNotify, imported, stream, 0);
    ok!(aclrtRecordEvent, opened, stream);
    ok!(aclrtSynchronizeEvent, opened);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtDestroyNotify, imported);
    ok!(aclrtDestroyEvent, opened);
    ok!(aclrtDestroyEvent, event);
    ok!(aclrtDestroyStream, stream);
}

#[test]
#[ignore = "runs in a process of its own, and does not end by itself"]
fn child_dies() {
    child_session();
    let (event, stuck, waiting) = (open(&told()).unwrap(), stream(), stream());
    let (mine, never) = (notify(), notify());
    ok!(aclrtWaitAndResetNotify, never, stuck, 0);
    ok!(aclrtRecordEvent, event, stuck);
    ok!(aclrtStreamWaitEvent, waiting, event);
    tell(&export(mine, 2));
    tell(&handle(shared_event()));
    told();
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn what_shared_events_do_not_do() {
    let _session = full();
    let (shared, local, stream) = (shared_event(), extended(sys::ACL_EVENT_SYNC), stream());
    let mut handle = aclrtIpcEventHandle { reserved: [0; 64] };
    let null = ptr::null_mut();
    assert_eq!(acl!(aclrtIpcGetEventHandle, shared, ptr::null_mut()), 100_000);
    assert_eq!(acl!(aclrtIpcGetEventHandle, null, &mut handle), 100_000);
    assert_eq!(acl!(aclrtIpcGetEventHandle, stream, &mut handle), 107_017);
    assert_eq!(acl!(aclrtIpcGetEventHandle, local, &mut handle), 107_000);
    assert_eq!(acl!(aclrtIpcOpenEventHandle, handle, ptr::null_mut()), 100_000);
    assert_eq!(open("").unwrap_err(), 507_899);
    assert_eq!(open(&"x".repeat(64)).unwrap_err(), 507_899);
    let (mut status, mut waited) = (sys::ACL_EVENT_STATUS_RESERVED, sys::ACL_EVENT_WAIT_STATUS_RESERVED);
    let (mut ms, mut time, mut id) = (0.0, 0, 0);
    ok!(aclrtRecordEvent, shared, stream);
    assert_eq!(acl!(aclrtQueryEvent, shared, &mut status), 207_000);
    assert_eq!(acl!(aclrtQueryEventWaitStatus, shared, &mut waited), 207_000);
    assert_eq!(acl!(aclrtResetEvent, shared, stream), 207_000);
    assert_eq!(acl!(aclrtEventElapsedTime, &mut ms, shared, shared), 207_000);
    assert_eq!(acl!(aclrtEventGetTimestamp, shared, &mut time), 207_000);
    assert_eq!(acl!(aclrtGetEventId, shared, &mut id), 207_000);
    for flag in [0x41, 0x60, 0x50] {
        let mut event = null;
        assert_eq!(acl!(aclrtCreateEventExWithFlag, &mut event, flag), 107_000, "{flag:#x}");
    }
    ok!(aclrtDestroyEvent, shared);
    ok!(aclrtDestroyEvent, local);
    ok!(aclrtDestroyStream, stream);
}
