//! What surrounds the generated table: filling it, walking over it, saying which headers know a
//! function.

use core::{
    ffi::{CStr, c_void},
    fmt, mem, ptr,
};

use crate::{
    bindings::{STATUS_CODES, aclError},
    table::{AclApi, COUNT, FUNCTIONS},
};

/// One function of the C API, present or not in the library at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// The C symbol.
    pub name: &'static CStr,
    /// The header that declares it, such as `acl/acl_rt.h`.
    pub header: &'static str,
    /// The header generations that declare it.
    pub generations: Generations,
}

impl Function {
    pub(crate) const fn new(name: &'static CStr, header: &'static str, generations: u8) -> Self {
        Self { name, header, generations: Generations(generations) }
    }
}

/// A set of header generations.
///
/// Named after the ACL interface version that the headers state in `ACL_MAJOR_VERSION` and
/// `ACL_MINOR_VERSION`, the one that `aclrtGetVersion` answers at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generations(u8);

impl Generations {
    /// The oldest headers.
    pub const ACL_1_2: Self = Self(1);
    /// The headers in between.
    pub const ACL_1_15: Self = Self(2);
    /// The newest headers; types, constants and signatures are theirs.
    pub const ACL_1_17: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);

    /// Whether every generation of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The generations of both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The table as addresses. `AclApi` is `repr(C)` and has only fields of type `Option<extern "C" fn>`,
/// each of which has the size and the null niche of a pointer.
type Addresses = [*const c_void; COUNT];

const _: () = assert!(size_of::<AclApi>() == size_of::<Addresses>());
const _: () = assert!(align_of::<AclApi>() == align_of::<Addresses>());

impl AclApi {
    /// The table of a library that has nothing.
    // SAFETY: [layout] `AclApi` is a `repr(C)` sequence of `COUNT` optional function pointers (the generator
    // emits nothing else, the sizes are asserted above), and null is `None` in each of them.
    pub const EMPTY: Self = unsafe { mem::transmute::<Addresses, Self>([ptr::null(); COUNT]) };

    /// Fills the table by asking `resolve` for the address of each function, once, in the order of
    /// [`FUNCTIONS`]. A null pointer means that there is no such function.
    ///
    /// Filling is safe, calling is not: whoever calls a function of the table vouches for what
    /// `resolve` answered.
    pub fn load(mut resolve: impl FnMut(&CStr) -> *const c_void) -> Self {
        // A loop over names instead of 900 statements: this compiles in no time.
        let mut addresses: Addresses = [ptr::null(); COUNT];
        for (address, function) in addresses.iter_mut().zip(FUNCTIONS) {
            *address = resolve(function.name);
        }
        // SAFETY: [layout] as for `EMPTY`; a function pointer may hold any address that is not null, and null
        // is `None`.
        unsafe { mem::transmute::<Addresses, Self>(addresses) }
    }

    /// Every function with its address in this table; null if it is absent.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static Function, *const c_void)> + '_ {
        // SAFETY: [layout] the layouts agree (see `Addresses`), and any optional function pointer can be read as
        // an address.
        let addresses = unsafe { &*ptr::from_ref(self).cast::<Addresses>() };
        FUNCTIONS.iter().zip(addresses.iter().copied())
    }
}

/// The names that the headers give a status code; none if they do not know it.
///
/// ```
/// let names: Vec<_> = ascendcl_sys::status_names(107002).collect();
/// assert_eq!(names, ["ACL_ERROR_RT_CONTEXT_NULL"]);
/// ```
pub fn status_names(code: aclError) -> impl Iterator<Item = &'static str> {
    let start = STATUS_CODES.partition_point(|(c, _)| *c < code);
    STATUS_CODES[start..].iter().take_while(move |(c, _)| *c == code).map(|(_, name)| *name)
}

impl Clone for AclApi {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for AclApi {}

impl fmt::Debug for AclApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = self.addresses().filter(|(_, address)| !address.is_null()).count();
        f.debug_struct("AclApi").field("present", &present).field("absent", &(COUNT - present)).finish()
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    /// Fields and rows stand in the same order, so that an address lands in the field of its name.
    #[test]
    fn each_field_has_the_row_of_its_name() {
        macro_rules! check {
            ($($field:ident),*) => {$(
                let row = offset_of!(AclApi, $field) / size_of::<usize>();
                assert_eq!(FUNCTIONS[row].name.to_str(), Ok(stringify!($field)));
            )*};
        }
        check!(aclInit, aclFinalize, aclrtSetDevice, aclrtMalloc, aclmdlExecute, aclAppLog, acldvppMalloc);
        assert!(FUNCTIONS.is_sorted_by_key(|f| f.name));
        assert_eq!(FUNCTIONS.len(), COUNT);
    }

    #[test]
    fn load_asks_once_for_each_function() {
        extern "C" fn set_device(_device: i32) -> aclError {
            77
        }
        let mut asked = Vec::new();
        let api = AclApi::load(|name| {
            asked.push(name.to_owned());
            if name == c"aclrtSetDevice" { set_device as *const c_void } else { ptr::null() }
        });
        assert!(asked.iter().map(|n| n.as_c_str()).eq(FUNCTIONS.iter().map(|f| f.name)));
        // SAFETY: the function is the one above.
        assert_eq!(api.aclrtSetDevice.map(|f| unsafe { f(0) }), Some(77));
        assert!(api.aclInit.is_none());
        let present: Vec<_> = api.addresses().filter(|(_, a)| !a.is_null()).map(|(f, _)| f.name).collect();
        assert_eq!(present, [c"aclrtSetDevice"]);
        assert_eq!(format!("{api:?}"), format!("AclApi {{ present: 1, absent: {} }}", COUNT - 1));
    }

    #[test]
    fn empty_has_nothing() {
        assert!(AclApi::EMPTY.addresses().all(|(_, address)| address.is_null()));
    }

    #[test]
    fn status_codes_are_sorted_and_have_names() {
        assert!(STATUS_CODES.is_sorted());
        let zero: Vec<_> = status_names(0).collect();
        assert!(zero.contains(&"ACL_SUCCESS") && zero.contains(&"ACL_RT_SUCCESS"));
        assert_eq!(
            status_names(crate::ACL_ERROR_GE_PARAM_INVALID).next(),
            Some("ACL_ERROR_GE_PARAM_INVALID")
        );
        assert_eq!(status_names(-1).count(), 0);
    }

    #[test]
    fn generations_are_sets() {
        let init = FUNCTIONS.iter().find(|f| f.name == c"aclInit").map(|f| f.generations);
        assert_eq!(init, Some(Generations::ALL));
        let both = Generations::ACL_1_2.union(Generations::ACL_1_17);
        assert!(both.contains(Generations::ACL_1_17) && !both.contains(Generations::ACL_1_15));
    }
}
