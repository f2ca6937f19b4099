//! Compiles the baselines in C of the scoreboard: with the optimisation that their users would ask for, whatever this build asks for.

fn main() {
    println!("cargo::rerun-if-changed=src/perf/baseline.c");
    cc::Build::new()
        .file("src/perf/baseline.c")
        .opt_level(2)
        .debug(false)
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .compile("baseline");
}
