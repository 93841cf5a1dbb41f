//! The database file behind the plugins: it outlives the server, is made only when it is needed, and may go and come back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::str::FromStr as _;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, SqliteConnection};
use tidegate_core::flow::ports::StoreHealth as _;

use crate::kit::{keys, shipped};
use crate::kv::{GRANTED, file, host, told};

/// Another process at the same file.
async fn other(directory: &Path) -> SqliteConnection {
    let url = format!("sqlite:{}", directory.join("t.db").display());
    SqliteConnectOptions::from_str(&url).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn keys_survive_a_restart_and_revisions_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let first = file(directory.path());
    let plugin = host(first.clone()).load(keys("keys", GRANTED)).await.unwrap();
    assert_eq!(told(&plugin, "put b k v - -").await, "Ok(1)");
    first.close().await;
    let again = host(file(directory.path())).load(keys("keys", GRANTED)).await.unwrap();
    assert_eq!(told(&again, "get b k").await, "Ok(Some(Entry { value: [118], revision: 1 }))");
    assert_eq!(told(&again, "put b k w 1 -").await, "Ok(2)");
}

#[tokio::test]
async fn the_file_is_made_for_the_first_plugin_that_is_granted_a_bucket() {
    let directory = tempfile::tempdir().unwrap();
    let host = host(file(directory.path()));
    host.load(shipped("ping")).await.unwrap();
    assert!(!directory.path().join("t.db").exists());
    host.load(keys("keys", GRANTED)).await.unwrap();
    assert!(directory.path().join("t.db").exists());
}

#[test]
fn a_check_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &[u8]| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let plugin = keys("keys", GRANTED);
    write("plugins/keys/keys.wasm", &plugin.component);
    write("plugins/keys/plugin.yaml", plugin.manifest.text.as_bytes());
    let channel =
        "feature: f\nchannels: { c: { scope: public, payload: {}, inbound: { payload: {}, handler: keys } } }\n";
    write("channels/f.yaml", channel.as_bytes());
    write("config/tidegate.yaml", b"store: sqlite:../t.db\nplugin_cache: ../cache\n");
    let checked = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["check", "--config"])
        .arg(directory.path().join("config/tidegate.yaml"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(!directory.path().join("t.db").exists());
}

#[tokio::test]
async fn a_store_that_does_not_open_is_told_at_the_grant_with_its_file_and_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let refused = async |directory: &Path| {
        let mut mistakes = host(file(directory)).load(keys("keys", "grants:\n  kv: [b]")).await.unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        let mistake = mistakes.remove(0);
        assert_eq!(mistake.place.as_ref().unwrap().line, 3);
        assert!(mistake.message.contains(&directory.join("t.db").display().to_string()), "{}", mistake.message);
        mistake.message
    };
    let nowhere = refused(&directory.path().join("nowhere")).await;
    assert!(nowhere.ends_with("unable to open database file"), "{nowhere}");
    fs::write(directory.path().join("t.db"), "this is a text file, and long enough to be looked at".repeat(100))
        .unwrap();
    let text = refused(directory.path()).await;
    assert!(text.ends_with("file is not a database"), "{text}");
}

#[tokio::test]
async fn a_file_that_goes_is_told_and_used_again_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let (path, kept) = (directory.path().join("t.db"), directory.path().join("kept.db"));
    let store = file(directory.path());
    let plugin = host(store.clone()).load(keys("keys", GRANTED)).await.unwrap();
    assert_eq!(told(&plugin, "put b k v - -").await, "Ok(1)");
    assert!(!store.is_away());

    fs::rename(&path, &kept).unwrap();
    store.until_away(true).await;
    for call in ["get b k", "put b k w - -", "increment b n 1 -", "keys b k - 1"] {
        assert_eq!(told(&plugin, call).await, r#"Err(Unavailable("unable to open database file"))"#, "{call}");
    }
    assert!(!path.exists(), "a file that is gone is not made anew");
    // No plugin loads that needs it.
    let mistakes = host(store.clone()).load(keys("keys", GRANTED)).await.unwrap_err();
    assert!(mistakes[0].message.ends_with("unable to open database file"), "{mistakes:#?}");

    fs::rename(&kept, &path).unwrap();
    store.until_away(false).await;
    assert_eq!(told(&plugin, "get b k").await, "Ok(Some(Entry { value: [118], revision: 1 }))");
    assert!(told(&plugin, "put b k w 1 -").await.starts_with("Ok("));
}

#[tokio::test]
async fn a_file_that_is_replaced_is_not_written_to_any_more() {
    let directory = tempfile::tempdir().unwrap();
    let store = file(directory.path());
    let plugin = host(store.clone()).load(keys("keys", GRANTED)).await.unwrap();
    fs::write(directory.path().join("new.db"), "not a database at all ".repeat(100)).unwrap();
    // The write-ahead log goes with its file.
    fs::remove_file(directory.path().join("t.db-wal")).unwrap();
    fs::remove_file(directory.path().join("t.db-shm")).unwrap();
    fs::rename(directory.path().join("new.db"), directory.path().join("t.db")).unwrap();
    store.until_away(true).await;
    assert_eq!(told(&plugin, "get b k").await, r#"Err(Unavailable("file is not a database"))"#);
}

#[tokio::test]
async fn while_another_process_holds_the_file_keys_are_read_and_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = file(directory.path());
    let plugin = host(store.clone()).load(keys("keys", GRANTED)).await.unwrap();
    told(&plugin, "put b k v - -").await;
    let mut other = other(directory.path()).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    store.until_away(true).await;
    assert_eq!(told(&plugin, "put b k w - -").await, r#"Err(Unavailable("database is locked"))"#);
    assert!(told(&plugin, "get b k").await.starts_with("Ok(Some("));
    other.execute("ROLLBACK").await.unwrap();
    store.until_away(false).await;
    assert_eq!(told(&plugin, "put b k w 1 -").await, "Ok(2)");
}
