//! Codes that a function may answer: one or two that it does answer on a card, and one that nobody knows.

/// A code of a release to come.
pub const UNKNOWN: i32 = 987_654;

/// Codes that the function answers when it has done nothing.
pub fn refusals(function: &str) -> &'static [i32] {
    match function {
        "aclInit" => &[500_000, 100_001],
        "aclFinalize" => &[100_037, 507_899],
        "aclrtSetDevice" => &[107_001, 507_033],
        "aclrtResetDevice" => &[507_007, 107_001],
        "aclrtCreateContext" => &[107_001, 207_001],
        "aclrtDestroyContext" => &[107_002, 507_007],
        "aclrtGetCurrentContext" => &[107_002],
        "aclrtSetCurrentContext" => &[107_000, 107_002],
        "aclrtGetDeviceCount" => &[207_004],
        "aclrtCreateStream" | "aclrtCreateStreamWithConfig" => &[207_005, 107_002],
        "aclrtDestroyStream" => &[107_003, 507_899],
        "aclrtSynchronizeStream" | "aclrtSynchronizeDevice" => &[107_003, 507_015],
        "aclrtSynchronizeStreamWithTimeout" | "aclrtSynchronizeDeviceWithTimeout" => &[507_046, 507_011],
        "aclrtSynchronizeEvent" | "aclrtSynchronizeEventWithTimeout" => &[507_047, 507_899],
        "aclrtStreamQuery" => &[107_003, 507_899],
        "aclrtCreateEvent" | "aclrtCreateEventWithFlag" | "aclrtCreateEventExWithFlag" => &[207_007, 107_002],
        "aclrtRecordEvent" => &[207_007, 107_003],
        "aclrtStreamWaitEvent" | "aclrtResetEvent" => &[107_003, 507_008],
        "aclrtEventElapsedTime" | "aclrtEventGetTimestamp" => &[507_000, 107_006],
        "aclrtMalloc" | "aclrtMallocHost" => &[107_002, 507_899],
        "aclrtFree" | "aclrtFreeHost" => &[107_000, 507_899],
        "aclrtMemcpy" | "aclrtMemset" => &[107_000, 507_011],
        "aclrtMemcpyAsync" | "aclrtMemsetAsync" => &[107_003, 507_000],
        "aclrtSubscribeReport" => &[107_011, 507_000],
        "aclrtUnSubscribeReport" => &[107_011, 107_012],
        "aclrtLaunchCallback" => &[107_015, 507_000],
        "aclrtProcessReport" => &[107_012, 507_010],
        "aclmdlLoadFromFile" | "aclmdlLoadFromMem" => &[500_002, 145_006],
        "aclmdlExecute" | "aclmdlExecuteAsync" => &[500_002, 507_011],
        "aclmdlUnload" | "aclmdlGetDesc" => &[100_011, 500_002],
        _ => &[107_002, 507_899],
    }
}

/// A code that the function answers although it has done its work. Those of arguments and shortages say that nothing was done.
pub fn failure(function: &str) -> i32 {
    match function {
        "aclrtSynchronizeStream" | "aclrtSynchronizeStreamWithTimeout" | "aclrtSynchronizeDevice" => 507_015,
        _ if function.starts_with("aclmdl") => 500_002,
        "aclrtMemcpyAsync" | "aclrtMemsetAsync" | "aclrtLaunchCallback" | "aclrtRecordEvent" => 507_000,
        _ => 507_899,
    }
}

/// Whether it gives memory or something made of it.
pub fn takes_memory(function: &str) -> bool {
    let making = ["aclrtMalloc", "aclrtCreate", "aclmdlCreate", "aclCreate", "aclmdlLoad"];
    making.iter().any(|prefix| function.starts_with(prefix))
        || [
            "aclInit",
            "aclrtSetDevice",
            "aclmdlExecute",
            "aclmdlExecuteAsync",
            "aclmdlAddDatasetBuffer",
            "aclrtSubscribeReport",
        ]
        .contains(&function)
}

/// Whether it puts a task into a stream.
pub fn queues(function: &str) -> bool {
    [
        "aclrtMemcpyAsync",
        "aclrtMemsetAsync",
        "aclrtRecordEvent",
        "aclrtStreamWaitEvent",
        "aclrtStreamWaitEventWithTimeout",
        "aclrtResetEvent",
        "aclrtLaunchCallback",
        "aclmdlExecuteAsync",
    ]
    .contains(&function)
}

/// Whether it answers with a value: it cannot do its work and say that it failed.
pub fn answers_a_value(function: &str) -> bool {
    [
        "aclrtGetSocName",
        "aclGetRecentErrMsg",
        "aclmdlCreateDesc",
        "aclmdlCreateDataset",
        "aclCreateDataBuffer",
    ]
    .contains(&function)
        || (function.starts_with("aclmdlGetNum"))
        || ((function.starts_with("aclmdlGetInput") || function.starts_with("aclmdlGetOutput"))
            && !function.ends_with("Dims"))
}
