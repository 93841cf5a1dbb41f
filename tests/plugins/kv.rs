//! The key-value store as a plugin sees it: the same over SQLite as over memory, within grants, sizes, rate and time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidegate::config::StorePlace;
use tidegate::flow::kv::{KeyValue, KvEntry, KvError, KvKey};
use tidegate::flow::ports::{Clock, FaultKind, SystemClock};
use tidegate::plugins::{HostSettings, MemoryKv, Plugin, PluginHost, Services};
use tidegate::store::Store;

use crate::kit::{order, reaching, reply, shipped};

const GRANTED: &str = "grants: { kv: [b], secrets: [T] }\nlimits: { wall: 20s }";

/// A clock that stands still until it is moved.
struct StandingClock(AtomicU64);

impl Clock for StandingClock {
    fn now_unix_s(&self) -> u64 {
        self.now_unix_ms() / 1000
    }

    fn now_unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

async fn plugin(kv: Arc<dyn KeyValue>, lines: &str) -> Arc<Plugin> {
    let services = Services { kv, may_lack_secrets: true, ..Services::in_memory() };
    let host = PluginHost::with_services(HostSettings { instances_max: 2 }, services).unwrap();
    host.load(reaching(lines)).await.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

/// A plugin over either store, and the clock of both.
async fn over_both() -> (Vec<Arc<Plugin>>, Arc<StandingClock>) {
    let clock = Arc::new(StandingClock(AtomicU64::new(1_000_000)));
    let memory = plugin(Arc::new(MemoryKv::new(clock.clone())), GRANTED).await;
    let sqlite = plugin(Arc::new(Store::new(StorePlace::SqliteMemory, clock.clone())), GRANTED).await;
    (vec![memory, sqlite], clock)
}

fn file(path: &Path) -> Arc<Store> {
    Arc::new(Store::new(StorePlace::Sqlite(path.join("t.db")), Arc::new(SystemClock)))
}

/// What the guest was answered.
async fn told(plugin: &Plugin, what: &str) -> String {
    serde_json::from_str(&reply(order(plugin, &format!("kv {what}")).await)).unwrap()
}

#[tokio::test]
async fn a_granted_bucket_is_read_and_written_and_no_other() {
    for plugin in over_both().await.0 {
        assert_eq!(told(&plugin, "get b k").await, "Ok(None)");
        assert_eq!(told(&plugin, "put b k v - -").await, "Ok(1)");
        assert_eq!(told(&plugin, "get b k").await, "Ok(Some(Entry { value: [118], revision: 1 }))");
        for call in ["get c k", "put c k v - -", "delete c k -", "increment c k 1 -", "keys c k - 9"] {
            assert_eq!(told(&plugin, call).await, "Err(Error::Denied)", "{call}");
        }
    }
}

#[tokio::test]
async fn a_write_on_a_condition_happens_only_while_the_condition_holds() {
    for plugin in over_both().await.0 {
        assert_eq!(told(&plugin, "put b k one 7 -").await, "Err(Error::Conflict(0))");
        assert_eq!(told(&plugin, "put b k one 0 -").await, "Ok(1)");
        assert_eq!(told(&plugin, "put b k two 0 -").await, "Err(Error::Conflict(1))");
        assert_eq!(told(&plugin, "put b k two 1 -").await, "Ok(2)");
        assert_eq!(told(&plugin, "put b k late 1 -").await, "Err(Error::Conflict(2))");
        assert_eq!(told(&plugin, "delete b k 1").await, "Err(Error::Conflict(2))");
        assert_eq!(told(&plugin, "delete b k 2").await, "Ok(true)");
        assert_eq!(told(&plugin, "delete b k -").await, "Ok(false)");
        // Made again it has a revision it never had.
        assert_eq!(told(&plugin, "put b k again 0 -").await, "Ok(3)");
    }
}

#[tokio::test]
async fn a_key_is_gone_when_its_time_is_over() {
    let (plugins, clock) = over_both().await;
    for plugin in plugins {
        assert_eq!(told(&plugin, "put b k v - 500").await, "Ok(1)");
        clock.0.fetch_add(499, Ordering::SeqCst);
        assert!(told(&plugin, "get b k").await.starts_with("Ok(Some("));
        assert_eq!(told(&plugin, "keys b k - 9").await, r#"Ok(["k"])"#);
        clock.0.fetch_add(1, Ordering::SeqCst);
        assert_eq!(told(&plugin, "get b k").await, "Ok(None)");
        assert_eq!(told(&plugin, "keys b k - 9").await, "Ok([])");
        assert_eq!(told(&plugin, "put b k v 1 -").await, "Err(Error::Conflict(0))");
        assert_eq!(told(&plugin, "delete b k -").await, "Ok(false)");
    }
}

#[tokio::test]
async fn an_increment_counts_and_keeps_the_time_the_key_has() {
    let (plugins, clock) = over_both().await;
    for plugin in plugins {
        assert_eq!(told(&plugin, "increment b n 5 100").await, "Ok(5)");
        assert_eq!(told(&plugin, "increment b n -7 9000").await, "Ok(-2)");
        assert_eq!(told(&plugin, "get b n").await, "Ok(Some(Entry { value: [45, 50], revision: 2 }))");
        clock.0.fetch_add(100, Ordering::SeqCst);
        assert_eq!(told(&plugin, "increment b n 1 -").await, "Ok(1)");
        assert_eq!(told(&plugin, &format!("increment b n {} -", i64::MAX)).await, "Err(Error::NotAnInteger)");
        told(&plugin, "put b text v - -").await;
        assert_eq!(told(&plugin, "increment b text 1 -").await, "Err(Error::NotAnInteger)");
        assert!(told(&plugin, "get b text").await.contains("[118]"));
    }
}

#[tokio::test]
async fn keys_are_listed_in_order_a_page_at_a_time() {
    for plugin in over_both().await.0 {
        for key in ["a:2", "a:1", "a:3", "a:é", "a", "b:1"] {
            told(&plugin, &format!("put b {key} v - -")).await;
        }
        assert_eq!(told(&plugin, "keys b a: - 2").await, r#"Ok(["a:1", "a:2"])"#);
        assert_eq!(told(&plugin, "keys b a: a:2 9").await, r#"Ok(["a:3", "a:é"])"#);
        assert_eq!(told(&plugin, "keys b a: a 1").await, r#"Ok(["a:1"])"#);
        assert_eq!(told(&plugin, "keys b  - 9").await, r#"Ok(["a", "a:1", "a:2", "a:3", "a:é", "b:1"])"#);
    }
}

#[tokio::test]
async fn keys_survive_a_restart_and_revisions_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let first = file(directory.path());
    assert_eq!(told(&*plugin(first.clone(), GRANTED).await, "put b k v - -").await, "Ok(1)");
    first.close().await;
    let again = plugin(file(directory.path()), GRANTED).await;
    assert_eq!(told(&again, "get b k").await, "Ok(Some(Entry { value: [118], revision: 1 }))");
    assert_eq!(told(&again, "put b k w 1 -").await, "Ok(2)");
}

#[tokio::test]
async fn calls_at_once_lose_no_count() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugin(file(directory.path()), GRANTED).await;
    let calls = (0..20).map(|_| told(&plugin, "increment b n 1 -"));
    futures_util::future::join_all(calls).await;
    assert_eq!(told(&plugin, "increment b n 0 -").await, "Ok(20)");
}

#[tokio::test]
async fn the_database_is_made_for_the_first_plugin_that_is_granted_a_bucket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.db");
    let services = Services { kv: file(directory.path()), ..Services::in_memory() };
    let host = PluginHost::with_services(HostSettings { instances_max: 2 }, services).unwrap();
    host.load(shipped("ping")).await.unwrap();
    assert!(!path.exists());
    plugin(file(directory.path()), GRANTED).await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_store_that_does_not_open_is_told_at_the_grant() {
    let nowhere = Path::new("/nonexistent");
    let services = Services { kv: file(nowhere), may_lack_secrets: true, ..Services::in_memory() };
    let host = PluginHost::with_services(HostSettings { instances_max: 2 }, services).unwrap();
    let mistakes = host.load(reaching("grants:\n  secrets: [T]\n  kv: [b]")).await.unwrap_err();
    assert!(mistakes[0].message.contains("is granted buckets of the store, which does not open"), "{mistakes:#?}");
    assert_eq!(mistakes[0].place.as_ref().unwrap().line, 4);
}

#[tokio::test]
async fn what_is_too_large_or_too_often_is_refused() {
    let memory = || Arc::new(MemoryKv::new(Arc::new(SystemClock)));
    let small = plugin(memory(), "grants: { kv: [b], secrets: [T] }\nlimits: { kv_value: 10B }").await;
    assert_eq!(told(&small, "put-of-size b k 10").await, "Ok(1)");
    assert_eq!(told(&small, "put-of-size b k 11").await, "Err(Error::TooLarge)");
    let long = "k".repeat(513);
    assert_eq!(told(&small, &format!("get b {long}")).await, "Err(Error::TooLarge)");
    assert_eq!(told(&small, &format!("get b {}", &long[1..])).await, "Ok(None)");
    let rare = plugin(memory(), "grants: { kv: [b], secrets: [T] }\nlimits: { kv: 1 }").await;
    assert_eq!(told(&rare, "get b k").await, "Ok(None)");
    assert_eq!(told(&rare, "get b k").await, "Err(Error::RateLimited)");
}

/// A store that takes its time, or all of it.
struct SlowKv {
    takes: Duration,
    cut: Arc<AtomicBool>,
}

#[async_trait]
impl KeyValue for SlowKv {
    async fn open(&self) -> Result<(), KvError> {
        Ok(())
    }

    async fn get(&self, _: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        let cut = Cut(Some(self.cut.clone()));
        tokio::time::sleep(self.takes).await;
        cut.over();
        Ok(None)
    }

    async fn put(&self, _: KvKey<'_>, _: &[u8], _: Option<u64>, _: Option<Duration>) -> Result<u64, KvError> {
        unreachable!()
    }

    async fn delete(&self, _: KvKey<'_>, _: Option<u64>) -> Result<bool, KvError> {
        unreachable!()
    }

    async fn increment(&self, _: KvKey<'_>, _: i64, _: Option<Duration>) -> Result<i64, KvError> {
        unreachable!()
    }

    async fn keys(&self, _: &str, _: &str, _: Option<&str>, _: u32) -> Result<Vec<String>, KvError> {
        unreachable!()
    }
}

/// Says so when it is dropped before it is over.
struct Cut(Option<Arc<AtomicBool>>);

impl Cut {
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(cut) = &self.0 {
            cut.store(true, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_call_that_waits_for_the_store_is_cut_at_its_wall_time() {
    let cut = Arc::new(AtomicBool::new(false));
    let store = Arc::new(SlowKv { takes: Duration::from_secs(3600), cut: cut.clone() });
    let plugin = plugin(store, "grants: { kv: [b], secrets: [T] }\nlimits: { wall: 2s }").await;
    let fault = order(&plugin, "kv get b k").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout);
    assert!(fault.detail.contains("limits.wall"), "{}", fault.detail);
    assert!(cut.load(Ordering::SeqCst));
}

#[tokio::test]
async fn waiting_for_the_store_costs_no_processor_time() {
    let store = Arc::new(SlowKv { takes: Duration::from_millis(3), cut: Arc::default() });
    let plugin = plugin(store, "grants: { kv: [b], secrets: [T] }\nlimits: { cpu: 100ms, wall: 20s }").await;
    // Each wait is longer than a tick: 300 ticks of waiting on a budget of 100.
    assert_eq!(told(&plugin, "many b 300").await, "300");
}
