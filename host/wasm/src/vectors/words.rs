//! The answers of plugins in the words of `expect`.

use serde_json::{Map, Value, json};

use tidegate_core::flow::ports::{Answer, Decision, Grant, Outcome, PluginEffect, PluginRefusal, Recognition};
use tidegate_core::protocol::Payload;

/// An answer that has words.
pub(crate) trait InWords {
    /// The answer in the words of `expect`.
    fn in_words(&self) -> Value;
}

impl InWords for Answer {
    fn in_words(&self) -> Value {
        match self {
            Ok(Outcome { reply, effects }) => {
                let mut said = Map::new();
                if let Some(reply) = reply {
                    said.insert("reply".to_owned(), value(reply));
                }
                said.insert("effects".to_owned(), effects.iter().map(effect).collect());
                Value::Object(said)
            }
            Err(refusal) => json!({ "refusal": of_refusal(refusal) }),
        }
    }
}

impl InWords for Decision {
    fn in_words(&self) -> Value {
        match self {
            Self::Allow(Grant { ttl }) => {
                json!({ "decision": "allow", "ttl_ms": u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX) })
            }
            Self::Deny { reason } => json!({ "decision": "deny", "reason": reason }),
            Self::CannotTell { reason } => json!({ "decision": "cannot_tell", "reason": reason }),
        }
    }
}

impl InWords for Recognition {
    fn in_words(&self) -> Value {
        match self {
            Self::Admitted { user, ttl } => {
                let mut said = Decision::allow_for(*ttl).in_words();
                if let Some(user) = user {
                    said["user"] = json!(user);
                }
                said
            }
            Self::Refused { reason } => json!({ "decision": "deny", "reason": reason }),
            Self::Unknown { reason } => json!({ "decision": "cannot_tell", "reason": reason }),
        }
    }
}

impl InWords for Vec<Payload> {
    fn in_words(&self) -> Value {
        json!({ "snapshot": self.iter().map(value).collect::<Vec<_>>() })
    }
}

impl InWords for Option<Payload> {
    fn in_words(&self) -> Value {
        self.as_ref().map_or_else(|| json!({ "crosses": false }), |payload| json!({ "payload": value(payload) }))
    }
}

impl InWords for Vec<PluginEffect> {
    fn in_words(&self) -> Value {
        json!({ "effects": self.iter().map(effect).collect::<Vec<_>>() })
    }
}

/// A fault in the words of `expect`.
pub(crate) fn fault_in_words(kind: &str, detail: &str) -> Value {
    json!({ "fault": { "kind": kind, "detail": detail } })
}

fn of_refusal(refusal: &PluginRefusal) -> Value {
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

/// The payload as a tree; a payload that is too deep for a tree as text.
fn value(payload: &Payload) -> Value {
    payload.value().cloned().unwrap_or_else(|_| Value::from(payload.as_str()))
}
