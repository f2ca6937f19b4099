//! Which handles may go to other threads, decided when this is compiled.

use ascendcl::{
    Acl, AclBuilder, AclCode, AclError, AclVersion, Backend, BackendChoice, Callback, CallbackMode,
    Completion, Context, DataType, Dataset, Device, DeviceBuffer, DeviceView, Entered, Error, ErrorKind,
    Event, EventFlags, EventStatus, FailureMode, Format, HostPages, LimitedCores, MallocPolicy, MemoryInfo,
    Model, ModelDesc, PinnedBuffer, Rejected, RunMode, Stream, StreamFlags, TensorDesc, Transfer,
};

const fn send_sync<T: Send + Sync + 'static>() {}
const fn unpin<T: Unpin>() {}

/// Compiles only if `T` is neither `Send` nor `Sync`: otherwise which implementation is meant is ambiguous.
trait NeitherSendNorSync<Which> {
    fn here() {}
}
struct Whatever;
struct IfSend;
struct IfSync;
impl<T: ?Sized> NeitherSendNorSync<Whatever> for T {}
impl<T: ?Sized + Send> NeitherSendNorSync<IfSend> for T {}
impl<T: ?Sized + Sync> NeitherSendNorSync<IfSync> for T {}

const _: () = {
    send_sync::<Acl>();
    send_sync::<AclBuilder>();
    send_sync::<AclCode>();
    send_sync::<AclError>();
    send_sync::<AclVersion>();
    send_sync::<Backend>();
    send_sync::<BackendChoice>();
    send_sync::<Callback<Vec<u8>>>();
    // What comes out of a callback need not be Sync: one thread gets it.
    send_sync::<Callback<std::cell::Cell<u8>>>();
    send_sync::<CallbackMode>();
    send_sync::<Completion>();
    send_sync::<Context>();
    send_sync::<DataType>();
    send_sync::<Dataset>();
    send_sync::<Device>();
    send_sync::<DeviceBuffer<f32>>();
    send_sync::<DeviceView<[u16; 3]>>();
    send_sync::<Error>();
    send_sync::<ErrorKind>();
    send_sync::<Event>();
    send_sync::<EventFlags>();
    send_sync::<EventStatus>();
    send_sync::<FailureMode>();
    send_sync::<Format>();
    send_sync::<MallocPolicy>();
    send_sync::<HostPages<u8>>();
    send_sync::<MemoryInfo>();
    send_sync::<Model>();
    send_sync::<ModelDesc>();
    send_sync::<PinnedBuffer<u8>>();
    send_sync::<Rejected<PinnedBuffer<u8>>>();
    send_sync::<RunMode>();
    send_sync::<Stream>();
    send_sync::<StreamFlags>();
    send_sync::<TensorDesc>();
    send_sync::<Transfer<f32>>();
    unpin::<Callback<u8>>();
    unpin::<Transfer<u8>>();
};

#[test]
fn a_context_that_is_entered_stays_in_its_thread() {
    <Entered<'_> as NeitherSendNorSync<_>>::here();
}

#[test]
fn limits_that_a_thread_uses_stay_in_it() {
    <LimitedCores as NeitherSendNorSync<_>>::here();
}

#[test]
fn errors_are_errors_that_travel() {
    fn boxed(
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Box<dyn std::error::Error + Send + Sync> {
        Box::new(error)
    }
    let error = boxed(Rejected { error: Error::Abandoned { cause: None }, returned: None::<u8> });
    assert!(error.source().is_some_and(|source| source.is::<Error>()));
}
