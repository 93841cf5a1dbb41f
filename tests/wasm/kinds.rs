//! Snapshots, transforms and listeners of real components: what each is asked, what comes of every answer.

use std::sync::Arc;

use tidegate_core::flow::ports::{ConnectionCall, FaultKind, Phase, PluginEffect, Plugins, TransformCall};
use tidegate_core::protocol::{BusEvent, ConnectionId, Payload, PluginName};
use tidegate_wasm::{Plugin, PluginSet, PluginSource};

use crate::kit::{KINDS_MANIFEST, ask, context, first, kinds, load, refused, reply, send, shipped, typed};
use tidegate_testkit::user;

async fn state(plugin: &Plugin, what: &str) -> Result<Vec<String>, (FaultKind, String)> {
    let context = context("board.{what}", &format!("board.{what}"), Some("u1"));
    let payloads = plugin.provide(&context).await.map_err(|fault| (fault.kind, fault.detail))?;
    Ok(payloads.iter().map(|payload| payload.as_str().to_owned()).collect())
}

async fn made(plugin: &Plugin, payload: &str) -> Result<Option<String>, (FaultKind, String)> {
    let mut event =
        BusEvent::new("e1".to_owned(), "/shop".to_owned(), "order.paid".to_owned(), serde_json::json!({ "n": 1 }));
    event.subject = Some("o1".to_owned());
    let payload = Payload::parse(payload.to_owned()).unwrap();
    let call = TransformCall { channel: "orders.{id}", event: &event, topic: "orders.o1", payload: &payload };
    let made = plugin.transform(call).await.map_err(|fault| (fault.kind, fault.detail))?;
    Ok(made.map(|payload| payload.as_str().to_owned()))
}

async fn told(plugin: &Plugin, id: Option<&str>, phase: Phase) -> Result<Vec<PluginEffect>, (FaultKind, String)> {
    let (connection, user) = (ConnectionId::new("c1"), id.map(user));
    let call = ConnectionCall { connection: &connection, user: user.as_ref(), phase };
    plugin.changed(call).await.map_err(|fault| (fault.kind, fault.detail))
}

