//! `ascendcl-doctor` on faked installations: each has one thing wrong, or nothing.

mod files;
mod hardware;
mod machine;
mod running;
mod variables;
