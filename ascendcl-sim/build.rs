//! How the `cdylib` is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The name under which programs ask for it. Not `rustc-cdylib-link-arg`: Cargo applies that to the cdylibs of other packages too
    // which depend on this one, and a plugin that embeds the simulator is no `libascendcl.so`.
    println!("cargo:rustc-link-arg=-Wl,-soname,libascendcl.so");
}
