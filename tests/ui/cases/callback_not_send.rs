//! A closure goes to another thread, and so does what it captures.

//~ E0277: cannot be sent between threads safely

fn launch(stream: &ascendcl::Stream) -> ascendcl::Result<()> {
    let local = std::rc::Rc::new(1);
    stream.launch_callback(move || drop(local))?.wait()
}

fn main() {}
