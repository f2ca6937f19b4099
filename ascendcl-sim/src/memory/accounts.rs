//! What is left of a device's memory, in pages, and who has the rest.

use std::collections::BTreeMap;

use crate::lock::Mutex;

pub(crate) const NORMAL_PAGE: usize = 4 << 10;
pub(crate) const HUGE_PAGE: usize = 2 << 20;
pub(crate) const GIANT_PAGE: usize = 1 << 30;

/// The number of a module in what drivers count: applications.
pub(crate) const APP: u16 = 33;
/// What the runtime takes for itself.
pub(crate) const RUNTIME: u16 = 7;

/// The names of the modules that drivers count, by number.
const MODULES: &[(u16, &str)] = &[
    (0, "UNKNOWN"),
    (3, "HCCL"),
    (4, "FMK"),
    (5, "HIAIENGINE"),
    (6, "DVPP"),
    (RUNTIME, "RUNTIME"),
    (8, "CCE"),
    (9, "HLT"),
    (22, "DEVMM"),
    (24, "LIBMEDIA"),
    (25, "CCECPU"),
    (26, "ASCENDDK"),
    (28, "HCCP"),
    (29, "ROCE"),
    (30, "TEFUSION"),
    (31, "PROFILING"),
    (32, "DP"),
    (APP, "APP"),
    (35, "TSDUMP"),
    (36, "AICPU"),
    (38, "TDT"),
    (39, "FE"),
    (40, "MD"),
    (41, "MB"),
    (42, "ME"),
    (45, "GE"),
    (48, "ASCENDCL"),
    (56, "AIVECTOR"),
    (57, "TBE"),
    (58, "FV"),
    (60, "TUNE"),
    (61, "HSS"),
    (62, "FFTS"),
    (63, "OP"),
    (64, "UDF"),
];
const LAST_MODULE: u16 = 76;

/// The module that an allocation counts for which names `module`.
pub(crate) fn module(module: u16) -> u16 {
    if module > LAST_MODULE { APP } else { module }
}

/// What a module is called.
pub(crate) fn module_name(module: u16) -> &'static str {
    MODULES.iter().find(|(number, _)| *number == module).map_or("Reserved", |(_, name)| name)
}

/// What pages an allocation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageSize {
    Normal,
    /// Huge pages where the request is larger than 1 MiB and enough are left, normal ones otherwise.
    HugeFirst,
    Huge,
    /// Pages of 1 GiB.
    Giant,
}

/// Memory that somebody has.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    page: usize,
    module: u16,
}

impl Charge {
    /// Bytes of one page.
    pub(crate) fn page(&self) -> usize {
        self.page
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What one module has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) module: u16,
    pub(crate) current: usize,
    pub(crate) peak: usize,
}

/// The memory of one device. All page sizes come out of one pool, larger pages only as whole ones.
pub(crate) struct Accounts {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: usize,
    modules: BTreeMap<u16, Usage>,
}

impl Accounts {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::new(State::default()) }
    }

    /// Free and total bytes in pages of `page` bytes.
    pub(crate) fn free_and_total(&self, page: usize) -> (usize, usize) {
        let free = self.capacity - self.state.lock().used;
        (free / page * page, self.capacity / page * page)
    }

    /// Takes pages for `size` bytes; `None` if too few are left.
    pub(crate) fn take(&self, size: usize, pages: PageSize, module: u16) -> Option<Charge> {
        let mut state = self.state.lock();
        let free = self.capacity - state.used;
        let fitting = |page: usize| {
            let bytes = size.checked_next_multiple_of(page).filter(|&bytes| bytes <= free)?;
            Some(Charge { bytes, page, module })
        };
        let charge = match pages {
            PageSize::Normal => fitting(NORMAL_PAGE),
            PageSize::Huge => fitting(HUGE_PAGE),
            PageSize::Giant => fitting(GIANT_PAGE),
            PageSize::HugeFirst if size > 1 << 20 => fitting(HUGE_PAGE).or_else(|| fitting(NORMAL_PAGE)),
            PageSize::HugeFirst => fitting(NORMAL_PAGE),
        }?;
        state.used += charge.bytes;
        let usage = state.modules.entry(module).or_insert(Usage { module, current: 0, peak: 0 });
        usage.current += charge.bytes;
        usage.peak = usage.peak.max(usage.current);
        Some(charge)
    }

    pub(crate) fn give(&self, charge: Charge) {
        let mut state = self.state.lock();
        state.used -= charge.bytes;
        if let Some(usage) = state.modules.get_mut(&charge.module) {
            usage.current -= charge.bytes;
        }
    }

    /// What each module has, or once had; the largest first.
    pub(crate) fn modules(&self) -> Vec<Usage> {
        let mut modules: Vec<Usage> = self.state.lock().modules.values().copied().collect();
        modules.sort_by_key(|usage| (std::cmp::Reverse(usage.current), usage.module));
        modules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_whole() {
        let accounts = Accounts::new(5 << 20);
        let small = accounts.take(1, PageSize::HugeFirst, APP).unwrap();
        assert_eq!((small.bytes(), small.page()), (4096, 4096));
        let large = accounts.take((1 << 20) + 1, PageSize::HugeFirst, 7).unwrap();
        assert_eq!((large.bytes(), large.page()), (2 << 20, 2 << 20));
        assert_eq!(accounts.free_and_total(NORMAL_PAGE), ((3 << 20) - 4096, 5 << 20));
        assert_eq!(accounts.free_and_total(HUGE_PAGE), (2 << 20, 4 << 20));
        assert!(accounts.take(3 << 20, PageSize::Huge, APP).is_none());
        assert!(accounts.take(1, PageSize::Giant, APP).is_none());
        let normal = accounts.take((2 << 20) + 1, PageSize::HugeFirst, APP).unwrap();
        assert_eq!(normal.page(), 4096, "no two huge pages are left");
        accounts.give(normal);
        accounts.give(large);
        let seven = Usage { module: 7, current: 0, peak: 2 << 20 };
        assert_eq!(accounts.modules(), [Usage { module: APP, current: 4096, peak: (2 << 20) + 8192 }, seven]);
        accounts.give(small);
        assert_eq!(accounts.free_and_total(NORMAL_PAGE).0, 5 << 20);
    }
}
