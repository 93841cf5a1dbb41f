//! Streams of NATS JetStream: every message crosses, in order, however NATS and the nodes come and go.

use async_nats::jetstream::consumer::{Info, pull};
use async_nats::jetstream::stream::{Config as StreamConfig, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, HeaderMap};
use futures_util::StreamExt as _;

use crate::sources::{Node, told, until};
use tidegate_testkit::NatsServer;

/// A producer, an administrator, and one who looks.
pub(crate) async fn connect(nats: &NatsServer) -> Context {
    let (login, address) = nats.url().trim_start_matches("nats://").split_once('@').map(own).unwrap();
    let (user, password) = login.split_once(':').map(own).unwrap();
    let options = ConnectOptions::new().user_and_password(user, password);
    jetstream::new(options.connect(address).await.unwrap())
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

pub(crate) fn bus(nats: &NatsServer, more: &str) -> String {
    bus_of("s", nats, more)
}

/// Metrics are of the whole process: who looks at one has a stream of its own.
fn bus_of(stream: &str, nats: &NatsServer, more: &str) -> String {
    format!("[nats: {{ url: '{}', stream: {stream}{more} }}]", nats.url())
}

/// Creates a stream with the subjects below its name.
pub(crate) async fn create(producer: &Context, stream: &str) {
    create_with(producer, stream, StreamConfig::default()).await;
}

async fn create_with(producer: &Context, stream: &str, config: StreamConfig) {
    let (name, subjects) = (stream.to_owned(), vec![format!("{stream}.>")]);
    producer.create_stream(StreamConfig { name, subjects, ..config }).await.unwrap();
}

/// Publishes events with these numbers.
pub(crate) async fn add(producer: &Context, numbers: impl IntoIterator<Item = i64>) {
    add_to("s", producer, numbers).await;
}

async fn add_to(stream: &str, producer: &Context, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        publish(producer, &format!("{stream}.told"), &[], &told(number)).await;
    }
}

pub(crate) async fn publish(producer: &Context, subject: &str, headers: &[(&str, &str)], body: &str) {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.append(*name, *value));
    let stored = producer.publish_with_headers(subject.to_owned(), map, body.to_owned().into()).await.unwrap();
    stored.await.unwrap();
}

async fn info(producer: &Context, stream: &str, consumer: &str) -> Option<Info> {
    let stream = producer.get_stream_no_info(stream).await.unwrap();
    stream.consumer_info(consumer).await.ok()
}

/// Waits until a consumer of the stream is there: from then on messages are for it.
pub(crate) async fn consumer(producer: &Context, name: &str) {
    consumer_of("s", producer, name).await;
}

async fn consumer_of(stream: &str, producer: &Context, name: &str) {
    until("the consumer", async || info(producer, stream, name).await.is_some()).await;
}

/// Waits until everything that a consumer was given is acknowledged.
pub(crate) async fn acknowledged(producer: &Context, name: &str) {
    until("the acknowledgement", async || {
        info(producer, "s", name).await.is_some_and(|info| info.num_ack_pending == 0 && info.num_pending == 0)
    })
    .await;
}

/// Takes messages as a process does that is killed while they cross.
async fn take(producer: &Context, stream: &str, name: &str, count: usize) {
    let consumer: jetstream::consumer::Consumer<pull::Config> =
        producer.get_consumer_from_stream(name, stream).await.unwrap();
    let inbox = producer.client().new_inbox();
    let mut arriving = producer.client().subscribe(inbox.clone()).await.unwrap();
    let is_pinned = !consumer.cached_info().config.priority_groups.is_empty();
    let group = is_pinned.then(|| "process".to_owned());
    let request = pull::BatchConfig { batch: count, group, ..Default::default() };
    consumer.request_batch(request, inbox.into()).await.unwrap();
    for _ in 0..count {
        assert!(arriving.next().await.unwrap().status.is_none());
    }
}

