//! The copy writes the buffer later: nobody may be looking into it.

//~ E0505: cannot move out of `pinned`

use ascendcl::{DeviceView, PinnedBuffer, Rejected, Stream};

fn download(
    stream: &Stream,
    from: &DeviceView<u8>,
    pinned: PinnedBuffer<u8>,
) -> Result<u8, Rejected<PinnedBuffer<u8>>> {
    let first = &pinned[0];
    let download = stream.download(from, pinned)?;
    drop(download);
    Ok(*first)
}

fn main() {}
