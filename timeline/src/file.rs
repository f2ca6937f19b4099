//! The file: one JSON array, of which nothing is written twice. A program that crashes leaves it without its end, which viewers do not mind.

use serde_json::Value;
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

#[derive(Debug)]
pub(crate) struct File(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Until the end is written.
    writer: Option<BufWriter<fs::File>>,
    first: bool,
    /// The first failure; nothing is written after it.
    failed: Option<io::Error>,
}

impl File {
    pub(crate) fn create(path: &Path) -> io::Result<File> {
        let mut writer = BufWriter::new(fs::File::create(path)?);
        writer.write_all(b"[")?;
        Ok(File(Mutex::new(State { writer: Some(writer), first: true, failed: None })))
    }

    /// Writes events. After the end, and after a failure, which [`end`](Self::end) reports, it does nothing.
    pub(crate) fn write<'a>(&self, events: impl IntoIterator<Item = &'a Value>) {
        self.write_texts(events.into_iter().map(|event| event.to_string()));
    }

    pub(crate) fn write_texts(&self, events: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            state.write(event.as_ref());
        }
    }

    pub(crate) fn end(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        match state.writer.take() {
            Some(mut writer) => writer.write_all(b"\n]\n").and_then(|()| writer.flush()),
            None => Ok(()),
        }
    }
}

impl State {
    fn write(&mut self, event: &str) {
        let Some(writer) = &mut self.writer else { return };
        let separator = if std::mem::replace(&mut self.first, false) { "\n" } else { ",\n" };
        let written =
            writer.write_all(separator.as_bytes()).and_then(|()| writer.write_all(event.as_bytes()));
        if let Err(error) = written {
            self.failed = Some(error);
            // What it buffers is not written: that would fail again.
            self.writer.take().map(BufWriter::into_parts);
        }
    }
}
