//! What the safe layer lacks and ought to have. Whatever is neither here nor has a method is raw only.
//!
//! A function is here when inference programs need it, when it can be made safe by the rules that the crate has, and when the simulator has it, so
//! that it can be tested. It is not here when the crate does the same in another way (a forced reset, the last error of a thread), when it is a
//! variant for a special case, or when its area says why it stays raw.

/// Names, or the beginnings of names with `*` at their end, and what they would be good for.
pub const WANTED: &[(&str, &str)] = &[
    ("aclrtMemPool*", "memory that is allocated and freed in the order of a stream"),
    ("aclmdlQuerySize", "how much memory a model will take"),
    ("aclmdlSetDynamicBatchSize", "models with several batch sizes"),
    ("aclmdlSetDynamicHWSize", "models with several image sizes"),
    ("aclmdlSetInputDynamicDims", "models with several shapes"),
    ("aclmdlGetDynamicBatch", "models with several batch sizes"),
    ("aclmdlGetDynamicHW", "models with several image sizes"),
    ("aclmdlGetInputDynamicDims", "models with several shapes"),
    ("aclmdlGetInputDynamicGearCount", "models with several shapes"),
    ("aclmdlGetInputIndexByName", "the input that the model selects a shape with"),
    ("aclmdlGetCurOutputDims", "the shape that an output has this time"),
];

/// What a function would be good for, if it ought to have a safe method; and its place in the list.
pub fn of(function: &str) -> Option<(usize, &'static str)> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => function.starts_with(beginning),
        None => pattern == function,
    };
    WANTED.iter().position(|(pattern, _)| fits(pattern)).map(|at| (at, WANTED[at].1))
}
