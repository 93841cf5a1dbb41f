//! `delivery.at_most`: how often values of a key go out, and what becomes of those that come sooner.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use tidegate_testkit::{Server, ServerBuilder};

const CHANNELS: &str = r#"
feature: test
channels:
  fleet.{id}:
    scope: public
    payload: true
    delivery: { mode: latest, key: /device, at_most: 5/s }
  all.{id}:
    scope: public
    payload: true
    delivery: { mode: latest, key: /device }
"#;

struct Pacing {
    server: Server,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

fn pacing(builder: ServerBuilder) -> Pacing {
    let (server, shutdown) = (builder.start(), CancellationToken::new());
    let ended = tokio::spawn(server.gates.clone().pace(shutdown.clone()));
    Pacing { server, shutdown, ended }
}

impl Pacing {
    fn publish(&self, topic: &str, device: &str, n: u32) {
        let payload = json!({ "device": device, "n": n }).into();
        let publication = self.server.gates.broadcast(topic, payload).unwrap();
        let effects = vec![tidegate_core::flow::Effect::Deliver(publication)];
        let _over = self.server.gates.begin(effects, tidegate_core::flow::Audience::EveryNode).unwrap();
    }

    /// What reached the subscribers of a device on any topic, by its number.
    fn of(&self, device: &str) -> Vec<Value> {
        let delivered = self.server.delivered().into_iter();
        delivered.filter(|(_, payload)| payload["device"] == device).map(|(_, payload)| payload["n"].clone()).collect()
    }
}

async fn after_ms(ms: u64) {
    // One more, because timers go by milliseconds.
    sleep(Duration::from_millis(ms + 1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_burst_goes_out_at_once_and_its_last_in_time() {
    let pacing = pacing(Server::declaring(CHANNELS));
    (1..=100).for_each(|n| pacing.publish("fleet.a", "d1", n));
    assert_eq!(pacing.of("d1"), [1]);
    after_ms(190).await;
    assert_eq!(pacing.of("d1"), [1]);
    after_ms(10).await;
    assert_eq!(pacing.of("d1"), [1, 100]);
    after_ms(10_000).await;
    assert_eq!(pacing.of("d1"), [1, 100], "each once");
}

#[tokio::test(start_paused = true)]
async fn a_steady_flow_goes_out_as_often_as_it_may_and_ends_with_its_last() {
    let pacing = pacing(Server::declaring(CHANNELS));
    for n in 1..=200 {
        pacing.publish("fleet.a", "d1", n);
        sleep(Duration::from_millis(10)).await;
    }
    after_ms(200).await;
    let seen = pacing.of("d1");
    assert!((10..=12).contains(&seen.len()), "2 seconds: {seen:?}");
    assert_eq!(seen.last(), Some(&json!(200)));
    assert!(seen.is_sorted_by(|one, next| one.as_u64() < next.as_u64()), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn each_key_of_each_topic_has_its_own_time_and_who_comes_seldom_never_waits() {
    let pacing = pacing(Server::declaring(CHANNELS));
    for (topic, device) in [("fleet.a", "d1"), ("fleet.a", "d2"), ("fleet.b", "d1")] {
        pacing.publish(topic, device, 1);
    }
    assert_eq!((pacing.of("d1"), pacing.of("d2")), (vec![json!(1), json!(1)], vec![json!(1)]));
    for n in 2..5 {
        after_ms(200).await;
        pacing.publish("fleet.a", "d2", n);
    }
    assert_eq!(pacing.of("d2"), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn without_at_most_nothing_is_thinned() {
    let pacing = pacing(Server::declaring(CHANNELS));
    (1..=10).for_each(|n| pacing.publish("all.a", "d1", n));
    assert_eq!(pacing.of("d1").len(), 10);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_to_wait_a_publication_goes_out_at_once() {
    let pacing = pacing(Server::declaring(CHANNELS).limits(|limits| limits.thinning_bytes_max = 350));
    for n in 1..=3 {
        pacing.publish("fleet.a", "d1", n);
        pacing.publish("fleet.a", "d2", n);
    }
    assert_eq!(pacing.of("d1"), [1], "it was there first");
    assert_eq!(pacing.of("d2"), [1, 2, 3]);
    after_ms(200).await;
    assert_eq!(pacing.of("d1"), [1, 3]);
    // Nothing waits any more after twice the time: there is room for the other one.
    after_ms(400).await;
    (4..=6).for_each(|n| pacing.publish("fleet.a", "d2", n));
    assert_eq!(pacing.of("d2"), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_sends_what_waits() {
    let pacing = pacing(Server::declaring(CHANNELS));
    pacing.publish("fleet.a", "d1", 1);
    pacing.publish("fleet.a", "d1", 2);
    pacing.server.gates.end_thinning();
    assert_eq!(pacing.of("d1"), [1, 2]);
    pacing.publish("fleet.a", "d1", 3);
    assert_eq!(pacing.of("d1"), [1, 2, 3], "nothing waits any more");
    let Pacing { shutdown, ended, .. } = pacing;
    shutdown.cancel();
    ended.await.unwrap();
}
