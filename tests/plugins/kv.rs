//! The key-value store as a plugin sees it: the same over SQLite as over memory, within grants, sizes, rate and time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tempfile::TempDir;
use tidegate_backends::store::SqliteStore;
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey};
use tidegate_core::flow::ports::SystemClock;
use tidegate_wasm::{HostSettings, Plugin, PluginHost, Services, recorded};
use tokio::time::timeout;

use crate::kit::{keys, order, reply};
use tidegate_testkit::FakeClock;

/// What every plugin here is granted, with the time that a busy machine may take.
pub(crate) const GRANTED: &str = "grants: { kv: [b] }\nlimits: { cpu: 5s, wall: 30s, kv_time: 10s, concurrency: 64 }";

pub(crate) fn host(kv: Arc<dyn KeyValue>) -> PluginHost {
    let services = Services { kv, ..Services::in_memory() };
    PluginHost::with_services(HostSettings { instances_max: 16, ..HostSettings::default() }, services).unwrap()
}

async fn plugin(kv: Arc<dyn KeyValue>, lines: &str) -> Arc<Plugin> {
    let loaded = host(kv).load(keys("keys", lines)).await;
    loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

/// A plugin over either store, and the clock of both. The directory is the second's.
async fn over_both() -> (Vec<Arc<Plugin>>, Arc<FakeClock>, TempDir) {
    let (clock, directory) = (Arc::new(FakeClock::stopped()), tempfile::tempdir().unwrap());
    let memory = plugin(Arc::new(MemoryKv::new(clock.clone())), GRANTED).await;
    let sqlite = plugin(Arc::new(SqliteStore::new(directory.path().join("t.db"), clock.clone())), GRANTED).await;
    (vec![memory, sqlite], clock, directory)
}

fn memory() -> Arc<MemoryKv> {
    Arc::new(MemoryKv::new(Arc::new(SystemClock)))
}

pub(crate) fn file(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::new(path.join("t.db"), Arc::new(SystemClock)))
}

/// What the guest was answered.
pub(crate) async fn told(plugin: &Plugin, what: &str) -> String {
    serde_json::from_str(&reply(order(plugin, what).await)).unwrap()
}

#[tokio::test]
async fn a_granted_bucket_is_read_and_written_and_no_other() {
    let (plugins, _clock, _directory) = over_both().await;
    for plugin in plugins {
        assert_eq!(told(&plugin, "get b k").await, "Ok(None)");
        let written = told(&plugin, "put b k v - -").await;
        let revision = written.strip_prefix("Ok(").unwrap().strip_suffix(')').unwrap();
        let entry = format!("Ok(Some(Entry {{ value: [118], revision: {revision} }}))");
        assert_eq!(told(&plugin, "get b k").await, entry);
        for call in ["get c k", "put c k v - -", "delete c k -", "increment c k 1 -", "keys c k - 9"] {
            assert_eq!(told(&plugin, call).await, "Err(Denied)", "{call}");
        }
    }
}

#[tokio::test]
async fn plugins_that_are_granted_one_bucket_share_it() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(file(directory.path()));
    let one = host.load(keys("one", GRANTED)).await.unwrap();
    let other = host.load(keys("other", GRANTED)).await.unwrap();
    assert_eq!(told(&one, "increment b n 2 -").await, "Ok(2)");
    assert_eq!(told(&other, "increment b n 3 -").await, "Ok(5)");
    // A bucket is apart from every other, whatever its keys are called.
    let apart = host.load(keys("apart", &GRANTED.replace("[b]", "[bb]"))).await.unwrap();
    assert_eq!(told(&apart, "get bb n").await, "Ok(None)");
    assert_eq!(told(&apart, "keys bb  - 9").await, "Ok([])");
}

#[tokio::test]
async fn a_write_on_a_condition_happens_only_while_the_condition_holds() {
    let (plugins, _clock, _directory) = over_both().await;
    for plugin in plugins {
        assert_eq!(told(&plugin, "put b k one 7 -").await, "Err(Conflict(0))");
        assert_eq!(told(&plugin, "put b k one 0 -").await, "Ok(1)");
        assert_eq!(told(&plugin, "put b k two 0 -").await, "Err(Conflict(1))");
        assert_eq!(told(&plugin, "put b k two 1 -").await, "Ok(2)");
        assert_eq!(told(&plugin, "put b k late 1 -").await, "Err(Conflict(2))");
        assert_eq!(told(&plugin, "delete b k 1").await, "Err(Conflict(2))");
        assert_eq!(told(&plugin, "delete b k 2").await, "Ok(true)");
        assert_eq!(told(&plugin, "delete b k -").await, "Ok(false)");
        // Made again it has a revision it never had.
        assert_eq!(told(&plugin, "put b k again 0 -").await, "Ok(3)");
    }
}

