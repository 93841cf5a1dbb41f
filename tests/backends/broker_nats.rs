//! Three clustered NATS servers, each with a node, of which one server is killed, frozen or cut off, or the stream gets
//! another leader: nothing is lost without a gap, no position is given twice, and every node comes back by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_core::config::NatsUrl;
use tidegate_core::protocol::Position;
use tokio::time::{sleep, timeout};

use crate::broker::{Node, PATIENCE};
use crate::histories::burst;
use tidegate_testkit::{NatsCluster, NatsServer};

/// What an operator asks JetStream.
pub(crate) async fn ask(url: &str, operation: &str, question: &str) -> serde_json::Value {
    let (user, password) = NatsUrl::parse(url).unwrap().login().unwrap();
    let client =
        async_nats::ConnectOptions::with_user_and_password(user, password.unwrap()).connect(url).await.unwrap();
    let answer = client.request(format!("$JS.API.{operation}"), question.to_owned().into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// What the nodes published, and were answered that it was taken.
#[derive(Default)]
struct Taken {
    positions: Vec<Position>,
    /// By node: the numbers of publications without positions.
    plain: BTreeMap<usize, Vec<u64>>,
}

/// A node publishes without a pause, with a position and without one in turn.
async fn publish(at: usize, node: &Node, is_over: &AtomicBool, count: &AtomicUsize) -> Taken {
    let mut taken = Taken::default();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        if let Ok(position) = node.try_append(&format!("\"{at}-{number}\"")).await {
            taken.positions.push(position);
            count.fetch_add(1, Ordering::Relaxed);
        }
        if node.publish("plain", &format!("\"{at} {number}\"")).await.is_ok() {
            taken.plain.entry(at).or_default().push(number);
        }
        sleep(Duration::from_millis(2)).await;
    }
    taken
}

/// What a node heard on the topic with positions: in order, and whole where no gap is told.
fn check_positions(heard: &[String], node: usize) {
    let (mut last, mut is_told) = (None, false);
    for line in heard {
        if line == "gap feed" {
            is_told = true;
        } else if let Some((_, offset)) = line.strip_prefix("feed ").and_then(|line| line.split_once(" at ")) {
            let offset: u64 = offset.parse().unwrap();
            let follows = last.is_none_or(|last| offset == last + 1 || (is_told && offset > last));
            assert!(follows, "node {node}: {offset} after {last:?}, a gap was told: {is_told}");
            (last, is_told) = (Some(offset), false);
        }
    }
}

/// What a node heard of another on the topic without positions: in order, and whole unless a gap was told.
fn check_plain(heard: &[String], of: usize, taken: &[u64]) {
    let begins = format!("plain \"{of} ");
    let number = |line: &String| line.strip_prefix(&begins)?.trim_end_matches('"').parse::<u64>().ok();
    let numbers: Vec<u64> = heard.iter().filter_map(number).collect();
    assert!(numbers.is_sorted(), "of {of}: {numbers:?}");
    let missing: Vec<&u64> = taken.iter().filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty() || heard.contains(&"gap plain".to_owned()), "of {of} missing: {missing:?}");
}

