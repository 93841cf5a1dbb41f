//! Nodes that share a real Redis: who hears what, and what is told when the Redis goes away.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_backends::broker::{RedisBroker, RedisBrokerSettings};
use tidegate_core::channels::Rate;
use tidegate_core::config::{Limits, RedisUrl};
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, BrokerAway, HearsNodes};
use tidegate_core::flow::ports::Removed;
use tidegate_core::protocol::{ConnectionId, Generation, Key, Payload, Position, Topic, TraceContext};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use tidegate_testkit::{RedisServer, catalog, user};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a node was handed: `topic payload`, `topic payload but connection`, `removed topic keys after offset`, `gap topic`,
/// `word text`.
#[derive(Clone)]
pub(crate) struct Record(Arc<watch::Sender<Vec<String>>>);

impl Record {
    fn add(&self, line: String) {
        self.0.send_modify(|lines| lines.push(line));
    }

    /// Waits until all of these are there, in this order, and returns everything there is.
    pub(crate) async fn has(&self, lines: &[&str]) -> Vec<String> {
        let mut seen = self.0.subscribe();
        let is_there = |all: &Vec<String>| {
            let mut all = all.iter();
            lines.iter().all(|line| all.any(|one| one == line))
        };
        let found = timeout(PATIENCE, seen.wait_for(is_there)).await.map(|found| found.unwrap().clone());
        found.unwrap_or_else(|_| panic!("expected {lines:?}, found {:?}", self.0.borrow()))
    }
}

impl HearsNodes for Record {
    fn hear_publication(
        &self,
        topic: &Topic,
        payload: Payload,
        except: Option<ConnectionId>,
        position: Option<Position>,
        trace: Option<TraceContext>,
    ) {
        let except = except.map(|except| format!(" but {}", except.as_str())).unwrap_or_default();
        let position = position.map(|position| format!(" at {}", position.offset)).unwrap_or_default();
        let trace = trace.map(|trace| format!(" in {trace}")).unwrap_or_default();
        self.add(format!("{topic} {}{except}{position}{trace}", payload.as_str()));
    }

    fn hear_removed(&self, topic: &Topic, removed: &Removed) {
        let keys: Vec<&str> = removed.keys.iter().map(Key::as_str).collect();
        self.add(format!("removed {topic} {} after {}", keys.join(" "), removed.after.offset));
    }

    fn hear_gap(&self, topic: &Topic) {
        self.add(format!("gap {topic}"));
    }

    /// A test waits for a link by its effect.
    fn hear_link(&self, _: &'static str, _: Result<usize, &str>) {}

    fn hear_control(&self, message: &[u8]) {
        self.add(format!("word {}", String::from_utf8_lossy(message)));
    }
}

/// One node: a broker with its connections, and what it was handed.
pub(crate) struct Node {
    pub(crate) broker: Arc<RedisBroker>,
    pub(crate) record: Record,
    _links: DropGuard,
}

impl Node {
    pub(crate) fn start(redis: &RedisServer) -> Self {
        Self::with(redis, |_| {})
    }

    fn with(redis: &RedisServer, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits { broker_timeout: Duration::from_secs(1), ..Limits::default() };
        change(&mut limits);
        let url = RedisUrl::parse(&redis.url()).unwrap();
        let (broker, connections) = RedisBroker::new(RedisBrokerSettings::new(url, "test", &limits)).unwrap();
        let record = Record(Arc::new(watch::Sender::new(Vec::new())));
        let shutdown = CancellationToken::new();
        tokio::spawn(connections.run(Arc::new(record.clone()), shutdown.clone()));
        Self { broker, record, _links: shutdown.drop_guard() }
    }

