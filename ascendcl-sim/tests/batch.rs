//! Batches of copies: the arrays, the attributes, and which copy is named when one is wrong.

mod common;

use core::ffi::c_void;
use std::ptr;

use common::*;

const NONE: usize = usize::MAX;
/// No call has written here.
const UNTOUCHED: usize = 0x55;

fn location(kind: sys::aclrtMemLocationType, id: u32) -> sys::aclrtMemLocation {
    sys::aclrtMemLocation { id, type_: kind }
}

fn host() -> sys::aclrtMemLocation {
    location(sys::ACL_MEM_LOCATION_TYPE_HOST, 0)
}

fn device(id: u32) -> sys::aclrtMemLocation {
    location(sys::ACL_MEM_LOCATION_TYPE_DEVICE, id)
}

fn attribute(to: sys::aclrtMemLocation, from: sys::aclrtMemLocation) -> sys::aclrtMemcpyBatchAttr {
    sys::aclrtMemcpyBatchAttr { dstLoc: to, srcLoc: from, rsv: [0; 16] }
}

#[derive(Clone)]
struct Batch {
    to: Vec<*mut c_void>,
    capacities: Vec<usize>,
    from: Vec<*mut c_void>,
    sizes: Vec<usize>,
    attributes: Vec<sys::aclrtMemcpyBatchAttr>,
    first: Vec<usize>,
}

impl Batch {
    /// What the blocking function answers, and which copy it names.
    fn run(&mut self) -> (aclError, usize) {
        let mut index = UNTOUCHED;
        let code = acl!(
            aclrtMemcpyBatch,
            self.to.as_mut_ptr(),
            self.capacities.as_mut_ptr(),
            self.from.as_mut_ptr(),
            self.sizes.as_mut_ptr(),
            self.sizes.len(),
            self.attributes.as_mut_ptr(),
            self.first.as_mut_ptr(),
            self.attributes.len(),
            &mut index,
        );
        (code, index)
    }

    /// The same of the asynchronous one.
    fn submit(&mut self, stream: aclrtStream) -> (aclError, usize) {
        let mut index = UNTOUCHED;
        let code = acl!(
            aclrtMemcpyBatchAsync,
            self.to.as_mut_ptr(),
            self.capacities.as_mut_ptr(),
            self.from.as_mut_ptr(),
            self.sizes.as_mut_ptr(),
            self.sizes.len(),
            self.attributes.as_mut_ptr(),
            self.first.as_mut_ptr(),
            self.attributes.len(),
            &mut index,
            stream,
        );
        (code, index)
    }
}

#[test]
fn batches() {
    let _session = full();
    let stream = stream();
    let (on_device, on_host) = (device_memory(64), pinned(64));
    let mut plain = [3u8; 16];
    bytes(on_host, 64).fill(1);
    let at = |base: *mut c_void, offset: usize| base.wrapping_byte_add(offset);
    let good = Batch {
        to: vec![on_device, at(on_device, 16), at(on_host, 32)],
        capacities: vec![16; 3],
        from: vec![on_host, plain.as_mut_ptr().cast(), on_device],
        sizes: vec![16; 3],
        attributes: vec![attribute(device(0), host()), attribute(host(), device(0))],
        first: vec![0, 2],
    };
    assert_eq!(good.clone().run(), (0, NONE));
    assert_eq!(download(on_device, 32), [[1; 16], [3; 16]].concat());

    let wrong = |change: &dyn Fn(&mut Batch)| {
        let mut batch = good.clone();
        change(&mut batch);
        batch
    };
    assert_eq!(wrong(&|batch| batch.sizes.clear()).run(), (100_000, UNTOUCHED));
    assert_eq!(wrong(&|batch| batch.sizes.fill(0)).run(), (0, NONE));
    assert_eq!(wrong(&|batch| batch.capacities[1] = 15).run(), (100_000, UNTOUCHED));
    assert_eq!(wrong(&|batch| batch.attributes[1].rsv[3] = 1).run(), (100_000, UNTOUCHED));
    assert_eq!(wrong(&|batch| batch.attributes.clear()).run(), (107_000, NONE));
    assert_eq!(wrong(&|batch| batch.first[0] = 1).run(), (107_000, NONE));
    assert_eq!(wrong(&|batch| batch.first[1] = 0).run(), (107_000, NONE));
    assert_eq!(wrong(&|batch| batch.first[1] = 3).run(), (107_000, NONE));
    assert_eq!(wrong(&|batch| batch.first[1] = 1).run(), (107_000, 1), "1 goes the other way");
    assert_eq!(wrong(&|batch| batch.attributes[1].srcLoc = device(1)).run(), (107_000, 2));
    assert_eq!(wrong(&|batch| batch.to[2] = ptr::null_mut()).run(), (107_000, 2));
    let mut inside = wrong(&|batch| {
        batch.from[2] = on_device;
        batch.to[2] = at(on_device, 16);
        batch.attributes[1] = attribute(device(0), device(0));
    });
    assert_eq!(inside.run(), (107_000, 2), "both on the device");

    // Nothing is copied when one is wrong; the asynchronous one gets as far as that.
    ok!(aclrtMemset, on_device, 64, 0, 64);
    let mut late = wrong(&|batch| batch.to[2] = on_device);
    assert_eq!(late.run(), (107_000, 2));
    assert_eq!(download(on_device, 32), [0; 32]);
    assert_eq!(late.submit(stream), (107_000, 2));
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(download(on_device, 32), [[1; 16], [3; 16]].concat());

    assert_eq!(good.clone().submit(ptr::without_provenance_mut(0x77)).0, 107_017);
    assert_eq!(wrong(&|batch| batch.sizes[1] = 0).run(), (0, NONE));
    assert_eq!(wrong(&|batch| batch.sizes[1] = 0).submit(stream), (107_000, 1));
    bytes(on_host, 64).fill(8);
    assert_eq!(good.clone().submit(stream), (0, NONE));
    ok!(aclrtSynchronizeStream, stream);
    assert_eq!(bytes(on_host, 48)[32..], [8; 16]);

    let mut again = good.clone();
    bytes(on_host, 64).fill(9);
    ok!(
        aclrtMemcpyBatchAsyncV2,
        again.to.as_mut_ptr(),
        again.capacities.as_mut_ptr(),
        again.from.as_mut_ptr(),
        again.sizes.as_mut_ptr(),
        3,
        again.attributes.as_mut_ptr(),
        again.first.as_mut_ptr(),
        2,
        stream,
    );
    ok!(aclrtSynchronizeStream, stream);
    ok!(
        aclrtMemcpyBatchV2,
        again.to.as_mut_ptr(),
        again.capacities.as_mut_ptr(),
        again.from.as_mut_ptr(),
        again.sizes.as_mut_ptr(),
        3,
        again.attributes.as_mut_ptr(),
        again.first.as_mut_ptr(),
        2,
    );
    assert_eq!(bytes(on_host, 48)[32..], [9; 16]);
    ok!(aclrtFree, on_device);
    ok!(aclrtFreeHost, on_host);
    ok!(aclrtDestroyStream, stream);
}
