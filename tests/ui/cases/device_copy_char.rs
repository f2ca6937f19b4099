//! A device could write a number that is no character.

//~ E0277: `char: DeviceCopy` is not satisfied

fn alloc(context: &ascendcl::Context) {
    let _ = context.alloc_pinned::<char>(16);
}

fn main() {}
