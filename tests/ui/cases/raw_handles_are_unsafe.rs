//! Nobody checks what C code made.

//~ E0133: requires unsafe

fn borrow(context: &ascendcl::Context, raw: ascendcl::sys::aclrtStream) -> ascendcl::Stream {
    ascendcl::Stream::from_raw(context, raw, false)
}

fn main() {}
