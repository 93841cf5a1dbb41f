//! Dead letters that outlive the process: bounded, taken once, shared by nodes, and kept in memory while the store is away.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_backends::bus::MemoryDeadLetters;
use tidegate_backends::store::SqliteStore;
use tidegate_core::channels::RuleId;
use tidegate_core::config::{SourceFile, Teams, decode, parse_yaml};
use tidegate_core::flow::ports::{DeadLetters, SystemClock};
use tidegate_core::flow::{Budgets, DeadLetter};
use tidegate_core::protocol::BusEvent;
use tokio::time::timeout;

use crate::store_kit::node;
use tidegate_testkit::PostgresServer;

const MAX: usize = 3;

fn letter(id: &str) -> DeadLetter {
    let mut event = BusEvent::new(id.to_owned(), "/test".to_owned(), "a.b".to_owned(), json!({ "n": [1, "\0"] }));
    event.subject = Some("s".to_owned());
    event.attributes.insert("tenant".to_owned(), json!("t1"));
    let rule = RuleId {
        on: "a.*".to_owned(),
        to: "b.{c}".to_owned(),
        revokes: id.ends_with('2'),
        ends_sessions: id.ends_with('3'),
        removes: id.ends_with('5'),
    };
    DeadLetter { id: id.to_owned(), rule, reason: "for the \0 test".to_owned(), at_unix_s: 7, event, share: None }
}

async fn add(letters: &dyn DeadLetters, ids: &[&str]) {
    for id in ids {
        letters.add(letter(id));
    }
    letters.flush().await;
}

async fn ids(letters: &dyn DeadLetters) -> Vec<String> {
    letters.newest(9).await.letters.into_iter().map(|letter| letter.id).collect()
}

