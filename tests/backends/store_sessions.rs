//! When sessions were used, as nodes that share a store know it.

use std::sync::Arc;

use futures_util::future::try_join_all;
use tidegate_backends::store::SqliteStore;
use tidegate_core::flow::ports::SystemClock;
use tidegate_core::flow::sessions::{BATCH_MAX, SessionKey, SessionUse, Sessions};

use crate::store_kit::node;
use tidegate_testkit::PostgresServer;

fn key(n: usize) -> SessionKey {
    SessionKey::new(format!("{n:064x}"))
}

const fn used(first_unix_s: u64, last_unix_s: u64) -> SessionUse {
    SessionUse { first_unix_s, last_unix_s }
}

/// What holds over each back end: `first` and `again` are two processes.
async fn holds(first: &dyn Sessions, again: &dyn Sessions) {
    first.open().await.unwrap();
    again.open().await.unwrap();
    assert_eq!(first.used(&key(1)).await, Ok(None));
    first.write_back(&[(key(1), used(10, 20)), (key(2), used(5, 5))]).await.unwrap();
    again.write_back(&[(key(1), used(12, 30))]).await.unwrap();
    first.write_back(&[(key(1), used(8, 25))]).await.unwrap();
    assert_eq!(again.used(&key(1)).await, Ok(Some(used(8, 30))));
    assert_eq!(again.forget(6).await, Ok(1));
    assert_eq!((first.used(&key(1)).await, first.used(&key(2)).await), (Ok(Some(used(8, 30))), Ok(None)));
    // Both write all of a batch at once, in different orders.
    let there: Vec<_> = (0..BATCH_MAX).map(|n| (key(n), used(100, 100))).collect();
    let back: Vec<_> = there.iter().rev().cloned().collect();
    try_join_all([first.write_back(&there), again.write_back(&back), first.write_back(&back)]).await.unwrap();
    assert_eq!(again.used(&key(1)).await, Ok(Some(used(8, 100))));
    assert_eq!(first.forget(1000).await, Ok(BATCH_MAX as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_a_file_are_known_to_whoever_opens_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = || SqliteStore::new(directory.path().join("t.db"), Arc::new(SystemClock));
    holds(&store(), &store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_share_a_database_know_the_same_of_a_session() {
    let postgres = PostgresServer::start();
    holds(&node(&postgres.url()), &node(&postgres.url())).await;
}
