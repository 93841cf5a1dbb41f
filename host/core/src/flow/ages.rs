//! Things in the order of their last use, so that the oldest makes room first.

use std::collections::BTreeMap;

/// Things by their age. Each is found by its age, which whoever added it keeps.
pub(super) struct Ages<T> {
    by_age: BTreeMap<u64, T>,
    next: u64,
}

impl<T> Default for Ages<T> {
    fn default() -> Self {
        Self { by_age: BTreeMap::new(), next: 0 }
    }
}

impl<T> Ages<T> {
    /// Adds the youngest. Returns its age.
    pub(super) fn add(&mut self, thing: T) -> u64 {
        let age = self.next;
        self.next += 1;
        self.by_age.insert(age, thing);
        age
    }

    /// The thing of this age is used: it is the youngest.
    pub(super) fn renew(&mut self, age: &mut u64) {
        if let Some(thing) = self.by_age.remove(age) {
            *age = self.add(thing);
        }
    }

    pub(super) fn remove(&mut self, age: u64) {
        self.by_age.remove(&age);
    }

    pub(super) fn oldest(&self) -> Option<&T> {
        self.by_age.first_key_value().map(|(_, thing)| thing)
    }

    /// The oldest thing from this age on, and its age.
    pub(super) fn from(&self, age: u64) -> Option<(u64, &T)> {
        self.by_age.range(age..).next().map(|(age, thing)| (*age, thing))
    }

    /// All things, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.by_age.values()
    }
}
