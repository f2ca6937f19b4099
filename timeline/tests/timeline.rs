//! What is in the file, on every backend, and that it is as the format demands.
//!
//! Each test is a process of its own, which plays the program: the subscriber of `tracing` and the simulator's file are one per process.

#[path = "../../tests/support/mod.rs"]
mod support;

use ascendcl::Acl;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, SystemTime},
};
use support::{Target, TestResult};

/// What the program is asked to do, in the environment of its process.
const ROLE: &str = "TIMELINE_TEST_ROLE";
const FILE: &str = "TIMELINE_TEST_FILE";

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("ascendcl-timeline-{}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Runs the program, and gives what it wrote.
    fn run(&self, role: &str, variables: &[(&str, &str)]) -> Vec<Value> {
        let file = self.0.join("timeline.json");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "the_program", "--nocapture"]).env(ROLE, role).env(FILE, &file);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stderr));
        read(&file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(file: &Path) -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Not a test by itself: what the others run.
#[test]
fn the_program() -> TestResult {
    let Ok(role) = env::var(ROLE) else { return Ok(()) };
    let timeline = ascendcl_timeline::record(env::var(FILE)?)?;
    if role == "alone" || role == "damaged" {
        tracing::info_span!("alone").in_scope(|| ());
        let finished = timeline.finish();
        if role == "damaged" {
            assert!(finished.unwrap_err().to_string().contains("device.json"));
        }
        return Ok(());
    }
    let target = match role.as_str() {
        "cdylib" => Target::Cdylib,
        "cann" => Target::Cann,
        _ => Target::Embedded,
    };
    let acl = target.open()?;
    let work = tracing::info_span!("work", "kind" = "a \"quoted\" \u{1} name");
    work.in_scope(|| work_with(&acl))?;
    acl.finalize()?;
    let finished = timeline.finish();
    match role.as_str() {
        "virtual" => assert!(finished.unwrap_err().to_string().contains("virtual clock")),
        _ => finished?,
    }
    Ok(())
}

fn work_with(acl: &Acl) -> TestResult {
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    let memory = context.alloc::<u32>(100)?;
    stream.memset(&memory, 1)?;
    let inside = tracing::info_span!("launching").in_scope(|| {
        stream.launch_callback(|| {
            tracing::info_span!("inside").in_scope(|| tracing::info!(digit = 7, "delivered"))
        })
    })?;
    inside.wait()?;
    stream.synchronize()?;
    assert!(acl.device(99).is_err());
    Ok(())
}

/// The bar or instant of that name: there has to be one.
fn one<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let mut found = events.iter().filter(|event| event["name"] == name);
    let first = found.next().unwrap_or_else(|| panic!("no {name} in {events:#?}"));
    assert!(found.next().is_none(), "several {name}");
    first
}

/// Where a bar begins and ends.
fn times(bar: &Value) -> (f64, f64) {
    let start = bar["ts"].as_f64().unwrap();
    (start, start + bar["dur"].as_f64().unwrap())
}

fn is_inside(inner: &Value, outer: &Value) -> bool {
    let ((start, end), (begins, ends)) = (times(inner), times(outer));
    (&inner["pid"], &inner["tid"]) == (&outer["pid"], &outer["tid"]) && begins <= start && end <= ends + 0.002
}

/// What viewers demand of each event, and that each row has a name.
fn check_format(events: &[Value]) {
    let mut rows = BTreeSet::new();
    let mut named = BTreeSet::new();
    for event in events {
        assert!(event["name"].is_string() && event["args"].is_object() | event["id"].is_u64(), "{event}");
        let row = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        match event["ph"].as_str().unwrap() {
            "M" => {
                named.insert((event["name"].as_str().unwrap().to_owned(), row));
                continue;
            }
            "X" => assert!(event["dur"].as_f64().unwrap() >= 0.0, "{event}"),
            "i" => assert_eq!(event["s"], "t"),
            "s" | "f" => assert!(event["cat"].is_string() && event["id"].is_u64(), "{event}"),
            other => panic!("an event of kind {other}"),
        }
        assert!(event["ts"].as_f64().unwrap() > 0.0, "{event}");
        rows.insert(row);
    }
    for row in rows {
        for what in ["process_name", "thread_name"] {
            assert!(named.contains(&(what.to_owned(), row)), "{what} of {row:?}");
        }
    }
}

