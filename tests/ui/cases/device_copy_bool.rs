//! A device could write a 2.

//~ E0277: `bool: DeviceCopy` is not satisfied

fn alloc(context: &ascendcl::Context) {
    let _ = context.alloc::<bool>(16);
}

fn main() {}
