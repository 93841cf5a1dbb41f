//! Retained values and versions on nodes that share a real Redis or a real NATS: one order for publications and removals, and one
//! judgement of what is newer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tidegate_core::channels::Resolved;
use tidegate_core::flow::Publication;
use tidegate_core::flow::ports::{Appended, Removal, RetainedAway, Taken, Values, ValuesUnread, Wanted};
use tidegate_core::protocol::{Generation, Key, Payload, Position};

use crate::broker::{Node, PATIENCE, two, two_and_a_cable};
use tidegate_testkit::{BrokerKind, BrokerServer, catalog, on_each_broker};

const VALUES: &str = "delivery: { key: /id }, snapshot: { retain: latest }";

fn feed(policies: &str) -> Resolved {
    resolved("feed", policies)
}

fn resolved(topic: &str, policies: &str) -> Resolved {
    let manifest = format!("feature: test\nchannels:\n  {topic}: {{ scope: public, payload: true, {policies} }}\n");
    catalog(&manifest, None, Generation(1)).resolve(topic).unwrap()
}

impl Node {
    async fn keep_one(&self, publication: &Publication) -> Result<Option<Position>, RetainedAway> {
        let keeping = publication.channel.keeping().unwrap();
        match self.retained.publish(publication, keeping, &mut |_| panic!("the node hears it")) {
            Taken::At(_) | Taken::Stale => panic!("the broker judges"),
            Taken::Sent(sent) => sent.await,
        }
    }

    /// `None` if it is stale, else the offset.
    async fn keep(&self, of: &Resolved, payload: &str) -> Option<u64> {
        let payload = Payload::read(payload.to_owned()).unwrap();
        self.keep_one(&Publication::new(of, payload)).await.unwrap().map(|position| position.offset)
    }

    async fn values_of(&self, of: &Resolved) -> Values {
        self.retained.read(of, of.channel.keeping().unwrap(), 1 << 20).await.unwrap()
    }

    /// The payloads, the oldest first, and the newest offset.
    async fn kept(&self, of: &Resolved) -> (Vec<String>, u64) {
        let Values { values, position } = self.values_of(of).await;
        (values.into_iter().map(|value| value.payload.as_str().to_owned()).collect(), position.offset)
    }

    async fn remove(&self, of: &Resolved, key: Option<&str>, once: Option<&str>) -> usize {
        let (topic, channel) = (of.topic.clone(), of.channel.clone());
        let removal = Removal { topic, channel, key: key.map(Key::new), once: once.map(Arc::from) };
        self.retained.remove(&removal, &mut |_| panic!("the node hears it")).await.unwrap()
    }
}

on_each_broker!(
    keys_and_versions_that_other_places_found_are_forgotten,
    every_node_hears_all_in_one_order_and_reads_the_newest_of_every_key,
    a_value_that_is_taken_away_on_one_node_is_told_on_every_node_at_its_place,
    what_every_node_takes_away_by_itself_is_taken_away_once,
    of_all_nodes_only_what_is_newer_is_published_whatever_the_version_is,
    the_oldest_go_beyond_keys_and_bytes_and_all_when_their_time_is_over,
    values_and_history_have_one_position_and_what_is_stale_is_in_neither,
    a_channel_that_retained_nothing_for_a_while_begins_with_nothing,
    a_node_that_missed_something_tells_a_gap_once,
    whoever_published_is_answered_when_the_subscribers_of_its_node_have_it,
    a_node_that_begins_to_listen_while_others_publish_without_a_pause_misses_nothing,
    without_the_broker_nothing_is_kept_read_or_taken_away,
);

async fn keys_and_versions_that_other_places_found_are_forgotten(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let by_time = feed("delivery: { key: /id, version: /at }, snapshot: { retain: latest }");
    let by_number = feed("delivery: { key: /id, version: /seq }, snapshot: { retain: latest }");
    let payload = r#"{"id":1,"at":"2030-01-01T00:00:00Z","seq":1}"#;
    assert_eq!(a.keep(&by_time, payload).await, Some(1));
    assert_eq!(a.keep(&by_time, payload).await, None, "it is not newer");
    assert_eq!(b.kept(&by_number).await, (vec![], 1));
    assert_eq!(b.keep(&by_number, payload).await, Some(2));
    assert_eq!(b.keep(&by_number, payload).await, None);
    let by_name = feed("delivery: { key: /name }, snapshot: { retain: latest }");
    assert_eq!(b.remove(&by_name, Some("1"), None).await, 0);
}

