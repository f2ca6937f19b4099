//! The layer of `tracing` that writes spans and events down.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tracing::{
    Event, Id, Subscriber,
    span::{Attributes, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{
    event::{Fields, arrow, bar, instant, names, now, thread_number},
    file::File,
};

/// Writes spans and events into the file of a [`Timeline`](crate::Timeline): a span is a bar on each thread that enters it, from there until it leaves it.
#[derive(Debug)]
pub struct TimelineLayer {
    file: Arc<File>,
    /// Which one it is: threads have one list of open spans, and a name to tell, for each.
    number: usize,
}

/// What is kept of a span.
struct Made {
    fields: Fields,
    thread: u32,
    at: u64,
    /// Whether an arrow leads to where it was entered.
    arrived: bool,
}

thread_local! {
    static OPEN: RefCell<Open> = const { RefCell::new(Open { of: 0, spans: Vec::new() }) };
}

/// The spans that this thread is inside of.
struct Open {
    /// The layer that knows the name of this thread.
    of: usize,
    spans: Vec<(usize, u64, u64)>,
}

impl TimelineLayer {
    pub(crate) fn new(file: Arc<File>) -> TimelineLayer {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        TimelineLayer { file, number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Before the first event of a thread.
    fn name_thread(&self) {
        let known =
            OPEN.try_with(|open| std::mem::replace(&mut open.borrow_mut().of, self.number) == self.number);
        if matches!(known, Ok(false)) {
            self.file.write(&names());
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TimelineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().replace(Made { fields, thread: thread_number(), at: now(), arrived: false });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(made) = span.extensions_mut().get_mut::<Made>() {
            values.record(&mut made.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let at = now();
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.name_thread();
        self.file.write([&instant(
            fields.name(event.metadata().name()),
            event.metadata().target(),
            at,
            &fields,
        )]);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.name_thread();
        let at = now();
        let here = thread_number();
        if let Some(span) = context.span(id)
            && let Some(made) = span.extensions_mut().get_mut::<Made>()
            && !std::mem::replace(&mut made.arrived, true)
            && made.thread != here
        {
            // Numbers of spans are used again, those of arrows must not be.
            static NEXT: AtomicU64 = AtomicU64::new(1);
            let flow = NEXT.fetch_add(1, Ordering::Relaxed);
            self.file.write(&[arrow(true, flow, made.thread, made.at), arrow(false, flow, here, at)]);
        }
        let _ = OPEN.try_with(|open| open.borrow_mut().spans.push((self.number, id.into_u64(), at)));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let end = now();
        let entered = OPEN.try_with(|open| {
            let spans = &mut open.borrow_mut().spans;
            let at = spans.iter().rposition(|(of, span, _)| (*of, *span) == (self.number, id.into_u64()))?;
            Some(spans.remove(at).2)
        });
        let (Ok(Some(start)), Some(span)) = (entered, context.span(id)) else { return };
        let (code, target) = (span.metadata().name(), span.metadata().target());
        let extensions = span.extensions();
        let nothing = Fields::default();
        let fields = extensions.get::<Made>().map_or(&nothing, |made| &made.fields);
        let name = fields.span_name(code, target);
        self.file.write([&bar(&name, target, thread_number(), start, end, fields)]);
    }
}