#[tokio::test]
async fn a_key_is_gone_when_its_time_is_over() {
    let (plugins, clock, _directory) = over_both().await;
    for plugin in plugins {
        assert_eq!(told(&plugin, "put b k v - 500").await, "Ok(1)");
        clock.advance_ms(499);
        assert!(told(&plugin, "get b k").await.starts_with("Ok(Some("));
        assert_eq!(told(&plugin, "keys b k - 9").await, r#"Ok(["k"])"#);
        clock.advance_ms(1);
        assert_eq!(told(&plugin, "get b k").await, "Ok(None)");
        assert_eq!(told(&plugin, "keys b k - 9").await, "Ok([])");
        assert_eq!(told(&plugin, "put b k v 1 -").await, "Err(Conflict(0))");
        assert_eq!(told(&plugin, "delete b k -").await, "Ok(false)");
    }
}

#[tokio::test]
async fn an_increment_counts_and_keeps_the_time_the_key_has() {
    let (plugins, clock, _directory) = over_both().await;
    for plugin in plugins {
        assert_eq!(told(&plugin, "increment b n 5 100").await, "Ok(5)");
        assert_eq!(told(&plugin, "increment b n -7 9000").await, "Ok(-2)");
        assert_eq!(told(&plugin, "get b n").await, "Ok(Some(Entry { value: [45, 50], revision: 2 }))");
        clock.advance_ms(100);
        assert_eq!(told(&plugin, "increment b n 1 -").await, "Ok(1)");
        assert_eq!(told(&plugin, &format!("increment b n {} -", i64::MAX)).await, "Err(NotAnInteger)");
        told(&plugin, "put b text v - -").await;
        assert_eq!(told(&plugin, "increment b text 1 -").await, "Err(NotAnInteger)");
        assert!(told(&plugin, "get b text").await.contains("[118]"));
    }
}

#[tokio::test]
async fn keys_are_listed_in_order_a_page_at_a_time() {
    let (plugins, _clock, _directory) = over_both().await;
    for plugin in plugins {
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
async fn sixty_four_calls_at_once_lose_no_count() {
    let (plugins, _clock, _directory) = over_both().await;
    for plugin in plugins {
        join_all((0..64).map(|_| told(&plugin, "increment b n 1 -"))).await;
        assert_eq!(told(&plugin, "increment b n 0 -").await, "Ok(64)");
    }
}

#[tokio::test]
async fn of_writers_that_compare_first_none_overwrites_another() {
    let (plugins, _clock, _directory) = over_both().await;
    for plugin in plugins {
        let orders: Vec<String> = ('a'..='p').map(|letter| format!("append b k {letter}")).collect();
        for appended in join_all(orders.iter().map(|order| told(&plugin, order))).await {
            assert_eq!(appended, "Ok(())");
        }
        let entry = told(&plugin, "get b k").await;
        let bytes = entry.split(['[', ']']).nth(1).unwrap();
        let mut letters: Vec<u8> = bytes.split(", ").map(|byte| byte.parse().unwrap()).collect();
        letters.sort_unstable();
        assert_eq!(letters, (b'a'..=b'p').collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_too_large_or_too_often_is_refused() {
    let small = plugin(memory(), "grants: { kv: [b] }\nlimits: { kv_value: 10B }").await;
    assert_eq!(told(&small, "put-of-size b k 10").await, "Ok(1)");
    assert_eq!(told(&small, "put-of-size b k 11").await, "Err(TooLarge)");
    let long = "k".repeat(513);
    assert_eq!(told(&small, &format!("get b {long}")).await, "Err(TooLarge)");
    assert_eq!(told(&small, &format!("get b {}", &long[1..])).await, "Ok(None)");
    let rare = plugin(memory(), "grants: { kv: [b] }\nlimits: { kv: 1 }").await;
    assert_eq!(told(&rare, "get b k").await, "Ok(None)");
    assert_eq!(told(&rare, "get b k").await, "Err(RateLimited)");
}

#[tokio::test]
async fn every_call_is_noted_for_whoever_records() {
    let plugin = plugin(memory(), GRANTED).await;
    let (_, did) = recorded(told(&plugin, "get-often b k 3")).await;
    assert_eq!(did.host_calls.into_iter().collect::<Vec<_>>(), [("kv", 3)]);
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

fn slow(takes: Duration) -> (Arc<SlowKv>, Arc<AtomicBool>) {
    let cut = Arc::new(AtomicBool::new(false));
    (Arc::new(SlowKv { takes, cut: cut.clone() }), cut)
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_store_that_takes_too_long_is_unavailable_and_the_plugin_goes_on() {
    let (store, cut) = slow(HOUR);
    let plugin = plugin(store, "grants: { kv: [b] }\nlimits: { wall: 20s, kv_time: 20ms }").await;
    let told = told(&plugin, "get b k").await;
    assert_eq!(told, r#"Err(Unavailable("the store did not answer in time (`limits.kv_time`, `limits.wall`)"))"#);
    assert!(cut.load(Ordering::SeqCst));
}

#[tokio::test]
async fn waiting_leaves_the_plugin_time_to_answer() {
    let (store, _) = slow(HOUR);
    let plugin = plugin(store, "grants: { kv: [b] }\nlimits: { wall: 2s, kv_time: 10s }").await;
    assert!(told(&plugin, "get b k").await.starts_with("Err(Unavailable("));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_wait() {
    let (store, cut) = slow(HOUR);
    let plugin = plugin(store, "grants: { kv: [b] }\nlimits: { wall: 30s, kv_time: 10s }").await;
    timeout(Duration::from_millis(500), order(&plugin, "get b k")).await.unwrap_err();
    assert!(cut.load(Ordering::SeqCst));
}

#[tokio::test]
async fn waiting_for_the_store_costs_no_processor_time() {
    let (store, _) = slow(Duration::from_millis(3));
    let plugin = plugin(store, "grants: { kv: [b] }\nlimits: { cpu: 100ms, wall: 20s, kv_time: 10s }").await;
    // Each wait is longer than a tick: 300 ticks of waiting on a budget of 100.
    assert_eq!(told(&plugin, "get-often b k 300").await, "300");
}
