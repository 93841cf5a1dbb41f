//! Bus event → allowlisted rules → publications; what matched and cannot cross becomes a dead letter.

use std::sync::Arc;

use serde_json::json;
use tidegate_core::flow::Effect;
use tidegate_core::protocol::{BusEvent, Payload};

use tidegate_testkit::{CHANNELS, FakeClock, FakeProvider, Server, event, user};

const RULES: &str = r#"
rules:
  - on: article.published
    to: news
  - on: vault.source.*
    when: event.data.status != "draft"
    to: vault.{vaultId}
    params: { vaultId: event.data.vaultId }
    payload: '{"kind": event.type, "status": event.data.status}'
  - on: counted
    to: chat.{room}
    params: { room: event.data.room }
    payload: '{"text": string(event.data.n + 1)}'
"#;

fn server() -> Server {
    Server::declaring(CHANNELS).bridge(RULES).start()
}

#[tokio::test]
async fn an_event_of_an_exact_rule_crosses_with_its_data() {
    let server = server();
    server.bridge(&event("article.published", json!({ "title": "x" }))).await;
    assert_eq!(server.delivered(), [("news".to_owned(), json!({ "title": "x" }))]);
}

#[tokio::test]
async fn an_event_that_no_rule_lists_goes_no_further_and_is_no_dead_letter() {
    let server = server();
    for kind in ["article", "article.published.twice", "article.unpublished", "vault.source", "vault.sourcex.a", "*"] {
        server.bridge(&event(kind, json!({ "title": "x", "vaultId": "v1", "status": "live" }))).await;
    }
    assert_eq!(server.delivered(), []);
    assert!(server.dead_letters.list().is_empty());
}

#[tokio::test]
async fn a_prefix_rule_makes_its_topic_and_payload_from_the_event() {
    let server = server();
    server.bridge(&event("vault.source.added", json!({ "vaultId": "v1", "status": "live" }))).await;
    let payload = json!({ "kind": "vault.source.added", "status": "live" });
    assert_eq!(server.delivered(), [("vault.v1".to_owned(), payload)]);
}

#[tokio::test]
async fn integers_of_an_event_are_integers_in_an_expression() {
    let server = server();
    server.bridge(&event("counted", json!({ "room": "a", "n": 41 }))).await;
    assert_eq!(server.delivered(), [("chat.a".to_owned(), json!({ "text": "42" }))]);
}

