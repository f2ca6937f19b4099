//! The host cannot look into device memory.

//~ E0608: cannot index into a value of type `&DeviceBuffer<u8>`

fn first(buffer: &ascendcl::DeviceBuffer<u8>) -> u8 {
    buffer[0]
}

fn main() {}
