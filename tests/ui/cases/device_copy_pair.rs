//! A pair may have padding, and has no layout that a device knows.

//~ E0277: `(u8, u32): DeviceCopy` is not satisfied

fn alloc(context: &ascendcl::Context) {
    let _ = context.alloc::<(u8, u32)>(16);
}

fn main() {}