#[tokio::test]
async fn a_whole_number_is_an_integer_however_its_producer_writes_it() {
    for (n, text) in [("41", "42"), ("41.0", "42"), ("41.00", "42"), ("4.1e1", "42"), ("-0", "1"), ("1e2", "101")] {
        let server = server();
        let data = Payload::read(format!(r#"{{"room":7.0,"n":{n}}}"#)).unwrap();
        server.bridge(&BusEvent::new("1".to_owned(), "/test".to_owned(), "counted".to_owned(), data)).await;
        assert_eq!(server.delivered(), [("chat.7".to_owned(), json!({ "text": text }))], "{n}");
    }
}

#[tokio::test]
async fn a_number_that_an_expression_would_change_is_a_dead_letter_that_shows_it() {
    let server = server();
    let data = Payload::read(r#"{"room":"a","n":123456789012345678901234567890}"#.to_owned()).unwrap();
    server.bridge(&BusEvent::new("1".to_owned(), "/test".to_owned(), "counted".to_owned(), data)).await;
    assert_eq!(server.delivered(), []);
    let reason = &server.dead_letters.list()[0].reason;
    assert!(reason.contains("the number 123456789012345678901234567890 has more digits than CEL keeps"), "{reason}");
}

#[tokio::test]
async fn a_condition_that_says_no_is_no_dead_letter() {
    let server = server();
    server.bridge(&event("vault.source.added", json!({ "vaultId": "v1", "status": "draft" }))).await;
    assert_eq!(server.delivered(), []);
    assert!(server.dead_letters.list().is_empty());
}

#[tokio::test]
async fn an_expression_that_fails_is_a_dead_letter_with_rule_reason_time_and_event() {
    let server = server();
    let event = event("vault.source.added", json!({ "status": "live" }));
    server.bridge(&event).await;
    assert_eq!(server.delivered(), []);
    let letters = server.dead_letters.list();
    assert_eq!((letters.len(), &letters[0].event, letters[0].at_unix_s), (1, &event, FakeClock::START_UNIX_S));
    assert_eq!((letters[0].rule.on.as_str(), letters[0].rule.to.as_str()), ("vault.source.*", "vault.{vaultId}"));
    assert!(letters[0].reason.contains("vaultId"), "{}", letters[0].reason);
}

#[tokio::test]
async fn a_param_that_is_no_segment_is_a_dead_letter() {
    for id in [json!("a.b"), json!(""), json!("a b"), json!("{x}"), json!(null), json!(["v1"])] {
        let server = server();
        server.bridge(&event("vault.source.added", json!({ "vaultId": id, "status": "live" }))).await;
        assert_eq!((server.delivered(), server.dead_letters.list().len()), (Vec::new(), 1), "{id}");
    }
}

#[tokio::test]
async fn a_payload_that_fails_the_channels_schema_is_a_dead_letter_that_says_where() {
    let server = server();
    server.bridge(&event("article.published", json!({ "title": 7 }))).await;
    assert_eq!(server.delivered(), []);
    let letters = server.dead_letters.list();
    assert!(letters[0].reason.contains("/title") && letters[0].reason.contains("news"), "{}", letters[0].reason);
}

#[tokio::test]
async fn every_rule_that_lists_the_event_is_taken_and_one_that_fails_stops_no_other() {
    let rules = "rules:\n  - { on: a.b, to: news }\n  - { on: a.*, to: members-only }\n  - { on: a.b, to: desk }\n";
    let server = Server::declaring(CHANNELS).bridge(rules).start();
    server.bridge(&event("a.b", json!({ "no": "title" }))).await;
    let mut topics: Vec<String> = server.delivered().into_iter().map(|(topic, _)| topic).collect();
    topics.sort();
    assert_eq!(topics, ["desk", "members-only"]);
    assert_eq!(server.dead_letters.list()[0].rule.to, "news");
}

#[tokio::test]
async fn a_param_does_not_lead_into_another_channel() {
    let manifest = "feature: test\nchannels:\n  room.{id}: { scope: public, payload: {} }\n  \
                    room.staff: { scope: { role: staff }, payload: {} }\n";
    let rules = "rules:\n  - on: said\n    to: room.{id}\n    params: { id: event.data.id }\n";
    let server = Server::declaring(manifest).bridge(rules).start();
    server.bridge(&event("said", json!({ "id": "1" }))).await;
    server.bridge(&event("said", json!({ "id": "staff" }))).await;
    let topics: Vec<String> = server.delivered().into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["room.1"]);
    assert_eq!(server.dead_letters.list().len(), 1);
}

#[tokio::test]
async fn a_dead_letter_crosses_again_by_its_own_rule_once_it_can() {
    let server = server();
    server.bridge(&event("article.published", json!({ "title": 7 }))).await;
    let letter = server.dead_letters.list().remove(0);
    let again = server.gates.retry(&letter).await.unwrap();
    assert!(matches!(&again[..], [Effect::DeadLetter(second)] if second.id != letter.id), "{again:?}");

    let lenient = CHANNELS.replace("title: { type: string }", "title: {}");
    let server = Server::declaring(&lenient).bridge(RULES).start();
    let effects = server.gates.retry(&letter).await.unwrap();
    assert!(matches!(&effects[..], [Effect::Deliver(publication)] if publication.topic.as_str() == "news"));
}

#[tokio::test]
async fn a_dead_letter_whose_rule_is_gone_cannot_cross() {
    let letter = {
        let server = server();
        server.bridge(&event("article.published", json!({ "title": 7 }))).await;
        server.dead_letters.list().remove(0)
    };
    let rules = "rules:\n  - { on: article.published, to: members-only }\n";
    assert!(Server::declaring(CHANNELS).bridge(rules).start().gates.retry(&letter).await.is_none());
}

#[tokio::test]
async fn a_bridged_publication_goes_to_everyone_who_holds_the_topic() {
    let server = server();
    let client = server.client(user("alice"));
    client.subscribe("news").await.unwrap();
    server.bridge(&event("article.published", json!({ "title": "x" }))).await;
    assert_eq!(server.rooms.publications()[0].except, None);
}

const REVOKING: &str = r#"
rules:
  - on: vault.member.removed
    when: event.data.why != "test"
    revoke: vault.{vaultId}
    params: { vaultId: event.data.vaultId }
    user: event.data.userId
  - { on: news.closed, revoke: news }
"#;

fn revoking() -> Server {
    Server::declaring(CHANNELS).bridge(REVOKING).start()
}

/// What was revoked, as `(topic, user)`.
fn revoked(server: &Server) -> Vec<(String, Option<String>)> {
    let revoked = server.clients.revoked().into_iter();
    revoked.map(|one| (one.topic.map(|topic| topic.to_string()).unwrap_or_default(), one.user)).collect()
}

#[tokio::test]
async fn a_rule_that_revokes_takes_the_topic_from_the_user_it_names_or_from_everybody() {
    let server = revoking();
    let removed = json!({ "vaultId": "v1", "userId": "u1", "why": "left" });
    server.bridge(&event("vault.member.removed", removed)).await;
    server.bridge(&event("news.closed", json!({}))).await;
    let expected = [("vault.v1".to_owned(), Some("u1".to_owned())), ("news".to_owned(), None)];
    assert_eq!(revoked(&server), expected);
    assert_eq!(server.delivered(), []);
    assert_eq!(server.broker.told(), 2, "and the other nodes hear of it");
    let reason = server.clients.revoked()[0].reason.clone();
    assert_eq!(reason.as_deref(), Some("event vault.member.removed `event-1`"));
}

#[tokio::test]
async fn one_event_revokes_once_however_many_nodes_take_it_across_and_tell_the_others() {
    let (here, there) = (revoking(), revoking());
    let removed = |user: &str| event("vault.member.removed", json!({ "vaultId": "v1", "userId": user, "why": "left" }));
    // Here it is read first, there it is heard of first; both tell the other.
    here.bridge(&removed("u1")).await;
    here.broker.play_to(&*there.gates);
    there.bridge(&removed("u1")).await;
    there.broker.play_to(&*here.gates);
    here.bridge(&removed("u1")).await;
    for node in [&here, &there] {
        assert_eq!(revoked(node), [("vault.v1".to_owned(), Some("u1".to_owned()))]);
    }
    // Another event is another revocation, and one of the same id that is about somebody else too.
    let mut another = removed("u1");
    another.id = "event-2".to_owned();
    here.bridge(&another).await;
    here.bridge(&removed("u2")).await;
    assert_eq!(revoked(&here).len(), 3);
}

#[tokio::test]
async fn a_condition_that_says_no_revokes_nothing() {
    let server = revoking();
    let removed = json!({ "vaultId": "v1", "userId": "u1", "why": "test" });
    server.bridge(&event("vault.member.removed", removed)).await;
    assert_eq!(revoked(&server), []);
    assert!(server.dead_letters.list().is_empty());
}

#[tokio::test]
async fn what_cannot_be_revoked_is_a_dead_letter_and_revokes_nobody() {
    let server = revoking();
    let cases = [
        (json!({ "vaultId": "v1", "why": "" }), "`user`: "),
        (json!({ "vaultId": "v1", "userId": null, "why": "" }), "`user`: expected a text or an integer, found null"),
        (json!({ "vaultId": "v.1", "userId": "u1", "why": "" }), "param `vaultId` contains a dot"),
        (json!({ "vaultId": "v 1", "userId": "u1", "why": "" }), "`vault.v 1` is not a valid topic"),
        (json!({ "vaultId": "v1", "userId": "u".repeat(2000), "why": "" }), "`user` must be a text"),
    ];
    for (number, (data, reason)) in cases.into_iter().enumerate() {
        server.bridge(&event("vault.member.removed", data.clone())).await;
        let letters = server.dead_letters.list();
        assert_eq!(letters.len(), number + 1, "{data}");
        assert!(letters[0].reason.contains(reason), "{data}: {}", letters[0].reason);
        assert!(letters[0].rule.revokes);
    }
    assert_eq!(revoked(&server), []);
}

const ENDING: &str = r#"
rules:
  - on: session.deleted
    when: event.data.why != "test"
    end_sessions: { token: event.data.id }
  - { on: user.blocked, end_sessions: { user: event.data.user } }
"#;

/// What was revoked, as `(token, user, until when its credentials were issued)`.
fn ended(server: &Server) -> Vec<(Option<String>, Option<String>, Option<u64>)> {
    server.clients.revoked().into_iter().map(|one| (one.token, one.user, one.issued_before)).collect()
}

#[tokio::test]
async fn a_rule_that_ends_sessions_ends_those_of_a_user_or_of_a_credential_once_on_every_node() {
    let provider = || Arc::new(FakeProvider::knowing([]));
    let start = || Server::declaring(CHANNELS).provider(provider()).bridge(ENDING).start();
    let (here, there) = (start(), start());
    here.bridge(&event("session.deleted", json!({ "id": "t1", "why": "left" }))).await;
    here.bridge(&event("session.deleted", json!({ "id": "t2", "why": "test" }))).await;
    here.bridge(&event("user.blocked", json!({ "user": 7 }))).await;
    here.broker.play_to(&*there.gates);
    there.bridge(&event("user.blocked", json!({ "user": 7 }))).await;
    let until_now = Some(FakeClock::START_UNIX_S + 1);
    for node in [&here, &there] {
        assert_eq!(ended(node), [(Some("t1".to_owned()), None, None), (None, Some("7".to_owned()), until_now)]);
        assert_eq!(node.delivered(), []);
        assert!(node.dead_letters.list().is_empty());
    }
}

#[tokio::test]
async fn what_names_nobodys_sessions_is_a_dead_letter_that_can_be_retried() {
    let server = Server::declaring(CHANNELS).provider(Arc::new(FakeProvider::knowing([]))).bridge(ENDING).start();
    for (kind, data, reason) in [
        ("session.deleted", json!({ "why": "" }), "`token`: "),
        ("user.blocked", json!({ "user": null }), "`user`: expected a text or an integer, found null"),
        ("user.blocked", json!({ "user": "" }), "`user` is empty"),
    ] {
        server.bridge(&event(kind, data)).await;
        let letter = server.dead_letters.list().remove(0);
        assert!(letter.reason.contains(reason), "{}", letter.reason);
        assert!(letter.rule.ends_sessions);
        let again = server.gates.retry(&letter).await.unwrap();
        assert!(matches!(&again[..], [Effect::DeadLetter(_)]), "{again:?}");
    }
    assert_eq!(ended(&server), []);
}
