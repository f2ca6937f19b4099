//! A closure cannot borrow a buffer either: it owns what it uses.

//~ E0521: escapes outside of function

fn sum(stream: &ascendcl::Stream, pinned: &ascendcl::PinnedBuffer<u32>) -> ascendcl::Result<u32> {
    stream.launch_callback(move || pinned.iter().sum::<u32>())?.wait()
}

fn main() {}
