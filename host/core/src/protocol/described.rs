//! What the protocol says, as JSON Schemas for documents: positions, publications, members, refusals. They are of the part
//! that draft-07 and 2020-12 have in common.

use serde_json::{Map, Value, json};

use super::{Code, Unrecovered};

/// The schemas by name, for `components/schemas` of a document. Each name begins with `prefix`.
#[must_use]
pub fn described(prefix: &str) -> Map<String, Value> {
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{prefix}{name}") });
    let schemas = [
        ("Position", position()),
        ("Meta", meta()),
        ("Publication", publication(&json!({ "allOf": [of("Meta"), { "required": ["epoch", "offset"] }] }))),
        ("RetainedValue", retained_value(&of("Meta"))),
        ("Member", member()),
        ("Present", present(&of("Member"))),
        ("Refusal", refusal(Code::ALL.iter().map(|code| code.as_str()))),
    ];
    schemas.into_iter().map(|(name, schema)| (format!("{prefix}{name}"), schema)).collect()
}

/// `{ code, message, retry, details? }` with one of these codes.
pub fn refusal<'a>(codes: impl Iterator<Item = &'a str>) -> Value {
    json!({
        "type": "object",
        "description": "Why something is refused. `retry`: the same request may succeed later.",
        "required": ["code", "message", "retry"],
        "properties": {
            "code": { "type": "string", "enum": codes.collect::<Vec<_>>() },
            "message": { "type": "string", "description": "For people; it may change." },
            "retry": { "type": "boolean" },
            "details": {
                "type": "object",
                "description": "What helps to mend the request: `violations` of a schema, a limit in bytes, a reason.",
            },
        },
        "additionalProperties": false,
    })
}

/// The words for why nothing of what was missed can be had.
#[must_use]
pub fn unrecovered() -> Value {
    json!({ "type": "string", "enum": Unrecovered::ALL.map(Unrecovered::as_str) })
}

fn position() -> Value {
    json!({
        "type": "object",
        "description": "The place of a publication in the history of its topic. Offsets count from 1 without holes.",
        "required": ["epoch", "offset"],
        "properties": {
            "epoch": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" },
            "offset": { "type": "integer", "minimum": 0 },
        },
        "additionalProperties": false,
    })
}

fn meta() -> Value {
    json!({
        "type": "object",
        "description": "What is known of a publication: its position, on a channel with history; where in a trace it was published, on a channel with `delivery: { trace: true }`; else nothing. More keys may come.",
        "properties": {
            "epoch": { "type": "string" },
            "offset": { "type": "integer", "minimum": 1 },
            "traceparent": { "type": "string", "description": "W3C Trace Context." },
        },
    })
}

fn publication(meta: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["payload", "meta"],
        "properties": { "payload": { "description": "As it was published." }, "meta": meta },
        "additionalProperties": false,
    })
}

fn retained_value(meta: &Value) -> Value {
    json!({
        "type": "object",
        "description": "The newest value of a key.",
        "required": ["key", "payload", "meta"],
        "properties": {
            "key": { "description": "Any JSON value; `null` for payloads without a key." },
            "payload": { "description": "As it was published." },
            "meta": meta,
        },
        "additionalProperties": false,
    })
}

fn member() -> Value {
    json!({
        "type": "object",
        "required": ["user"],
        "properties": {
            "user": { "type": "string" },
            "info": { "description": "What the user tells about itself." },
        },
        "additionalProperties": false,
    })
}

fn present(member: &Value) -> Value {
    json!({
        "type": "object",
        "description": "Who is on a topic. Without `members` there are more than the channel tells by name.",
        "required": ["count"],
        "properties": {
            "count": { "type": "integer", "minimum": 0, "description": "Users, and connections without a user." },
            "members": { "type": "array", "items": member },
        },
        "additionalProperties": false,
    })
}
