//! The in-process bus: bounded, all or none, in order, and no panic ends it.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_backends::bus::{MemoryBus, Queue};
use tidegate_core::flow::ports::{Bus, BusFull};
use tidegate_core::protocol::BusEvent;
use tokio_util::sync::CancellationToken;

use tidegate_testkit::{CHANNELS, FakePlugins, Server, event};

const RULES: &str = "rules:\n  - { on: article.published, to: news }\n  - { on: told, to: desk }\n";

fn server() -> Server {
    Server::declaring(CHANNELS).bridge(RULES).start()
}

fn article(title: &str) -> BusEvent {
    event("article.published", json!({ "title": title }))
}

fn delivered(titles: &[&str]) -> Vec<(String, Value)> {
    titles.iter().map(|title| ("news".to_owned(), json!({ "title": title }))).collect()
}

/// Runs the bus until all that was accepted has crossed.
async fn run_to_the_end(queue: Queue, server: &Server) {
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    queue.run(server.gates.clone(), shutdown).await;
}

#[tokio::test]
async fn events_cross_in_the_order_they_were_put_on_the_bus() {
    let server = server();
    let (bus, queue) = MemoryBus::new(8);
    bus.publish(vec![article("1"), article("2")]).unwrap();
    bus.publish(vec![article("3")]).unwrap();
    run_to_the_end(queue, &server).await;
    assert_eq!(server.delivered(), delivered(&["1", "2", "3"]));
}

#[tokio::test]
async fn a_batch_that_does_not_fit_is_refused_whole() {
    let server = server();
    let (bus, queue) = MemoryBus::new(2);
    bus.publish(vec![article("1")]).unwrap();
    assert_eq!(bus.publish(vec![article("2"), article("3")]), Err(BusFull));
    assert_eq!(bus.publish(vec![article("4")]), Ok(()));
    assert_eq!(bus.publish(vec![article("5")]), Err(BusFull));
    assert_eq!(bus.publish(Vec::new()), Ok(()));
    run_to_the_end(queue, &server).await;
    assert_eq!(server.delivered(), delivered(&["1", "4"]));
}

#[tokio::test]
async fn an_event_whose_crossing_panics_costs_no_other() {
    let server = server();
    server.rooms.panic_on("desk");
    let (bus, queue) = MemoryBus::new(8);
    bus.publish(vec![article("1"), event("told", json!({})), article("2")]).unwrap();
    run_to_the_end(queue, &server).await;
    assert_eq!(server.delivered(), delivered(&["1", "2"]));
}

#[tokio::test]
async fn after_the_shutdown_the_bus_takes_no_more_and_ends() {
    let server = server();
    let (bus, queue) = MemoryBus::new(8);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(queue.run(server.gates.clone(), shutdown.clone()));
    bus.publish(vec![article("1")]).unwrap();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("the bus ends").unwrap();
    assert_eq!(server.delivered(), delivered(&["1"]));
    assert_eq!(bus.publish(vec![article("2")]), Err(BusFull));
}

#[tokio::test]
async fn what_cannot_cross_becomes_a_dead_letter_and_the_next_one_crosses() {
    let server = server();
    let (bus, queue) = MemoryBus::new(8);
    bus.publish(vec![event("article.published", json!({ "title": 7 })), article("2")]).unwrap();
    run_to_the_end(queue, &server).await;
    assert_eq!(server.delivered(), delivered(&["2"]));
    assert_eq!(server.dead_letters.list().len(), 1);
}

#[tokio::test]
async fn a_bus_event_that_the_broker_does_not_take_is_a_dead_letter_that_can_be_retried() {
    let server = server();
    let (bus, queue) = MemoryBus::new(8);
    bus.publish(vec![event("article.published", json!({ "title": "x" }))]).unwrap();
    server.broker.set_away(true);
    run_to_the_end(queue, &server).await;
    assert_eq!(server.delivered().len(), 1);
    let letter = server.dead_letters.list().pop().unwrap();
    assert_eq!((letter.rule.on.as_str(), letter.rule.to.as_str()), ("article.published", "news"));
    assert!(letter.reason.contains("on one node only"), "{}", letter.reason);
    server.broker.set_away(false);
    let effects = server.gates.retry(&letter).await.unwrap();
    server.gates.perform(effects).await.unwrap();
    assert_eq!(server.broker.published(), [("news".to_owned(), json!({ "title": "x" }))]);
}

#[tokio::test]
async fn an_event_waits_for_the_transform_of_the_one_before() {
    let (plugins, latch) = FakePlugins::silent().held();
    let rules = "rules:\n  - { on: article.published, to: news, transform: answerer }\n  - { on: told, to: desk }\n";
    let server = Server::declaring(CHANNELS).bridge(rules).plugins(plugins).start();
    let (bus, queue) = MemoryBus::new(8);
    bus.publish(vec![event("article.published", json!({ "title": "1" })), event("told", json!({ "n": 2 }))]).unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let running = tokio::spawn(queue.run(server.gates.clone(), shutdown));
    latch.call_arrived().await;
    assert_eq!(server.delivered(), [], "the second, which needs no plugin, does not overtake the first");
    latch.release();
    running.await.unwrap();
    let topics: Vec<String> = server.delivered().into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["news", "desk"]);
}