/// How many events of a source were gone before they were read, as the metrics have it.
fn missed(source: &str) -> Option<u64> {
    let metrics = tidegate_core::telemetry::render();
    let begins = format!(r#"tidegate_bus_missed_total{{source="{source}"}}"#);
    let line = metrics.lines().find(|line| line.starts_with(&begins));
    line.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
}

fn is_away(source: &str) -> bool {
    tidegate_core::telemetry::render().contains(&format!(r#"tidegate_bus_source_up{{source="{source}"}} 0"#))
}

#[tokio::test]
async fn messages_cross_in_order_from_when_the_node_first_came_and_are_acknowledged() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    add(&producer, [0]).await;
    let node = Node::start("a.example.com", &bus(&nats, ""));
    consumer(&producer, "tidegate@a%2Eexample%2Ecom").await;
    add(&producer, 1..=250).await;
    assert_eq!(node.numbers(250).await, (1..=250).collect::<Vec<_>>());
    acknowledged(&producer, "tidegate@a%2Eexample%2Ecom").await;
    node.end().await;
}

#[tokio::test]
async fn with_fan_out_every_node_gets_every_message_and_with_shared_one_of_them() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    for (more, expected) in [(", group: each", 100), (", group: one, mode: shared", 50)] {
        let nodes = ["a", "b"].map(|name| Node::start(name, &bus(&nats, &format!("{more}, batch: 1"))));
        for name in if expected == 100 { &["each@a", "each@b"][..] } else { &["one"] } {
            consumer(&producer, name).await;
        }
        // Between them both have all of it, whoever got what.
        add(&producer, 1..=50).await;
        until("every delivery", async || nodes.iter().map(|node| node.numbers_now().len()).sum::<usize>() == expected)
            .await;
        let mut all: Vec<i64> = nodes.iter().flat_map(Node::numbers_now).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, (1..=50).collect::<Vec<_>>());
        for node in nodes {
            let numbers = node.end().await.delivered();
            assert!(numbers.is_sorted_by_key(|(_, payload)| payload["n"].as_i64()));
        }
    }
}

#[tokio::test]
async fn only_messages_of_the_configured_subjects_cross() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ", subjects: [s.told, 's.*.kept']"));
    consumer(&producer, "tidegate@a").await;
    for (number, subject) in ["s.told", "s.other", "s.x.kept", "s.x.y.kept"].into_iter().enumerate() {
        publish(&producer, subject, &[], &told(number as i64)).await;
    }
    assert_eq!(node.numbers(2).await, [0, 2]);
    acknowledged(&producer, "tidegate@a").await;
    node.end().await;
    // Other subjects for the same consumer, which goes on.
    publish(&producer, "s.other", &[], &told(4)).await;
    let node = Node::start("a", &bus(&nats, ", subjects: [s.other]"));
    assert_eq!(node.numbers(1).await, [4]);
    node.end().await;
}

#[tokio::test]
async fn a_node_that_comes_back_reads_on_where_it_stopped() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ""));
    consumer(&producer, "tidegate@a").await;
    add(&producer, [1]).await;
    node.numbers(1).await;
    node.end().await;
    add(&producer, [2, 3]).await;
    let node = Node::start("a", &bus(&nats, ""));
    assert_eq!(node.numbers(2).await, [2, 3]);
    // Killed, it holds its name for a while; then the next one reads on.
    acknowledged(&producer, "tidegate@a").await;
    node.kill();
    add(&producer, [4]).await;
    let node = Node::start("a", &bus(&nats, ""));
    assert_eq!(node.numbers(1).await, [4]);
    node.end().await;
}

#[tokio::test]
async fn what_was_read_and_not_acknowledged_is_read_again_before_what_is_newer() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ""));
    consumer(&producer, "tidegate@a").await;
    node.end().await;
    add(&producer, 1..=3).await;
    take(&producer, "s", "tidegate@a", 2).await;
    let node = Node::start("a", &bus(&nats, ""));
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    acknowledged(&producer, "tidegate@a").await;
    node.end().await;
}