#[tokio::test]
async fn a_snapshot_is_the_payloads_the_component_gives_for_the_topic() {
    let plugin = load(kinds("state", KINDS_MANIFEST)).await;
    assert_eq!(state(&plugin, "3").await.unwrap(), [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
    assert_eq!(state(&plugin, "0").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_snapshot_that_is_none_is_a_fault_and_the_next_is_given() {
    let plugin = load(kinds("state", KINDS_MANIFEST)).await;
    assert_eq!(state(&plugin, "error").await, Err((FaultKind::Failed, "no state".to_owned())));
    let (kind, detail) = state(&plugin, "garbage").await.unwrap_err();
    assert_eq!(kind, FaultKind::InvalidOutput);
    assert!(detail.starts_with("payload 0 of the snapshot is "), "{detail}");
    let (kind, detail) = state(&plugin, "large").await.unwrap_err();
    assert!(matches!(kind, FaultKind::TooLarge(_)), "{kind:?}");
    assert!(detail.contains("`limits.snapshot`"), "{detail}");
    assert_eq!(state(&plugin, "trap").await.unwrap_err().0, FaultKind::Trap);
    assert_eq!(state(&plugin, "1").await.unwrap(), [r#"{"n":0}"#]);
}

#[tokio::test]
async fn a_transform_is_told_the_event_the_topic_and_the_payload() {
    let plugin = load(kinds("shaper", KINDS_MANIFEST)).await;
    let made = made(&plugin, r#"{"a":1}"#).await.unwrap().unwrap();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let expected = serde_json::json!({
        "payload": { "a": 1 }, "topic": "orders.o1", "kind": "order.paid", "source": "/shop", "id": "e1",
        "subject": "o1", "time": "", "data": { "n": 1 },
    });
    assert_eq!(made, expected);
}

#[tokio::test]
async fn a_transform_may_say_that_the_event_should_not_cross() {
    let plugin = load(kinds("shaper", KINDS_MANIFEST)).await;
    assert_eq!(made(&plugin, "\"skip\"").await, Ok(None));
}

#[tokio::test]
async fn a_transform_that_fails_is_a_fault_in_its_own_words_and_the_next_is_made() {
    let plugin = load(kinds("shaper", KINDS_MANIFEST)).await;
    assert_eq!(made(&plugin, "\"error\"").await, Err((FaultKind::Failed, "it does not fit".to_owned())));
    let (kind, detail) = made(&plugin, "\"garbage\"").await.unwrap_err();
    assert_eq!(kind, FaultKind::InvalidOutput);
    assert!(detail.starts_with("the payload is "), "{detail}");
    assert_eq!(made(&plugin, "\"trap\"").await.unwrap_err().0, FaultKind::Trap);
    assert!(made(&plugin, "1").await.unwrap().is_some());
}

#[tokio::test]
async fn a_kind_that_plugin_yaml_asks_for_and_the_component_lacks_is_told_with_what_it_exports() {
    let manifest = "component: kinds.wasm\nbuild: cargo build\nkinds: [snapshot, handler]\n";
    let (message, line, hint) = refused(kinds("state", manifest)).await;
    assert!(message.ends_with("does not export `handler`, which `kinds` requires"), "{message}");
    assert_eq!((line, hint.as_str()), (3, "it exports `authorizer`, `snapshot`, `transform` and `connection`"));
}

#[tokio::test]
async fn a_plugin_that_is_no_handler_does_not_answer_messages() {
    let plugin = load(kinds("state", KINDS_MANIFEST)).await;
    let fault = send(&plugin, "1").await.unwrap_err();
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Missing, "`state` does not export `handler`"));
}

#[tokio::test]
async fn a_listener_is_told_who_came_and_who_went_and_says_what_should_happen() {
    let plugin = load(kinds("listener", KINDS_MANIFEST)).await;
    for phase in [Phase::Connected, Phase::Disconnected] {
        let word = phase.as_str();
        let payload = Payload::parse(format!(r#"{{"phase":"{word}","user":"alice","connection":"c1"}}"#)).unwrap();
        let emit = PluginEffect::Emit { topic: "lobby".to_owned(), payload: payload.clone(), others_only: true };
        let publish = PluginEffect::Publish { kind: format!("connection.{word}"), subject: None, data: payload };
        assert_eq!(told(&plugin, Some("alice"), phase).await, Ok(vec![emit, publish]));
    }
    let effects = told(&plugin, None, Phase::Connected).await.unwrap();
    assert!(matches!(&effects[0], PluginEffect::Emit { payload, .. } if payload.as_str().contains(r#""user":"""#)));
}

#[tokio::test]
async fn a_listener_that_fails_or_wants_what_it_is_not_granted_is_a_fault() {
    let plugin = load(kinds("listener", KINDS_MANIFEST)).await;
    let fault = async |id| told(&plugin, Some(id), Phase::Connected).await.unwrap_err();
    assert_eq!(fault("error").await, (FaultKind::Failed, "not now".to_owned()));
    assert_eq!(fault("trap").await.0, FaultKind::Trap);
    let expected = "`grants.emit` has no channel for topic `secret`".to_owned();
    assert_eq!(fault("not-granted").await, (FaultKind::NotGranted, expected));
}

#[tokio::test]
async fn the_listeners_of_a_generation_are_the_plugins_that_export_it() {
    let plugins = [load(kinds("b", KINDS_MANIFEST)).await, load(shipped("ping")).await];
    let set = PluginSet::new(plugins.into_iter().chain([load(kinds("a", KINDS_MANIFEST)).await]));
    assert_eq!(set.listeners(), [PluginName::new("a"), PluginName::new("b")]);
}

#[tokio::test]
async fn one_component_of_the_rust_sdk_can_be_everything() {
    let plugin: Arc<Plugin> = load(typed()).await;
    assert_eq!(plugin.kinds(), tidegate_core::channels::PluginKinds::ALL);
    assert_eq!(reply(send(&plugin, r#"{"n":1}"#).await), r#"{"n":2}"#);
    let decision = ask(&plugin, &context("a", "a", Some("alice"))).await.unwrap();
    assert_eq!(decision, tidegate_core::flow::ports::Decision::allow());

    assert_eq!(state(&plugin, "2").await.unwrap(), [r#"{"n":0}"#, r#"{"n":1}"#]);
    assert_eq!(state(&plugin, "x").await, Err((FaultKind::Failed, "`x`: invalid digit found in string".to_owned())));

    assert_eq!(made(&plugin, r#"{"n":41}"#).await, Ok(Some(r#"{"n":42}"#.to_owned())));
    assert_eq!(made(&plugin, r#"{"n":-1}"#).await, Ok(None), "with the 1 of the event it adds up to nothing");
    let (kind, detail) = made(&plugin, "[]").await.unwrap_err();
    assert!(kind == FaultKind::Failed && detail.contains("invalid length 0"), "{kind:?}: {detail}");

    let effects = told(&plugin, Some("alice"), Phase::Connected).await.unwrap();
    assert!(matches!(&effects[..], [PluginEffect::Emit { .. }, PluginEffect::Publish { .. }]), "{effects:?}");
    assert_eq!(told(&plugin, Some("alice"), Phase::Disconnected).await, Ok(Vec::new()));
    assert_eq!(told(&plugin, None, Phase::Connected).await, Err((FaultKind::Failed, "anonymous".to_owned())));
}

/// The component, with the names of these interfaces in the contract's second version. The names are equally long.
fn of_the_second_version(mut source: PluginSource) -> PluginSource {
    for interface in ["connection", "handler", "types"] {
        let name = |version: &str| format!("tidegate:plugin/{interface}@{version}").into_bytes();
        let (before, after) = (name("0.1.0"), name("0.2.0"));
        for at in 0..source.component.len() - before.len() {
            if source.component[at..].starts_with(&before) {
                source.component[at..at + after.len()].copy_from_slice(&after);
            }
        }
    }
    source
}

#[tokio::test]
async fn components_of_the_versions_before_say_what_should_happen() {
    let first = first("grants:\n  emit: [lobby]\n  queries: { none: select 1 }");
    for source in [first.clone(), of_the_second_version(first)] {
        let plugin = load(source).await;
        let emit = PluginEffect::Emit {
            topic: "lobby".to_owned(),
            payload: Payload::parse("\"Phase::Connected\"".to_owned()).unwrap(),
            others_only: true,
        };
        assert_eq!(told(&plugin, None, Phase::Connected).await, Ok(vec![emit]));
        assert_eq!(reply(send(&plugin, "7").await), "7");
    }
}