async fn nothing_is_lost_in_silence(fault: impl AsyncFnOnce(&mut NatsCluster)) {
    let mut cluster = NatsCluster::start();
    let nodes: Vec<Node> = (0..3).map(|at| Node::at(&cluster.url(at), |_| {})).collect();
    for node in &nodes {
        node.away(false).await;
        node.listen("feed").await;
        node.listen("plain").await;
        node.read_position().await;
    }
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let more = async |than: usize| {
        let more = async {
            while count.load(Ordering::Relaxed) < than {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE * 2, more).await.unwrap_or_else(|_| panic!("nobody publishes any more"));
    };
    let faulting = async {
        more(60).await;
        fault(&mut cluster).await;
        for node in &nodes {
            node.away(false).await;
        }
        more(count.load(Ordering::Relaxed) + 60).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let one = |at: usize| publish(at, &nodes[at], &is_over, &count);
    let (first, second, third, ()) = tokio::join!(one(0), one(1), one(2), faulting);
    let mut newest = 0;
    for (at, node) in nodes.iter().enumerate() {
        newest = node.append(&format!("\"end {at}\"")).await.offset;
        node.publish("plain", &format!("\"end {at}\"")).await.unwrap();
    }
    let mut given = BTreeSet::new();
    for position in [&first, &second, &third].iter().flat_map(|taken| &taken.positions) {
        assert!(given.insert(position.to_string()), "{position} was given twice");
    }
    for (at, node) in nodes.iter().enumerate() {
        let mut ends = vec![format!("feed \"end 2\" at {newest}")];
        ends.extend((0..3).filter(|of| *of != at).map(|of| format!("plain \"end {of}\"")));
        let heard = node.record.has_all(&ends.iter().map(String::as_str).collect::<Vec<_>>()).await;
        check_positions(&heard, at);
        for (of, taken) in [&first, &second, &third].iter().flat_map(|taken| &taken.plain).filter(|(of, _)| **of != at)
        {
            check_plain(&heard, *of, taken);
        }
    }
}

/// Where the leader of the stream is.
async fn leader(cluster: &NatsCluster, ask_at: usize) -> usize {
    let info = ask(&cluster.url(ask_at), "STREAM.INFO.test", "{}").await;
    let name = info["cluster"]["leader"].as_str().unwrap_or_default();
    ["n0", "n1", "n2"].iter().position(|one| *one == name).unwrap_or_else(|| panic!("no leader: {info}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_loses_nothing_in_silence() {
    nothing_is_lost_in_silence(async |cluster| {
        let at = leader(cluster, 0).await;
        cluster.server(at).kill();
        sleep(Duration::from_secs(2)).await;
        cluster.server(at).restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_frozen_loses_nothing_in_silence() {
    nothing_is_lost_in_silence(async |cluster| {
        let at = leader(cluster, 0).await;
        cluster.server(at).freeze();
        sleep(Duration::from_secs(4)).await;
        cluster.server(at).thaw();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_cut_off_loses_nothing_in_silence() {
    nothing_is_lost_in_silence(async |cluster| {
        cluster.part();
        sleep(Duration::from_secs(4)).await;
        cluster.rejoin();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leader_of_the_stream_loses_nothing_in_silence() {
    nothing_is_lost_in_silence(async |cluster| {
        for _ in 0..3 {
            ask(&cluster.url(0), "STREAM.LEADER.STEPDOWN.test", "").await;
            sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_taken_and_nothing_is_read() {
    let mut cluster = NatsCluster::start();
    let node = Node::at(&cluster.url(0), |_| {});
    node.away(false).await;
    node.listen("feed").await;
    let first = node.append("1").await;
    for at in [1, 2] {
        cluster.server(at).kill();
    }
    // A publication without a position needs no majority: it goes out until the loss is noticed, and is refused at once then.
    let is_refused = async || matches!(timeout(Duration::ZERO, node.publish("plain", "1")).await, Ok(Err(_)));
    let noticed = async {
        while !is_refused().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, noticed).await.expect("the loss is noticed");
    for _ in 0..20 {
        assert!(node.try_append("2").await.is_err(), "taken by one of three");
        assert!(node.try_read_position().await.is_err(), "read of one of three");
        assert!(node.publish("plain", "1").await.is_err(), "sent by one of three");
        sleep(Duration::from_millis(50)).await;
    }
    for at in [1, 2] {
        cluster.server(at).restart();
    }
    node.away(false).await;
    let taken = async {
        loop {
            if let Ok(position) = node.try_append("3").await {
                return position;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let next = timeout(PATIENCE, taken).await.expect("it comes back");
    // The epoch goes on or is another one; what subscribers rely on is that no position is given twice.
    let goes_on = next.offset > first.offset;
    assert!(next.epoch != first.epoch || goes_on, "a position is given twice: {next} after {first}");
}

/// Whether publications were kept with others; one of thirty is looked at.
async fn are_of_batches(url: &str) -> bool {
    let last = ask(url, "STREAM.INFO.test", "").await["state"]["last_seq"].as_u64().unwrap();
    for seq in (1..=last).step_by(30) {
        let told = ask(url, "STREAM.MSG.GET.test", &serde_json::json!({ "seq": seq }).to_string()).await;
        let headers = STANDARD.decode(told["message"]["hdrs"].as_str().unwrap_or_default()).unwrap();
        if String::from_utf8(headers).unwrap().contains("Nats-Batch-Id") {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_kept_in_batches_by_a_stream_that_can_and_one_by_one_by_another() {
    let server = NatsServer::start();
    let patient = || Node::at(&server.url(), |limits| limits.broker_timeout = PATIENCE);
    let node = patient();
    node.away(false).await;
    burst(&node, 300).await;
    assert!(are_of_batches(&server.url()).await);
    drop(node);

    // As an earlier version, or a server before 2.12, made it.
    let mut config = ask(&server.url(), "STREAM.INFO.test", "").await["config"].take();
    config["allow_atomic"] = false.into();
    ask(&server.url(), "STREAM.DELETE.test", "").await;
    let made = ask(&server.url(), "STREAM.CREATE.test", &config.to_string()).await;
    assert!(made.get("error").is_none(), "{made}");
    let node = patient();
    node.away(false).await;
    assert_eq!(burst(&node, 300).await, (1..=300).collect::<Vec<u64>>());
    assert!(!are_of_batches(&server.url()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_taken_whole_by_a_cluster_although_another_node_publishes_there_too() {
    let cluster = NatsCluster::start();
    // What is asked while the servers choose a leader is lost, and is asked again when its time is over.
    Node::at(&cluster.url(0), |_| {}).away(false).await;
    let patient = |at| Node::at(&cluster.url(at), |limits| limits.broker_timeout = PATIENCE / 3);
    let (a, b) = (patient(0), patient(1));
    a.away(false).await;
    b.away(false).await;
    let mut given = burst(&a, 300).await;
    assert!(are_of_batches(&cluster.url(0)).await);
    let (others, more) = tokio::join!(burst(&a, 300), burst(&b, 300));
    given.extend(others.into_iter().chain(more));
    given.sort_unstable();
    assert_eq!(given, (1..=900).collect::<Vec<u64>>());
}
