//! Tables of the store that somebody dropped: what is told, and that the way out that is told is one.

use tidegate_backends::store::PostgresStore;
use tidegate_core::flow::kv::{KeyValue as _, KvKey};

use crate::store_kit::{SETTINGS, node};
use tidegate_testkit::PostgresServer;

const KEY: KvKey<'_> = KvKey { bucket: "b", key: "k" };

/// Why a store does not open, and the statement that is told.
async fn refused(postgres: &PostgresServer, begins: &str) -> (String, String) {
    let told = node(&postgres.url()).open().await.unwrap_err();
    let look = tidegate_backends::store::PostgresLook::at(postgres.url().parse().unwrap(), SETTINGS);
    assert_eq!(look.could_serve().await.unwrap_err(), told, "`check` says the same");
    let way_out = told.split('`').find(|part| part.starts_with(begins)).unwrap_or_else(|| panic!("{told}"));
    (told.clone(), way_out.to_owned())
}

async fn opened(postgres: &PostgresServer) -> PostgresStore {
    let store = node(&postgres.url());
    store.open().await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_dropped_is_named_and_is_made_again_when_that_is_asked_for() {
    let postgres = PostgresServer::start();
    opened(&postgres).await.increment(KEY, 1, None).await.unwrap();
    for table in ["kv", "revocations", "dead_letters", "sessions"] {
        postgres.sql(&format!("drop table tidegate.{table}"));
        let (told, way_out) = refused(&postgres, "DELETE FROM").await;
        assert!(told.contains(&format!("somebody dropped `tidegate.{table}`")), "{told}");
        assert_eq!(told.contains("accepts revoked credentials again"), table == "revocations", "{told}");
        postgres.sql(&way_out);
        opened(&postgres).await;
    }
    // What is deleted with a key never comes back as a revision: the count went on.
    assert_eq!(postgres.sql("select last_value > 0 from tidegate.kv_revision"), "t");
    postgres.sql("drop table tidegate.kv, tidegate.sessions");
    let (told, way_out) = refused(&postgres, "DELETE FROM").await;
    assert!(told.contains("`tidegate.kv`, `tidegate.sessions`"), "{told}");
    postgres.sql(&way_out);
    assert_eq!(opened(&postgres).await.increment(KEY, 1, None).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_table_is_dropped_says_so_and_goes_on_without_a_restart() {
    let postgres = PostgresServer::start();
    let store = opened(&postgres).await;
    postgres.sql("drop table tidegate.sessions");
    store.until_away(true).await;
    let told = store.open().await.unwrap_err();
    assert!(told.contains("somebody dropped `tidegate.sessions`"), "{told}");
    postgres.sql(told.split('`').find(|part| part.starts_with("DELETE FROM")).unwrap());
    store.until_away(false).await;
    assert_eq!(postgres.sql("select to_regclass('tidegate.sessions') is not null"), "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_were_dropped_beside_their_tables_are_told_and_nothing_is_lost() {
    let postgres = PostgresServer::start();
    opened(&postgres).await.increment(KEY, 41, None).await.unwrap();
    postgres.sql("drop table tidegate.migrations");
    let (told, way_out) = refused(&postgres, "CREATE TABLE IF NOT EXISTS tidegate.migrations").await;
    assert!(told.contains("`tidegate.migrations` does not say"), "{told}");
    postgres.sql(&way_out);
    assert_eq!(opened(&postgres).await.increment(KEY, 1, None).await, Ok(42));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_somebody_elses_is_not_taken_for_the_servers() {
    let postgres = PostgresServer::start();
    postgres.sql("create schema tidegate; create table tidegate.sessions (token text)");
    let (told, _) = refused(&postgres, "CREATE TABLE").await;
    assert!(told.contains("`tidegate.sessions` exists") && told.contains("another schema"), "{told}");
    assert_eq!(postgres.sql("select to_regclass('tidegate.kv') is null"), "t", "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_revisions_that_was_dropped_is_made_again_beyond_what_there_was() {
    let postgres = PostgresServer::start();
    let store = opened(&postgres).await;
    let before = store.put(KEY, b"v", None, None).await.unwrap();
    drop(store);
    postgres.sql("drop sequence tidegate.kv_revision");
    let (_, way_out) = refused(&postgres, "CREATE SEQUENCE").await;
    postgres.sql(&way_out);
    let after = opened(&postgres).await.put(KEY, b"w", None, None).await.unwrap();
    assert!(after > before, "{after} after {before}");
}
