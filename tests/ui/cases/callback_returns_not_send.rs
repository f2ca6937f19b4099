//! What a closure returns comes from another thread.

//~ E0277: cannot be sent between threads safely

fn launch(stream: &ascendcl::Stream) -> ascendcl::Result<std::rc::Rc<u8>> {
    stream.launch_callback(|| std::rc::Rc::new(1))?.wait()
}

fn main() {}
