//! Channels with history on nodes that share a real Redis: who numbers, who hears what in which order, and what is told
//! when the Redis forgets or goes away.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::Broker as _;
use tidegate_core::flow::ports::{Appended, History as _, HistoryAway, Wanted};
use tidegate_core::protocol::{ConnectionId, Generation, Payload, Position, Unrecovered};

use crate::broker::{Node, PATIENCE, say, topic, two};
use tidegate_testkit::{RedisServer, catalog};

fn publication(payload: &str, policy: &str) -> Publication {
    let manifest =
        format!("feature: test\nchannels:\n  feed: {{ scope: public, payload: true, history: {{ {policy} }} }}\n");
    let resolved = catalog(&manifest, None, Generation(1)).resolve("feed").unwrap();
    Publication::new(&resolved, Payload::parse(payload.to_owned()).unwrap())
}

impl Node {
    async fn append_one(&self, publication: &Publication) -> Result<Position, HistoryAway> {
        let policy = publication.channel.history.unwrap();
        let mut never = |_| panic!("the node hears it");
        match self.broker.append(publication, policy, &mut never) {
            Appended::At(_) => panic!("Redis numbers"),
            Appended::Sent(sent) => sent.await,
        }
    }

    async fn append(&self, payload: &str) -> Position {
        self.append_one(&publication(payload, "messages: 1000")).await.unwrap()
    }

    /// The payloads after a position, or why they cannot be had; and the newest position.
    async fn read(&self, since: Option<&Position>) -> (Result<Vec<String>, Unrecovered>, Position) {
        let policy = publication("1", "messages: 1000").channel.history.unwrap();
        let wanted = Wanted { since: since.cloned(), entries_max: 1000, bytes_max: 1 << 20 };
        let page = self.broker.read(&topic("feed"), policy, wanted).await.unwrap();
        (page.entries.map(|all| all.iter().map(|one| one.payload.as_str().to_owned()).collect()), page.newest)
    }
}

fn numbered(from: u64, to: u64) -> Vec<String> {
    (from..=to).map(|offset| format!("feed {offset} at {offset}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_the_publishers_too_hears_all_in_the_order_of_positions() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_read_on_any_node_whole_or_not_at_all() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_time_took_is_expired() {
    let redis = RedisServer::start();
    let node = Node::start(&redis);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_did_not_hear_it_reads_before_it_goes_on_and_nothing_comes_twice() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    a.listen("feed").await;
    b.listen("feed").await;
    for number in 1..=60 {
        if number % 20 == 10 {
            say(&redis, &["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        assert_eq!(a.append(&number.to_string()).await.offset, number);
    }
    for node in [&a, &b] {
        node.away(false).await;
        assert_eq!(node.record.has(&["feed 60 at 60"]).await, numbered(1, 60));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_history_no_longer_has_is_told_as_a_gap() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    a.append("1").await;
    b.record.has(&["feed 1 at 1"]).await;
    // In one step, so that nobody is back in between.
    let mut at_once = redis::pipe();
    at_once.atomic().cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]);
    at_once.cmd("HSET").arg(&["test:h:feed", "o", "5", "d", "5"]).cmd("DEL").arg("test:e:feed");
    let () = at_once.query(&mut redis::Client::open(redis.url()).unwrap().get_connection().unwrap()).unwrap();
    b.record.has(&["gap feed"]).await;
    a.away(false).await;
    b.away(false).await;
    a.append("6").await;
    assert_eq!(b.record.has(&["feed 6 at 6"]).await, ["feed 1 at 1", "gap feed", "feed 6 at 6"]);
}

async fn begins_anew_after_a_start(mut redis: RedisServer) {
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    let first = a.append("1").await;
    b.record.has(&["feed 1 at 1"]).await;
    redis.kill();
    a.away(true).await;
    b.away(true).await;
    assert_eq!(a.append_one(&publication("2", "messages: 9")).await, Err(HistoryAway));
    let policy = publication("1", "messages: 9").channel.history.unwrap();
    assert_eq!(a.broker.read(&topic("feed"), policy, Wanted::position()).await.err(), Some(HistoryAway));
    redis.restart();
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap feed"]).await;
    let second = a.append("3").await;
    assert!(second.offset == 1 && second.epoch != first.epoch, "{second}");
    assert_eq!(b.read(Some(&first)).await.0, Err(Unrecovered::EpochChanged));
    let all = b.record.has(&["feed 3 at 1"]).await;
    assert!(!all.iter().any(|line| line.starts_with("feed 2")), "what was refused goes nowhere: {all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_starts_empty_begins_a_new_epoch() {
    begins_anew_after_a_start(RedisServer::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_starts_with_what_it_kept_begins_a_new_epoch_too() {
    begins_anew_after_a_start(RedisServer::persistent()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_while_it_runs_hides_no_loss_from_anybody_who_had_heard_nothing() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    let (_, before_all) = b.read(None).await;
    assert_eq!(before_all.offset, 0);
    a.append("1").await;
    assert_eq!(b.read(Some(&before_all)).await.0, Ok(vec!["1".to_owned()]));
    say(&redis, &["FLUSHALL"]);
    assert_eq!(b.read(Some(&before_all)).await.0, Err(Unrecovered::EpochChanged));
    let second = a.append("2").await;
    assert_eq!(second.offset, 1);
    assert_eq!(b.read(Some(&before_all)).await.0, Err(Unrecovered::EpochChanged));
    assert_eq!(b.read(None).await.0, Ok(vec!["2".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_node_publishes_by_itself_is_numbered_once() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    let once = |name: &str| Publication { once: Some(Arc::from(name)), ..publication("1", "messages: 9") };
    let first = a.append_one(&once("event 1")).await.unwrap();
    assert_eq!(b.append_one(&once("event 1")).await, Ok(first));
    assert_eq!(b.append_one(&once("event 2")).await.unwrap().offset, 2);
    assert_eq!(b.record.has(&["feed 1 at 2"]).await, ["feed 1 at 1", "feed 1 at 2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_without_a_position_ends_the_history_of_its_topic() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
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
