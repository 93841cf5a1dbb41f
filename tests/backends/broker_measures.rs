//! Redis and NATS beside each other: from a publication on one node until another one has it, and how many in a second.
//! `cargo test --release --test backends -- --ignored --nocapture measures`.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::broker::{Node, publication, two};
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
    for number in 0..ONE_BY_ONE {
        let began = Instant::now();
        if is_kept {
            let position = a.append(&number.to_string()).await;
            b.record.has(&[&format!("feed {number} at {}", position.offset)]).await;
        } else {
            a.publish("plain", &number.to_string()).await.unwrap();
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
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let sent = (0..AT_ONCE).map(|_| a.broker.publish(&publication("plain", "1", None)).unwrap());
            join_all(sent).await.into_iter().for_each(|sent| sent.unwrap());
        }
        println!("{kind:?}, no history: {:.0} a second", (ROUNDS * AT_ONCE) as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        for _ in 0..ROUNDS {
            join_all((0..AT_ONCE / 5).map(|_| a.append("1"))).await;
        }
        let count = (ROUNDS * AT_ONCE / 5) as f64;
        println!("{kind:?}, history, one topic: {:.0} a second", count / began.elapsed().as_secs_f64());
        let began = Instant::now();
        let topics: Vec<String> = (0..50).map(|at| format!("feed.{at}")).collect();
        for _ in 0..ROUNDS {
            join_all(topics.iter().flat_map(|topic| (0..4).map(|_| a.append_on(topic)))).await;
        }
        let count = (ROUNDS * topics.len() * 4) as f64;
        println!("{kind:?}, history, fifty topics: {:.0} a second", count / began.elapsed().as_secs_f64());
    }
}
