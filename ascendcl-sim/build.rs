//! How the `cdylib` is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Pool threads run in the library for as long as the process lives: dlclose must not unmap it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The name under which programs ask for it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libascendcl.so");
}
