//! What a closure returns is given once.

//~ E0382: use of moved value: `callback`

fn twice(callback: ascendcl::Callback<String>) -> ascendcl::Result<(String, String)> {
    Ok((callback.wait()?, callback.wait()?))
}

fn main() {}
