//! Redis Streams: every entry crosses, in order, however Redis and the nodes come and go.

use redis::{Commands as _, Connection, cmd};
use tidegate_core::flow::DeadLetter;

use crate::sources::{Node, told, until};
use tidegate_testkit::RedisServer;

fn connect(redis: &RedisServer) -> Connection {
    redis::Client::open(redis.url()).unwrap().get_connection().unwrap()
}

fn bus(redis: &RedisServer, more: &str) -> String {
    bus_of("s", redis, more)
}

/// Metrics are of the whole process: who looks at one has a stream of its own.
fn bus_of(stream: &str, redis: &RedisServer, more: &str) -> String {
    format!("[redis: {{ url: '{}', stream: {stream}{more} }}]", redis.url())
}

/// Adds entries with these numbers.
fn add(connection: &mut Connection, numbers: impl IntoIterator<Item = i64>) {
    add_to("s", connection, numbers);
}

fn add_to(stream: &str, connection: &mut Connection, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        let _: String = cmd("XADD").arg(stream).arg("*").arg("event").arg(told(number)).query(connection).unwrap();
    }
}

/// Waits until a consumer group of the stream is there: from then on entries are for it.
async fn group(connection: &mut Connection, name: &str) {
    group_of("s", connection, name).await;
}

async fn group_of(stream: &str, connection: &mut Connection, group: &str) {
    until("the group", async || {
        let groups: Result<redis::streams::StreamInfoGroupsReply, _> = connection.xinfo_groups(stream);
        groups.is_ok_and(|groups| groups.groups.iter().any(|found| found.name == group))
    })
    .await;
}

/// Waits until every entry that a group has was acknowledged.
async fn acknowledged(connection: &mut Connection, group: &str) {
    until("the acknowledgement", async || {
        let pending: redis::streams::StreamPendingReply = connection.xpending("s", group).unwrap();
        pending.count() == 0
    })
    .await;
}

/// How many events of a source were gone before they were read, as the metrics have it.
fn missed(source: &str) -> Option<u64> {
    let metrics = tidegate_core::telemetry::render();
    let begins = format!(r#"tidegate_bus_missed_total{{source="{source}"}}"#);
    let line = metrics.lines().find(|line| line.starts_with(&begins));
    line.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
}

fn letters(server: &tidegate_testkit::Server) -> Vec<DeadLetter> {
    let mut letters = server.dead_letters.list();
    letters.reverse();
    letters
}

#[tokio::test]
async fn entries_cross_in_order_from_when_the_node_first_came_and_are_acknowledged() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    add(&mut producer, [0]);
    let node = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, 1..=250);
    assert_eq!(node.numbers(250).await, (1..=250).collect::<Vec<_>>());
    acknowledged(&mut producer, "tidegate:a").await;
    node.end().await;
}

#[tokio::test]
async fn with_fan_out_every_node_gets_every_entry_and_with_shared_one_of_them() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    for (more, expected) in [(", group: each", 100), (", group: one, mode: shared", 50)] {
        let nodes = ["a", "b"].map(|name| Node::start(name, &bus(&redis, &format!("{more}, batch: 1"))));
        for name in if expected == 100 { &["each:a", "each:b"][..] } else { &["one"] } {
            group(&mut producer, name).await;
        }
        // Between them both have all of it, whoever got what.
        add(&mut producer, 1..=50);
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
async fn a_node_that_comes_back_reads_on_where_it_stopped() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, [1]);
    node.numbers(1).await;
    node.end().await;
    add(&mut producer, [2, 3]);
    let node = Node::start("a", &bus(&redis, ""));
    assert_eq!(node.numbers(2).await, [2, 3]);
    // Killed, it holds its name for a while; then the next one reads on.
    acknowledged(&mut producer, "tidegate:a").await;
    node.kill();
    add(&mut producer, [4]);
    let node = Node::start("a", &bus(&redis, ""));
    assert_eq!(node.numbers(1).await, [4]);
    node.end().await;
}

