//! Channels with history on nodes that share a real Redis or a real NATS: who numbers, who hears what in which order, and what is told
//! when it forgets or goes away.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tidegate_core::flow::Publication;
use tidegate_core::flow::ports::{Appended, HistoryAway, Wanted};
use tidegate_core::protocol::{ConnectionId, Generation, Payload, Position, Unrecovered};

use crate::broker::{Node, PATIENCE, empty, topic, two, two_and_a_cable};
use tidegate_testkit::{BrokerKind, BrokerServer, catalog, on_each_broker};

pub(crate) fn publication(payload: &str, policy: &str) -> Publication {
    let manifest =
        format!("feature: test\nchannels:\n  feed: {{ scope: public, payload: true, history: {{ {policy} }} }}\n");
    let resolved = catalog(&manifest, None, Generation(1)).resolve("feed").unwrap();
    Publication::new(&resolved, Payload::parse(payload.to_owned()).unwrap())
}

impl Node {
    pub(crate) async fn append_one(&self, publication: &Publication) -> Result<Position, HistoryAway> {
        let policy = publication.channel.history.unwrap();
        let mut never = |_| panic!("the node hears it");
        match self.history.append(publication, policy, &mut never) {
            Appended::At(_) => panic!("the broker numbers"),
            Appended::Sent(sent) => sent.await,
        }
    }

    pub(crate) async fn append(&self, payload: &str) -> Position {
        self.append_one(&publication(payload, "messages: 1000")).await.unwrap()
    }

    pub(crate) async fn try_append(&self, payload: &str) -> Result<Position, HistoryAway> {
        self.append_one(&publication(payload, "messages: 10000")).await
    }

    /// The newest position, as a subscriber reads it.
    pub(crate) async fn try_read_position(&self) -> Result<Position, HistoryAway> {
        let policy = publication("1", "messages: 1000").channel.history.unwrap();
        Ok(self.history.read(&topic("feed"), policy, Wanted::position()).await?.newest)
    }

    pub(crate) async fn read_position(&self) -> Position {
        self.try_read_position().await.unwrap()
    }

    /// The payloads after a position, or why they cannot be had; and the newest position.
    async fn read(&self, since: Option<&Position>) -> (Result<Vec<String>, Unrecovered>, Position) {
        let policy = publication("1", "messages: 1000").channel.history.unwrap();
        let wanted = Wanted { since: since.cloned(), entries_max: 1000, bytes_max: 1 << 20 };
        let page = self.history.read(&topic("feed"), policy, wanted).await.unwrap();
        (page.entries.map(|all| all.iter().map(|one| one.payload.as_str().to_owned()).collect()), page.newest)
    }
}

fn numbered(from: u64, to: u64) -> Vec<String> {
    (from..=to).map(|offset| format!("feed {offset} at {offset}")).collect()
}

on_each_broker!(
    every_node_the_publishers_too_hears_all_in_the_order_of_positions,
    bursts_of_two_nodes_on_one_topic_are_taken_whole_and_heard_in_the_order_of_positions,
    what_was_missed_is_read_on_any_node_whole_or_not_at_all,
    what_time_took_is_expired,
    what_a_node_did_not_hear_it_reads_before_it_goes_on_and_nothing_comes_twice,
    a_broker_that_starts_empty_begins_a_new_epoch,
    a_broker_that_starts_with_what_it_kept_begins_a_new_epoch_too,
    a_broker_that_is_emptied_while_it_runs_hides_no_loss_from_anybody_who_had_heard_nothing,
    what_every_node_publishes_by_itself_is_numbered_once,
    a_publication_without_a_position_ends_the_history_of_its_topic,
);

async fn every_node_the_publishers_too_hears_all_in_the_order_of_positions(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    a.listen("feed").await;
    b.listen("feed").await;
    let both = async |node: &Node| {
        let mut offsets = Vec::new();
        for _ in 0..100 {
            offsets.push(node.append("1").await.offset);
        }
        offsets
    };
    let (mut given, others) = tokio::join!(both(&a), both(&b));
    given.extend(others);
    given.sort_unstable();
    assert_eq!(given, (1..=200).collect::<Vec<u64>>());
    let expected: Vec<String> = (1..=200).map(|offset| format!("feed 1 at {offset}")).collect();
    for node in [&a, &b] {
        assert_eq!(node.record.has(&["feed 1 at 200"]).await, expected);
    }
}

