//! What streams calculate by themselves, and operations on the cache.

mod common;

use core::ffi::c_void;
use std::ptr;

use common::*;

const SUM: sys::aclrtReduceKind = sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_SUM;
const MAX: sys::aclrtReduceKind = sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_MAX;
const MIN: sys::aclrtReduceKind = sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_MIN;
const EQUAL: sys::aclrtReduceKind = sys::ACL_RT_MEMCPY_SDMA_AUTOMATIC_EQUAL;
const NULL: *mut c_void = ptr::null_mut();

fn garbage() -> aclrtStream {
    ptr::without_provenance_mut(0x1234)
}

fn reduced(kind: sys::aclrtReduceKind, data: sys::aclDataType, left: &[u8], right: &[u8]) -> Vec<u8> {
    let (stream, to, from) = (stream(), device_memory(left.len()), device_memory(right.len()));
    upload(to, left);
    upload(from, right);
    ok!(aclrtReduceAsync, to, from, left.len() as u64, kind, data, stream, NULL);
    ok!(aclrtSynchronizeStream, stream);
    let result = download(to, left.len());
    assert_eq!(download(from, right.len()), right);
    ok!(aclrtFree, to);
    ok!(aclrtFree, from);
    ok!(aclrtDestroyStream, stream);
    result
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn reductions() {
    let _session = full();
    let (a, b) = (floats(&[1.5, -2.0, 3.0]), floats(&[2.0, -3.0, 3.5]));
    assert_eq!(reduced(SUM, sys::ACL_FLOAT, &a, &b), floats(&[3.5, -5.0, 6.5]));
    assert_eq!(reduced(MAX, sys::ACL_FLOAT, &a, &b), floats(&[2.0, -2.0, 3.5]));
    assert_eq!(reduced(MIN, sys::ACL_FLOAT, &a, &b), floats(&[1.5, -3.0, 3.0]));
    // 1 + 2 in half precision and in bfloat16.
    assert_eq!(reduced(SUM, sys::ACL_FLOAT16, &halves(&[0x3c00]), &halves(&[0x4000])), halves(&[0x4200]));
    assert_eq!(reduced(SUM, sys::ACL_BF16, &halves(&[0x3f80]), &halves(&[0x4000])), halves(&[0x4040]));
    assert_eq!(reduced(SUM, sys::ACL_INT8, &[127, 1], &[1, 0xff]), [128, 0]);
    assert_eq!(reduced(MAX, sys::ACL_INT8, &[0xff, 5], &[1, 6]), [1, 6]);
    assert_eq!(reduced(MAX, sys::ACL_UINT8, &[0xff, 5], &[1, 6]), [0xff, 6]);
    let long = 3 << 20;
    assert_eq!(reduced(SUM, sys::ACL_UINT8, &vec![1; long], &vec![2; long]), vec![3; long]);
}

#[test]
fn reductions_answer() {
    let _session = full();
    let (stream, to, from) = (stream(), device_memory(16), device_memory(16));
    let float = sys::ACL_FLOAT;
    assert_eq!(acl!(aclrtReduceAsync, NULL, from, 16, SUM, float, garbage(), NULL), 100_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, SUM, float, garbage(), to), 100_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, SUM, sys::ACL_INT64, garbage(), NULL), 100_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 0, SUM, float, garbage(), NULL), 107_017);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 0, SUM, float, stream, NULL), 107_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, sys::aclrtReduceKind(9), float, stream, NULL), 107_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, (4 << 30) + 1, SUM, float, stream, NULL), 107_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, EQUAL, float, stream, NULL), 207_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, SUM, sys::ACL_INT4, stream, NULL), 207_000);
    let odd = to.wrapping_byte_add(2);
    assert_eq!(acl!(aclrtReduceAsync, odd, from, 4, SUM, float, stream, NULL), 107_008);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 17, SUM, sys::ACL_INT8, stream, NULL), 107_000);
    ok!(aclrtFree, to);
    ok!(aclrtFree, from);
    ok!(aclrtDestroyStream, stream);
}