#[tokio::test]
async fn what_was_read_and_not_acknowledged_is_read_again() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    node.end().await;
    add(&mut producer, [1, 2]);
    // As a process leaves it that was killed while a batch crossed.
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg("tidegate:a").arg("a").arg("COUNT").arg(1).arg("STREAMS").arg("s").arg(">");
    let _: redis::Value = read.query(&mut producer).unwrap();
    let node = Node::start("a", &bus(&redis, ""));
    assert_eq!(node.numbers(2).await, [1, 2]);
    node.end().await;
}

#[tokio::test]
async fn with_shared_a_node_takes_over_what_another_left_behind() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let shared = bus(&redis, ", mode: shared, claim_after: 1s");
    let node = Node::start("a", &shared);
    group(&mut producer, "tidegate").await;
    add(&mut producer, [1]);
    node.numbers(1).await;
    acknowledged(&mut producer, "tidegate").await;
    node.kill();
    add(&mut producer, [2, 3]);
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg("tidegate").arg("a").arg("STREAMS").arg("s").arg(">");
    let _: redis::Value = read.query(&mut producer).unwrap();
    let other = Node::start("b", &shared);
    assert_eq!(other.numbers(2).await, [2, 3]);
    acknowledged(&mut producer, "tidegate").await;
    other.end().await;
}

#[tokio::test]
async fn with_shared_entries_that_were_deleted_while_a_dead_node_had_them_are_told() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let shared = bus_of("deleted", &redis, ", mode: shared, claim_after: 1s");
    let node = Node::start("a", &shared);
    group_of("deleted", &mut producer, "tidegate").await;
    node.kill();
    add_to("deleted", &mut producer, 1..=3);
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg("tidegate").arg("a").arg("STREAMS").arg("deleted").arg(">");
    let _: redis::Value = read.query(&mut producer).unwrap();
    let ids: Vec<(String, redis::Value)> = cmd("XRANGE").arg("deleted").arg("-").arg("+").query(&mut producer).unwrap();
    let _: i64 = cmd("XDEL").arg("deleted").arg(&ids[0].0).arg(&ids[2].0).query(&mut producer).unwrap();
    let other = Node::start("b", &shared);
    assert_eq!(other.numbers(1).await, [2]);
    until("the telling", async || missed("redis:deleted") == Some(2)).await;
    until("the word to all nodes", async || other.server.broker.told() > 0).await;
    other.end().await;
    assert_eq!(missed("redis:deleted"), Some(2));
}

#[tokio::test]
async fn two_processes_of_one_name_do_not_take_entries_from_one_another() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let first = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, [1]);
    first.numbers(1).await;
    let second = Node::start("a", &bus(&redis, ""));
    add(&mut producer, 2..=50);
    assert_eq!(first.numbers(50).await, (1..=50).collect::<Vec<_>>());
    assert!(second.numbers_now().is_empty());
    // Once the first is gone, the second is the one.
    first.end().await;
    add(&mut producer, [51]);
    assert_eq!(second.numbers(1).await, [51]);
    second.end().await;
}

