//! What an operation does with a piece of memory.

/// Reading or writing, all of a range or rows with gaps between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    writes: bool,
    rows: Option<Rows>,
    /// It is made to be raced for.
    free: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    width: usize,
    pitch: usize,
    count: usize,
}

impl Access {
    pub(crate) const READ: Self = Self { writes: false, rows: None, free: false };
    /// Also for what is read and written.
    pub(crate) const WRITE: Self = Self { writes: true, rows: None, free: false };

    /// Reading a value that others write while this one waits for it.
    pub(crate) const AWAIT: Self = Self { writes: false, rows: None, free: true };
    /// Writing a value that others may wait for.
    pub(crate) const SIGNAL: Self = Self { writes: true, rows: None, free: true };

    /// Whether it needs no order with others.
    pub(crate) fn is_free(self) -> bool {
        self.free
    }

    /// The same of `count` rows only, which begin `pitch` bytes apart.
    pub(crate) fn rows(self, width: usize, pitch: usize, count: usize) -> Self {
        Self { rows: (width < pitch && count > 1).then_some(Rows { width, pitch, count }), ..self }
    }

    pub(crate) fn writes(self) -> bool {
        self.writes
    }

    /// The ranges touched in `[start, start + len)`.
    pub(crate) fn ranges(self, start: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
        let Rows { width, pitch, count } = self.rows.unwrap_or(Rows { width: len, pitch: len, count: 1 });
        (0..count).map(move |row| (start + row * pitch, start + row * pitch + width))
    }
}
