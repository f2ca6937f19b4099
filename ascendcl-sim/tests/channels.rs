//! Tensor channels and datasets.

mod common;

use std::ptr;
use std::thread;

use common::*;

fn item(dims: &[i64], data: &mut [f32]) -> *mut sys::acltdtDataItem {
    let (address, size) = (data.as_mut_ptr().cast(), size_of_val(data));
    let kind = sys::ACL_TENSOR_DATA_TENSOR;
    let item = acl!(acltdtCreateDataItem, kind, dims.as_ptr(), dims.len(), sys::ACL_FLOAT, address, size);
    assert!(!item.is_null());
    item
}

fn end_of_sequence() -> *mut sys::acltdtDataItem {
    let (kind, none) = (sys::ACL_TENSOR_DATA_END_OF_SEQUENCE, ptr::null_mut());
    acl!(acltdtCreateDataItem, kind, ptr::null(), 0, sys::ACL_FLOAT, none, 0)
}

fn dataset(items: &[*mut sys::acltdtDataItem]) -> *mut sys::acltdtDataset {
    let dataset = acl!(acltdtCreateDataset);
    for &item in items {
        ok!(acltdtAddDataItem, dataset, item);
    }
    dataset
}

fn destroy(dataset: *mut sys::acltdtDataset) {
    for index in 0..acl!(acltdtGetDatasetSize, dataset) {
        ok!(acltdtDestroyDataItem, acl!(acltdtGetDataItem, dataset, index));
    }
    ok!(acltdtDestroyDataset, dataset);
}

fn floats(item: *mut sys::acltdtDataItem) -> Vec<f32> {
    let (address, size) = (acl!(acltdtGetDataAddrFromItem, item), acl!(acltdtGetDataSizeFromItem, item));
    // SAFETY: the tensor has so many bytes, and received tensors are aligned.
    unsafe { std::slice::from_raw_parts(address.cast(), size / 4) }.to_vec()
}

fn channel(capacity: usize) -> *mut sys::acltdtChannelHandle {
    let channel = acl!(acltdtCreateChannelWithCapacity, 0, c"channel".as_ptr(), capacity);
    assert!(!channel.is_null(), "{}", message());
    channel
}

#[test]
fn items_are_checked() {
    let _session = card();
    let (tensor, none, dims) = (sys::ACL_TENSOR_DATA_TENSOR, ptr::null_mut(), [1_i64; 129]);
    let create = |kind, dims: *const i64, count| {
        acl!(acltdtCreateDataItem, kind, dims, count, sys::ACL_FLOAT, none, 0)
    };
    assert!(create(tensor, ptr::null(), 1).is_null());
    assert!(create(tensor, dims.as_ptr(), 0).is_null());
    assert!(create(tensor, dims.as_ptr(), 129).is_null());
    assert!(create(sys::ACL_TENSOR_DATA_ABNORMAL, dims.as_ptr(), 1).is_null());
    let mut data = [0.0; 6];
    let item = item(&[2, 3], &mut data);
    assert_eq!(acl!(acltdtGetTensorTypeFromItem, item), tensor);
    assert_eq!(acl!(acltdtGetDataTypeFromItem, item), sys::ACL_FLOAT);
    assert_eq!((acl!(acltdtGetDataSizeFromItem, item), acl!(acltdtGetDimNumFromItem, item)), (24, 2));
    let (mut got, mut slices) = ([0; 3], (9, 9));
    ok!(acltdtGetDimsFromItem, item, got.as_mut_ptr(), 3);
    assert_eq!(got, [2, 3, 0]);
    assert_eq!(acl!(acltdtGetDimsFromItem, item, got.as_mut_ptr(), 1), 100_000);
    assert_eq!(acl!(acltdtGetDimsFromItem, item, got.as_mut_ptr(), 0), 100_000);
    assert_eq!(acl!(acltdtGetDimsFromItem, item, ptr::null_mut(), 2), 100_000);
    ok!(acltdtGetSliceInfoFromItem, item, &mut slices.0, &mut slices.1);
    assert_eq!(slices, (0, 0));
    ok!(acltdtDestroyDataItem, item);
    assert_eq!(acl!(acltdtDestroyDataItem, item), 100_000);
    assert_eq!(acl!(acltdtGetTensorTypeFromItem, item), sys::ACL_TENSOR_DATA_UNDEFINED);
    assert_eq!(acl!(acltdtGetDatasetSize, ptr::null()), 0);
    assert!(acl!(acltdtGetDatasetName, ptr::null()).is_null());
}

