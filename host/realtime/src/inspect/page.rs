//! A page of a list that has no order by itself: of all names after a given one the first, at most so many.

use std::collections::BTreeMap;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, in the order of their names.
    pub entries: Vec<T>,
    /// The name of the last entry if there are more after it.
    pub next: Option<String>,
}

/// Collects a page. It holds one entry more than the page at most, however many it sees.
pub(super) struct Collect<'a, T> {
    after: Option<&'a str>,
    limit: usize,
    first: BTreeMap<String, T>,
}

impl<'a, T> Collect<'a, T> {
    pub(super) const fn new(after: Option<&'a str>, limit: usize) -> Self {
        Self { after, limit, first: BTreeMap::new() }
    }

    /// Sees an entry; `take` makes it if it has a place on the page.
    pub(super) fn see(&mut self, name: &str, take: impl FnOnce() -> T) {
        let is_before = self.after.is_some_and(|after| name <= after);
        let has_place =
            self.first.len() <= self.limit || self.first.last_key_value().is_some_and(|(last, _)| name < last.as_str());
        if is_before || !has_place {
            return;
        }
        self.first.insert(name.to_owned(), take());
        if self.first.len() > self.limit + 1 {
            self.first.pop_last();
        }
    }

    /// The page.
    pub(super) fn page(mut self) -> Page<T> {
        let has_more = self.first.len() > self.limit;
        if has_more {
            self.first.pop_last();
        }
        let next = self.first.last_key_value().filter(|_| has_more).map(|(name, _)| name.clone());
        Page { entries: self.first.into_values().collect(), next }
    }
}

impl<T> Page<T> {
    /// The same page of something else.
    pub(super) fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { entries: self.entries.into_iter().map(each).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(after: Option<&str>, limit: usize) -> (Vec<u32>, Option<String>) {
        let mut collect = Collect::new(after, limit);
        // 7 is prime to 10: every name once, in no order.
        (0..10).map(|n| n * 7 % 10).for_each(|n| collect.see(&format!("t{n}"), || n));
        let Page { entries, next } = collect.page();
        (entries, next)
    }

    #[test]
    fn pages_follow_one_another_until_there_are_no_more() {
        assert_eq!(page(None, 4), (vec![0, 1, 2, 3], Some("t3".to_owned())));
        assert_eq!(page(Some("t3"), 4), (vec![4, 5, 6, 7], Some("t7".to_owned())));
        assert_eq!(page(Some("t7"), 4), (vec![8, 9], None));
        assert_eq!(page(Some("t5"), 4), (vec![6, 7, 8, 9], None), "exactly the last");
        assert_eq!(page(Some("t9"), 4), (vec![], None));
    }

    #[test]
    fn no_more_is_held_than_a_page() {
        let mut collect = Collect::new(None, 2);
        let mut made = 0;
        for n in (0..1000).rev() {
            collect.see(&format!("{n:04}"), || made += 1);
            assert!(collect.first.len() <= 3);
        }
        assert_eq!(collect.page().next.as_deref(), Some("0001"));
    }
}
