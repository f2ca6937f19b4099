//! Where closures wait for their turn. ACL gets a key, never a pointer.
//!
//! A key names a slot and the generation of its tenant. Whoever takes an entry gets it once; a key that is delivered late,
//! twice, or after its stream has gone finds nothing, and that is all that happens.
//!
//! Knows no ACL, so that loom can check it.

use crate::sync::{Mutex, lock};

/// Names one entry for ever: no other entry gets the same key. Never zero, so that it is no NULL pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    fn new(generation: u32, index: usize) -> Key {
        // index + 1 keeps the key from being zero; 2^32 - 1 simultaneous callbacks do not fit in memory.
        Key((u64::from(generation) << 32) | (index as u64 + 1))
    }

    fn parts(self) -> Option<(u32, usize)> {
        let index = (self.0 & u64::from(u32::MAX)).checked_sub(1)?;
        Some(((self.0 >> 32) as u32, index as usize))
    }

    /// The number that ACL carries as user data.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// What [`Key::to_bits`] gave; any other number names nothing.
    pub(crate) fn from_bits(bits: u64) -> Key {
        Key(bits)
    }
}

struct Slot<E> {
    generation: u32,
    entry: Option<E>,
}

struct Slots<E> {
    slots: Vec<Slot<E>>,
    free: Vec<usize>,
}

/// The entries that are waiting.
pub(crate) struct Registry<E> {
    slots: Mutex<Slots<E>>,
}

impl<E> Registry<E> {
    pub(crate) fn new() -> Self {
        Registry { slots: Mutex::new(Slots { slots: Vec::new(), free: Vec::new() }) }
    }

    pub(crate) fn insert(&self, entry: E) -> Key {
        let mut guard = lock(&self.slots);
        let index = guard.free.pop().unwrap_or_else(|| {
            guard.slots.push(Slot { generation: 0, entry: None });
            guard.slots.len() - 1
        });
        let slot = &mut guard.slots[index];
        slot.entry = Some(entry);
        Key::new(slot.generation, index)
    }

    /// The entry, for the first who asks with its key.
    pub(crate) fn take(&self, key: Key) -> Option<E> {
        let (generation, index) = key.parts()?;
        let mut guard = lock(&self.slots);
        let slot = guard.slots.get_mut(index).filter(|slot| slot.generation == generation)?;
        let entry = slot.entry.take()?;
        guard.vacate(index);
        Some(entry)
    }

    /// What `look` gives of the entries, which stay.
    pub(crate) fn look_at<R>(&self, look: impl FnMut(&E) -> Option<R>) -> Vec<R> {
        lock(&self.slots).slots.iter().filter_map(|slot| slot.entry.as_ref()).filter_map(look).collect()
    }

    /// What `of` makes of every entry; nothing if the entries cannot be had soon.
    #[cfg(not(loom))]
    pub(crate) fn all<R>(&self, of: impl Fn(&E) -> R) -> Vec<R> {
        let guard = crate::sync::lock_soon(&self.slots);
        guard.map_or_else(Vec::new, |guard| {
            guard.slots.iter().filter_map(|slot| slot.entry.as_ref().map(&of)).collect()
        })
    }

    /// Takes every entry that `belongs`.
    pub(crate) fn take_all(&self, belongs: impl Fn(&E) -> bool) -> Vec<E> {
        let mut guard = lock(&self.slots);
        let mut taken = Vec::new();
        for index in 0..guard.slots.len() {
            if guard.slots[index].entry.as_ref().is_some_and(&belongs) {
                taken.extend(guard.slots[index].entry.take());
                guard.vacate(index);
            }
        }
        taken
    }
}

impl<E> Slots<E> {
    /// Gives the slot to the next tenant, under a key of its own.
    fn vacate(&mut self, index: usize) {
        // A slot whose generations are used up stays empty, so that no key is ever given twice.
        if let Some(next) = self.slots[index].generation.checked_add(1) {
            self.slots[index].generation = next;
            self.free.push(index);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_taken_once_and_its_key_names_nothing_afterwards() {
        let registry = Registry::new();
        let first = registry.insert("first");
        assert_eq!(registry.take(first), Some("first"));
        assert_eq!(registry.take(first), None);
        let second = registry.insert("second");
        assert_ne!(first, second, "the slot is reused, the key is not");
        assert_eq!(registry.take(first), None);
        assert_eq!(registry.take(second), Some("second"));
    }

    #[test]
    fn numbers_that_are_no_keys_name_nothing() {
        let registry = Registry::new();
        registry.insert(1);
        for bits in [0, 2, u64::MAX, 1 << 32, (1 << 32) | 1] {
            assert_eq!(registry.take(Key::from_bits(bits)), None, "{bits:#x}");
        }
    }

    #[test]
    fn all_entries_of_one_owner_are_taken_together() {
        let registry = Registry::new();
        let keys: Vec<Key> = (0..10).map(|number| registry.insert(number)).collect();
        assert_eq!(registry.take_all(|number| number % 2 == 0), [0, 2, 4, 6, 8]);
        assert_eq!(registry.take(keys[4]), None);
        assert_eq!(registry.take(keys[5]), Some(5));
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let registry = Registry::new();
        let key = registry.insert(1);
        assert_eq!(registry.take(key), Some(1));
        lock(&registry.slots).slots[0].generation = u32::MAX;
        let last = registry.insert(2);
        assert_eq!(registry.take(last), Some(2));
        assert_ne!(registry.insert(3), last);
        assert_eq!(lock(&registry.slots).slots.len(), 2);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn delivery_twice_and_abandonment_race_but_the_entry_goes_to_one() {
        loom::model(|| {
            let registry = Arc::new(Registry::new());
            let key = registry.insert(7);
            let takers: Vec<_> = (0..2)
                .map(|_| {
                    let registry = registry.clone();
                    loom::thread::spawn(move || registry.take(key).is_some())
                })
                .collect();
            let abandoned = registry.take_all(|_| true).len();
            let delivered =
                takers.into_iter().filter(|_| true).map(|t| t.join().unwrap()).filter(|&got| got).count();
            assert_eq!(abandoned + delivered, 1);
        });
    }

    #[test]
    fn a_late_key_never_reaches_the_next_tenant() {
        loom::model(|| {
            let registry = Arc::new(Registry::new());
            let old = registry.insert(1);
            let late = {
                let registry = registry.clone();
                loom::thread::spawn(move || registry.take(old))
            };
            let taken = registry.take(old);
            let new = registry.insert(2);
            let late = late.join().unwrap();
            assert!(matches!((taken, late), (Some(1), None) | (None, Some(1))), "{taken:?} {late:?}");
            assert_eq!(registry.take(new), Some(2));
        });
    }
}