#[test]
fn an_older_chip_only_adds() {
    let _session = card();
    let (stream, to, from) = (stream(), device_memory(16), device_memory(16));
    ok!(aclrtMemset, to, 16, 0, 16);
    ok!(aclrtMemset, from, 16, 0, 16);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, MAX, sys::ACL_FLOAT, stream, NULL), 107_000);
    assert_eq!(acl!(aclrtReduceAsync, to, from, 16, SUM, sys::ACL_INT8, stream, NULL), 207_000);
    ok!(aclrtReduceAsync, to, from, 16, SUM, sys::ACL_FLOAT, stream, NULL);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFree, to);
    ok!(aclrtFree, from);
    ok!(aclrtDestroyStream, stream);
}

fn value(bytes: &[u8]) -> sys::aclrtRandomParaInfo {
    let mut info =
        sys::aclrtRandomParaInfo { isAddr: 0, valueOrAddr: [0; 8], size: bytes.len() as u8, rsv: [0; 6] };
    info.valueOrAddr[..bytes.len()].copy_from_slice(bytes);
    info
}

struct Random {
    info: sys::aclrtRandomNumTaskInfo,
    stream: aclrtStream,
}

impl Random {
    fn new(size: usize) -> Self {
        // SAFETY: a description of plain numbers and addresses.
        let mut info: sys::aclrtRandomNumTaskInfo = unsafe { std::mem::zeroed() };
        info.randomCounterAddr = device_memory(16);
        ok!(aclrtMemset, info.randomCounterAddr, 16, 0, 16);
        info.randomResultAddr = device_memory(size);
        info.randomSeed = value(&7u64.to_le_bytes());
        Self { info, stream: stream() }
    }

    fn set(
        &mut self,
        data: sys::aclDataType,
        function: sys::aclrtRandomNumFuncType,
        parameters: [&[u8]; 2],
        count: u64,
    ) {
        self.info.dataType = data;
        self.info.randomNumFuncParaInfo.funcType = function;
        // The others have one of these, or two of the same shape.
        self.info.randomNumFuncParaInfo.paramInfo.uniformDisInfo =
            sys::aclrtUniformDisInfo { min: value(parameters[0]), max: value(parameters[1]) };
        self.info.randomNum = value(&count.to_le_bytes());
    }

    fn submit(&self) -> aclError {
        acl!(aclrtRandomNumAsync, &self.info, self.stream, NULL)
    }

    fn draw(&self, size: usize) -> Vec<u8> {
        assert_eq!(self.submit(), 0);
        ok!(aclrtSynchronizeStream, self.stream);
        download(self.info.randomResultAddr, size)
    }

    fn counter(&self) -> u128 {
        u128::from_le_bytes(download(self.info.randomCounterAddr, 16).try_into().unwrap())
    }

    fn end(self) {
        ok!(aclrtFree, self.info.randomCounterAddr);
        ok!(aclrtFree, self.info.randomResultAddr);
        ok!(aclrtDestroyStream, self.stream);
    }
}

fn read_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn mean_and_deviation(numbers: &[f32]) -> (f32, f32) {
    let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
    let squares = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f32>();
    (mean, (squares / numbers.len() as f32).sqrt())
}