#[tokio::test]
async fn with_shared_a_node_takes_over_what_another_left_behind() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let shared = bus(&nats, ", mode: shared, claim_after: 1s");
    let node = Node::start("a", &shared);
    consumer(&producer, "tidegate").await;
    add(&producer, [1]).await;
    node.numbers(1).await;
    acknowledged(&producer, "tidegate").await;
    node.end().await;
    add(&producer, [2, 3]).await;
    take(&producer, "s", "tidegate", 2).await;
    let other = Node::start("b", &shared);
    assert_eq!(other.numbers(2).await, [2, 3]);
    acknowledged(&producer, "tidegate").await;
    other.end().await;
}

#[tokio::test]
async fn two_processes_of_one_name_do_not_take_messages_from_one_another() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "twice").await;
    let first = Node::start("a", &bus_of("twice", &nats, ""));
    consumer_of("twice", &producer, "tidegate@a").await;
    add_to("twice", &producer, [1]).await;
    first.numbers(1).await;
    let second = Node::start("a", &bus_of("twice", &nats, ""));
    until("the second to notice", async || is_away("nats:twice")).await;
    add_to("twice", &producer, 2..=50).await;
    assert_eq!(first.numbers(50).await, (1..=50).collect::<Vec<_>>());
    assert!(second.numbers_now().is_empty());
    assert!(second.unread().is_empty(), "somebody reads it");
    // Once the first is gone, the second is the one.
    first.end().await;
    add_to("twice", &producer, [51]).await;
    assert_eq!(second.numbers(1).await, [51]);
    second.end().await;
}

#[tokio::test]
async fn nats_removes_the_consumer_of_a_node_that_is_gone_and_no_other() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ""));
    consumer(&producer, "tidegate@a").await;
    let shared = Node::start("a", &bus(&nats, ", group: all, mode: shared"));
    consumer(&producer, "all").await;
    // What NATS does by it is not ours to wait for: an hour.
    let threshold = |info: Option<Info>| info.unwrap().config.inactive_threshold;
    assert_eq!(threshold(info(&producer, "s", "tidegate@a").await), std::time::Duration::from_secs(3600));
    assert!(threshold(info(&producer, "s", "all").await).is_zero());
    node.end().await;
    shared.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_kept_its_data_is_read_on_after_it_was_killed_and_nothing_is_missing() {
    let mut nats = NatsServer::persistent();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ", timeout: 1s"));
    consumer(&producer, "tidegate@a").await;
    add(&producer, 1..=20).await;
    node.numbers(20).await;
    nats.kill();
    nats.restart();
    add(&connect(&nats).await, 21..=40).await;
    assert_eq!(node.numbers(40).await, (1..=40).collect::<Vec<_>>());
    assert!(node.server.rooms.gaps().is_empty());
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_lost_its_data_is_read_from_its_beginning_and_that_is_told() {
    let mut nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "lost").await;
    let node = Node::start("a", &bus_of("lost", &nats, ", timeout: 1s"));
    consumer_of("lost", &producer, "tidegate@a").await;
    add_to("lost", &producer, 1..=20).await;
    node.numbers(20).await;
    nats.kill();
    nats.restart();
    // Nothing of it is passed over, though its numbers were read before.
    let producer = connect(&nats).await;
    create(&producer, "lost").await;
    add_to("lost", &producer, 21..=40).await;
    assert_eq!(node.numbers(40).await, (1..=40).collect::<Vec<_>>());
    assert_eq!(missed("nats:lost"), Some(1));
    assert_eq!(node.server.rooms.gaps(), ["positions"]);
    node.end().await;
}

