//! Whose a credential is, asked of a real authorizer.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::config::SourceFile;
use tidegate_core::flow::ports::{Fault, FaultKind, IdentifyCall, Recognition};
use tidegate_core::protocol::{ConnectionId, Payload, User};
use tidegate_wasm::{Plugin, Vector};

use crate::kit::{load, typed};

async fn identify(plugin: &Plugin, credential: &str) -> Result<Recognition, Fault> {
    let (connection, credential) = (ConnectionId::new("c1"), Payload::parse(credential.to_owned()).unwrap());
    plugin.identify(IdentifyCall { connection: &connection, credential: &credential }).await
}

#[tokio::test]
async fn a_token_or_a_cookie_is_whose_the_plugin_says_and_for_as_long() {
    let plugin = load(typed()).await;
    let roles = vec!["editor".to_owned()];
    let alice = User::new("alice", roles, Some("t".to_owned()));
    let admitted = Recognition::Admitted { user: Some(alice), ttl: Duration::from_secs(3600) };
    assert_eq!(identify(&plugin, r#"{"token":"user:alice"}"#).await, Ok(admitted.clone()));
    assert_eq!(identify(&plugin, r#"{"cookies":{"sid":"user:alice"}}"#).await, Ok(admitted));
    let guest = Recognition::Admitted { user: None, ttl: Duration::ZERO };
    assert_eq!(identify(&plugin, r#"{"token":"guest"}"#).await, Ok(guest));
    let refused = Recognition::Refused { reason: "nobody has this token".to_owned() };
    assert_eq!(identify(&plugin, r#"{"token":"x"}"#).await, Ok(refused));
}

#[tokio::test]
async fn a_plugin_that_cannot_tell_is_a_fault_and_answers_the_next_one_all_the_same() {
    let plugin = load(typed()).await;
    for (token, kind) in [
        ("trap", FaultKind::Trap),
        ("loop", FaultKind::Cpu),
        ("away", FaultKind::Failed),
        ("user:", FaultKind::InvalidOutput),
        ("large", FaultKind::InvalidOutput),
    ] {
        let fault = identify(&plugin, &format!(r#"{{"token":"{token}"}}"#)).await.unwrap_err();
        assert_eq!(fault.kind, kind, "{token}: {fault}");
    }
    assert!(matches!(identify(&plugin, r#"{"token":"user:bob"}"#).await, Ok(Recognition::Admitted { .. })));
}

/// How what the plugin answers to a golden vector differs from what the vector expects.
async fn differences(plugin: &Plugin, payload: &str, expect: &str) -> Vec<String> {
    let text = format!(r#"{{"kind":"authorizer","action":"connect","payload":{payload},"expect":{expect}}}"#);
    let vector = Vector::read(&Arc::new(SourceFile { path: "v.json".to_owned(), text })).unwrap();
    vector.differences(&vector.ask(plugin).await)
}

#[tokio::test]
async fn a_golden_vector_says_whose_a_credential_is() {
    let plugin = load(typed()).await;
    let alice = r#"{"decision":"allow","user":{"id":"alice","roles":["editor"],"tenant":"t"}}"#;
    assert_eq!(differences(&plugin, r#"{"token":"user:alice"}"#, alice).await, [""; 0]);
    assert_eq!(differences(&plugin, r#"{"token":"guest"}"#, r#"{"decision":"allow"}"#).await, [""; 0]);
    assert_eq!(differences(&plugin, r#"{"token":"x"}"#, r#"{"decision":"deny"}"#).await, [""; 0]);
    assert_ne!(differences(&plugin, r#"{"token":"user:bob"}"#, alice).await, [""; 0]);
    assert_ne!(differences(&plugin, r#"{"token":"user:alice"}"#, r#"{"decision":"allow"}"#).await, [""; 0]);
    let text = r#"{"kind":"authorizer","action":"connect","payload":{},"context":{"topic":"t"},"expect":{}}"#;
    let file = Arc::new(SourceFile { path: "v.json".to_owned(), text: text.to_owned() });
    assert!(Vector::read(&file).unwrap_err().message.contains("the action `connect` has no `context`"));
}
