//! A key-value store in memory, one a thread, for unit tests off wasm.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::now_ms;
use crate::kv::{Entry, Error};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[derive(Default)]
struct State {
    revision: u64,
    kept: BTreeMap<(String, String), (Entry, Option<u64>)>,
}

impl State {
    fn find(&mut self, bucket: &str, key: &str) -> Option<(Entry, Option<u64>)> {
        let now = now_ms();
        self.kept.retain(|_, (_, over)| over.is_none_or(|over| over > now));
        self.kept.get(&(bucket.to_owned(), key.to_owned())).cloned()
    }

    fn write(&mut self, bucket: &str, key: &str, value: Vec<u8>, over: Option<u64>) -> u64 {
        self.revision += 1;
        let entry = Entry { value, revision: self.revision };
        self.kept.insert((bucket.to_owned(), key.to_owned()), (entry, over));
        self.revision
    }
}

fn expect(found: Option<&(Entry, Option<u64>)>, wanted: Option<u64>) -> Result<(), Error> {
    let found = found.map_or(0, |(entry, _)| entry.revision);
    if wanted.is_some_and(|wanted| wanted != found) { Err(Error::Conflict(found)) } else { Ok(()) }
}

fn over(ttl_ms: Option<u64>) -> Option<u64> {
    ttl_ms.map(|ttl_ms| now_ms().saturating_add(ttl_ms))
}

pub(crate) fn get(bucket: &str, key: &str) -> Result<Option<Entry>, Error> {
    STATE.with_borrow_mut(|state| Ok(state.find(bucket, key).map(|(entry, _)| entry)))
}

pub(crate) fn put(
    bucket: &str,
    key: &str,
    value: &[u8],
    if_revision: Option<u64>,
    ttl_ms: Option<u64>,
) -> Result<u64, Error> {
    STATE.with_borrow_mut(|state| {
        expect(state.find(bucket, key).as_ref(), if_revision)?;
        Ok(state.write(bucket, key, value.to_vec(), over(ttl_ms)))
    })
}

pub(crate) fn delete(bucket: &str, key: &str, if_revision: Option<u64>) -> Result<bool, Error> {
    STATE.with_borrow_mut(|state| {
        expect(state.find(bucket, key).as_ref(), if_revision)?;
        Ok(state.kept.remove(&(bucket.to_owned(), key.to_owned())).is_some())
    })
}

pub(crate) fn increment(bucket: &str, key: &str, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
    STATE.with_borrow_mut(|state| {
        let (now, over) = match state.find(bucket, key) {
            Some((entry, over)) => (str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<i64>().ok()), over),
            None => (Some(0), over(ttl_ms)),
        };
        let sum = now.and_then(|now| now.checked_add(delta)).ok_or(Error::NotAnInteger)?;
        state.write(bucket, key, sum.to_string().into_bytes(), over);
        Ok(sum)
    })
}

pub(crate) fn keys(bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
    STATE.with_borrow_mut(|state| {
        state.find(bucket, "");
        let ours = state.kept.keys().filter(|(own, key)| own == bucket && key.starts_with(prefix));
        let later = ours.filter(|(_, key)| after.is_none_or(|after| key.as_str() > after));
        Ok(later.map(|(_, key)| key.clone()).take(limit.min(1000) as usize).collect())
    })
}
