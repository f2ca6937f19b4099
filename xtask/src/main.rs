//! Maintenance.
mod bindings;
mod error;
mod workspace;
fn main() {
    if let Err(e) = bindings::run() {
        eprintln!("error: {e}");
        std::process::exit(1);
    }
}
