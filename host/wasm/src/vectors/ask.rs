//! Asks a plugin, and writes its answer in the words of `expect`.

use serde_json::{Map, Value, json};

use super::Question;
use crate::Plugin;
use tidegate_core::flow::ports::{
    Answer, AuthorizerCall, ConnectionCall, Decision, Fault, Grant, HandlerCall, IdentifyCall, Outcome, PluginEffect,
    PluginRefusal, Recognition, TransformCall,
};
use tidegate_core::protocol::Payload;

pub(super) async fn ask(plugin: &Plugin, question: &Question) -> Value {
    match question {
        Question::Handler { context, payload } => {
            plugin.handle(HandlerCall { context, payload }).await.map_or_else(of_fault, of_answer)
        }
        Question::Authorizer { context, action, payload } => {
            let call = AuthorizerCall { context, action: *action, payload: payload.as_ref() };
            plugin.authorize(call).await.map_or_else(of_fault, of_decision)
        }
        Question::Identity { connection, credential } => {
            let call = IdentifyCall { connection, credential };
            plugin.identify(call).await.map_or_else(of_fault, of_recognition)
        }
        Question::Snapshot { context } => {
            let state = |payloads: Vec<Payload>| json!({ "snapshot": payloads.iter().map(value).collect::<Vec<_>>() });
            plugin.provide(context).await.map_or_else(of_fault, state)
        }
        Question::Transform { context, event, payload } => {
            let call = TransformCall { channel: context.channel(), event, topic: context.topic().as_str(), payload };
            plugin.transform(call).await.map_or_else(of_fault, of_crossing)
        }
        Question::Connection { connection, user, phase } => {
            let call = ConnectionCall { connection, user: user.as_ref(), phase: *phase };
            let wanted =
                |effects: Vec<PluginEffect>| json!({ "effects": effects.iter().map(effect).collect::<Vec<_>>() });
            plugin.changed(call).await.map_or_else(of_fault, wanted)
        }
    }
}

fn of_answer(answer: Answer) -> Value {
    match answer {
        Ok(Outcome { reply, effects }) => {
            let mut said = Map::new();
            if let Some(reply) = reply {
                said.insert("reply".to_owned(), value(&reply));
            }
            said.insert("effects".to_owned(), effects.iter().map(effect).collect());
            Value::Object(said)
        }
        Err(refusal) => json!({ "refusal": of_refusal(refusal) }),
    }
}

fn of_refusal(refusal: PluginRefusal) -> Value {
    let (code, message) = match refusal {
        PluginRefusal::InvalidPayload(message) => ("invalid_payload", message),
        PluginRefusal::Forbidden(message) => ("forbidden", message),
        PluginRefusal::Unavailable(message) => ("unavailable", message),
        PluginRefusal::Failed(message) => ("failed", message),
    };
    json!({ "code": code, "message": message })
}

fn effect(effect: &PluginEffect) -> Value {
    match effect {
        PluginEffect::Emit { topic, payload, others_only } => {
            let to = if *others_only { "others" } else { "everyone" };
            json!({ "emit": { "topic": topic, "payload": value(payload), "to": to } })
        }
        PluginEffect::Publish { kind, subject, data } => {
            let mut said = Map::from_iter([("kind".to_owned(), json!(kind))]);
            if let Some(subject) = subject {
                said.insert("subject".to_owned(), json!(subject));
            }
            said.insert("data".to_owned(), value(data));
            json!({ "publish": said })
        }
        PluginEffect::Remove { topic, key } => {
            let mut said = Map::from_iter([("topic".to_owned(), json!(topic))]);
            if let Some(key) = key {
                said.insert("key".to_owned(), serde_json::from_str(key.as_str()).unwrap_or_default());
            }
            json!({ "remove": said })
        }
    }
}

fn of_decision(decision: Decision) -> Value {
    match decision {
        Decision::Allow(Grant { ttl }) => {
            json!({ "decision": "allow", "ttl_ms": u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) })
        }
        Decision::Deny { reason } => json!({ "decision": "deny", "reason": reason }),
        Decision::CannotTell { reason } => json!({ "decision": "cannot_tell", "reason": reason }),
    }
}

fn of_recognition(recognition: Recognition) -> Value {
    match recognition {
        Recognition::Admitted { user, ttl } => {
            let mut said = of_decision(Decision::allow_for(ttl));
            if let Some(user) = user {
                said["user"] = json!(user);
            }
            said
        }
        Recognition::Refused { reason } => of_decision(Decision::Deny { reason }),
        Recognition::Unknown { reason } => of_decision(Decision::CannotTell { reason }),
    }
}

fn of_crossing(payload: Option<Payload>) -> Value {
    payload.map_or_else(|| json!({ "crosses": false }), |payload| json!({ "payload": value(&payload) }))
}

fn of_fault(fault: Fault) -> Value {
    json!({ "fault": { "kind": fault.kind.as_str(), "detail": fault.detail } })
}

/// The payload as a tree; a payload that is too deep for a tree as text.
fn value(payload: &Payload) -> Value {
    payload.value().cloned().unwrap_or_else(|_| Value::from(payload.as_str()))
}
