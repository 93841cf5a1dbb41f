//! Nodes that share a real Redis or a real NATS: who hears what, and what is told when it goes away. What only one of
//! them can say is in a file of its own.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_backends::broker::{NatsBroker, NatsBrokerSettings, RedisBroker, RedisBrokerSettings};
use tidegate_core::channels::Rate;
use tidegate_core::config::{Limits, NatsUrl, RedisUrl};
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, BrokerAway, HearsNodes};
use tidegate_core::flow::ports::{History, Removed, Retained};
use tidegate_core::protocol::{ConnectionId, Generation, Key, Payload, Position, Topic, TraceContext};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::broker_nats::ask;
use crate::broker_redis::say;
use tidegate_testkit::{BrokerKind, BrokerServer, Cable, catalog, on_each_broker, user};

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

impl Record {
    /// How much there is.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.send_modify(Vec::clear);
    }

    /// Waits until all of these are there, in any order, and returns everything there is.
    pub(crate) async fn has_all(&self, lines: &[&str]) -> Vec<String> {
        for line in lines {
            self.has(&[line]).await;
        }
        self.0.borrow().clone()
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
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) history: Arc<dyn History>,
    pub(crate) retained: Arc<dyn Retained>,
    pub(crate) record: Record,
    _links: DropGuard,
}

impl Node {
    pub(crate) fn start(server: &BrokerServer) -> Self {
        Self::at(&server.url(), |_| {})
    }

    /// One whose connections go through a cable.
    pub(crate) fn behind(cable: &Cable, server: &BrokerServer) -> Self {
        Self::at(&server.url().replace(&server.port().to_string(), &cable.port().to_string()), |_| {})
    }

