//! What the shipped plugins answer, and what a plugin is told.

use tidegate_core::flow::ports::{Decision, FaultKind, PluginEffect, PluginRefusal, Plugins};
use tidegate_core::protocol::{Payload, PluginName};
use tidegate_wasm::{Fingerprint, PluginSet};

use crate::kit::{BAD_MANIFEST, ask, bad, context, load, order, reply, send, send_on, shipped, with_manifest};

#[tokio::test]
async fn ping_answers_emits_and_tells_the_bus() {
    let ping = load(shipped("ping")).await;
    assert!(ping.kinds().handler && !ping.kinds().authorizer);
    let outcome = send(&ping, r#"{"n":7}"#).await.unwrap().unwrap();
    assert_eq!(outcome.reply.unwrap().as_str(), r#"{"pong":7}"#);
    let json = |text: &str| Payload::parse(text.to_owned()).unwrap();
    let emit =
        PluginEffect::Emit { topic: "realtime-ping".to_owned(), payload: json(r#"{"pong":7}"#), others_only: false };
    let publish =
        PluginEffect::Publish { kind: "ping.seen".to_owned(), subject: None, data: json(r#"{"n":7,"user":"u1"}"#) };
    assert_eq!(outcome.effects, [emit, publish]);
}

#[tokio::test]
async fn a_payload_of_the_wrong_type_is_a_refusal_that_says_why() {
    let ping = load(shipped("ping")).await;
    let refusal = send(&ping, r#"{"n":"seven"}"#).await.unwrap().unwrap_err();
    let PluginRefusal::InvalidPayload(reason) = refusal else { panic!("{refusal:?}") };
    assert!(reason.contains("expected a whole number, found a text"), "{reason}");
}

#[tokio::test]
async fn vault_members_lets_members_in_and_nobody_else() {
    let members = load(shipped("vault-members")).await;
    assert!(members.kinds().authorizer && !members.kinds().handler);
    let decide = async |vault: &str, user| ask(&members, &context("vault.{vaultId}", vault, user)).await.unwrap();
    assert_eq!(decide("vault.v1", Some("alice")).await, Decision::allow());
    let reason = "`mallory` is no member of vault `v1`".to_owned();
    assert_eq!(decide("vault.v1", Some("mallory")).await, Decision::Deny { reason });
    let reason = "`alice` is no member of vault `v2`".to_owned();
    assert_eq!(decide("vault.v2", Some("alice")).await, Decision::Deny { reason });
    assert_eq!(decide("vault.v1", None).await, Decision::Deny { reason: "anonymous".to_owned() });
}

#[tokio::test]
async fn an_authorizer_that_cannot_decide_is_a_fault() {
    let members = load(with_manifest(shipped("vault-members"), "component: x.wasm")).await;
    let fault = ask(&members, &context("vault.{vaultId}", "vault.v1", Some("alice"))).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Failed);
    assert_eq!(fault.detail, "`config.members` is missing in plugin.yaml");
}

#[tokio::test]
async fn a_plugin_is_told_who_asks_and_where() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    let context = context("vault.{vaultId}", "vault.v1", Some("u1"));
    let told = reply(send_on(&plugin, &context, "\"context\"").await);
    for part in [
        "topic: \\\"vault.v1\\\"",
        "channel: \\\"vault.{vaultId}\\\"",
        "(\\\"vaultId\\\", \\\"v1\\\")",
        "id: \\\"u1\\\", roles: [\\\"r\\\"]",
        "connection-id: \\\"c1\\\"",
        "deadline-ms: 1000",
        "attributes: []",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_instance_and_its_sentence_is_bounded() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    let refusal = order(&plugin, "forbidden").await.unwrap().unwrap_err();
    assert_eq!(refusal, PluginRefusal::Forbidden("not you".to_owned()));
    let refusal = order(&plugin, "long-refusal").await.unwrap().unwrap_err();
    assert_eq!(refusal, PluginRefusal::InvalidPayload("é".repeat(512)));
    assert_eq!(reply(order(&plugin, "count").await), "3");
}

#[tokio::test]
async fn granted_effects_come_through_in_order() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    let effects = order(&plugin, "granted").await.unwrap().unwrap().effects;
    let [
        PluginEffect::Emit { topic, others_only: true, .. },
        PluginEffect::Emit { topic: second, .. },
        PluginEffect::Publish { kind, .. },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((topic.as_str(), second.as_str(), kind.as_str()), ("granted", "granted.x", "granted.event"));
}

#[tokio::test]
async fn a_plugin_sees_no_files_no_network_and_no_environment() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    let seen = reply(order(&plugin, "look-around").await);
    assert_eq!(seen, r#"{"files":false,"network":false,"environment":false}"#);
}

#[tokio::test]
async fn a_set_finds_plugins_by_name_and_says_what_is_missing() {
    let set = PluginSet::new([load(shipped("vault-members")).await]);
    let context = context("vault.{vaultId}", "vault.v1", Some("alice"));
    let payload = Payload::parse("1".to_owned()).unwrap();
    let call = tidegate_core::flow::ports::HandlerCall { context: &context, payload: &payload };
    let fault = set.handle(&PluginName::new("nobody"), call).await.unwrap_err();
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Missing, "is not loaded"));
    let fault = set.handle(&PluginName::new("vault-members"), call).await.unwrap_err();
    assert_eq!((fault.kind, fault.detail.as_str()), (FaultKind::Missing, "`vault-members` does not export `handler`"));
    assert!(set.kinds()[&PluginName::new("vault-members")].authorizer);
}

#[tokio::test]
async fn a_plugin_is_known_by_its_component_and_its_manifest() {
    let source = shipped("ping");
    let fingerprint = Fingerprint::of(&source.manifest.text, &source.component);
    let ping = load(source.clone()).await;
    assert_eq!(ping.fingerprint(), fingerprint);
    assert_eq!(ping.version(), fingerprint.version().short());
    let other = load(with_manifest(source, "component: ping.wasm")).await;
    assert_ne!(other.fingerprint(), fingerprint);
    assert_eq!(other.digest(), ping.digest());
}
