//! What only a Redis can be told, and what nodes make of it.

use std::time::Duration;

use tidegate_core::flow::broker::BrokerAway;
use tokio::time::timeout;

use crate::broker::{Node, PATIENCE, topic, two};
use tidegate_testkit::{BrokerKind, BrokerServer, RedisServer};

fn redis(server: &BrokerServer) -> &RedisServer {
    match server {
        BrokerServer::Redis(redis) => redis,
        BrokerServer::Nats(_) => panic!("a NATS"),
    }
}

/// What an operator says to the Redis.
pub(crate) fn say(redis: &RedisServer, words: &[&str]) -> redis::Value {
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(*word);
    });
    command.query(&mut connection).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_left_a_while_after_its_last_subscriber() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let linger = Duration::from_millis(100);
    let node = Node::at(&redis.url(), |limits| limits.broker_linger = linger);
    node.away(false).await;
    node.listen("feed").await;
    let subscribers = || match say(redis, &["PUBSUB", "NUMSUB", "test:t:feed"]) {
        redis::Value::Array(answer) => answer[1].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(subscribers(), redis::Value::Int(1));
    node.broker.unsubscribed(&topic("feed"));
    let left = async {
        while subscribers() != redis::Value::Int(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, left).await.unwrap();
    node.listen("feed").await;
    assert_eq!(subscribers(), redis::Value::Int(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_link_exactly_the_topics_that_missed_something_are_told_of_a_gap() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
    for topic in ["missed", "quiet", "never", "end"] {
        b.listen(topic).await;
    }
    a.publish("missed", "1").await.unwrap();
    a.publish("quiet", "1").await.unwrap();
    b.record.has(&["missed 1", "quiet 1"]).await;
    // In one step, so that nobody is back in between: its connections end, and something is published.
    let mut at_once = redis::pipe();
    at_once.atomic().cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]);
    at_once.cmd("INCR").arg("test:n:missed").cmd("PUBLISH").arg("test:t:missed").arg("1 2 another p - 2");
    let () = at_once.query(&mut redis::Client::open(redis.url()).unwrap().get_connection().unwrap()).unwrap();
    b.record.has(&["gap missed"]).await;
    a.away(false).await;
    b.away(false).await;
    a.publish("missed", "3").await.unwrap();
    a.publish("end", "1").await.unwrap();
    assert_eq!(b.record.has(&["end 1"]).await, ["missed 1", "quiet 1", "gap missed", "missed 3", "end 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_in_the_count_is_told_as_a_gap_while_the_link_stands() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    a.publish("feed", "1").await.unwrap();
    say(redis, &["INCR", "test:n:feed"]);
    a.publish("feed", "2").await.unwrap();
    a.publish("feed", "3").await.unwrap();
    assert_eq!(b.record.has(&["feed 3"]).await, ["feed 1", "gap feed", "feed 2", "feed 3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_refuses_is_answered_as_such_and_told_as_a_gap_when_it_takes_something_again() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    say(redis, &["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(a.publish("feed", "1").await, Err(BrokerAway));
    say(redis, &["REPLICAOF", "NO", "ONE"]);
    b.record.has(&["gap feed"]).await;
    a.away(false).await;
    a.publish("feed", "2").await.unwrap();
    assert!(!b.record.has(&["feed 2"]).await.contains(&"feed 1".to_owned()));
}

/// How often nodes tried what the Redis takes.
fn probes(redis: &RedisServer) -> u64 {
    let redis::Value::BulkString(stats) = say(redis, &["INFO", "commandstats"]) else { panic!("no statistics") };
    let stats = String::from_utf8(stats).unwrap();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_eval:calls="));
    calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
}

/// With nobody publishing anything a node learns that the Redis answers and takes nothing, stays away however often it
/// tries again, and is back by itself.
async fn is_away_between(refuses: &[&str], takes: &[&str]) {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    say(redis, refuses);
    a.away(true).await;
    b.away(true).await;
    let tried = probes(redis);
    while probes(redis) < tried + 6 {
        assert!(a.broker.is_away() && b.broker.is_away(), "it does not come and go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(a.publish("feed", "1").await, Err(BrokerAway));
    say(redis, takes);
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap feed"]).await;
    a.publish("feed", "2").await.unwrap();
    assert!(!b.record.has(&["feed 2"]).await.contains(&"feed 1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_became_a_replica_and_answers_is_away_until_it_takes_writes() {
    is_away_between(&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_that_answers_is_away_until_it_has_some() {
    is_away_between(&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_permits_no_writes_is_away_until_it_does() {
    is_away_between(&["ACL", "SETUSER", "default", "-@write"], &["ACL", "SETUSER", "default", "+@all"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_permits_publishing_on_no_channel_is_away_until_it_does() {
    is_away_between(&["ACL", "SETUSER", "default", "-publish"], &["ACL", "SETUSER", "default", "+@all"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_whose_count_is_something_else_is_refused_and_no_other_suffers() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
    b.listen("fine").await;
    say(redis, &["RPUSH", "test:n:broken", "1"]);
    for n in ["1", "2", "3"] {
        assert_eq!(a.publish("broken", n).await, Err(BrokerAway));
        assert!(!a.broker.is_away());
        a.publish("fine", n).await.unwrap();
    }
    assert_eq!(b.record.has(&["fine 3"]).await, ["fine 1", "fine 2", "fine 3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_taken_away_are_brought_again() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    a.publish("feed", "1").await.unwrap();
    say(redis, &["SCRIPT", "FLUSH"]);
    a.publish("feed", "2").await.unwrap();
    assert_eq!(b.record.has(&["feed 2"]).await, ["feed 1", "feed 2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_history_no_longer_has_is_told_as_a_gap() {
    let server = BrokerServer::start(BrokerKind::Redis);
    let redis = redis(&server);
    let (a, b) = two(&server).await;
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
