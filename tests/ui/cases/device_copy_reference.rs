//! A device could write any address.

//~ E0277: u8: DeviceCopy` is not satisfied

fn alloc(context: &ascendcl::Context) {
    let _ = context.alloc::<&'static u8>(16);
}

fn main() {}
