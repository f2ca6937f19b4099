//! AIPP: what prepares images for a model, as the model file says (static) or as the program says for each execution (dynamic).

pub(crate) mod config;
pub(crate) mod params;
pub(crate) mod pixels;
pub(crate) mod process;
pub(crate) mod query;
pub(crate) mod set;
