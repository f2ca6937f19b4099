//! A context is not destroyed while it is entered.

//~ E0505: cannot move out of `context`

fn enter(device: &ascendcl::Device) -> ascendcl::Result<()> {
    let context = device.create_context()?;
    let entered = context.enter()?;
    drop(context);
    drop(entered);
    Ok(())
}

fn main() {}