#[tokio::test]
async fn a_consumer_that_somebody_removed_is_made_again_where_the_node_stopped() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ""));
    consumer(&producer, "tidegate@a").await;
    add(&producer, [1, 2]).await;
    node.numbers(2).await;
    acknowledged(&producer, "tidegate@a").await;
    producer.get_stream_no_info("s").await.unwrap().delete_consumer("tidegate@a").await.unwrap();
    add(&producer, [3]).await;
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    assert!(node.server.rooms.gaps().is_empty());
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_stands_still_holds_up_nothing_for_longer_than_that() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "still").await;
    let node = Node::start("a", &bus_of("still", &nats, ", timeout: 500ms"));
    consumer_of("still", &producer, "tidegate@a").await;
    add_to("still", &producer, [1]).await;
    node.numbers(1).await;
    nats.freeze();
    until("the node to notice", async || is_away("nats:still")).await;
    nats.thaw();
    add_to("still", &producer, [2]).await;
    assert_eq!(node.numbers(2).await, [1, 2]);
    assert!(node.server.rooms.gaps().is_empty(), "it is the same server, with all it had");
    node.end().await;
}

#[tokio::test]
async fn messages_that_were_dropped_before_they_were_read_are_told_once() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create_with(&producer, "t", StreamConfig { max_messages: 40, ..Default::default() }).await;
    let bus = bus_of("t", &nats, ", batch: 10");
    let node = Node::start("a", &bus);
    consumer_of("t", &producer, "tidegate@a").await;
    add_to("t", &producer, 1..=5).await;
    node.numbers(5).await;
    node.end().await;
    add_to("t", &producer, 6..=105).await;
    let node = Node::start("a", &bus);
    assert_eq!(node.numbers(40).await, (66..=105).collect::<Vec<_>>());
    assert_eq!(missed("nats:t"), Some(60));
    assert_eq!(node.server.rooms.gaps(), ["positions"]);
    // Never of a stream that was read to its end, however fast it drops what was read.
    for more in 1..=10 {
        add_to("t", &producer, 86 + 20 * more..106 + 20 * more).await;
        node.numbers(40 + 20 * more as usize).await;
    }
    node.end().await;
    let node = Node::start("a", &bus);
    add_to("t", &producer, [306]).await;
    node.numbers(1).await;
    node.end().await;
    assert_eq!(missed("nats:t"), Some(60));
}

#[tokio::test]
async fn a_node_that_ends_finishes_and_acknowledges_what_it_has_read() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    for mode in ["fan-out", "shared"] {
        let bus = bus(&nats, &format!(", batch: 1000, mode: {mode}, group: {mode}"));
        let name = if mode == "shared" { "shared" } else { "fan-out@a" };
        let node = Node::start("a", &bus);
        consumer(&producer, name).await;
        add(&producer, 1..=300).await;
        node.numbers(1).await;
        let read = node.end().await.delivered().len();
        let after = info(&producer, "s", name).await.unwrap();
        assert_eq!((after.num_ack_pending, after.num_pending), (0, 300 - read as u64), "{mode}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_stream_is_told_with_the_way_out_and_mended_without_a_restart() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    let node = Node::start("a", &bus_of("missing", &nats, ""));
    until("the node to notice", async || is_away("nats:missing")).await;
    assert_eq!(node.unread(), ["nats:missing"]);
    create(&producer, "missing").await;
    consumer_of("missing", &producer, "tidegate@a").await;
    add_to("missing", &producer, [1]).await;
    assert_eq!(node.numbers(1).await, [1]);
    node.end().await;
}

#[tokio::test]
async fn a_work_queue_is_for_shared_and_is_read_from_its_beginning() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    let config =
        StreamConfig { retention: RetentionPolicy::WorkQueue, storage: StorageType::Memory, ..Default::default() };
    create_with(&producer, "queue", config).await;
    add_to("queue", &producer, [1, 2]).await;
    let node = Node::start("a", &bus_of("queue", &nats, ""));
    until("the node to notice", async || is_away("nats:queue")).await;
    node.end().await;
    let node = Node::start("a", &bus_of("queue", &nats, ", mode: shared"));
    assert_eq!(node.numbers(2).await, [1, 2]);
    node.end().await;
}