/// Appends so many at once, each of its number, and returns their offsets.
pub(crate) async fn burst(node: &Node, count: u64) -> Vec<u64> {
    let all: Vec<_> = (1..=count).map(|n| publication(&n.to_string(), "messages: 10000")).collect();
    let taken = join_all(all.iter().map(|one| node.append_one(one))).await;
    taken.into_iter().map(|position| position.expect("every one is taken").offset).collect()
}

async fn bursts_of_two_nodes_on_one_topic_are_taken_whole_and_heard_in_the_order_of_positions(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let patient = || Node::at(&server.url(), |limits| limits.broker_timeout = PATIENCE);
    let (a, b) = (patient(), patient());
    for node in [&a, &b] {
        node.away(false).await;
        node.listen("feed").await;
    }
    let offsets = burst(&a, 1_000).await;
    assert_eq!(offsets, (1..=1_000).collect::<Vec<u64>>());
    let (mut given, others) = tokio::join!(burst(&a, 400), burst(&b, 400));
    assert!(given.is_sorted() && others.is_sorted(), "each node's own order");
    given.extend(others);
    given.sort_unstable();
    assert_eq!(given, (1_001..=1_800).collect::<Vec<u64>>());
    for node in [&a, &b] {
        let heard = node.record.has(&["feed 1000 at 1000"]).await;
        let all: Vec<String> = (1..=1_000).map(|n| format!("feed {n} at {n}")).collect();
        assert_eq!(heard[..1_000], all);
        let last = async {
            while node.record.len() < 1_800 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, last).await.unwrap();
        let heard = node.record.has(&[]).await;
        let heard: Vec<u64> = heard.iter().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
        assert_eq!(heard, (1..=1_800).collect::<Vec<u64>>());
    }
    let newest = a.append("1").await;
    let since = Position { offset: 1_300, ..newest };
    assert_eq!(b.read(Some(&since)).await.0.unwrap().len(), 501, "what is missed of a burst is read");
}