#[test]
fn random_numbers() {
    const COUNT: usize = 4000;
    let _session = full();
    let mut random = Random::new(COUNT * 8);
    let [one, three] = [1f32, 3f32].map(f32::to_le_bytes);

    let uniform = sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS;
    random.set(sys::ACL_FLOAT, uniform, [&one, &three], COUNT as u64);
    let first = random.draw(COUNT * 4);
    assert_eq!(random.counter(), COUNT as u128 / 4);
    let numbers = read_floats(&first);
    assert!(numbers.iter().all(|number| (1.0..3.0).contains(number)));
    let (mean, _) = mean_and_deviation(&numbers);
    assert!((mean - 2.0).abs() < 0.05, "{mean}");
    let second = random.draw(COUNT * 4);
    assert_ne!(first, second, "the counter went on");
    ok!(aclrtMemset, random.info.randomCounterAddr, 16, 0, 16);
    assert_eq!(random.draw(COUNT * 4), first, "seed and counter say it all");

    random.set(sys::ACL_INT32, uniform, [&(-5i32).to_le_bytes(), &5i32.to_le_bytes()], COUNT as u64);
    let mut seen = [0; 10];
    for four in random.draw(COUNT * 4).chunks_exact(4) {
        seen[(i32::from_le_bytes(four.try_into().unwrap()) + 5) as usize] += 1;
    }
    assert!(seen.iter().all(|&times| times > COUNT / 20), "{seen:?}");
    random.set(sys::ACL_UINT64, uniform, [&0u64.to_le_bytes(), &u64::MAX.to_le_bytes()], 10);
    assert!(random.draw(80).chunks_exact(8).any(|eight| eight[7] >= 0x80));

    let normal = sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_NORMAL_DIS;
    random.set(sys::ACL_FLOAT, normal, [&three, &one], COUNT as u64);
    let (mean, deviation) = mean_and_deviation(&read_floats(&random.draw(COUNT * 4)));
    assert!((mean - 3.0).abs() < 0.1 && (deviation - 1.0).abs() < 0.1, "{mean} {deviation}");
    let truncated = sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_TRUNCATED_NORMAL_DIS;
    random.set(sys::ACL_FLOAT, truncated, [&three, &one], COUNT as u64);
    let numbers = read_floats(&random.draw(COUNT * 4));
    assert!(numbers.iter().all(|number| (1.0..=5.0).contains(number)));

    // 1.0 and 2.0 in half precision.
    random.set(sys::ACL_FLOAT16, uniform, [&[0, 0x3c], &[0, 0x40]], 100);
    assert!(random.draw(200).chunks_exact(2).all(|half| (0x3c..=0x40).contains(&half[1])));

    let dropout = sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_DROPOUT_BITMASK;
    random.set(sys::ACL_FLOAT, dropout, [&0.25f32.to_le_bytes(), &[]], COUNT as u64 + 1);
    let mask = random.draw(COUNT / 8 + 1);
    let kept: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    assert!((kept as f32 / COUNT as f32 - 0.75).abs() < 0.05, "{kept}");
    assert!(mask[COUNT / 8] <= 1);

    // A number that only the device knows.
    let cell = device_memory(8);
    upload(cell, &3u64.to_le_bytes());
    random.set(sys::ACL_FLOAT, uniform, [&one, &three], 0);
    random.info.randomNum = value(&cell.addr().to_le_bytes());
    random.info.randomNum.isAddr = 1;
    let before = download(random.info.randomResultAddr, 16);
    let after = random.draw(16);
    assert!(read_floats(&after[..12]).iter().all(|number| (1.0..3.0).contains(number)));
    assert_eq!(after[12..], before[12..]);
    ok!(aclrtFree, cell);
    random.end();
}

#[test]
fn random_numbers_answer() {
    let _session = full();
    let mut random = Random::new(64);
    let uniform = sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_UNIFORM_DIS;
    let normal = sys::ACL_RT_RANDOM_NUM_FUNC_TYPE_NORMAL_DIS;
    let one = 1f32.to_le_bytes();
    assert_eq!(acl!(aclrtRandomNumAsync, ptr::null(), random.stream, NULL), 100_000);
    random.set(sys::ACL_INT8, uniform, [&one, &one], 16);
    assert_eq!(acl!(aclrtRandomNumAsync, &random.info, garbage(), NULL), 100_000);
    random.set(sys::ACL_FLOAT, uniform, [&one, &one], 16);
    assert_eq!(acl!(aclrtRandomNumAsync, &random.info, garbage(), NULL), 107_017);
    assert_eq!(acl!(aclrtRandomNumAsync, &random.info, random.stream, random.stream), 107_000);
    random.set(sys::ACL_INT32, normal, [&one, &one], 16);
    assert_eq!(random.submit(), 107_000);
    random.set(sys::ACL_FLOAT, sys::aclrtRandomNumFuncType(4), [&one, &one], 16);
    assert_eq!(random.submit(), 107_000);
    random.set(sys::ACL_FLOAT16, uniform, [&one, &one], 16);
    assert_eq!(random.submit(), 107_000, "more bytes than the type has");
    random.set(sys::ACL_FLOAT, uniform, [&[], &one], 16);
    assert_eq!(random.submit(), 107_000);
    random.set(sys::ACL_FLOAT, uniform, [&one, &one], 17);
    assert_eq!(random.submit(), 107_000, "more than the result has room for");
    random.set(sys::ACL_FLOAT, uniform, [&one, &one], 16);
    random.info.randomSeed.isAddr = 2;
    assert_eq!(random.submit(), 107_000);
    random.end();
}