/// The host's side.
fn check_host(events: &[Value]) {
    check_format(events);
    let (work, wait) = (one(events, "work"), one(events, "wait: aclrtSynchronizeStream"));
    assert_eq!(work["args"]["kind"], "a \"quoted\" \u{1} name");
    assert!(is_inside(wait, work), "{wait} {work}");
    assert_eq!(wait["args"]["device"], 0);
    let (callback, inside) = (one_bar(events, "callback", "ascendcl::callback"), one(events, "inside"));
    assert!(is_inside(inside, callback), "{inside} {callback}");
    assert_ne!(callback["tid"], work["tid"]);
    let delivered = one(events, "delivered");
    assert_eq!((&delivered["ph"], &delivered["args"]["digit"]), (&Value::from("i"), &Value::from(7)));
    let set: Vec<_> =
        events.iter().filter(|event| event["name"] == "aclrtMemsetAsync" && event["ph"] == "i").collect();
    assert!(
        matches!(&set[..], [one] if one["cat"] == "ascendcl::enqueue" && one["args"]["number"] == 1),
        "{set:?}"
    );
    // From where the closure was given to where it ran.
    let ends: Vec<_> =
        events.iter().filter(|event| event["cat"] == "order" && event["name"] == "span").collect();
    let [from, to] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((&from["tid"], &to["tid"], &from["id"]), (&work["tid"], &callback["tid"], &to["id"]));
    assert!(from["ts"].as_f64() <= to["ts"].as_f64());
}

fn one_bar<'a>(events: &'a [Value], name: &str, target: &str) -> &'a Value {
    let mut found =
        events.iter().filter(|event| event["ph"] == "X" && event["name"] == name && event["cat"] == target);
    let first = found.next().unwrap_or_else(|| panic!("no {name} in {events:#?}"));
    assert!(found.next().is_none(), "several {name}");
    first
}

#[test]
fn the_host_is_seen_on_the_embedded_simulator() {
    let events = Folder::new("embedded").run("embedded", &[]);
    check_host(&events);
    assert!(events.iter().all(|event| event["pid"] == 1));
}

#[test]
fn the_host_is_seen_on_the_simulator_as_a_library() {
    check_host(&Folder::new("cdylib").run("cdylib", &[]));
}

#[test]
fn the_host_is_seen_on_a_card() {
    if env::var("ASCENDCL_TEST_CANN").is_ok_and(|value| value == "1") {
        check_host(&Folder::new("cann").run("cann", &[]));
    }
}

#[test]
fn both_sides_are_in_one_picture() {
    for role in ["embedded", "cdylib"] {
        let folder = Folder::new(&format!("both-{role}"));
        let device = folder.0.join("device-%p.json");
        let events = folder.run(role, &[("ASCENDCL_SIM_TRACE", device.to_str().unwrap())]);
        check_host(&events);
        // The C call is inside the span that makes it, and lasts about as long.
        let (call, wait) =
            (one(&events, "aclrtSynchronizeStream"), one(&events, "wait: aclrtSynchronizeStream"));
        assert!(is_inside(call, wait), "{role}: {call} {wait}");
        // The task is in the row of its stream, and was queued inside `work`.
        let (task, work) = (one(&events, "memset"), one(&events, "work"));
        assert_eq!(task["pid"], 100, "{role}: {task}");
        let (start, end) = times(work);
        assert!(start < times(task).0 && times(task).1 < end, "{role}: {task} {work}");
    }
}

#[test]
fn a_virtual_clock_is_not_joined_with_a_real_one() {
    let folder = Folder::new("virtual");
    let device = folder.0.join("device.json");
    let variables = [("ASCENDCL_SIM_TRACE", device.to_str().unwrap()), ("ASCENDCL_SIM_SEED", "7")];
    check_host(&folder.run("virtual", &variables));
    assert!(read(&device).iter().any(|event| event["args"]["labels"] == "virtual clock"));
}

/// A card does not write the simulator's file, and one of an earlier run is not of this one.
#[test]
fn an_old_file_is_not_joined() {
    let folder = Folder::new("old");
    let device = folder.0.join("device.json");
    fs::write(&device, "[\n{\"ph\":\"M\",\"name\":\"from the device\",\"args\":{}}\n]\n").unwrap();
    let trace = [("ASCENDCL_SIM_TRACE", device.to_str().unwrap())];
    // It is new: what is in it is in the picture.
    let events = folder.run("alone", &trace);
    assert_eq!(one(&events, "from the device")["ph"], "M");
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&device).unwrap().set_modified(hour_ago).unwrap();
    let events = folder.run("alone", &trace);
    one(&events, "alone");
    assert!(events.iter().all(|event| event["name"] != "from the device"), "{events:?}");
    // A file that is none is an error that names it, and the host's side is whole.
    fs::write(&device, "[{").unwrap();
    one(&folder.run("damaged", &trace), "alone");
}
