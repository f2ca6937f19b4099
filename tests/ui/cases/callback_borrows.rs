//! A closure runs later, on another thread: it cannot borrow what ends before.

//~ E0373: may outlive the current function

fn count(stream: &ascendcl::Stream) -> ascendcl::Result<u32> {
    let mut count = 0;
    stream
        .launch_callback(|| {
            count += 1;
            count
        })?
        .wait()
}

fn main() {}