#[test]
fn tensors_come_out_as_they_went_in() {
    let _session = card();
    let channel = channel(2);
    let mut data = [1.0, 2.0, 3.0, 4.0];
    // An item keeps the address of its data: all of it lives as long as the datasets do.
    let (mut more, mut other) = ([8.0, 9.0], [7.0]);
    let sent = dataset(&[item(&[1, 4], &mut data), end_of_sequence(), item(&[2], &mut more)]);
    ok!(acltdtSendTensor, channel, sent, 1000);
    let mut size = 0;
    ok!(acltdtQueryChannelSize, channel, &mut size);
    assert_eq!(size, 1);
    let received = acl!(acltdtCreateDataset);
    ok!(acltdtReceiveTensor, channel, received, 1000);
    assert_eq!(acl!(acltdtGetDatasetSize, received), 3);
    let first = acl!(acltdtGetDataItem, received, 0);
    let mut dims = [0; 2];
    ok!(acltdtGetDimsFromItem, first, dims.as_mut_ptr(), 2);
    assert_eq!((floats(first), dims), (data.to_vec(), [1, 4]));
    let second = acl!(acltdtGetDataItem, received, 1);
    assert_eq!(acl!(acltdtGetTensorTypeFromItem, second), sys::ACL_TENSOR_DATA_END_OF_SEQUENCE);
    assert_eq!(acl!(acltdtGetDataTypeFromItem, second), sys::ACL_DT_UNDEFINED);
    assert!(acl!(acltdtGetDataItem, received, 3).is_null());
    // SAFETY: a C string.
    assert_eq!(unsafe { std::ffi::CStr::from_ptr(acl!(acltdtGetDatasetName, received)) }, c"");
    assert_eq!(acl!(acltdtAddDataItem, received, acl!(acltdtGetDataItem, sent, 0)), 200_006);
    assert_eq!(acl!(acltdtReceiveTensor, channel, received, 0), 207_013);

    // What is received next takes the place of what was there.
    let one = dataset(&[item(&[1], &mut other)]);
    ok!(acltdtSendTensor, channel, one, 0);
    ok!(acltdtSendTensor, channel, sent, 0);
    assert_eq!(acl!(acltdtSendTensor, channel, one, 1), 207_014);
    ok!(acltdtReceiveTensor, channel, received, 0);
    assert_eq!(acl!(acltdtGetDatasetSize, received), 1);
    assert_eq!(floats(acl!(acltdtGetDataItem, received, 0)), [7.0]);
    assert_eq!(acl!(acltdtReceiveTensor, channel, one, 0), 100_000, "it has items of its own");
    ok!(acltdtQueryChannelSize, channel, &mut size);
    assert_eq!(size, 0, "and the message is gone");
    ok!(acltdtSendTensor, channel, one, 0);
    ok!(acltdtCleanChannel, channel);
    ok!(acltdtQueryChannelSize, channel, &mut size);
    assert_eq!(size, 0);
    ok!(acltdtStopChannel, channel);
    ok!(acltdtDestroyChannel, channel);
    assert_eq!(acl!(acltdtDestroyChannel, channel), 100_000);
    ok!(acltdtDestroyDataset, received);
    destroy(one);
    destroy(sent);
}

#[test]
fn datasets_hold_one_kind_of_memory() {
    let _session = card();
    let (device, dims) = (device_memory(64), [4_i64]);
    ok!(aclrtMemset, device, 64, 0, 64);
    let kind = sys::ACL_TENSOR_DATA_TENSOR;
    let there = acl!(acltdtCreateDataItem, kind, dims.as_ptr(), 1, sys::ACL_FLOAT, device, 16);
    let mut data = [1.0];
    let here = item(&[1], &mut data);
    let both = dataset(&[there]);
    assert_eq!(acl!(acltdtAddDataItem, both, here), 100_000);
    let channel = channel(2);
    ok!(acltdtSendTensor, channel, both, 0);
    let received = acl!(acltdtCreateDataset);
    ok!(acltdtReceiveTensor, channel, received, 0);
    assert_eq!(floats(acl!(acltdtGetDataItem, received, 0)), [0.0; 4]);
    let empty = acl!(acltdtCreateDataset);
    assert_eq!(acl!(acltdtSendTensor, channel, empty, 0), 107_000);
    for dataset in [received, empty] {
        ok!(acltdtDestroyDataset, dataset);
    }
    ok!(acltdtDestroyDataItem, here);
    destroy(both);
    ok!(acltdtDestroyChannel, channel);
    ok!(aclrtFree, device);
}

#[test]
fn channels_need_a_device_a_name_and_a_capacity() {
    let _session = card();
    let create = |device, name: *const core::ffi::c_char, capacity| {
        acl!(acltdtCreateChannelWithCapacity, device, name, capacity)
    };
    let long = std::ffi::CString::new(vec![b'x'; 128]).unwrap();
    assert!(create(9, c"x".as_ptr(), 2).is_null());
    assert!(create(0, ptr::null(), 2).is_null());
    assert!(create(0, c"x".as_ptr(), 1).is_null());
    assert!(create(0, c"x".as_ptr(), 8193).is_null());
    assert!(create(0, long.as_ptr(), 2).is_null());
}

#[test]
fn directed_channels_lead_from_one_to_the_other() {
    let _session = full();
    let send = acl!(acltdtCreateChannel, 0, c"features".as_ptr());
    let receive = acl!(acltdtCreateChannel, 0, c"TF_RECEIVE_features".as_ptr());
    let mut data = [1.0, 2.0];
    let sent = dataset(&[item(&[2], &mut data)]);
    assert_eq!(acl!(acltdtSendTensor, send, sent, 0), 100_000);
    ok!(acltdtSendTensor, send, sent, -1);
    let received = acl!(acltdtCreateDataset);
    assert_eq!(acl!(acltdtReceiveTensor, send, received, -1), 100_000);
    assert_eq!(acl!(acltdtReceiveTensor, receive, received, 5), 100_000);
    ok!(acltdtReceiveTensor, receive, received, -1);
    assert_eq!(floats(acl!(acltdtGetDataItem, received, 0)), [1.0, 2.0]);
    let mut size = 0;
    assert_eq!(acl!(acltdtQueryChannelSize, send, &mut size), 200_006);
    assert_eq!(acl!(acltdtCleanChannel, send), 200_006);
    let waiting = Carry(receive.cast());
    let waiter = thread::spawn(move || {
        let waiting = waiting;
        let received = acl!(acltdtCreateDataset);
        let code = acl!(acltdtReceiveTensor, waiting.0.cast(), received, -1);
        ok!(acltdtDestroyDataset, received);
        code
    });
    while !waiter.is_finished() {
        ok!(acltdtStopChannel, receive);
        thread::yield_now();
    }
    assert_eq!(waiter.join().unwrap(), 500_001);
    for channel in [send, receive] {
        ok!(acltdtDestroyChannel, channel);
    }
    ok!(acltdtDestroyDataset, received);
    destroy(sent);
}