#[tokio::test]
async fn the_group_of_a_node_that_is_gone_is_removed_and_no_other() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    for name in ["gone", "stays"] {
        let node = Node::start(name, &bus(&redis, ""));
        group(&mut producer, &format!("tidegate:{name}")).await;
        node.end().await;
    }
    let _: () = producer.xgroup_create("s", "somebody-elses", "$").unwrap();
    // Two hours ago.
    let _: () = producer.hset("tidegate:nodes:tidegate:s", "tidegate:gone", "- 1700000000000").unwrap();
    let node = Node::start("a", &bus(&redis, ""));
    until("the group's end", async || {
        let groups: redis::streams::StreamInfoGroupsReply = producer.xinfo_groups("s").unwrap();
        let mut names: Vec<_> = groups.groups.into_iter().map(|group| group.name).collect();
        names.sort();
        names == ["somebody-elses", "tidegate:a", "tidegate:stays"]
    })
    .await;
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_kept_its_data_is_read_on_after_it_was_killed() {
    let mut redis = RedisServer::persistent();
    let node = Node::start("a", &bus(&redis, ""));
    let mut producer = connect(&redis);
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, 1..=20);
    node.numbers(20).await;
    redis.kill();
    redis.restart();
    add(&mut connect(&redis), 21..=40);
    assert_eq!(node.numbers(40).await, (1..=40).collect::<Vec<_>>());
    // Nobody knows what another life of the server had last.
    assert_eq!(node.server.rooms.gaps(), ["positions"]);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_its_data_is_read_from_its_beginning_and_that_is_told() {
    let mut redis = RedisServer::start();
    let node = Node::start("a", &bus_of("lost", &redis, ", timeout: 1s"));
    let mut producer = connect(&redis);
    group_of("lost", &mut producer, "tidegate:a").await;
    add_to("lost", &mut producer, 1..=20);
    node.numbers(20).await;
    redis.kill();
    redis.restart();
    // Before the node is back, with ids of its own: nothing of it is passed over.
    let mut producer = connect(&redis);
    let _: String = cmd("XADD").arg("lost").arg("5-1").arg("event").arg(told(21)).query(&mut producer).unwrap();
    add_to("lost", &mut producer, 22..=40);
    assert_eq!(node.numbers(40).await, (1..=40).collect::<Vec<_>>());
    let metrics = tidegate_core::telemetry::render();
    assert!(metrics.contains(r#"tidegate_bus_missed_total{source="redis:lost"}"#), "{metrics}");
    assert_eq!(node.server.rooms.gaps(), ["positions"]);
    node.end().await;
}

#[tokio::test]
async fn a_group_that_somebody_removed_is_made_again_where_the_node_stopped() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, [1, 2]);
    node.numbers(2).await;
    let _: () = redis::pipe()
        .atomic()
        .xgroup_destroy("s", "tidegate:a")
        .cmd("XADD")
        .arg("s")
        .arg("*")
        .arg("event")
        .arg(told(3))
        .ignore()
        .query::<redis::Value>(&mut producer)
        .map(drop)
        .unwrap();
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    node.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_holds_up_nothing_for_longer_than_that() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus_of("still", &redis, ", timeout: 500ms"));
    group_of("still", &mut producer, "tidegate:a").await;
    add_to("still", &mut producer, [1]);
    node.numbers(1).await;
    redis.freeze();
    until("the node to notice", async || {
        tidegate_core::telemetry::render().contains(r#"tidegate_bus_source_up{source="redis:still"} 0"#)
    })
    .await;
    redis.thaw();
    add_to("still", &mut producer, [2]);
    assert_eq!(node.numbers(2).await, [1, 2]);
    assert!(node.server.rooms.gaps().is_empty(), "it is the same server, with all it had");
    node.end().await;
}

#[tokio::test]
async fn entries_that_were_trimmed_before_they_were_read_are_told() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let bus = bus_of("t", &redis, ", batch: 10");
    let node = Node::start("a", &bus);
    group_of("t", &mut producer, "tidegate:a").await;
    add_to("t", &mut producer, 1..=5);
    node.numbers(5).await;
    node.end().await;
    add_to("t", &mut producer, 6..=105);
    let _: i64 = cmd("XTRIM").arg("t").arg("MAXLEN").arg(40).query(&mut producer).unwrap();
    let node = Node::start("a", &bus);
    assert_eq!(node.numbers(40).await, (66..=105).collect::<Vec<_>>());
    until("the telling", async || missed("redis:t") == Some(60)).await;
    until("the gap", async || node.server.rooms.gaps() == ["positions"]).await;
    // Once, and never of a stream that was read to its end.
    let _: i64 = cmd("XTRIM").arg("t").arg("MAXLEN").arg(1).query(&mut producer).unwrap();
    node.end().await;
    let node = Node::start("a", &bus);
    let _: String = cmd("XADD").arg("t").arg("*").arg("event").arg(told(106)).query(&mut producer).unwrap();
    node.numbers(1).await;
    node.end().await;
    assert_eq!(missed("redis:t"), Some(60));
}

