//! What the chapter on troubleshooting quotes is what comes out. All in one test: a process has one simulator.

use ascendcl::{
    Acl, BackendChoice, CallbackMode, Context, Error, EventFlags, HostPages, Model, Result, Stream,
};
use ascendcl_sim::Config;
use std::{thread, time::Duration};

const CHAPTERS: [(&str, &str); 2] = [
    ("en", include_str!("../en/src/troubleshooting.md")),
    ("zh", include_str!("../zh/src/troubleshooting.md")),
];

/// That both languages quote the text of this error.
fn quoted<T>(result: Result<T, impl Into<Error>>) {
    let Err(error) = result else { panic!("it does not fail any more") };
    let text = error.into().to_string();
    for (language, chapter) in CHAPTERS {
        assert!(
            text.lines().all(|line| chapter.lines().any(|quoted| quoted == line)),
            "{language}: not quoted as it is: {text}"
        );
    }
}

/// A fresh simulator.
fn simulate(config: Config) -> Result<(Acl, Context, Stream)> {
    ascendcl_sim::configure(config).expect("nothing is alive");
    let acl = Acl::builder().backend(BackendChoice::Sim).build()?;
    let context = acl.device(0)?.create_context()?;
    let stream = context.create_stream()?;
    Ok((acl, context, stream))
}

fn with_fault(fault: &str) -> Config {
    Config::new().fault(fault.parse().expect("it is a fault"))
}

fn sim() -> Result<Acl> {
    Acl::builder().backend(BackendChoice::Sim).build()
}

#[test]
fn errors_are_quoted_as_they_are() -> Result<()> {
    quoted(Acl::builder().backend(BackendChoice::Sim).config_file("missing.json").build());
    quoted::<()>(Err(Error::Forked { op: "aclrtGetDeviceCount" }));

    let (acl, context, stream) = simulate(Config::new())?;
    quoted(context.alloc::<u8>(9 << 30));
    quoted(acl.device(99));
    quoted(Model::load(&context, "missing.onnx"));
    quoted(stream.wait(&context.create_event()?));
    quoted(stream.launch_callback_with(CallbackMode::NonBlocking, || ()));
    quoted(stream.launch_host_function(|| ()));
    quoted(context.create_stream()?.launch_host_function(|| ()));
    quoted(stream.capture(|_| Ok(())));
    quoted(context.register_host(HostPages::<u8>::new(4096)?));
    let slow = stream.launch_callback(|| thread::sleep(Duration::from_millis(200)))?;
    quoted(stream.synchronize_timeout(Duration::from_millis(5)));
    slow.wait()?;
    let elsewhere = acl.device(1)?.create_context()?.alloc::<u8>(16)?;
    quoted(stream.memset(&elsewhere, 0));
    let mut events = Vec::new();
    quoted(loop {
        match context.create_event_with_flags(EventFlags::SYNC) {
            Ok(event) => events.push(event),
            Err(error) => break Err::<(), _>(error),
        }
    });
    let mut streams = Vec::new();
    quoted(loop {
        match context.create_stream() {
            Ok(stream) => streams.push(stream),
            Err(error) => break Err::<(), _>(error),
        }
    });
    drop((events, streams, elsewhere, stream));
    quoted(acl.clone().finalize());
    drop(context);
    assert!(acl.finalize()?);

    let (acl, context, stream) = simulate(with_fault("aclrtCreateEventExWithFlag=missing"))?;
    quoted(context.create_event_ex(EventFlags::SYNC));
    drop((context, stream));
    assert!(acl.finalize()?);

    ascendcl_sim::configure(Config::new().visible_devices("4")).expect("nothing is alive");
    let acl = sim()?;
    quoted(acl.device_count());
    assert!(acl.finalize()?);

    // A failure that leaves something behind comes last.
    let (_acl, context, stream) = simulate(with_fault("aclrtSynchronizeStream=507015"))?;
    let memory = context.alloc::<u8>(16)?;
    stream.memset(&memory, 0)?;
    assert!(stream.synchronize().is_err());
    quoted(stream.memset(&memory, 0));
    Ok(())
}

/// Where no CANN is installed.
#[test]
fn a_missing_library_is_quoted_as_it_is() {
    match Acl::builder().backend(BackendChoice::Cann).build() {
        Err(error @ Error::Load(_)) => quoted::<()>(Err(error)),
        other => println!("not looked at, as there is a CANN: {other:?}"),
    }
}
