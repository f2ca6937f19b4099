//! Models before `aclInit`: the part of ACL that runs them starts there. A program of its own, because the others initialise ACL.

use ascendcl_sys::aclError;

#[test]
fn models_wait_for_the_initialisation() {
    let api = ascendcl_sim::api();
    let file = [0u8; 300];
    let (mut id, mut work, mut weight) = (7, 0, 0);
    let load = |id: &mut u32| -> aclError {
        // SAFETY: a place to write to, and as many bytes of a model as told.
        unsafe { api.aclmdlLoadFromMem.unwrap()(file.as_ptr().cast(), 300, id) }
    };
    assert_eq!(load(&mut id), 145001);
    // SAFETY: places to write to, as many bytes of a model as told, and a C string.
    unsafe {
        assert_eq!(
            api.aclmdlQuerySizeFromMem.unwrap()(file.as_ptr().cast(), 300, &mut work, &mut weight),
            145001
        );
        assert_eq!(api.aclmdlLoadFromFile.unwrap()(c"no/such.om".as_ptr(), &mut id), 145002);
        let desc = api.aclmdlCreateDesc.unwrap()();
        assert_eq!(api.aclmdlGetDesc.unwrap()(desc, 1), 145001);
        // Describing a file in memory needs nothing.
        assert_eq!(api.aclmdlGetDescFromMem.unwrap()(desc, file.as_ptr().cast(), 300), 145000);
        assert_eq!(api.aclmdlDestroyDesc.unwrap()(desc), 0);
        assert_eq!(api.aclInit.unwrap()(std::ptr::null()), 0);
    }
    assert_eq!(load(&mut id), 145000);
    // SAFETY: takes nothing.
    assert_eq!(unsafe { api.aclFinalize.unwrap()() }, 0);
    assert_eq!(load(&mut id), 145001);
    assert_eq!(id, 7);
    assert!(ascendcl_sim::live().is_empty());
}
