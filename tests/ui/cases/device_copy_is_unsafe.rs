//! Whoever says that any bits are a value must mean it.

//~ E0200: `DeviceCopy` requires an `unsafe impl`

#[derive(Clone, Copy)]
#[repr(C)]
struct Pixel([u8; 4]);

impl ascendcl::DeviceCopy for Pixel {}

fn main() {}