async fn what_was_missed_is_read_on_any_node_whole_or_not_at_all(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let (none, start) = b.read(None).await;
    assert_eq!((none, start.offset), (Ok(Vec::new()), 0));
    assert_eq!(b.read(Some(&start)).await.0, Ok(Vec::new()));
    let except = publication(r#"{ "n":  1 }"#, "messages: 3").except(Some(ConnectionId::new("c1")));
    let first = a.append_one(&except).await.unwrap();
    for payload in ["2", "3"] {
        a.append_one(&publication(payload, "messages: 3")).await.unwrap();
    }
    let all = vec![r#"{ "n":  1 }"#.to_owned(), "2".to_owned(), "3".to_owned()];
    assert_eq!(b.read(Some(&start)).await.0, Ok(all), "a position from before the first publication is good");
    assert_eq!(b.read(Some(&first)).await.0, Ok(vec!["2".to_owned(), "3".to_owned()]));
    let newest = a.append_one(&publication("4", "messages: 3")).await.unwrap();
    assert_eq!(b.read(Some(&newest)).await, (Ok(Vec::new()), newest.clone()));
    assert_eq!(b.read(Some(&start)).await.0, Err(Unrecovered::TooMany));
    let never_given = Position { offset: 5, ..newest };
    assert_eq!(b.read(Some(&never_given)).await.0, Err(Unrecovered::EpochChanged));
    assert_eq!(b.read(Position::parse("other:1").as_ref()).await.0, Err(Unrecovered::EpochChanged));
    a.append_one(&publication(&format!("\"{}\"", "x".repeat(60)), "messages: 9, bytes: 100")).await.unwrap();
    let big = a.append_one(&publication(&format!("\"{}\"", "y".repeat(60)), "messages: 9, bytes: 100")).await.unwrap();
    let before = |by| Position { offset: big.offset - by, ..big.clone() };
    assert_eq!(b.read(Some(&before(1))).await.0.unwrap().len(), 1);
    assert_eq!(b.read(Some(&before(2))).await.0, Err(Unrecovered::TooMany));
}

async fn what_time_took_is_expired(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let node = Node::start(&server);
    node.away(false).await;
    let first = node.append_one(&publication("1", "messages: 9, ttl: 100ms")).await.unwrap();
    let second = node.append_one(&publication("2", "messages: 9, ttl: 100ms")).await.unwrap();
    let gone = async {
        while node.read(Some(&first)).await.0 != Err(Unrecovered::Expired) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(node.read(Some(&second)).await, (Ok(Vec::new()), second.clone()));
    assert_eq!(node.append("3").await.offset, 3);
    assert_eq!(node.read(Some(&second)).await.0, Ok(vec!["3".to_owned()]));
}

async fn what_a_node_did_not_hear_it_reads_before_it_goes_on_and_nothing_comes_twice(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b, cable) = two_and_a_cable(&server).await;
    a.listen("feed").await;
    b.listen("feed").await;
    for number in 1..=60 {
        if number % 20 == 10 {
            cable.interrupt();
        }
        assert_eq!(a.append(&number.to_string()).await.offset, number);
    }
    for node in [&a, &b] {
        node.away(false).await;
        assert_eq!(node.record.has(&["feed 60 at 60"]).await, numbered(1, 60));
    }
}

async fn begins_anew_after_a_start(mut server: BrokerServer) {
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    let first = a.append("1").await;
    b.record.has(&["feed 1 at 1"]).await;
    server.kill();
    a.away(true).await;
    b.away(true).await;
    assert_eq!(a.append_one(&publication("2", "messages: 9")).await, Err(HistoryAway));
    let policy = publication("1", "messages: 9").channel.history.unwrap();
    assert_eq!(a.history.read(&topic("feed"), policy, Wanted::position()).await.err(), Some(HistoryAway));
    server.restart();
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap feed"]).await;
    let second = a.append("3").await;
    assert!(second.offset == 1 && second.epoch != first.epoch, "{second}");
    assert_eq!(b.read(Some(&first)).await.0, Err(Unrecovered::EpochChanged));
    let all = b.record.has(&["feed 3 at 1"]).await;
    assert!(!all.iter().any(|line| line.starts_with("feed 2")), "what was refused goes nowhere: {all:?}");
}

async fn a_broker_that_starts_empty_begins_a_new_epoch(kind: BrokerKind) {
    begins_anew_after_a_start(BrokerServer::start(kind)).await;
}

async fn a_broker_that_starts_with_what_it_kept_begins_a_new_epoch_too(kind: BrokerKind) {
    begins_anew_after_a_start(BrokerServer::persistent(kind)).await;
}

async fn a_broker_that_is_emptied_while_it_runs_hides_no_loss_from_anybody_who_had_heard_nothing(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let (_, before_all) = b.read(None).await;
    assert_eq!(before_all.offset, 0);
    a.append("1").await;
    assert_eq!(b.read(Some(&before_all)).await.0, Ok(vec!["1".to_owned()]));
    empty(&server).await;
    assert_eq!(b.read(Some(&before_all)).await.0, Err(Unrecovered::EpochChanged));
    let second = a.append("2").await;
    assert_eq!(second.offset, 1);
    assert_eq!(b.read(Some(&before_all)).await.0, Err(Unrecovered::EpochChanged));
    assert_eq!(b.read(None).await.0, Ok(vec!["2".to_owned()]));
}

async fn what_every_node_publishes_by_itself_is_numbered_once(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    let once = |name: &str| Publication { once: Some(Arc::from(name)), ..publication("1", "messages: 9") };
    let first = a.append_one(&once("event 1")).await.unwrap();
    assert_eq!(b.append_one(&once("event 1")).await, Ok(first));
    assert_eq!(b.append_one(&once("event 2")).await.unwrap().offset, 2);
    assert_eq!(b.record.has(&["feed 1 at 2"]).await, ["feed 1 at 1", "feed 1 at 2"]);
}

async fn a_publication_without_a_position_ends_the_history_of_its_topic(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let start = b.read(None).await.1;
    let first = a.append("1").await;
    a.broker.publish(&publication("2", "messages: 9")).unwrap().await.unwrap();
    for since in [&start, &first] {
        assert_eq!(b.read(Some(since)).await.0, Err(Unrecovered::EpochChanged), "{since}");
    }
    let again = a.append("3").await;
    assert!(again.offset == 1 && again.epoch != first.epoch, "{again}");
    for since in [&start, &first] {
        assert_eq!(b.read(Some(since)).await.0, Err(Unrecovered::EpochChanged), "{since}");
    }
}
