//! Idempotency keys: of one node in memory, of several in a real Redis or a real NATS.

use std::time::Duration;

use futures_util::future::join_all;
use tidegate_backends::broker::{
    MemoryIdempotencyKeys, NatsBrokerSettings, NatsIdempotencyKeys, RedisBrokerSettings, RedisIdempotencyKeys,
};
use tidegate_core::config::{Limits, NatsUrl, RedisUrl};
use tidegate_core::flow::ports::{Claim, Claimed, IdempotencyKeys};
use tidegate_core::protocol::{IdempotencyKey, JsonDigest, Topic};
use tokio::time::{Instant, advance, sleep};

use tidegate_testkit::{BrokerKind, BrokerServer, on_each_broker};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits { broker_timeout: Duration::from_secs(1), ..Limits::default() };
    change(&mut limits);
    limits
}

/// The keys of a node.
fn of_node(server: &BrokerServer, change: impl FnOnce(&mut Limits)) -> Box<dyn IdempotencyKeys> {
    let limits = limits(change);
    match server {
        BrokerServer::Redis(redis) => {
            let settings = RedisBrokerSettings::new(RedisUrl::parse(&redis.url()).unwrap(), "test", &limits);
            Box::new(RedisIdempotencyKeys::new(&settings, &limits).unwrap())
        }
        BrokerServer::Nats(nats) => {
            let settings = NatsBrokerSettings::new(NatsUrl::parse(&nats.url()).unwrap(), "test", &limits);
            Box::new(NatsIdempotencyKeys::new(&settings, &limits))
        }
    }
}

on_each_broker!(
    a_key_is_held_answered_or_given_back_for_every_node,
    of_many_callers_on_two_nodes_at_the_same_instant_one_holds_the_key,
    a_key_is_forgotten_after_the_window_and_the_oldest_when_there_are_too_many,
    without_the_broker_a_claim_is_refused_in_time_and_an_answer_arrives_when_it_is_back,
);

async fn ask(keys: &dyn IdempotencyKeys, key: &str, body: &str) -> Claimed {
    let (topic, key) = (Topic::parse("feed").unwrap(), IdempotencyKey::parse(key).unwrap());
    keys.claim(&topic, &key, &JsonDigest::read(body)).await.unwrap()
}

async fn first(keys: &dyn IdempotencyKeys, key: &str) -> Claim {
    match ask(keys, key, "body").await {
        Claimed::First(claim) => claim,
        other => panic!("{key}: {other:?}"),
    }
}

/// What a claim finds, in a word.
async fn found(keys: &dyn IdempotencyKeys, key: &str) -> String {
    match ask(keys, key, "another body").await {
        Claimed::First(claim) => {
            keys.release(&claim).await;
            "free".to_owned()
        }
        Claimed::UnderWay(body) => format!("under way {body}"),
        Claimed::Answered(body, answer) => format!("answered {body} {answer}"),
    }
}

/// What all kinds promise; `other` is another node.
async fn a_key_is_held_answered_or_given_back(keys: &dyn IdempotencyKeys, other: &dyn IdempotencyKeys) {
    let claim = first(keys, "order 7").await;
    assert_eq!(found(other, "order 7").await, "under way body");
    keys.answer(&claim, r#"{"position": 1}"#).await;
    assert_eq!(found(other, "order 7").await, r#"answered body {"position": 1}"#);
    keys.release(&claim).await;
    assert_eq!(found(other, "order 7").await, r#"answered body {"position": 1}"#, "an answer is not given back");

    let claim = first(keys, "order 8").await;
    keys.release(&claim).await;
    let second = first(other, "order 8").await;
    keys.release(&claim).await;
    keys.answer(&claim, "{}").await;
    assert_eq!(found(keys, "order 8").await, "under way body", "a claim that is over changes nothing");
    other.release(&second).await;
    assert_eq!(found(keys, "order 8").await, "free");
}

#[tokio::test]
async fn in_memory_a_key_is_held_answered_or_given_back() {
    let keys = MemoryIdempotencyKeys::new(&Limits::default());
    a_key_is_held_answered_or_given_back(&keys, &keys).await;
}

async fn a_key_is_held_answered_or_given_back_for_every_node(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    a_key_is_held_answered_or_given_back(&*of_node(&server, |_| {}), &*of_node(&server, |_| {})).await;
}

async fn of_many_callers_on_two_nodes_at_the_same_instant_one_holds_the_key(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let nodes = [of_node(&server, |_| {}), of_node(&server, |_| {})];
    for round in 0..20 {
        let key = format!("k{round}");
        let asked = join_all((0..50).map(|caller| ask(&*nodes[caller % 2], &key, "body"))).await;
        let held = asked.iter().filter(|claimed| matches!(claimed, Claimed::First(_))).count();
        assert_eq!(held, 1, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_key_is_forgotten_after_the_window_and_the_oldest_when_there_are_too_many() {
    let limits = limits(|limits| limits.idempotency_keys_max = 2);
    let keys = MemoryIdempotencyKeys::new(&limits);
    for key in ["k1", "k2", "k3"] {
        let claim = first(&keys, key).await;
        keys.answer(&claim, "{}").await;
    }
    assert_eq!((found(&keys, "k1").await.as_str(), found(&keys, "k2").await.as_str()), ("free", "answered body {}"));
    advance(limits.idempotency_window - Duration::from_millis(1)).await;
    assert_eq!(found(&keys, "k3").await, "answered body {}");
    advance(Duration::from_millis(1)).await;
    assert_eq!(found(&keys, "k3").await, "free");
}

async fn a_key_is_forgotten_after_the_window_and_the_oldest_when_there_are_too_many(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let keys = of_node(&server, |limits| limits.idempotency_keys_max = 2);
    for key in ["k1", "k2", "k3"] {
        let claim = first(&*keys, key).await;
        keys.answer(&claim, "{}").await;
        // The order of keys is by milliseconds.
        sleep(Duration::from_millis(3)).await;
    }
    assert_eq!(found(&*keys, "k3").await, "answered body {}");
    let claims = [ask(&*keys, "k1", "body").await, ask(&*keys, "k2", "body").await];
    assert!(matches!(claims[0], Claimed::First(_)), "the oldest is gone: {claims:?}");

    let brief = of_node(&server, |limits| limits.idempotency_window = Duration::from_secs(1));
    let claim = first(&*brief, "brief").await;
    brief.answer(&claim, "{}").await;
    let began = Instant::now();
    while found(&*brief, "brief").await != "free" {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(900));
}

async fn without_the_broker_a_claim_is_refused_in_time_and_an_answer_arrives_when_it_is_back(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (keys, other) = (of_node(&server, |_| {}), of_node(&server, |_| {}));
    let claim = first(&*keys, "k1").await;
    server.freeze();
    let began = Instant::now();
    let (topic, key) = (Topic::parse("feed").unwrap(), IdempotencyKey::parse("k2").unwrap());
    keys.claim(&topic, &key, &JsonDigest::read("body")).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    keys.answer(&claim, "{}").await;
    server.thaw();
    let began = Instant::now();
    loop {
        let asked = other.claim(&claim.topic, &claim.key, &claim.body).await;
        if matches!(asked, Ok(Claimed::Answered(..))) {
            break;
        }
        assert!(!matches!(asked, Ok(Claimed::First(_))), "the key was free");
        assert!(began.elapsed() < PATIENCE, "{asked:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