/// What holds over each back end: `first` and `again` are two processes, one after the other or side by side.
async fn holds(first: &dyn DeadLetters, again: &dyn DeadLetters) {
    assert_eq!(ids(again).await, Vec::<String>::new());
    add(first, &["1", "2", "3", "4"]).await;
    assert_eq!(ids(first).await, ["4", "3", "2"]);
    let kept = again.newest(1).await;
    assert_eq!((kept.letters.len(), kept.kept, kept.complete), (1, 3, true));
    let found = again.find("4").await.unwrap().unwrap();
    assert_eq!((&found.event, &found.rule, found.at_unix_s), (&letter("4").event, &letter("4").rule, 7));
    assert_eq!(found.reason.replace('\u{fffd}', "\0"), "for the \0 test");
    assert!(again.find("1").await.unwrap().is_none(), "the oldest went");
    let (one, other) = tokio::join!(first.take("3"), again.take("3"));
    assert_eq!(usize::from(one.unwrap().is_some()) + usize::from(other.unwrap().is_some()), 1);
    assert_eq!(ids(again).await, ["4", "2"]);
    add(again, &["5", "6"]).await;
    assert_eq!(ids(first).await, ["6", "5", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_in_a_file_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.db");
    let store = || SqliteStore::new(file.clone(), Arc::new(SystemClock));
    let (one, other) = (store(), store());
    let letters = one.dead_letters(MAX);
    assert!(letters.newest(9).await.complete && !file.exists(), "without a letter there is no file");
    holds(&letters, &other.dead_letters(MAX)).await;
    drop(letters);
    one.close().await;
    other.close().await;
    assert_eq!(ids(&store().dead_letters(MAX)).await, ["6", "5", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_share_a_database_share_their_letters() {
    let postgres = PostgresServer::start();
    let (one, other) = (node(&postgres.url()), node(&postgres.url()));
    holds(&one.dead_letters(MAX), &other.dead_letters(MAX)).await;
    assert_eq!(ids(&node(&postgres.url()).dead_letters(MAX)).await, ["6", "5", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_dies_on_every_node_of_a_database_is_one_letter_until_it_is_retried() {
    let postgres = PostgresServer::start();
    let (one, other) = (node(&postgres.url()), node(&postgres.url()));
    let (here, there) = (one.dead_letters(MAX), other.dead_letters(MAX));
    add(&here, &["1"]).await;
    let twin = |id: &str, of: &str| DeadLetter { id: id.to_owned(), at_unix_s: 8, ..letter(of) };
    there.add(twin("2", "1"));
    there.add(DeadLetter { rule: RuleId { on: "a.b".to_owned(), ..letter("1").rule }, ..twin("3", "1") });
    there.flush().await;
    assert_eq!(ids(&there).await, ["3", "1"], "the same event by another rule is another letter");
    assert!(here.take("1").await.unwrap().is_some());
    there.add(twin("4", "1"));
    there.flush().await;
    assert_eq!(ids(&here).await, ["4", "3"], "retried, it may die again");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_letters_wait_in_memory_and_are_written_when_it_is_back() {
    let mut postgres = PostgresServer::start();
    let store = node(&postgres.url());
    let letters = store.dead_letters(MAX);
    add(&letters, &["1"]).await;
    postgres.kill();
    timeout(Duration::from_secs(30), store.until_away(true)).await.unwrap();
    // It is told that they cannot be written, in a few seconds, and the bridge goes on.
    add(&letters, &["2", "3", "4", "5"]).await;
    let newest = letters.newest(9).await;
    assert_eq!(newest.letters.iter().map(|letter| letter.id.as_str()).collect::<Vec<_>>(), ["5", "4", "3"]);
    assert!(!newest.complete);
    assert_eq!(letters.take("4").await.unwrap().map(|letter| letter.id).as_deref(), Some("4"));
    assert!(letters.take("1").await.is_err());
    postgres.restart();
    let other = node(&postgres.url());
    let elsewhere = other.dead_letters(MAX);
    let written = async {
        while ids(&elsewhere).await != ["5", "3", "1"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), written).await.expect("they were not written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_was_there_keeps_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = SqliteStore::new(directory.path().join("nowhere/t.db"), Arc::new(SystemClock));
    let letters = nowhere.dead_letters(MAX);
    timeout(Duration::from_secs(10), add(&letters, &["1", "2"])).await.unwrap();
    assert_eq!(ids(&letters).await, ["2", "1"]);
}

/// What holds over each back end with a share: `growth` has two letters of its channels, whatever the rules do there.
async fn holds_a_share(letters: &dyn DeadLetters) {
    let text = "{ growth: { features: [growth], dead_letters: 2 } }".to_owned();
    let file = Arc::new(SourceFile { path: "teams".to_owned(), text });
    let teams: Teams = decode(&parse_yaml(&file, &mut Vec::new()).unwrap(), &mut Vec::new()).unwrap();
    let budgets = Budgets::on(1, &teams);
    let channels: Arc<[String]> = ["b.{c}".to_owned(), "d".to_owned()].into();
    let share = budgets.letters(teams.of_feature("growth").unwrap(), &channels).unwrap();
    let own = |id: &str| DeadLetter { share: Some(share.clone()), ..letter(id) };
    let other = |id: &str| {
        let letter = letter(id);
        DeadLetter { rule: RuleId { to: "e".to_owned(), ..letter.rule.clone() }, ..letter }
    };
    letters.add(other("1"));
    for id in ["2", "3", "4", "5", "6"] {
        letters.add(own(id));
        letters.flush().await;
    }
    assert_eq!(ids(letters).await, ["6", "5", "1"], "the team's oldest go, and not the others'");
    let standing = budgets.standing();
    assert_eq!((standing[0].used, standing[0].of, standing[0].refused), (2.0, 2.0, 3));
    letters.add(other("7"));
    letters.add(other("8"));
    letters.flush().await;
    assert_eq!(ids(letters).await, ["8", "7", "6"], "in all there are no more than `limits.dead_letters`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_fills_its_share_replaces_its_own_oldest_letters() {
    holds_a_share(&MemoryDeadLetters::new(MAX)).await;
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::new(directory.path().join("t.db"), Arc::new(SystemClock));
    holds_a_share(&store.dead_letters(MAX)).await;
    let postgres = PostgresServer::start();
    holds_a_share(&node(&postgres.url()).dead_letters(MAX)).await;
}
