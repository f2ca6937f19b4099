//! Tensors to send and tensors received.

use core::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{
    self as sys, AclApi, aclDataType, aclError, acltdtDataItem, acltdtDataset, acltdtTensorType,
};

use super::{call, call_or, fill, invalid, not_null};
use crate::queue::dataset::{self, Dataset, Item};

/// Most dimensions of a tensor.
const MOST_DIMS: usize = 128;

fn item(handle: *const acltdtDataItem) -> Result<Arc<Item>, aclError> {
    not_null(handle, "dataItem")?;
    dataset::item(handle.cast())
}

fn dataset_of(handle: *const acltdtDataset) -> Result<Arc<Dataset>, aclError> {
    not_null(handle, "dataset")?;
    dataset::lookup(handle.cast())
}

/// Dimensions and their number go together (100000).
fn check_dims(dims: *const i64, count: usize) -> Result<(), aclError> {
    if dims.is_null() == (count == 0) {
        return Ok(());
    }
    Err(invalid(format_args!(
        "{count} dimensions at {dims:p}: there are none without an address, nor the other way round"
    )))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateDataItem(
    tdtType: acltdtTensorType,
    dims: *const i64,
    dimNum: usize,
    dataType: aclDataType,
    data: *mut c_void,
    size: usize,
) -> *mut acltdtDataItem {
    call_or!("acltdtCreateDataItem", |_| ptr::null_mut(), || {
        // SAFETY: [caller] same contract.
        let made = unsafe { create_item(tdtType, (dims, dimNum), dataType, (data, size)) };
        made.map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

/// # Safety
/// There are as many dimensions as it says.
unsafe fn create_item(
    kind: acltdtTensorType,
    (dims, count): (*const i64, usize),
    data_type: aclDataType,
    (data, size): (*mut c_void, usize),
) -> Result<*mut c_void, aclError> {
    check_dims(dims, count)?;
    if count > MOST_DIMS {
        return Err(invalid(format_args!("{count} dimensions are more than {MOST_DIMS}")));
    }
    if kind != sys::ACL_TENSOR_DATA_TENSOR {
        if !dims.is_null() {
            return Err(invalid(format_args!("an item of type {} has no dimensions", kind.0)));
        }
        let (data_type, slices) = (sys::ACL_DT_UNDEFINED, (0, 0));
        return dataset::create_item(Item { kind, dims: Vec::new(), data_type, data: 0, size: 0, slices });
    }
    // SAFETY: [caller] the caller passes so many; the address is NULL only if there are none.
    let dims = (0..count).map(|index| unsafe { dims.add(index).read() }).collect();
    let data = data.expose_provenance();
    dataset::create_item(Item { kind, dims, data_type, data, size, slices: (0, 0) })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyDataItem(dataItem: *mut acltdtDataItem) -> aclError {
    call!("acltdtDestroyDataItem", || {
        not_null(dataItem, "dataItem")?;
        dataset::destroy_item(dataItem.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetTensorTypeFromItem(dataItem: *const acltdtDataItem) -> acltdtTensorType {
    call_or!("acltdtGetTensorTypeFromItem", |_| sys::ACL_TENSOR_DATA_UNDEFINED, || {
        item(dataItem).map_or(sys::ACL_TENSOR_DATA_UNDEFINED, |item| item.kind)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDataTypeFromItem(dataItem: *const acltdtDataItem) -> aclDataType {
    call_or!("acltdtGetDataTypeFromItem", |_| sys::ACL_DT_UNDEFINED, || {
        item(dataItem).map_or(sys::ACL_DT_UNDEFINED, |item| item.data_type)
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDataAddrFromItem(dataItem: *const acltdtDataItem) -> *mut c_void {
    call_or!("acltdtGetDataAddrFromItem", |_| ptr::null_mut(), || {
        item(dataItem).map_or(ptr::null_mut(), |item| ptr::with_exposed_provenance_mut(item.data))
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDataSizeFromItem(dataItem: *const acltdtDataItem) -> usize {
    call_or!("acltdtGetDataSizeFromItem", |_| 0, || item(dataItem).map_or(0, |item| item.size))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDimNumFromItem(dataItem: *const acltdtDataItem) -> usize {
    call_or!("acltdtGetDimNumFromItem", |_| 0, || item(dataItem).map_or(0, |item| item.dims.len()))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDimsFromItem(
    dataItem: *const acltdtDataItem,
    dims: *mut i64,
    dimNum: usize,
) -> aclError {
    call!("acltdtGetDimsFromItem", || {
        let item = item(dataItem)?;
        check_dims(dims, dimNum)?;
        if dimNum < item.dims.len() {
            return Err(invalid(format_args!(
                "the tensor has {} dimensions, and there is room for {dimNum}",
                item.dims.len()
            )));
        }
        for (index, dim) in item.dims.iter().enumerate() {
            // SAFETY: [caller] the caller passes room for so many.
            unsafe { dims.add(index).write(*dim) };
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetSliceInfoFromItem(
    dataItem: *const acltdtDataItem,
    sliceNum: *mut usize,
    sliceId: *mut usize,
) -> aclError {
    call!("acltdtGetSliceInfoFromItem", || {
        not_null(dataItem, "dataItem")?;
        not_null(sliceNum, "sliceNum")?;
        not_null(sliceId, "sliceId")?;
        let (count, index) = item(dataItem)?.slices;
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe {
            sliceNum.write(count.into());
            sliceId.write(index.into());
        }
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateDataset() -> *mut acltdtDataset {
    call_or!("acltdtCreateDataset", |_| ptr::null_mut(), || {
        dataset::create().map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyDataset(dataset: *mut acltdtDataset) -> aclError {
    call!("acltdtDestroyDataset", || {
        not_null(dataset, "dataset")?;
        dataset::destroy(dataset.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtAddDataItem(
    dataset: *mut acltdtDataset,
    dataItem: *mut acltdtDataItem,
) -> aclError {
    call!("acltdtAddDataItem", || {
        not_null(dataset, "dataset")?;
        not_null(dataItem, "dataItem")?;
        dataset_of(dataset)?.add(dataItem.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDataItem(dataset: *const acltdtDataset, index: usize) -> *mut acltdtDataItem {
    call_or!("acltdtGetDataItem", |_| ptr::null_mut(), || {
        let found = dataset_of(dataset).and_then(|dataset| {
            let count = dataset.len();
            dataset
                .get(index)
                .ok_or_else(|| invalid(format_args!("the dataset has {count} items, and no item {index}")))
        });
        found.map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDatasetSize(dataset: *const acltdtDataset) -> usize {
    call_or!("acltdtGetDatasetSize", |_| 0, || dataset_of(dataset).map_or(0, |dataset| dataset.len()))
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetDatasetName(dataset: *const acltdtDataset) -> *const c_char {
    call_or!("acltdtGetDatasetName", |_| ptr::null(), || {
        dataset_of(dataset).map_or(ptr::null(), |dataset| dataset.name())
    })
}

pub(super) fn fill(api: &mut AclApi) {
    fill!(api:
        acltdtCreateDataItem, acltdtDestroyDataItem, acltdtGetTensorTypeFromItem, acltdtGetDataTypeFromItem,
        acltdtGetDataAddrFromItem, acltdtGetDataSizeFromItem, acltdtGetDimNumFromItem, acltdtGetDimsFromItem,
        acltdtGetSliceInfoFromItem, acltdtCreateDataset, acltdtDestroyDataset, acltdtAddDataItem, acltdtGetDataItem,
        acltdtGetDatasetSize, acltdtGetDatasetName,
    );
}