    /// Waits until it is, or is not, away.
    pub(crate) async fn away(&self, is_away: bool) {
        let turned = async {
            while self.broker.is_away() != is_away {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, turned).await.unwrap_or_else(|_| panic!("still away: {}", !is_away));
    }

    /// Has a first subscriber on a topic, and hears it.
    pub(crate) async fn listen(&self, name: &str) {
        self.broker.subscribed(&topic(name));
        let listening = self.broker.listening(&topic(name));
        if let Some(listening) = listening {
            listening.await.unwrap();
        }
    }

    async fn publish(&self, name: &str, payload: &str) -> Result<(), BrokerAway> {
        self.broker.publish(&publication(name, payload, None)).unwrap().await
    }
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

fn publication(name: &str, payload: &str, except: Option<&str>) -> Publication {
    let manifest = format!("feature: test\nchannels:\n  {name}: {{ scope: public, payload: true }}\n");
    let resolved = catalog(&manifest, None, Generation(1)).resolve(name).unwrap();
    let payload = Payload::parse(payload.to_owned()).unwrap();
    Publication::new(&resolved, payload).except(except.map(ConnectionId::new))
}

/// Two nodes that are there.
pub(crate) async fn two(redis: &RedisServer) -> (Node, Node) {
    let (a, b) = (Node::start(redis), Node::start(redis));
    a.away(false).await;
    b.away(false).await;
    (a, b)
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
async fn a_publication_reaches_the_nodes_that_have_subscribers_once_and_in_order_and_never_its_own() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    a.listen("feed").await;
    b.listen("feed").await;
    b.listen("end").await;
    a.publish("elsewhere", "0").await.unwrap();
    // Handed over in order; the answers may be awaited in any.
    let sendings: Vec<_> =
        (0..500).map(|n| a.broker.publish(&publication("feed", &n.to_string(), None)).unwrap()).collect();
    for sending in sendings.into_iter().rev() {
        sending.await.unwrap();
    }
    a.broker.publish(&publication("feed", "{ \"n\":  1 }", Some("c1"))).unwrap().await.unwrap();
    a.publish("end", "1").await.unwrap();
    let expected: Vec<String> = (0..500).map(|n| format!("feed {n}")).collect();
    let heard = b.record.has(&["end 1"]).await;
    assert_eq!(heard[..500], expected);
    assert_eq!(heard[500..], ["feed { \"n\":  1 } but c1", "end 1"]);
    b.publish("feed", "2").await.unwrap();
    assert_eq!(a.record.has(&["feed 2"]).await, ["feed 2"], "nothing of its own came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_left_a_while_after_its_last_subscriber() {
    let redis = RedisServer::start();
    let linger = Duration::from_millis(100);
    let node = Node::with(&redis, |limits| limits.broker_linger = linger);
    node.away(false).await;
    node.listen("feed").await;
    let subscribers = || match say(&redis, &["PUBSUB", "NUMSUB", "test:t:feed"]) {
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
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
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
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    a.publish("feed", "1").await.unwrap();
    say(&redis, &["INCR", "test:n:feed"]);
    a.publish("feed", "2").await.unwrap();
    a.publish("feed", "3").await.unwrap();
    assert_eq!(b.record.has(&["feed 3"]).await, ["feed 1", "gap feed", "feed 2", "feed 3"]);
}

async fn every_topic_is_told_after(mut redis: RedisServer) {
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    b.listen("quiet").await;
    a.publish("feed", "1").await.unwrap();
    b.record.has(&["feed 1"]).await;
    redis.kill();
    a.away(true).await;
    b.away(true).await;
    assert_eq!(a.publish("feed", "2").await, Err(BrokerAway));
    b.broker.subscribed(&topic("new"));
    assert_eq!(b.broker.listening(&topic("new")).unwrap().await, Err(BrokerAway));
    redis.restart();
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap feed"]).await;
    b.record.has(&["gap quiet"]).await;
    a.publish("feed", "3").await.unwrap();
    a.publish("new", "1").await.unwrap();
    let all = b.record.has(&["feed 3", "new 1"]).await;
    assert!(!all.contains(&"gap new".to_owned()) && !all.contains(&"feed 2".to_owned()), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_killed_and_forgot_is_found_again_and_every_topic_is_told() {
    every_topic_is_told_after(RedisServer::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_killed_and_kept_its_data_is_found_again_and_every_topic_is_told() {
    every_topic_is_told_after(RedisServer::persistent()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_is_noticed_and_what_did_not_go_out_is_told_as_a_gap_and_nothing_else() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    for topic in ["refused", "quiet", "end"] {
        b.listen(topic).await;
    }
    a.publish("quiet", "1").await.unwrap();
    b.record.has(&["quiet 1"]).await;
    redis.freeze();
    assert_eq!(a.publish("refused", "1").await, Err(BrokerAway));
    a.away(true).await;
    b.away(true).await;
    redis.thaw();
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap refused"]).await;
    a.publish("end", "1").await.unwrap();
    let all = b.record.has(&["end 1"]).await;
    assert!(!all.contains(&"gap quiet".to_owned()), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_any_more_goes_out_all_the_same() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    drop(a.broker.publish(&publication("feed", "1", None)));
    b.record.has(&["feed 1"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_refuses_is_answered_as_such_and_told_as_a_gap_when_it_takes_something_again() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    say(&redis, &["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(a.publish("feed", "1").await, Err(BrokerAway));
    say(&redis, &["REPLICAOF", "NO", "ONE"]);
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
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    say(&redis, refuses);
    a.away(true).await;
    b.away(true).await;
    let tried = probes(&redis);
    while probes(&redis) < tried + 6 {
        assert!(a.broker.is_away() && b.broker.is_away(), "it does not come and go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(a.publish("feed", "1").await, Err(BrokerAway));
    say(&redis, takes);
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
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("fine").await;
    say(&redis, &["RPUSH", "test:n:broken", "1"]);
    for n in ["1", "2", "3"] {
        assert_eq!(a.publish("broken", n).await, Err(BrokerAway));
        assert!(!a.broker.is_away());
        a.publish("fine", n).await.unwrap();
    }
    assert_eq!(b.record.has(&["fine 3"]).await, ["fine 1", "fine 2", "fine 3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_taken_away_are_brought_again() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    b.listen("feed").await;
    a.publish("feed", "1").await.unwrap();
    say(&redis, &["SCRIPT", "FLUSH"]);
    a.publish("feed", "2").await.unwrap();
    assert_eq!(b.record.has(&["feed 2"]).await, ["feed 1", "feed 2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_one_window_on_all_nodes_and_while_the_redis_is_away_that_of_the_node() {
    let mut redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    let rate = Rate { messages: NonZeroU32::new(3).unwrap(), per: Duration::from_secs(600) };
    let (alice, bob) = (user("alice"), user("bob"));
    for node in [&a, &b, &a] {
        assert!(node.broker.take("chat", &alice, rate).unwrap().await);
    }
    for node in [&a, &b] {
        assert!(!node.broker.take("chat", &alice, rate).unwrap().await);
        assert!(node.broker.take("chat", &bob, rate).unwrap().await);
        assert!(node.broker.take("other", &alice, rate).unwrap().await);
    }
    redis.kill();
    a.away(true).await;
    assert!(a.broker.take("chat", &alice, rate).unwrap().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_fills_again_at_its_rate() {
    let redis = RedisServer::start();
    let node = Node::start(&redis);
    node.away(false).await;
    let rate = Rate { messages: NonZeroU32::new(2).unwrap(), per: Duration::from_millis(400) };
    let take = || node.broker.take("chat", &user("alice"), rate).unwrap();
    while take().await {}
    let began = tokio::time::Instant::now();
    while !take().await {}
    assert!(began.elapsed() < Duration::from_secs(5));
    // It lets no more through than its rate and one burst, however often it is asked.
    let began = tokio::time::Instant::now();
    let mut taken = 0;
    while began.elapsed() < Duration::from_secs(1) {
        taken += u32::from(take().await);
    }
    assert!((3..=8).contains(&taken), "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_hears_what_is_told_in_order_and_one_that_starts_later_too() {
    let redis = RedisServer::start();
    let (a, b) = two(&redis).await;
    let tell = async |node: &Node, word: &str| node.broker.tell(word.as_bytes().to_vec()).unwrap().await.unwrap();
    tell(&a, "one").await;
    tell(&b, "two").await;
    for node in [&a, &b] {
        assert_eq!(node.record.has(&["word two"]).await, ["word one", "word two"]);
    }
    let late = Node::start(&redis);
    assert_eq!(late.record.has(&["word two"]).await, ["word one", "word two"]);
    say(&redis, &["CLIENT", "KILL", "TYPE", "pubsub"]);
    tell(&a, "three").await;
    for node in [&a, &b, &late] {
        assert_eq!(node.record.has(&["word three"]).await, ["word one", "word two", "word three"], "each once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_without_its_redis_is_away_until_it_is_there() {
    let mut redis = RedisServer::start();
    redis.kill();
    let node = Node::start(&redis);
    assert!(node.broker.is_away());
    assert_eq!(node.publish("feed", "1").await, Err(BrokerAway));
    redis.restart();
    node.away(false).await;
    node.publish("feed", "2").await.unwrap();
}
