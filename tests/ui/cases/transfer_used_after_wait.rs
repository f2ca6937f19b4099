//! A transfer that gave its memory back is no more.

//~ E0382: borrow of moved value: `upload`

fn wait(upload: ascendcl::Transfer<u8>) -> ascendcl::Result<bool> {
    let pinned = upload.wait()?;
    drop(pinned);
    upload.is_done()
}

fn main() {}