    pub(crate) fn at(url: &str, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits { broker_timeout: Duration::from_secs(1), ..Limits::default() };
        change(&mut limits);
        let record = Record(Arc::new(watch::Sender::new(Vec::new())));
        let (hears, shutdown) = (Arc::new(record.clone()), CancellationToken::new());
        if let Ok(url) = RedisUrl::parse(url) {
            let (broker, connections) = RedisBroker::new(RedisBrokerSettings::new(url, "test", &limits)).unwrap();
            tokio::spawn(connections.run(hears, shutdown.clone()));
            let (history, retained) = (broker.clone(), broker.clone());
            return Self { broker, history, retained, record, _links: shutdown.drop_guard() };
        }
        let url = NatsUrl::parse(url).unwrap();
        let (broker, connections) = NatsBroker::new(NatsBrokerSettings::new(url, "test", &limits));
        tokio::spawn(connections.run(hears, shutdown.clone()));
        let (history, retained) = (broker.clone(), broker.clone());
        Self { broker, history, retained, record, _links: shutdown.drop_guard() }
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

    pub(crate) async fn publish(&self, name: &str, payload: &str) -> Result<(), BrokerAway> {
        self.broker.publish(&publication(name, payload, None)).unwrap().await
    }
}

pub(crate) fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

pub(crate) fn publication(name: &str, payload: &str, except: Option<&str>) -> Publication {
    let manifest = format!("feature: test\nchannels:\n  {name}: {{ scope: public, payload: true }}\n");
    let resolved = catalog(&manifest, None, Generation(1)).resolve(name).unwrap();
    let payload = Payload::parse(payload.to_owned()).unwrap();
    Publication::new(&resolved, payload).except(except.map(ConnectionId::new))
}

/// Two nodes that are there.
pub(crate) async fn two(server: &BrokerServer) -> (Node, Node) {
    let (a, b) = (Node::start(server), Node::start(server));
    a.away(false).await;
    b.away(false).await;
    (a, b)
}

/// Two nodes that are there; the second one behind a cable.
pub(crate) async fn two_and_a_cable(server: &BrokerServer) -> (Node, Node, Cable) {
    let cable = Cable::to(server.port());
    let (a, b) = (Node::start(server), Node::behind(&cable, server));
    a.away(false).await;
    b.away(false).await;
    (a, b, cable)
}

/// Everything that the broker keeps is gone, while it runs.
pub(crate) async fn empty(server: &BrokerServer) {
    match server {
        BrokerServer::Redis(redis) => drop(say(redis, &["FLUSHALL"])),
        BrokerServer::Nats(nats) => drop(ask(&nats.url(), "STREAM.PURGE.test", "{}").await),
    }
}

on_each_broker!(
    a_publication_reaches_the_nodes_that_have_subscribers_once_and_in_order_and_never_its_own,
    a_broker_that_was_killed_and_forgot_is_found_again_and_every_topic_is_told,
    a_broker_that_was_killed_and_kept_its_data_is_found_again_and_every_topic_is_told,
    a_frozen_broker_is_noticed_and_what_did_not_go_out_is_told_as_a_gap_and_nothing_else,
    what_nobody_waits_for_any_more_goes_out_all_the_same,
    a_user_has_one_window_on_all_nodes_and_while_the_broker_is_away_that_of_the_node,
    a_window_fills_again_at_its_rate,
    every_node_hears_what_is_told_in_order_and_one_that_starts_later_too,
    a_node_that_starts_without_its_broker_is_away_until_it_is_there,
);

async fn a_publication_reaches_the_nodes_that_have_subscribers_once_and_in_order_and_never_its_own(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
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
    let all = b.record.has_all(&["feed { \"n\":  1 } but c1", "end 1"]).await;
    let heard: Vec<String> = all.into_iter().filter(|line| line != "end 1").collect();
    assert_eq!(heard[..500], expected);
    assert_eq!(heard[500..], ["feed { \"n\":  1 } but c1"]);
    b.publish("feed", "2").await.unwrap();
    assert_eq!(a.record.has(&["feed 2"]).await, ["feed 2"], "nothing of its own came back");
}

async fn every_topic_is_told_after(mut server: BrokerServer) {
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    b.listen("quiet").await;
    a.publish("feed", "1").await.unwrap();
    b.record.has(&["feed 1"]).await;
    server.kill();
    a.away(true).await;
    b.away(true).await;
    assert_eq!(a.publish("feed", "2").await, Err(BrokerAway));
    b.broker.subscribed(&topic("new"));
    assert_eq!(b.broker.listening(&topic("new")).unwrap().await, Err(BrokerAway));
    server.restart();
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap feed"]).await;
    b.record.has(&["gap quiet"]).await;
    a.publish("feed", "3").await.unwrap();
    a.publish("new", "1").await.unwrap();
    let all = b.record.has_all(&["feed 3", "new 1"]).await;
    assert!(!all.contains(&"gap new".to_owned()) && !all.contains(&"feed 2".to_owned()), "{all:?}");
}

async fn a_broker_that_was_killed_and_forgot_is_found_again_and_every_topic_is_told(kind: BrokerKind) {
    every_topic_is_told_after(BrokerServer::start(kind)).await;
}

async fn a_broker_that_was_killed_and_kept_its_data_is_found_again_and_every_topic_is_told(kind: BrokerKind) {
    every_topic_is_told_after(BrokerServer::persistent(kind)).await;
}

async fn a_frozen_broker_is_noticed_and_what_did_not_go_out_is_told_as_a_gap_and_nothing_else(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    for topic in ["refused", "quiet", "end"] {
        b.listen(topic).await;
    }
    a.publish("quiet", "1").await.unwrap();
    b.record.has(&["quiet 1"]).await;
    server.freeze();
    assert_eq!(a.publish("refused", "1").await, Err(BrokerAway));
    a.away(true).await;
    b.away(true).await;
    server.thaw();
    a.away(false).await;
    b.away(false).await;
    b.record.has(&["gap refused"]).await;
    a.publish("end", "1").await.unwrap();
    let all = b.record.has(&["end 1"]).await;
    assert!(!all.contains(&"gap quiet".to_owned()), "{all:?}");
}

async fn what_nobody_waits_for_any_more_goes_out_all_the_same(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    drop(a.broker.publish(&publication("feed", "1", None)));
    b.record.has(&["feed 1"]).await;
}

async fn a_user_has_one_window_on_all_nodes_and_while_the_broker_is_away_that_of_the_node(kind: BrokerKind) {
    let mut server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
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
    server.kill();
    a.away(true).await;
    assert!(a.broker.take("chat", &alice, rate).unwrap().await);
}

async fn a_window_fills_again_at_its_rate(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let node = Node::start(&server);
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

async fn every_node_hears_what_is_told_in_order_and_one_that_starts_later_too(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b, cable) = two_and_a_cable(&server).await;
    let tell = async |node: &Node, word: &str| node.broker.tell(word.as_bytes().to_vec()).unwrap().await.unwrap();
    tell(&a, "one").await;
    tell(&b, "two").await;
    for node in [&a, &b] {
        assert_eq!(node.record.has(&["word two"]).await, ["word one", "word two"]);
    }
    let late = Node::start(&server);
    assert_eq!(late.record.has(&["word two"]).await, ["word one", "word two"]);
    cable.interrupt();
    tell(&a, "three").await;
    for node in [&a, &b, &late] {
        assert_eq!(node.record.has(&["word three"]).await, ["word one", "word two", "word three"], "each once");
    }
}

async fn a_node_that_starts_without_its_broker_is_away_until_it_is_there(kind: BrokerKind) {
    let mut server = BrokerServer::start(kind);
    server.kill();
    let node = Node::start(&server);
    assert!(node.broker.is_away());
    assert_eq!(node.publish("feed", "1").await, Err(BrokerAway));
    server.restart();
    node.away(false).await;
    node.publish("feed", "2").await.unwrap();
}
