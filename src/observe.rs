//! Feature `tracing`: what this crate does, as spans and events. Without the feature all of this is nothing, at compile time.
//!
//! Fields: `op` is the C function, `device` the number of the device, `stream` and `event` the handle, `error` the sentence. Targets begin with
//! `ascendcl::`: see the crate's documentation.
//!
//! A subscriber is code of the program. Events come out in the middle of an operation, and a panic there must not keep memory from being kept. Spans
//! begin before everything and end behind it, but some on the reaper's thread, or with a lock held.

/// `event!(LEVEL, "target", fields...)`.
macro_rules! event {
    ($level:ident, $target:literal, $($fields:tt)*) => {
        #[cfg(feature = "tracing")]
        // A subscriber that uses handles gets an error instead of waiting for itself.
        $crate::quiet::inside(|| ::tracing::event!(target: $target, ::tracing::Level::$level, $($fields)*));
    };
}

/// Enters a span until the end of the block: `span!(LEVEL, "target", "name", fields...)`.
macro_rules! span {
    ($level:ident, $target:literal, $name:literal, $($fields:tt)*) => {
        #[cfg(feature = "tracing")]
        let _span = $crate::observe::Inside::enter(|| {
            ::tracing::span!(target: $target, ::tracing::Level::$level, $name, $($fields)*).entered()
        });
    };
}

/// Inside of a span. The subscriber hears of its beginning and its end as of events.
#[cfg(feature = "tracing")]
pub(crate) struct Inside(Option<tracing::span::EnteredSpan>);

#[cfg(feature = "tracing")]
impl Inside {
    pub(crate) fn enter(span: impl FnOnce() -> tracing::span::EnteredSpan) -> Inside {
        let mut inside = Inside(None);
        crate::quiet::inside(|| inside.0 = Some(span()));
        inside
    }
}

#[cfg(feature = "tracing")]
impl Drop for Inside {
    fn drop(&mut self) {
        let span = self.0.take();
        crate::quiet::inside(move || drop(span));
    }
}

pub(crate) use {event, span};
