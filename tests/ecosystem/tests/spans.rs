//! What a subscriber of `tracing` gets to see.

#[path = "../../support/mod.rs"]
mod support;

use ascendcl::{Acl, Error, EventFlags};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use support::{TestResult, with_table};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

/// A span that was opened, or an event.
#[derive(Debug, Clone)]
struct Seen {
    target: String,
    level: String,
    fields: BTreeMap<String, String>,
    /// The name of the span that it was opened in.
    parent: Option<String>,
    thread: Option<String>,
}

#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Vec<Seen>>>,
    panics: Arc<AtomicBool>,
    /// Opens the simulator whenever it hears something, and whether that was always refused.
    meddles: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeSet<String>>>,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name().into(), format!("{value:?}").trim_matches('"').into());
    }
}

impl Collector {
    fn add(&self, metadata: &Metadata<'_>, parent: Option<String>, record: impl FnOnce(&mut Seen)) {
        if self.panics.load(Ordering::SeqCst) {
            panic!("a subscriber that panics");
        }
        if self.meddles.load(Ordering::SeqCst) && metadata.target().starts_with("ascendcl::") {
            let answer = match support::Target::Embedded.open() {
                Ok(_) => "opened".to_owned(),
                Err(Error::InCallback { op }) => format!("{op} is refused"),
                Err(error) => error.to_string(),
            };
            self.answers.lock().unwrap().insert(answer);
        }
        let mut seen = Seen {
            target: metadata.target().into(),
            level: metadata.level().to_string(),
            fields: BTreeMap::new(),
            parent,
            thread: std::thread::current().name().map(Into::into),
        };
        record(&mut seen);
        self.seen.lock().unwrap().push(seen);
    }

    /// What was seen of a target, with these fields.
    fn of(&self, target: &str, fields: &[(&str, &str)]) -> Vec<Seen> {
        let fits = |seen: &&Seen| {
            seen.target == target
                && fields.iter().all(|(name, value)| seen.fields.get(*name).is_some_and(|is| is == value))
        };
        self.seen.lock().unwrap().iter().filter(fits).cloned().collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| Some(span.parent()?.name().to_owned()));
        self.add(attributes.metadata(), parent, |seen| attributes.record(seen));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let parent = context.event_span(event).map(|span| span.name().to_owned());
        self.add(event.metadata(), parent, |seen| event.record(seen));
    }
}

/// Runs something with a collector that sees all threads, for the life of this process: tests come one after another.
fn collector() -> Collector {
    static ONE: std::sync::OnceLock<Collector> = std::sync::OnceLock::new();
    let collector = ONE.get_or_init(|| {
        let collector = Collector::default();
        tracing_subscriber::registry().with(collector.clone()).init();
        collector
    });
    collector.seen.lock().unwrap().clear();
    collector.clone()
}

backend_test! {
    fn operations_waits_and_callbacks_are_seen(acl) {
        let collector = collector();
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let event = context.create_event_with_flags(EventFlags::SYNC)?;
        let here = format!("{:?}", stream.as_raw());
        let device = context.alloc::<u32>(100)?;
        let upload = stream.upload(context.alloc_pinned(100)?, &device)?;
        stream.memset(&device, 1)?;
        stream.record(&event)?;
        for op in ["aclrtMemcpyAsync", "aclrtMemsetAsync", "aclrtRecordEvent"] {
            let fields = [("op", op), ("device", "0"), ("stream", &here), ("submitted", "true")];
            let seen = collector.of("ascendcl::enqueue", &fields);
            assert!(matches!(&seen[..], [one] if one.level == "TRACE"), "{op}: {seen:?}");
        }
        // In their order.
        let numbers = collector.of("ascendcl::enqueue", &[("stream", &here)]);
        assert_eq!(numbers.iter().map(|seen| &seen.fields["number"][..]).collect::<Vec<_>>(), ["1", "2", "3"]);

        tracing::info_span!("request").in_scope(|| stream.launch_callback(|| ()).and_then(|callback| callback.wait()))?;
        let callbacks = collector.of("ascendcl::callback", &[("device", "0"), ("stream", &here)]);
        assert!(matches!(&callbacks[..], [one] if one.parent.as_deref() == Some("request")), "{callbacks:?}");
        // What the closure says is inside of it, on the report thread.
        stream.launch_callback(|| tracing::info!(target: "own", "from a closure"))?.wait()?;
        let own = collector.of("own", &[]);
        assert_eq!(own[0].parent.as_deref(), Some("callback"), "{own:?}");
        assert!(own[0].thread.as_deref().is_some_and(|name| name.starts_with("ascendcl-")), "{own:?}");

        upload.wait()?;
        stream.synchronize()?;
        event.synchronize()?;
        context.synchronize()?;
        let waits = collector.of("ascendcl::wait", &[("device", "0")]);
        assert!(waits.iter().all(|seen| seen.level == "DEBUG"));
        for op in ["aclrtSynchronizeStream", "aclrtSynchronizeEvent", "aclrtSynchronizeDevice"] {
            assert!(waits.iter().any(|seen| seen.fields["op"] == op), "{op}: {waits:?}");
        }
    }
}