#[test]
fn cache_operations() {
    let _session = full();
    let (stream, memory) = (stream(), device_memory(64));
    let prefetch = sys::ACL_RT_CMO_TYPE_PREFETCH;
    let invalidate = sys::ACL_RT_CMO_TYPE_INVALID;
    let unknown = sys::aclrtCmoType(4);
    assert_eq!(acl!(aclrtCmoAsync, NULL, 64, prefetch, garbage()), 100_000);
    assert_eq!(acl!(aclrtCmoAsync, memory, 0, prefetch, garbage()), 100_000);
    assert_eq!(acl!(aclrtCmoAsync, memory, 64, unknown, garbage()), 207_000);
    assert_eq!(acl!(aclrtCmoAsync, memory, 64, prefetch, garbage()), 107_017);
    assert_eq!(acl!(aclrtCmoAsync, memory, 65, prefetch, stream), 107_000);
    ok!(aclrtCmoAsync, memory, 64, prefetch, stream);

    assert_eq!(acl!(aclrtCmoAsyncWithBarrier, memory, 0, prefetch, 0, stream), 107_000);
    assert_eq!(acl!(aclrtCmoAsyncWithBarrier, memory, 64, prefetch, 1, stream), 107_000);
    assert_eq!(acl!(aclrtCmoAsyncWithBarrier, memory, 64, invalidate, 0, stream), 107_000);
    assert_eq!(acl!(aclrtCmoAsyncWithBarrier, memory, 64, invalidate, 1, stream), 507_000);
    let barrier = sys::aclrtBarrierCmoInfo { cmoType: invalidate, barrierId: 1 };
    let mut task = sys::aclrtBarrierTaskInfo { barrierNum: 7, cmoInfo: [barrier; 6] };
    assert_eq!(acl!(aclrtCmoWaitBarrier, &mut task, stream, 0), 100_000);
    task.barrierNum = 2;
    assert_eq!(acl!(aclrtCmoWaitBarrier, &mut task, stream, 0), 507_000);

    let mut size = 0;
    assert_eq!(acl!(aclrtCmoGetDescSize, ptr::null_mut()), 107_000);
    ok!(aclrtCmoGetDescSize, &mut size);
    let description = device_memory(size);
    assert_eq!(acl!(aclrtCmoSetDesc, description, memory, 0), 107_000);
    ok!(aclrtCmoSetDesc, description, memory, 64);
    assert_eq!(acl!(aclrtCmoAsyncWithDesc, description, prefetch, stream, memory.cast_const()), 107_000);
    assert_eq!(acl!(aclrtCmoAsyncWithDesc, NULL, prefetch, stream, ptr::null()), 107_000);
    assert_eq!(acl!(aclrtCmoAsyncWithDesc, description, prefetch, stream, ptr::null()), 507_000);
    ok!(aclrtSynchronizeStream, stream);

    // Barriers and descriptions are for work that runs later.
    let mut instance = ptr::null_mut();
    ok!(aclmdlRICaptureBegin, stream, sys::ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
    ok!(aclrtCmoAsyncWithBarrier, memory, 64, invalidate, 1, stream);
    ok!(aclrtCmoWaitBarrier, &mut task, stream, 0);
    ok!(aclrtCmoAsyncWithDesc, description, prefetch, stream, ptr::null());
    ok!(aclmdlRICaptureEnd, stream, &mut instance);
    task.cmoInfo[1].barrierId = 0;
    assert_eq!(acl!(aclrtCmoWaitBarrier, &mut task, stream, 0), 107_000);
    ok!(aclmdlRIExecuteAsync, instance, stream);
    ok!(aclrtSynchronizeStream, stream);
    ok!(aclrtFree, memory);
    ok!(aclmdlRIExecuteAsync, instance, stream);
    assert_eq!(acl!(aclrtSynchronizeStream, stream), 507_013);
    ok!(aclmdlRIDestroy, instance);
    ok!(aclrtFree, description);
    ok!(aclrtDestroyStream, stream);
}