#[tokio::test]
async fn a_key_that_is_no_stream_holds_up_no_other_stream() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let _: () = producer.set("wrong", "a text").unwrap();
    let node = Node::start("a", &format!("[redis: {{ url: '{}', streams: [wrong, s] }}]", redis.url()));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, [1]);
    assert_eq!(node.numbers(1).await, [1]);
    // Once it is one, it is read.
    let _: () = producer.del("wrong").unwrap();
    group_of("wrong", &mut producer, "tidegate:a").await;
    add_to("wrong", &mut producer, [2]);
    assert_eq!(node.numbers(2).await, [1, 2]);
    node.end().await;
}

#[tokio::test]
async fn what_is_no_event_is_a_dead_letter_and_stops_nothing() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, [1]);
    let own = ["type", "tidegate.member.joined", "data", "{}"];
    for fields in [&["x", "1"][..], &["event", "{"], &["event", &"x".repeat(100_000)], &own] {
        let _: String = cmd("XADD").arg("s").arg("*").arg(fields).query(&mut producer).unwrap();
    }
    // An event, but not what the channel's schema asks for.
    let _: String = cmd("XADD").arg("s").arg("*").arg(&["type", "told", "data", "{}"]).query(&mut producer).unwrap();
    add(&mut producer, [2]);
    assert_eq!(node.numbers(2).await, [1, 2]);
    acknowledged(&mut producer, "tidegate:a").await;
    let server = node.end().await;
    let letters = letters(&server);
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons.len(), 5, "{reasons:#?}");
    let parts = ["neither a field", "not JSON", "limits.payload", "the server's own", "invalid_payload"];
    for (reason, part) in reasons.iter().zip(parts) {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(*letters[0].event.data.value().unwrap(), serde_json::json!({ "x": "1" }));
    assert!(letters[2].event.data.as_str().len() < 2000);
}

#[tokio::test]
async fn producers_that_do_not_speak_cloudevents_are_understood_by_their_fields() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ", fields: { type: all.fields, subject: $device }"));
    group(&mut producer, "tidegate:a").await;
    for number in 1..=3 {
        let fields = ["device", "d1", "n", &number.to_string()];
        let _: String = cmd("XADD").arg("s").arg("*").arg(&fields).query(&mut producer).unwrap();
    }
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    node.end().await;
}

#[tokio::test]
async fn the_same_event_twice_is_delivered_once() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ""));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, [1, 1, 2, 1, 2, 3]);
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    acknowledged(&mut producer, "tidegate:a").await;
    assert_eq!(node.end().await.delivered().len(), 3);
    // With room for none, every one.
    let bus = bus(&redis, ", group: every");
    let node = Node::limited("a", &bus, |limits| limits.duplicates_max = 0);
    group(&mut producer, "every:a").await;
    add(&mut producer, [1, 1]);
    assert_eq!(node.numbers(2).await, [1, 1]);
    node.end().await;
}

#[tokio::test]
async fn a_node_that_ends_finishes_and_acknowledges_what_it_has_read() {
    let redis = RedisServer::start();
    let mut producer = connect(&redis);
    let node = Node::start("a", &bus(&redis, ", batch: 1000"));
    group(&mut producer, "tidegate:a").await;
    add(&mut producer, 1..=500);
    node.numbers(1).await;
    let first = node.end().await.delivered().len();
    acknowledged(&mut producer, "tidegate:a").await;
    let node = Node::start("a", &bus(&redis, ""));
    let rest = 500 - first;
    let second = if rest == 0 { 0 } else { node.numbers(rest).await.len() };
    assert_eq!(first + second, 500);
    node.end().await;
}
