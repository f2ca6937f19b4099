//! What is copied as it is must be `Copy`.

//~ E0277: `Owner: Copy` is not satisfied

struct Owner(Vec<u8>);

unsafe impl ascendcl::DeviceCopy for Owner {}

fn main() {}
