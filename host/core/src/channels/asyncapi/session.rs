//! What clients and the server say about topics and the session: `subscribe`, `unsubscribe`, `authenticate`, and the
//! server's `tidegate`.

use serde_json::{Map, Value, json};

use super::{Document, JSON, answered, operation};
use crate::protocol;

/// The names of our own schemas begin like this: those of channels may be any others.
pub(super) const OWN: &str = "Tidegate";

/// The kinds of `tidegate`, what each says, the keys that it must have and those that it may have.
const TOLD: [(&str, &str, &[&str], &[&str]); 9] = [
    ("expiring", "The credential ends soon; `authenticate` renews it.", &["expires_at", "expires_in"], &[]),
    ("expired", "The credential ended, and the session with it.", &[], &[]),
    ("revoked", "With `channel` that subscription ended; without it the session.", &["reason"], &["channel"]),
    ("gap", "Publications of `channel` may have been lost: load the state again.", &["channel"], &[]),
    ("removed", "A retained value of `channel` was taken away: the one of `key`.", &["channel", "key"], &[]),
    ("presence", "Who came to `channel` and who left it.", &["channel", "count"], &["joined", "left"]),
    (
        "recovered",
        "A new session that holds nothing; `channels` is what the old one held.",
        &["recovered", "reason"],
        &["channels"],
    ),
    ("error", "An event without an ack was refused.", &["event", "error"], &[]),
    ("draining", "The server is about to close this connection: be back in `retry_in` seconds.", &["retry_in"], &[]),
];

/// Adds the channels of the session, their operations and their schemas.
pub(super) fn describe(document: &mut Document<'_>) {
    let schemas = protocol::described(OWN).into_iter().chain(requests()).chain(acks());
    for (name, schema) in schemas {
        let name = document.schemas.names.claim(&name);
        document.schemas.components.insert(name, schema);
    }
    for (event, summary) in [
        ("subscribe", "A client subscribes to a topic"),
        ("unsubscribe", "A client leaves a topic"),
        ("authenticate", "A client renews its credential"),
    ] {
        let of = capital(event);
        let messages = json!({
            "request": {
                "name": event,
                "title": summary,
                "contentType": JSON,
                "payload": of_own(&format!("{of}Request")),
                "bindings": { "x-socketio": { "arguments": ["payload"], "ack": "ack" } },
            },
            "ack": ack(&format!("The answer to `{event}`"), &format!("{OWN}{of}Ack")),
        });
        document.channels.insert(event.to_owned(), channel(event, messages));
        document.operations.insert(event.to_owned(), answered(event, "request", summary));
    }
    let mut messages = Map::new();
    for (kind, says, required, optional) in TOLD {
        let message = json!({
            "name": kind,
            "title": kind,
            "summary": says,
            "contentType": JSON,
            "payload": told(kind, required, optional),
            "bindings": { "x-socketio": { "arguments": ["payload"] } },
        });
        messages.insert(kind.to_owned(), message);
    }
    document.channels.insert("tidegate".to_owned(), channel("tidegate", messages.into()));
    let mut tells = operation("send", "tidegate", "", "The server tells a client about its session");
    let message =
        |(kind, ..): &(&str, &str, &[&str], &[&str])| json!({ "$ref": format!("#/channels/tidegate/messages/{kind}") });
    tells["messages"] = TOLD.iter().map(message).collect();
    document.operations.insert("tidegate".to_owned(), tells);
}

/// The message of an ack with this schema.
pub(super) fn ack(title: &str, schema: &str) -> Value {
    json!({
        "name": "ack",
        "title": title,
        "contentType": JSON,
        "payload": { "$ref": format!("#/components/schemas/{schema}") },
        "bindings": { "x-socketio": { "arguments": ["payload"], "isAck": true } },
    })
}

fn channel(event: &str, messages: Value) -> Value {
    json!({
        "address": event,
        "messages": messages,
        "bindings": { "x-socketio": { "event": event, "namespace": "/" } },
    })
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

fn of_own(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{OWN}{name}") })
}

fn topic() -> Value {
    json!({ "type": "string", "description": "The topic: a channel's name with values for its params." })
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// What clients ask. Keys that the server does not know are taken.
fn requests() -> [(String, Value); 3] {
    let subscribe = json!({
        "channel": topic(),
        "since": of_own("Position"),
        "info": { "description": "A word of the user about itself, where the channel has presence with `info`." },
    });
    let authenticate = json!({ "token": { "type": "string", "description": "Without it the cookie is read again." } });
    [
        (format!("{OWN}SubscribeRequest"), object(&["channel"], &subscribe)),
        (format!("{OWN}UnsubscribeRequest"), object(&["channel"], &json!({ "channel": topic() }))),
        (format!("{OWN}AuthenticateRequest"), object(&[], &authenticate)),
    ]
}

/// Each ack says yes, with what belongs to it, or no.
fn acks() -> [(String, Value); 4] {
    let subscribed = json!({
        "channel": topic(),
        "params": { "type": "object", "additionalProperties": { "type": "string" } },
        "position": of_own("Position"),
        "recovered": { "type": "boolean" },
        "reason": protocol::unrecovered(),
        "publications": { "type": "array", "items": of_own("Publication") },
        "snapshot": {
            "type": "array",
            "description": "Retained values, each a `TidegateRetainedValue`; or, of a plugin alone, payloads.",
        },
        "presence": of_own("Present"),
    });
    let expires_at = json!({ "expires_at": { "type": "integer", "description": "In seconds since the Unix epoch." } });
    let reply = json!({ "reply": { "description": "The reply of the handler, where there is one." } });
    [
        (format!("{OWN}SubscribeAck"), yes_or_no(&["channel", "params"], subscribed)),
        (format!("{OWN}UnsubscribeAck"), yes_or_no(&["channel"], json!({ "channel": topic() }))),
        (format!("{OWN}AuthenticateAck"), yes_or_no(&[], expires_at)),
        (format!("{OWN}Ack"), yes_or_no(&[], reply)),
    ]
}

fn yes_or_no(required: &[&str], mut properties: Value) -> Value {
    properties["ok"] = json!({ "const": true });
    let required: Vec<&str> = std::iter::once("ok").chain(required.iter().copied()).collect();
    let no = json!({ "ok": { "const": false }, "error": of_own("Refusal") });
    json!({ "oneOf": [object(&required, &properties), object(&["ok", "error"], &no)] })
}

fn told(kind: &str, required: &[&str], optional: &[&str]) -> Value {
    let mut properties = json!({ "type": { "const": kind } });
    for key in required.iter().chain(optional) {
        properties[*key] = match *key {
            "channel" => topic(),
            "count" | "expires_at" | "expires_in" => json!({ "type": "integer" }),
            "retry_in" => json!({ "type": "number" }),
            "joined" | "left" => json!({ "type": "array", "items": of_own("Member") }),
            "channels" => json!({ "type": "array", "items": topic() }),
            "recovered" => json!({ "const": false }),
            "error" => of_own("Refusal"),
            "reason" if kind == "recovered" => protocol::unrecovered(),
            "key" => json!({ "description": "Any JSON value." }),
            _ => json!({ "type": "string" }),
        };
    }
    let required: Vec<&str> = std::iter::once("type").chain(required.iter().copied()).collect();
    object(&required, &properties)
}
