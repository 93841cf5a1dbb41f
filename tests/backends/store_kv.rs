//! The contract of the key-value port, held by every back end; and what nodes that share a database may rely on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tempfile::TempDir;
use tidegate_backends::store::{PostgresStore, SqliteStore};
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey};

use crate::store_kit::{node, node_at};
use tidegate_testkit::{FakeClock, PostgresServer};

/// Every back end, with the clock of all.
struct Everywhere {
    backends: Vec<(&'static str, Arc<dyn KeyValue>)>,
    clock: Arc<FakeClock>,
    _postgres: PostgresServer,
    _directory: TempDir,
}

async fn everywhere() -> Everywhere {
    let (clock, directory, postgres) =
        (Arc::new(FakeClock::stopped()), tempfile::tempdir().unwrap(), PostgresServer::start());
    let backends: Vec<(&'static str, Arc<dyn KeyValue>)> = vec![
        ("memory", Arc::new(MemoryKv::new(clock.clone()))),
        ("sqlite", Arc::new(SqliteStore::new(directory.path().join("t.db"), clock.clone()))),
        ("postgres", Arc::new(node_at(&postgres.url(), clock.clone()))),
    ];
    for (_, kv) in &backends {
        kv.open().await.unwrap();
    }
    Everywhere { backends, clock, _postgres: postgres, _directory: directory }
}

const fn key(key: &str) -> KvKey<'_> {
    KvKey { bucket: "b", key }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_on_a_condition_happens_only_while_the_condition_holds() {
    let everywhere = everywhere().await;
    for (name, kv) in &everywhere.backends {
        let put = async |value: &[u8], revision| kv.put(key("k"), value, revision, None).await;
        assert_eq!(put(b"one", Some(7)).await, Err(KvError::Conflict(0)), "{name}");
        let first = put(b"one", Some(0)).await.unwrap();
        assert!(first > 0, "{name}");
        assert_eq!(put(b"two", Some(0)).await, Err(KvError::Conflict(first)), "{name}");
        let second = put(b"two", Some(first)).await.unwrap();
        assert!(second > first, "{name}");
        assert_eq!(put(b"late", Some(first)).await, Err(KvError::Conflict(second)), "{name}");
        assert_eq!(kv.delete(key("k"), Some(first)).await, Err(KvError::Conflict(second)), "{name}");
        assert_eq!(kv.delete(key("k"), Some(second)).await, Ok(true), "{name}");
        assert_eq!(kv.delete(key("k"), None).await, Ok(false), "{name}");
        assert_eq!(kv.delete(key("k"), Some(0)).await, Ok(false), "{name}");
        assert_eq!(kv.delete(key("k"), Some(second)).await, Err(KvError::Conflict(0)), "{name}");
        let again = put(b"again", Some(0)).await.unwrap();
        assert!(again > second, "{name}: made again it has a revision it never had");
        assert!(put(b"over", None).await.unwrap() > again, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_bytes_and_keys_are_listed_in_the_order_of_theirs() {
    let everywhere = everywhere().await;
    for (name, kv) in &everywhere.backends {
        let value: Vec<u8> = (0..=255).collect();
        let revision = kv.put(key("bytes"), &value, None, None).await.unwrap();
        assert_eq!(kv.get(key("bytes")).await, Ok(Some(KvEntry { value, revision })), "{name}");
        for other in ["a:2", "a:1", "a:3", "a:é", "a", "B:1", "a:\0"] {
            kv.put(key(other), b"", None, None).await.unwrap();
        }
        kv.put(KvKey { bucket: "bb", key: "a:0" }, b"", None, None).await.unwrap();
        let keys = async |prefix, after, limit| kv.keys("b", prefix, after, limit).await.unwrap();
        assert_eq!(keys("a:", None, 2).await, ["a:\0", "a:1"], "{name}");
        assert_eq!(keys("a:", Some("a:2"), 9).await, ["a:3", "a:é"], "{name}");
        assert_eq!(keys("a:", Some("a"), 2).await, ["a:\0", "a:1"], "{name}");
        assert_eq!(keys("", None, 9).await, ["B:1", "a", "a:\0", "a:1", "a:2", "a:3", "a:é", "bytes"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_time_is_over_is_as_good_as_deleted() {
    let everywhere = everywhere().await;
    let ttl = |ms| Some(Duration::from_millis(ms));
    for (name, kv) in &everywhere.backends {
        let first = kv.put(key("k"), b"v", None, ttl(500)).await.unwrap();
        assert_eq!(kv.increment(key("n"), 5, ttl(500)).await, Ok(5), "{name}");
        everywhere.clock.advance_ms(499);
        assert!(kv.get(key("k")).await.unwrap().is_some(), "{name}");
        // A key that is there keeps the time it has.
        assert_eq!(kv.increment(key("n"), -7, ttl(9000)).await, Ok(-2), "{name}");
        everywhere.clock.advance_ms(1);
        assert_eq!(kv.get(key("k")).await, Ok(None), "{name}");
        assert_eq!(kv.keys("b", "", None, 9).await.unwrap(), Vec::<String>::new(), "{name}");
        assert_eq!(kv.put(key("k"), b"v", Some(first), None).await, Err(KvError::Conflict(0)), "{name}");
        assert_eq!(kv.delete(key("k"), None).await, Ok(false), "{name}");
        assert_eq!(kv.increment(key("n"), 1, None).await, Ok(1), "{name}");
        assert!(kv.put(key("k"), b"v", Some(0), None).await.unwrap() > first, "{name}");
        everywhere.clock.advance_ms(10_000);
        assert_eq!(kv.increment(key("n"), 1, None).await, Ok(2), "{name}: made anew, it has no time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_or_would_be_too_large_is_not_added_to() {
    let everywhere = everywhere().await;
    for (name, kv) in &everywhere.backends {
        for (value, sum) in [
            ("41", Some(42)),
            ("+41", Some(42)),
            ("-1", Some(0)),
            ("0041", Some(42)),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1.5", None),
            ("1e3", None),
            ("x", None),
            ("\u{661}", None),
            ("9223372036854775806", Some(i64::MAX)),
            ("9223372036854775807", None),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN + 1)),
        ] {
            kv.put(key("n"), value.as_bytes(), None, None).await.unwrap();
            let expected = sum.ok_or(KvError::NotAnInteger);
            assert_eq!(kv.increment(key("n"), 1, None).await, expected, "{name}: {value:?}");
        }
        kv.put(key("n"), b"\xff1", None, None).await.unwrap();
        assert_eq!(kv.increment(key("n"), 1, None).await, Err(KvError::NotAnInteger), "{name}");
        assert_eq!(kv.get(key("n")).await.unwrap().unwrap().value, b"\xff1", "{name}");
        let before = kv.put(key("n"), b"1", None, None).await.unwrap();
        kv.increment(key("n"), 1, None).await.unwrap();
        assert!(kv.get(key("n")).await.unwrap().unwrap().revision > before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_write_at_once_lose_nothing() {
    let postgres = PostgresServer::start();
    let nodes: Vec<PostgresStore> = (0..3).map(|_| node(&postgres.url())).collect();
    // All make the tables at once.
    try_join_all(nodes.iter().map(PostgresStore::open)).await.unwrap();
    let counted = nodes.iter().flat_map(|node| (0..100).map(move |_| node.increment(key("n"), 1, None)));
    try_join_all(counted).await.unwrap();
    assert_eq!(nodes[0].increment(key("n"), 0, None).await, Ok(300));

    let made = join_all(nodes.iter().map(|node| node.put(key("lock"), b"mine", Some(0), None))).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");

    // Revisions of a key grow in the order of its values.
    let written = nodes.iter().flat_map(|node| (0..100).map(move |_| node.put(key("k"), b"v", None, None)));
    let mut revisions = try_join_all(written).await.unwrap();
    let last = nodes[0].get(key("k")).await.unwrap().unwrap().revision;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!((revisions.len(), revisions.last()), (300, Some(&last)));

    let appended = nodes.iter().map(async |node| {
        for _ in 0..20 {
            loop {
                let found = node.get(key("text")).await.unwrap();
                let (mut value, revision) = found.map_or((Vec::new(), 0), |found| (found.value, found.revision));
                value.push(b'x');
                match node.put(key("text"), &value, Some(revision), None).await {
                    Ok(_) => break,
                    Err(KvError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    join_all(appended).await;
    assert_eq!(nodes[1].get(key("text")).await.unwrap().unwrap().value.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_whose_time_is_over_leave_the_database_by_themselves() {
    let postgres = PostgresServer::start();
    let store = node(&postgres.url());
    store.open().await.unwrap();
    let made = (0..20).map(|n| n.to_string()).collect::<Vec<_>>();
    let made = made.iter().map(|name| store.put(key(name), b"v", None, Some(Duration::from_millis(1))));
    try_join_all(made).await.unwrap();
    store.put(key("stays"), b"v", None, None).await.unwrap();
    while postgres.sql("select count(*) from tidegate.kv") != "1" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
