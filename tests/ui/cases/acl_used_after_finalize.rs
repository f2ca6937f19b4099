//! Who finalises gives the handle away.

//~ E0382: borrow of moved value: `acl`

fn finalize(acl: ascendcl::Acl) -> ascendcl::Result<u32> {
    acl.finalize()?;
    acl.device_count()
}

fn main() {}