async fn every_node_hears_all_in_one_order_and_reads_the_newest_of_every_key(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    a.listen("feed").await;
    b.listen("feed").await;
    let of = feed(VALUES);
    assert_eq!(b.kept(&of).await, (vec![], 0));
    let texts = [r#"{"id": "x",  "n": 1}"#, r#"{"id":"y","n":2}"#, r#"{"id":"x","n":1.50}"#];
    for (text, node) in texts.iter().zip([&a, &b, &a]) {
        node.keep(&of, text).await;
    }
    for node in [&a, &b] {
        let told = [
            "feed {\"id\": \"x\",  \"n\": 1} at 1",
            "feed {\"id\":\"y\",\"n\":2} at 2",
            "feed {\"id\":\"x\",\"n\":1.50} at 3",
        ];
        assert_eq!(node.record.has(&[told[2]]).await, told);
        assert_eq!(node.kept(&of).await, (vec![texts[1].to_owned(), texts[2].to_owned()], 3));
    }
    let values = b.values_of(&of).await.values;
    assert_eq!((values[0].key.as_str(), values[0].position.as_ref().unwrap().offset), (r#""y""#, 2));
}

async fn a_value_that_is_taken_away_on_one_node_is_told_on_every_node_at_its_place(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    a.listen("feed").await;
    b.listen("feed").await;
    let of = feed("delivery: { key: /id, version: /seq }, snapshot: { retain: latest }");
    a.keep(&of, r#"{"id":"x y","seq":5}"#).await;
    a.keep(&of, r#"{"id":2,"seq":5}"#).await;
    assert_eq!(b.remove(&of, Some(r#""x y""#), None).await, 1);
    assert_eq!(b.remove(&of, Some(r#""x y""#), None).await, 0);
    assert_eq!(a.keep(&of, r#"{"id":"x y","seq":1}"#).await, Some(3), "its version is forgotten");
    assert_eq!(a.remove(&of, None, None).await, 2);
    assert_eq!(a.kept(&of).await, (vec![], 3));
    let told = [
        r#"feed {"id":"x y","seq":5} at 1"#,
        r#"feed {"id":2,"seq":5} at 2"#,
        r#"removed feed "x y" after 2"#,
        r#"feed {"id":"x y","seq":1} at 3"#,
        r#"removed feed 2 "x y" after 3"#,
    ];
    for node in [&a, &b] {
        assert_eq!(node.record.has(&[told[4]]).await, told);
    }
}

async fn what_every_node_takes_away_by_itself_is_taken_away_once(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let of = feed(VALUES);
    a.keep(&of, r#"{"id":1}"#).await;
    assert_eq!(a.remove(&of, Some("1"), Some("event 1")).await, 1);
    a.keep(&of, r#"{"id":1}"#).await;
    assert_eq!(b.remove(&of, Some("1"), Some("event 1")).await, 1, "the first answer");
    assert_eq!(b.kept(&of).await.0.len(), 1);
}

async fn of_all_nodes_only_what_is_newer_is_published_whatever_the_version_is(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    b.listen("feed").await;
    let of = feed("delivery: { key: /id, version: /seq }");
    let mut offset = 0;
    for (at, (seq, is_newer)) in [
        ("-1e300", true),
        ("-12300", true),
        ("-123", true),
        ("-1230", false),
        ("0", true),
        ("-0.5", false),
        ("0.5", true),
        ("9007199254740992", true),
        ("9007199254740993", true),
        ("9007199254740992.5", false),
        ("9007199254740993.0", false),
        ("123456789012345678901234567890", true),
        ("99999999999999999999999999999", false),
        (r#""2026-06-01T12:00:00+02:00""#, true),
        (r#""2026-06-01T10:00:00Z""#, false),
        (r#""2026-06-01T10:00:00.000000001Z""#, true),
        ("7", false),
    ]
    .into_iter()
    .enumerate()
    {
        let node = if at % 2 == 0 { &a } else { &b };
        offset += u64::from(is_newer);
        let kept = node.keep(&of, &format!(r#"{{"id":1,"seq":{seq}}}"#)).await;
        assert_eq!(kept, is_newer.then_some(offset), "{seq}");
    }
    assert_eq!(a.keep(&of, r#"{"id":2,"seq":7}"#).await, Some(offset + 1), "each key by itself");
    let last = format!(r#"feed {{"id":2,"seq":7}} at {}"#, offset + 1);
    assert_eq!(b.record.has(&[&last]).await.len() as u64, offset + 1, "nobody hears what is stale");
    assert_eq!(b.kept(&of).await, (vec![], offset + 1), "versions only");
}

async fn the_oldest_go_beyond_keys_and_bytes_and_all_when_their_time_is_over(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let node = Node::start(&server);
    node.away(false).await;
    let few = feed("delivery: { key: /id }, snapshot: { retain: latest, keys: 2 }");
    for id in [1, 2, 1, 3] {
        node.keep(&few, &format!(r#"{{"id":{id}}}"#)).await;
    }
    assert_eq!(node.kept(&few).await.0, [r#"{"id":1}"#, r#"{"id":3}"#]);
    let small = feed("delivery: { key: /id }, snapshot: { retain: latest, bytes: 50 }");
    node.remove(&small, None, None).await;
    for id in [1, 2, 3] {
        node.keep(&small, &format!(r#"{{"id":{id},"n":"{}"}}"#, "x".repeat(5))).await;
    }
    assert_eq!(node.kept(&small).await.0.len(), 2);
    let read = node.retained.read(&small, small.channel.keeping().unwrap(), 100).await;
    assert_eq!(read, Err(ValuesUnread::TooLarge(246)));
    let brief = feed("delivery: { key: /id, version: /seq }, snapshot: { retain: latest, ttl: 100ms }");
    node.keep(&brief, r#"{"id":4,"seq":1}"#).await;
    let gone = async {
        while !node.kept(&brief).await.0.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert!(node.keep(&brief, r#"{"id":4,"seq":1}"#).await.is_some(), "the version went with it");
}

async fn values_and_history_have_one_position_and_what_is_stale_is_in_neither(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let of = feed("delivery: { key: /id, version: /seq }, snapshot: { retain: latest }, history: { messages: 9 }");
    for (seq, offset) in [(1, Some(1)), (1, None), (2, Some(2))] {
        assert_eq!(a.keep(&of, &format!(r#"{{"id":1,"seq":{seq}}}"#)).await, offset);
    }
    let values = b.values_of(&of).await;
    assert_eq!(values.values[0].position, Some(values.position.clone()));
    let wanted = Wanted { since: None, entries_max: 9, bytes_max: 1 << 20 };
    let policy = of.channel.history.unwrap();
    let page = b.history.read(&of.topic, policy, wanted).await.unwrap();
    assert_eq!((page.hides_removed(&page.newest), &page.newest), (false, &values.position));
    assert_eq!(page.entries.unwrap().len(), 2);
    a.remove(&of, None, None).await;
    let wanted = Wanted { since: Some(values.position.clone()), entries_max: 9, bytes_max: 1 << 20 };
    let page = b.history.read(&of.topic, policy, wanted).await.unwrap();
    assert!(page.hides_removed(&page.newest), "the history does not say what was taken away");
    a.keep(&of, r#"{"id":1,"seq":3}"#).await;
    let page = b.history.read(&of.topic, policy, Wanted::position()).await.unwrap();
    assert!(page.hides_removed(&values.position) && !page.hides_removed(&page.newest));
}

async fn a_channel_that_retained_nothing_for_a_while_begins_with_nothing(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let (values, history, plain) = (feed(VALUES), feed("history: { messages: 9 }"), feed("delivery: {}"));
    let publication = |of: &Resolved| Publication::new(of, json!({ "id": 9 }).into());
    a.keep(&values, r#"{"id":1}"#).await;
    b.broker.publish(&publication(&plain)).unwrap().await.unwrap();
    assert_eq!(b.kept(&values).await.0, [""; 0]);
    a.keep(&values, r#"{"id":2}"#).await;
    let mut never = |_| panic!("the node hears it");
    let policy = history.channel.history.unwrap();
    match a.history.append(&publication(&history), policy, &mut never) {
        Appended::Sent(sent) => drop(sent.await.unwrap()),
        Appended::At(_) => panic!("the broker numbers"),
    }
    assert_eq!(b.kept(&values).await.0, [""; 0]);
}

async fn a_node_that_missed_something_tells_a_gap_once(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b, cable) = two_and_a_cable(&server).await;
    b.listen("feed").await;
    let of = feed(VALUES);
    a.keep(&of, r#"{"id":1}"#).await;
    b.record.has(&[r#"feed {"id":1} at 1"#]).await;
    cable.interrupt();
    // Until it hears again what is published.
    let mut newest = 1;
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            newest += 1;
            a.keep(&of, &format!(r#"{{"id":{newest}}}"#)).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let heard = b.record.has(&[]).await;
            if newest > 40 && heard.contains(&format!(r#"feed {{"id":{newest}}} at {newest}"#)) {
                return heard;
            }
        }
    });
    let heard = heard.await.unwrap();
    let mut last = 0;
    for line in heard.iter().filter(|line| !line.starts_with("gap")) {
        let offset: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(offset > last, "in order: {heard:?}");
        last = offset;
    }
    let is_whole = heard.len() as u64 == newest;
    let gaps = heard.iter().filter(|line| line.starts_with("gap")).count();
    assert!(is_whole || gaps > 0, "what was missed is told: {heard:?}");
}

async fn whoever_published_is_answered_when_the_subscribers_of_its_node_have_it(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    a.listen("feed").await;
    b.listen("feed").await;
    let (retained, history) = (feed(VALUES), feed("history: { messages: 5 }"));
    for n in 0..200 {
        let text = format!(r#"{{"id":1,"n":{n}}}"#);
        if n % 2 == 0 {
            a.keep(&retained, &text).await;
        } else {
            let publication = Publication::new(&history, Payload::read(text.clone()).unwrap());
            let policy = history.channel.history.unwrap();
            let Appended::Sent(sent) = a.history.append(&publication, policy, &mut |_| panic!("the node hears it"))
            else {
                panic!("the broker numbers it");
            };
            sent.await.unwrap();
        }
        assert_eq!(a.record.has(&[]).await.last(), Some(&format!("feed {text} at {}", n + 1)));
    }
}

async fn a_node_that_begins_to_listen_while_others_publish_without_a_pause_misses_nothing(kind: BrokerKind) {
    let server = BrokerServer::start(kind);
    let (a, b) = two(&server).await;
    let is_over = AtomicBool::new(false);
    let topics: Vec<Resolved> = (0..50).map(|at| resolved(&format!("feed.{at}"), VALUES)).collect();
    let publishing = async {
        while !is_over.load(Ordering::Relaxed) {
            // Many at once: some are on their way to the node while it asks for what it may have missed.
            join_all(topics.iter().map(|of| a.keep(of, r#"{"id":1}"#))).await;
        }
    };
    let listening = async {
        for of in &topics {
            b.listen(of.topic.as_str()).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(publishing, listening);
    a.keep(&topics[49], r#"{"id":"last"}"#).await;
    let newest = a.values_of(&topics[49]).await.position.offset;
    let heard = b.record.has(&[&format!(r#"feed.49 {{"id":"last"}} at {newest}"#)]).await;
    let gaps: Vec<&String> = heard.iter().filter(|line| line.starts_with("gap")).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
}

async fn without_the_broker_nothing_is_kept_read_or_taken_away(kind: BrokerKind) {
    let mut server = BrokerServer::start(kind);
    let node = Node::start(&server);
    node.away(false).await;
    let of = feed(VALUES);
    server.kill();
    node.away(true).await;
    let publication = Publication::new(&of, json!({ "id": 1 }).into());
    assert_eq!(node.keep_one(&publication).await, Err(RetainedAway));
    assert_eq!(node.retained.read(&of, of.channel.keeping().unwrap(), 1 << 20).await, Err(ValuesUnread::Away));
    let removal = Removal { topic: of.topic.clone(), channel: of.channel.clone(), key: None, once: None };
    assert_eq!(node.retained.remove(&removal, &mut |_| ()).await, Err(RetainedAway));
}