backend_test! {
    fn the_beginning_the_end_and_failures_are_seen(target: Target) {
        let collector = collector();
        let acl = target.open()?;
        let backend = acl.backend().to_string();
        let seen = collector.of("ascendcl::init", &[("op", "aclInit"), ("backend", &backend)]);
        assert!(seen.iter().any(|seen| seen.fields.contains_key("message") && seen.parent.as_deref() == Some("init")), "{seen:?}");
        let error = acl.device(99).unwrap_err();
        let seen = collector.of("ascendcl::failure", &[("op", "aclrtSetDevice"), ("device", "99"), ("error", &error.to_string())]);
        assert_eq!(seen.len(), 1, "{error}");
        acl.finalize()?;
        assert_eq!(collector.of("ascendcl::init", &[("op", "aclFinalize")]).len(), 1);
    }
}

unsafe extern "C" fn refuse_to_free(_: *mut std::ffi::c_void) -> ascendcl::sys::aclError {
    507_899
}

sim_test! {
    fn drops_that_fail_are_seen() {
        let collector = collector();
        let config = ascendcl_sim::Config::new();
        ascendcl_sim::configure(config)?;
        let failing = |acl: &Acl| -> TestResult {
            let context = acl.device(0)?.create_context()?;
            let address = context.alloc::<u8>(100)?.as_raw();
            let fields = [("op", "aclrtFree"), ("device", "0")];
            let seen = collector.of("ascendcl::drop", &fields);
            assert!(matches!(&seen[..], [one] if one.level == "ERROR" && one.fields["error"].contains("507899")), "{seen:?}");
            // The test gives back what the destructor could not.
            let _entered = context.enter()?;
            // SAFETY: nobody else has freed it.
            assert_eq!(unsafe { ascendcl_sim::api().aclrtFree.unwrap()(address) }, 0);
            Ok(())
        };
        with_table(|table| table.aclrtFree = Some(refuse_to_free), failing)?;
    }
}

backend_test! {
    fn a_subscriber_that_panics_does_no_harm(acl) {
        let collector = collector();
        let context = acl.device(0)?.create_context()?;
        let stream = context.create_stream()?;
        let device = context.alloc::<u32>(100)?;
        collector.panics.store(true, Ordering::SeqCst);
        // In the middle of an operation: it is done, and what it uses is kept.
        let enqueued = catch_unwind(AssertUnwindSafe(|| stream.memset(&device, 1)));
        // Before a wait, and behind it.
        let waited = catch_unwind(AssertUnwindSafe(|| stream.synchronize()));
        collector.panics.store(false, Ordering::SeqCst);
        enqueued.expect("it is guarded")?;
        waited.expect("it is guarded")?;
        assert_eq!(device.to_vec()?, [0x0101_0101; 100]);
    }
}

backend_test! {
    fn a_subscriber_cannot_wait_for_what_tells_it(target: Target) {
        let collector = collector();
        collector.meddles.store(true, Ordering::SeqCst);
        // While ACL is initialised, and finalised, nobody else gets at that.
        let all = || -> ascendcl::Result<()> {
            let acl = target.open()?;
            let stream = acl.device(0)?.create_context()?.create_stream()?;
            stream.synchronize()?;
            drop(stream);
            acl.finalize()?;
            Ok(())
        };
        let result = all();
        collector.meddles.store(false, Ordering::SeqCst);
        result?;
        let answers = std::mem::take(&mut *collector.answers.lock().unwrap());
        assert!(answers.iter().eq(["aclInit is refused"]), "{answers:?}");
    }
}
