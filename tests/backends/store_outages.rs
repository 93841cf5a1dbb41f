//! A PostgreSQL store that is away, and that is back: bounded waits, a reason, and no restart.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_backends::store::{PostgresLook, PostgresSettings, PostgresStore};
use tidegate_core::flow::kv::{KeyValue as _, KvError, KvKey};
use tidegate_core::flow::ports::{StoreHealth as _, SystemClock};
use tokio::time::{Instant, timeout};

use crate::store_kit::{SETTINGS, node};
use tidegate_testkit::PostgresServer;

const KEY: KvKey<'_> = KvKey { bucket: "b", key: "k" };
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn until_away(store: &PostgresStore, away: bool) {
    timeout(PATIENCE, store.until_away(away)).await.expect("it was not noticed");
    assert_eq!(store.is_away(), away);
}

async fn works(store: &PostgresStore) {
    until_away(store, false).await;
    // A connection that broke is found by whoever takes it next.
    let works = async { while store.increment(KEY, 1, None).await.is_err() {} };
    timeout(PATIENCE, works).await.expect("it does not work again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_started_again_is_used_again() {
    let mut postgres = PostgresServer::start();
    let store = node(&postgres.url());
    store.open().await.unwrap();
    assert_eq!(store.increment(KEY, 1, None).await, Ok(1));
    postgres.kill();
    until_away(&store, true).await;
    let asked = Instant::now();
    for answer in join_all((0..100).map(|_| store.get(KEY))).await {
        assert!(matches!(answer, Err(KvError::Unavailable(_))), "{answer:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "what is away is not waited for");
    postgres.restart();
    until_away(&store, false).await;
    assert_eq!(store.increment(KEY, 1, None).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_frozen_keeps_no_caller_longer_than_the_timeout() {
    let postgres = PostgresServer::start();
    let settings = PostgresSettings { timeout: Duration::from_secs(1), ..SETTINGS };
    let store = PostgresStore::new(postgres.url().parse().unwrap(), settings, Arc::new(SystemClock));
    store.open().await.unwrap();
    assert_eq!(store.increment(KEY, 1, None).await, Ok(1));
    postgres.freeze();
    let asked = Instant::now();
    for answer in join_all((0..50).map(|_| store.put(KEY, b"v", None, None))).await {
        assert!(matches!(answer, Err(KvError::Unavailable(_))), "{answer:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    until_away(&store, true).await;
    postgres.thaw();
    works(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_no_connection_left_is_waited_for_no_longer_than_the_timeout() {
    let postgres = PostgresServer::start();
    postgres
        .sql("create role guest login password 'guest' connection limit 2; grant create on database tidegate to guest");
    let url = postgres.url().replace("tidegate:a-postgres-password", "guest:guest");
    let settings = PostgresSettings { timeout: Duration::from_secs(1), ..SETTINGS };
    let store = PostgresStore::new(url.parse().unwrap(), settings, Arc::new(SystemClock));
    store.open().await.unwrap();
    // Another program has what is left.
    let mut others = Vec::new();
    while let Ok(other) = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await {
        others.push(other);
    }
    let asked = Instant::now();
    let answer = store.increment(KEY, 1, None).await;
    assert!(matches!(answer, Err(KvError::Unavailable(_))), "{answer:?}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    drop(others);
    works(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_make_tables_is_told_the_way_out_and_the_way_out_is_one() {
    let postgres = PostgresServer::start();
    postgres.sql("create role guest login password 'guest'; revoke create on database tidegate from public");
    let url = postgres.url().replace("tidegate:a-postgres-password", "guest:guest");
    let told = node(&url).open().await.unwrap_err();
    assert!(told.contains("the role `guest` may not create the server's tables"), "{told}");
    assert!(told.starts_with("`postgres://guest@127.0.0.1:") && !told.contains("guest:guest"), "{told}");
    let look = PostgresLook::at(url.parse().unwrap(), SETTINGS);
    let checked = look.could_serve().await.unwrap_err();
    assert!(checked.contains("CREATE SCHEMA"), "{checked}");

    let way_out = told.split('`').find(|part| part.starts_with("CREATE SCHEMA")).unwrap();
    postgres.sql(way_out);
    look.could_serve().await.unwrap();
    assert_eq!(postgres.sql("select to_regclass('tidegate.kv') is null"), "t", "a look makes nothing");
    let store = node(&url);
    store.open().await.unwrap();
    assert_eq!(store.increment(KEY, 1, None).await, Ok(1));

    // The tables may be another's, too.
    postgres.sql("create role other login password 'other'");
    let url = postgres.url().replace("tidegate:a-postgres-password", "other:other");
    let told = node(&url).open().await.unwrap_err();
    let way_out = told.split('`').find(|part| part.starts_with("GRANT")).unwrap_or_else(|| panic!("{told}"));
    postgres.sql(way_out);
    let other = node(&url);
    other.open().await.unwrap();
    assert_eq!(other.increment(KEY, 1, None).await, Ok(2));
    postgres.sql("revoke insert on tidegate.kv from other");
    until_away(&other, true).await;
    postgres.sql("grant insert on tidegate.kv to other");
    works(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_told_with_its_address_and_the_reason() {
    let mut postgres = PostgresServer::start();
    let told = node(&postgres.url_of("nowhere")).open().await.unwrap_err();
    assert!(told.ends_with("database \"nowhere\" does not exist"), "{told}");
    let wrong = postgres.url().replace("a-postgres-password", "another-password");
    let told = node(&wrong).open().await.unwrap_err();
    assert!(told.contains("password authentication failed") && !told.contains("another-password"), "{told}");
    postgres.sql("create schema tidegate; create table tidegate.migrations (step bigint, name text)");
    postgres.sql("insert into tidegate.migrations values (1000, 'of tomorrow')");
    let told = node(&postgres.url()).open().await.unwrap_err();
    assert!(told.contains("a newer version of Tidegate created its tables"), "{told}");
    postgres.sql("drop schema tidegate cascade; alter database tidegate set default_transaction_read_only = on");
    let told = node(&postgres.url()).open().await.unwrap_err();
    assert!(told.contains("read-only") || told.contains("only reads"), "{told}");
    postgres.kill();
    let told = node(&postgres.url()).open().await.unwrap_err();
    assert!(told.contains("Connection refused"), "{told}");
}
