//! The copy reads the buffer later: until it is done nobody else has it.

//~ E0382: borrow of moved value: `pinned`

use ascendcl::{DeviceView, PinnedBuffer, Rejected, Stream};

fn upload(
    stream: &Stream,
    mut pinned: PinnedBuffer<u8>,
    to: &DeviceView<u8>,
) -> Result<(), Rejected<PinnedBuffer<u8>>> {
    let upload = stream.upload(pinned, to)?;
    pinned.fill(0);
    drop(upload);
    Ok(())
}

fn main() {}
