//! Revocations that outlive the process, and how soon a node hears of those of another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tidegate_backends::store::SqliteStore;
use tidegate_core::flow::ports::SystemClock;
use tidegate_core::flow::revoke::{Revocation, RevocationStore};
use tidegate_core::protocol::Topic;
use tokio::time::{Instant, timeout};

use crate::store_kit::node;
use tidegate_testkit::PostgresServer;

const NOW: u64 = 1_000;

fn revocation(id: &str, until_unix_s: u64) -> Revocation {
    Revocation {
        id: id.to_owned(),
        user: Some("u1".to_owned()),
        token: None,
        topic: Some(Topic::parse("vault.v1").unwrap()),
        issued_before: Some(NOW),
        reason: Some("left".to_owned()),
        at_unix_s: NOW,
        until_unix_s,
    }
}

async fn ids(store: &dyn RevocationStore, mark: Option<u64>) -> (Vec<String>, u64) {
    let kept = store.kept(mark, NOW).await.unwrap();
    (kept.revocations.into_iter().map(|revocation| revocation.id).collect(), kept.mark)
}

/// What holds over each back end: `first` and `again` are two processes, one after the other or side by side.
async fn holds(first: &dyn RevocationStore, again: &dyn RevocationStore) {
    assert_eq!(ids(first, None).await.0, Vec::<String>::new());
    first.keep(&revocation("1", NOW + 10)).await.unwrap();
    first.keep(&revocation("1", NOW + 99)).await.unwrap();
    first.keep(&revocation("2", NOW)).await.unwrap();
    let kept = again.kept(None, NOW).await.unwrap();
    assert_eq!(kept.revocations, [revocation("1", NOW + 10)]);
    assert_eq!(again.forget(NOW).await.unwrap(), 1);
    assert_eq!(ids(first, None).await.0, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_in_a_file_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.db");
    let store = || SqliteStore::new(file.clone(), Arc::new(SystemClock));
    holds(&store(), &store()).await;
    assert_eq!(ids(&store(), None).await.0, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_of_what_another_keeps_within_half_a_second() {
    let postgres = PostgresServer::start();
    let (one, other) = (node(&postgres.url()), node(&postgres.url()));
    holds(&one, &other).await;
    let (mut known, mut mark) = ids(&other, None).await;
    for id in ["3", "4", "5"] {
        one.keep(&revocation(id, NOW + 10)).await.unwrap();
        let kept_at = Instant::now();
        while !known.iter().any(|known| known == id) {
            other.news().await;
            let (found, next) = ids(&other, Some(mark)).await;
            known.extend(found);
            mark = next;
        }
        // Polled every half a second where nothing is heard; the rest is for a busy machine.
        assert!(kept_at.elapsed() < Duration::from_secs(3), "{:?}", kept_at.elapsed());
    }
    // What was found is not found for ever.
    timeout(Duration::from_secs(30), async {
        while !ids(&other, Some(mark)).await.0.is_empty() {
            mark = ids(&other, Some(mark)).await.1;
        }
    })
    .await
    .expect("old ones come again and again");
    // A mark of another server's is none.
    assert_eq!(ids(&other, Some(u64::MAX / 4)).await.0.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_of_a_transaction_that_took_long_is_not_left_out() {
    let postgres = PostgresServer::start();
    let (one, other) = (node(&postgres.url()), node(&postgres.url()));
    let (_, before) = ids(&other, None).await;
    let mut slow = <sqlx::PgConnection as sqlx::Connection>::connect(&postgres.url()).await.unwrap();
    let insert = "insert into tidegate.revocations (id, user_id, at_unix_s, until_unix_s, kept_by) \
                  values ('slow', 'u', 1, 9000, pg_current_xact_id())";
    sqlx::raw_sql("begin").execute(&mut slow).await.unwrap();
    sqlx::raw_sql(insert).execute(&mut slow).await.unwrap();
    let ids_of_others: Vec<String> = (0..20).map(|n| format!("quick {n}")).collect();
    let quick: Vec<Revocation> = ids_of_others.iter().map(|id| revocation(id, NOW + 10)).collect();
    try_join_all(quick.iter().map(|revocation| one.keep(revocation))).await.unwrap();
    let (found, mark) = ids(&other, Some(before)).await;
    assert_eq!(found.len(), 20);
    sqlx::raw_sql("commit").execute(&mut slow).await.unwrap();
    assert!(ids(&other, Some(mark)).await.0.contains(&"slow".to_owned()));
}
