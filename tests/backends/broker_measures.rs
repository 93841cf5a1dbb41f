//! Redis and NATS beside each other: from a publication on one node until another one has it, and how many in a second.
//! `cargo test --release --test backends -- --ignored --nocapture measures`.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use tidegate_core::flow::Publication;
use tidegate_core::protocol::Payload;

use crate::broker::{Node, publication, topic, two};
use crate::histories::publication as kept;
use tidegate_testkit::{BrokerKind, BrokerServer};

/// Publications whose way is measured, and that are sent at once.
const ONE_BY_ONE: usize = 1_000;
const AT_ONCE: usize = 500;
const ROUNDS: usize = 10;

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

/// The time from a publication until the other node has it, one at a time.
async fn ways(a: &Node, b: &Node, is_kept: bool) -> Vec<Duration> {
    let mut ways = Vec::new();
    let (plain, kept) = (publication("plain", "1", None), kept("1", "messages: 1000"));
    for number in 0..ONE_BY_ONE {
        let payload = Payload::parse(number.to_string()).unwrap();
        let (plain, kept) =
            (Publication { payload: payload.clone(), ..plain.clone() }, Publication { payload, ..kept.clone() });
        let began = Instant::now();
        if is_kept {
            let position = a.append_one(&kept).await.unwrap();
            b.record.has(&[&format!("feed {number} at {}", position.offset)]).await;
        } else {
            a.broker.publish(&plain).unwrap().await.unwrap();
            b.record.has(&[&format!("plain {number}")]).await;
        }
        ways.push(began.elapsed());
        b.record.clear();
    }
    ways.sort_unstable();
    ways
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn measures() {
    for kind in [BrokerKind::Redis, BrokerKind::Nats] {
        let server = BrokerServer::start(kind);
        let (a, b) = two(&server).await;
        for topic in ["feed", "plain"] {
            b.listen(topic).await;
        }
        for is_kept in [false, true] {
            let ways = ways(&a, &b, is_kept).await;
            let (p50, p99) = (percentile(&ways, 50), percentile(&ways, 99));
            println!("{kind:?}, history: {is_kept}: p50 {p50:?}, p99 {p99:?}");
        }
        let (plain, one) = (publication("plain", "1", None), kept("1", "messages: 1000"));
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let sent = (0..AT_ONCE).map(|_| a.broker.publish(&plain).unwrap());
            join_all(sent).await.into_iter().for_each(|sent| sent.unwrap());
        }
        println!("{kind:?}, no history: {:.0} a second", (ROUNDS * AT_ONCE) as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        for _ in 0..ROUNDS {
            join_all((0..AT_ONCE).map(|_| a.append_one(&one))).await;
        }
        let count = (ROUNDS * AT_ONCE) as f64;
        println!("{kind:?}, history, one topic: {:.0} a second", count / began.elapsed().as_secs_f64());
        let began = Instant::now();
        let of_topics: Vec<Publication> =
            (0..50).map(|at| Publication { topic: topic(&format!("feed.{at}")), ..one.clone() }).collect();
        for _ in 0..ROUNDS {
            join_all(of_topics.iter().cycle().take(AT_ONCE).map(|one| a.append_one(one))).await;
        }
        println!("{kind:?}, history, fifty topics: {:.0} a second", count / began.elapsed().as_secs_f64());
    }
}
