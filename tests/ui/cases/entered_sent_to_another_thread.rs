//! What is current belongs to a thread.

//~ E0277: cannot be sent between threads safely
//~ E0277: cannot be sent between threads safely

fn send(context: &ascendcl::Context) -> ascendcl::Result<()> {
    let entered = context.enter()?;
    std::thread::scope(|scope| {
        scope.spawn(move || drop(entered));
    });
    Ok(())
}

fn main() {}
