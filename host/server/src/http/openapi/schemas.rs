//! The schemas of bodies and answers. The tests of HTTP judge every answer that they see by them.

use serde_json::{Map, Value, json};

use super::inspecting;

use crate::http::answer::HttpCode;
use tidegate_core::protocol::{self, Code, TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX};

/// Every schema by name, for `components/schemas`.
pub(super) fn schemas() -> Map<String, Value> {
    let mut schemas = protocol::described("");
    let of_operators = [operating(), plugins(), recording(), signing_in(), inspecting::inspecting()];
    for of in [publishing(), events(), reading(), revoking(), monitoring()].into_iter().chain(of_operators) {
        schemas.extend(of);
    }
    let codes = Code::ALL.iter().map(|code| code.as_str()).chain(HttpCode::ALL.map(HttpCode::as_str));
    // Only the ack of a subscribe has it.
    schemas.shift_remove("RetainedValue");
    schemas.insert("Topic".to_owned(), topic());
    schemas.insert("Problem".to_owned(), object(&["error"], json!({ "error": protocol::refusal(codes) })));
    schemas
}

pub(super) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn named<const N: usize>(schemas: [(&str, Value); N]) -> Map<String, Value> {
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// An object with these properties and no others.
pub(super) fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

pub(super) fn count(says: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": says })
}

fn when(says: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": format!("{says}, in seconds since the Unix epoch.") })
}

/// A segment of a topic, as a regular expression of ECMA-262.
const SEGMENT: &str = r"[^.\s{}\u0000-\u001f\u007f-\u009f]+";

/// Its limit of bytes is one of characters for most topics.
fn topic() -> Value {
    json!({
        "type": "string",
        "description": "A name that a channel declares. At most 255 bytes.",
        "pattern": format!("^{SEGMENT}(\\.{SEGMENT}){{0,{}}}$", TOPIC_SEGMENTS_MAX - 1),
        "maxLength": TOPIC_BYTES_MAX,
    })
}

fn publishing() -> Map<String, Value> {
    let stale =
        || json!({ "type": "boolean", "description": "Not newer than the last of its key: it went to nobody." });
    let accepted = json!({ "ok": { "const": true }, "position": of("Position"), "stale": stale() });
    named([
        ("Payload", json!({ "description": "Any JSON value that the channel's schema accepts." })),
        ("PublishReceipt", object(&[], json!({ "position": of("Position"), "stale": stale() }))),
        (
            "PublishItem",
            object(
                &["topic", "payload"],
                json!({
                    "topic": { "type": "string" },
                    "payload": of("Payload"),
                    "idempotency_key": { "type": ["string", "null"], "minLength": 1, "maxLength": 255 },
                }),
            ),
        ),
        (
            "PublishList",
            json!({
                "type": "array",
                "description": "Published in this order, each for itself: an item that is wrong is refused in its place of the answer. At most `limits.publications_per_batch`.",
                "items": of("PublishItem"),
            }),
        ),
        (
            "PublishAnswers",
            json!({
                "type": "array",
                "description": "An answer for each publication, in the order of the list.",
                "items": { "oneOf": [
                    object(&["ok"], accepted),
                    object(&["ok", "error"], json!({ "ok": { "const": false }, "error": of("Refusal") })),
                ] },
            }),
        ),
        ("Removed", object(&["removed"], json!({ "removed": count("How many values there were.") }))),
    ])
}

fn events() -> Map<String, Value> {
    let event = json!({
        "type": "object",
        "description": "A CloudEvent 1.0 in its JSON format. Types that begin with `tidegate.` are the server's own.",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": { "const": "1.0" },
            "id": { "type": "string", "minLength": 1 },
            "source": { "type": "string", "pattern": "^[!#-;=?-\\[\\]_a-z~]+$", "description": "A URI reference." },
            "type": { "type": "string", "minLength": 1, "not": { "pattern": "^tidegate\\." } },
            "subject": { "type": ["string", "null"], "minLength": 1 },
            "time": { "type": ["string", "null"], "format": "date-time", "minLength": 1 },
            "data": { "description": "Any JSON value." },
        },
        "propertyNames": { "pattern": "^[a-z0-9]+$" },
        "additionalProperties": { "type": ["string", "boolean", "number", "null"] },
    });
    let batch = json!({
        "type": "array",
        "description": "All or none are taken. At most `limits.events_per_batch`.",
        "items": of("CloudEvent"),
    });
    named([
        ("CloudEvent", event),
        ("CloudEvents", batch),
        ("OneOrMoreCloudEvents", json!({ "oneOf": [of("CloudEvent"), of("CloudEvents")] })),
        ("Accepted", object(&["accepted"], json!({ "accepted": count("How many events were taken.") }))),
    ])
}

fn reading() -> Map<String, Value> {
    let history = json!({
        "recovered": { "type": "boolean", "description": "`false`: what was missed since the position cannot be had." },
        "reason": protocol::unrecovered(),
        "publications": { "type": "array", "items": of("Publication") },
        "position": of("Position"),
        "more": { "type": "boolean", "description": "There is more after `position`: ask again from there." },
    });
    let occupancy = json!({
        "count": count("Users, and connections without a user."),
        "users": count("Users."),
        "anonymous": count("Connections without a user."),
    });
    named([
        ("History", object(&["recovered", "publications", "position", "more"], history)),
        ("Occupancy", object(&["count", "users", "anonymous"], occupancy)),
        (
            "Stream",
            json!({
                "type": "string",
                "x-data": of("StreamedPublication"),
                "description": "Server-sent events. `event:` is the topic and `data:` a `StreamedPublication`, with the position `EPOCH:OFFSET` as `id:` on a channel with history; or `event:` is `tidegate` and `data:` tells about the stream. Lines that begin with a colon are comments.",
            }),
        ),
        ("StreamedPublication", object(&["payload", "meta"], json!({ "payload": of("Payload"), "meta": of("Meta") }))),
    ])
}

fn revoking() -> Map<String, Value> {
    let text = |says: &str| json!({ "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[^\\u0000]*$", "description": says });
    let shown = json!({
        "id": { "type": "string" },
        "user": text("The user, in every tenant."),
        "token": text("The credential's id."),
        "topic": of("Topic"),
        "issued_before": when("Only credentials issued before this time"),
        "reason": text("For operators; no client sees it."),
        "at_unix_s": when("When it was made"),
        "until_unix_s": when("Until when it matters"),
    });
    let asked = json!({
        "type": "object",
        "properties": {
            "user": text("The user's id, in every tenant."),
            "token": text("The `jti` of a token, or the id of a session."),
            "topic": of("Topic"),
            "issued_before": when("Only credentials of `user` issued before this time; it is not in the future"),
            "reason": text("For operators; no client sees it."),
        },
        "additionalProperties": false,
        "anyOf": [{ "required": ["user"] }, { "required": ["token"] }, { "required": ["topic"] }],
        "dependentRequired": { "issued_before": ["user"] },
    });
    let here = json!({
        "sessions": count("Sessions that ended on this node."),
        "subscriptions": count("Subscriptions that ended on this node."),
        "rechecked": count("Held topics of this node that are authorized again."),
    });
    let revoked = json!({
        "revocation": object(&["id", "at_unix_s", "until_unix_s"], shown),
        "here": object(&["sessions", "subscriptions", "rechecked"], here),
    });
    named([("RevokeRequest", asked), ("Revoked", object(&["revocation", "here"], revoked))])
}

fn operating() -> Map<String, Value> {
    let rule = json!({
        "on": { "type": "string" }, "to": { "type": "string" }, "revokes": { "type": "boolean" },
        "ends_sessions": { "type": "boolean" }, "removes": { "type": "boolean" },
    });
    let letter = json!({
        "id": { "type": "string" },
        "rule": object(&["on", "to"], rule),
        "reason": { "type": "string", "description": "Why it did not cross." },
        "at_unix_s": when("When"),
        "event": { "type": "object", "description": "The bus event; it may be no valid CloudEvent." },
    });
    let list = json!({
        "dead_letters": { "type": "array", "items": of("DeadLetter"), "description": "The newest first." },
        "kept": count("How many there are in all."),
        "next": { "type": "string", "description": "There are more: ask again with this as `after`." },
        "complete": { "const": false, "description": "Only while the store is away: the letters that it keeps are not in the list." },
    });
    let retried = json!({
        "outcome": { "enum": ["crossed", "skipped", "dead"] },
        "dead_letter": of("DeadLetter"),
    });
    named([
        ("DeadLetter", object(&["id", "rule", "reason", "at_unix_s", "event"], letter)),
        ("DeadLetters", object(&["dead_letters", "kept"], list)),
        ("Retried", object(&["outcome"], retried)),
        ("Discarded", object(&["discarded"], json!({ "discarded": of("DeadLetter") }))),
    ])
}

fn plugins() -> Map<String, Value> {
    let digest = || json!({ "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$" });
    let fault =
        json!({ "kind": { "type": "string" }, "detail": { "type": "string" }, "at_unix_s": when("When it was") });
    let fault = object(&["kind", "detail", "at_unix_s"], fault);
    let breaker = || json!({ "enum": ["closed", "open"], "description": "`open`: its calls are paused." });
    let remembered = json!({
        "at_ms": { "type": "integer", "minimum": 0, "description": "When, in milliseconds since the Unix epoch." },
        "kind": { "type": "string" },
        "message": { "type": "string" },
        "channel": { "type": "string", "description": "The channel's template." },
        "place": { "type": "string", "description": "The place in the plugin's source that the message names." },
        "log": { "type": "array", "items": { "type": "string" }, "description": "The last lines of the call." },
        "input": { "type": "string", "description": "The payload, only for a key that may `read`, too." },
    });
    let remembered = object(&["at_ms", "kind", "message", "log"], remembered);
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    let service = json!({
        "kinds": texts(), "cached": { "type": "boolean" }, "vectors": count("Golden vectors that it passed."),
        "instances": count("Live instances."), "paused": texts(), "calls": count("Ended calls."),
        "faults": count("Calls that ended in a fault."),
        "breaker": object(&["authorizer", "worker"], json!({ "authorizer": breaker(), "worker": breaker() })),
        "memory_bytes": count("Linear memory of the instances that rest."),
        "last_fault": { "oneOf": [fault, { "type": "null" }] },
    });
    let service_keys = [
        "kinds",
        "cached",
        "vectors",
        "instances",
        "paused",
        "calls",
        "faults",
        "breaker",
        "memory_bytes",
        "last_fault",
    ];
    let plugin = json!({
        "name": { "type": "string" },
        "state": { "enum": ["active", "standby", "draining", "rejected", "quarantined"] },
        "version": digest(), "digest": digest(), "since_unix_s": when("Since when"), "reasons": texts(),
        "last_faults": { "type": "array", "items": remembered, "description": "The newest first, at most 10." },
        "service": { "oneOf": [object(&service_keys, service), { "type": "null" }] },
        "shadow": shadow(), "recording": object(&["by", "calls"], json!({
            "by": { "type": "string", "description": "Who asked for it." },
            "calls": count("The calls so far."),
            "ended": { "type": "string", "description": "Why it ended." },
        })),
    });
    let plugin_keys = ["name", "state", "version", "digest", "since_unix_s", "reasons", "service", "last_faults"];
    let plugins = || json!({ "type": "array", "items": of("Plugin") });
    named([
        ("Plugin", object(&plugin_keys, plugin)),
        ("Plugins", object(&["plugins"], json!({ "plugins": plugins() }))),
        ("Cleared", object(&["cleared"], json!({ "cleared": plugins() }))),
    ])
}

/// The candidate that is asked beside a version.
fn shadow() -> Value {
    let difference = json!({
        "at_ms": { "type": "integer", "minimum": 0, "description": "When, in milliseconds since the Unix epoch." },
        "of": { "type": "string", "description": "The kind of plugin that was asked." },
        "kind": { "type": "string", "description": "The kind of difference." },
        "shown": {
            "type": "array", "items": { "type": "string" },
            "description": "How the answers differ, only for a key that may `read`, too.",
        },
    });
    let difference = object(&["at_ms", "of", "kind"], difference);
    let shadow = json!({
        "component": { "type": "string", "description": "The file name of the candidate." },
        "digest": { "type": ["string", "null"], "pattern": "^[0-9a-f]{64}$" },
        "share": { "type": "string", "description": "The share of the calls that it is asked." },
        "since_unix_s": when("Since when"),
        "error": { "type": "string", "description": "Why it does not work." },
        "calls": count("Calls that it answered."), "same": count("Those without any difference."),
        "dropped": count("Calls that it was not asked, because too many waited."),
        "differences": { "type": "object", "additionalProperties": count("Calls with a difference of this kind.") },
        "last_differences": { "type": "array", "items": difference, "description": "The newest first, at most 20." },
    });
    let keys =
        ["component", "digest", "share", "since_unix_s", "calls", "same", "dropped", "differences", "last_differences"];
    object(&keys, shadow)
}

fn recording() -> Map<String, Value> {
    let request = json!({
        "calls": {
            "type": "integer", "minimum": 1, "maximum": super::COUNT_MAX,
            "description": "So many calls, at most `limits.recording_calls`.",
        },
        "redact": { "type": "array", "items": { "type": "string", "pattern": "^(/([^~/]|~[01])*)*$" }, "description": "JSON Pointers to what no call shows: `/payload/email`." },
    });
    let head = json!({ "tidegate_recording": { "const": 1 }, "plugin": { "type": "string" } });
    let ended = json!({
        "reason": { "enum": ["calls", "bytes", "time", "replaced", "stopped"] },
        "calls": count("Its calls."),
        "skipped": count("Calls that are not in it: too large, or not to be searched for what is redacted."),
        "bytes": count("The bytes of its calls."),
    });
    let ended = object(&["reason", "calls", "skipped", "bytes"], ended);
    let kind = json!({ "kind": { "type": "string", "description": "The kind of plugin that was asked." } });
    let call =
        json!({ "type": "object", "required": ["kind"], "properties": kind, "description": "A line of the file." });
    let page = json!({
        "calls": { "type": "array", "items": call }, "next": count("`after` of the next page."), "ended": ended,
    });
    let head = json!({
        "type": "object", "required": ["tidegate_recording", "plugin"], "properties": head,
        "description": "The plugin, its version, its configuration, and what is redacted.",
    });
    named([
        ("RecordingRequest", object(&["calls"], request)),
        ("RecordingHead", head),
        ("RecordingFile", json!({ "type": "string", "description": "A recording of `tidegate record`." })),
        ("Recording", object(&["calls", "next"], page)),
        ("RecordingEnded", object(&["ended"], json!({ "ended": ended }))),
    ])
}

fn signing_in() -> Map<String, Value> {
    let secret = |says: &str| json!({ "type": "string", "minLength": 1, "description": says });
    let by = |name: &str, says: &str| object(&[name], json!({ name: secret(says) }));
    let ways = [
        by("key", "An API key that may `operate`."),
        by("link", "The secret of the link that `tidegate dev` prints; once."),
    ];
    let session = json!({
        "operator": { "type": "string", "description": "The name of the API key, or `link`." },
        "ends_at": when("When the session ends"),
    });
    let payloads = "Whether payloads are shown, for a key that may `read`. Default: no.";
    let tail_of = |of: &str| {
        object(&[of], json!({ of: { "type": "string" }, "payloads": { "type": "boolean", "description": payloads } }))
    };
    let tail =
        json!({ "tail": { "type": "string" }, "topic": { "type": "string" }, "ends_at": when("When the tail ends") });
    named([
        ("OperatorSignIn", json!({ "oneOf": ways })),
        ("OperatorSession", object(&["operator", "ends_at"], session)),
        ("Overview", overview()),
        ("TailRequest", json!({ "oneOf": [tail_of("channel"), tail_of("topic")] })),
        ("Tail", object(&["tail", "topic", "ends_at"], tail)),
    ])
}

/// What is not there yet is null.
fn overview() -> Value {
    let number = || json!({ "type": "number", "minimum": 0 });
    let measured = || json!({ "type": ["number", "null"], "minimum": 0 });
    let gate = object(
        &["per_s", "p50_ms", "p99_ms"],
        json!({ "per_s": number(), "p50_ms": measured(), "p99_ms": measured() }),
    );
    let lag = json!({ "p50": measured(), "p99": measured(), "slowest": measured() });
    let node = json!({ "node": { "type": "string" }, "up": { "type": "boolean" } });
    let away = json!({ "what": { "type": "string" }, "since_ms": number() });
    let text = || json!({ "type": "string" });
    let budget = json!({ "team": text(), "budget": text(), "used": number(), "of": number(), "refused": number() });
    let list = |of: Value| json!({ "type": "array", "items": of });
    let keys = [
        ("at_ms", number()),
        ("connections", number()),
        ("opened_per_s", number()),
        ("refused", json!({ "type": "object", "additionalProperties": number() })),
        ("publications_per_s", number()),
        ("deliveries_per_s", number()),
        ("lag_ms", object(&["p50", "p99", "slowest"], lag)),
        ("gates", json!({ "type": "object", "additionalProperties": gate })),
        ("memory_bytes", number()),
        ("outbound_bytes", number()),
        ("topics", number()),
        ("teams", list(object(&["team", "budget", "used", "of", "refused"], budget))),
        ("nodes", list(object(&["node", "up"], node))),
        ("away", list(object(&["what", "since_ms"], away))),
    ];
    object(&keys.each_ref().map(|(key, _)| *key), named(keys).into())
}

fn monitoring() -> Map<String, Value> {
    let ready = json!({ "ready": { "const": true }, "generation": count("The number of the catalog.") });
    named([
        ("Live", object(&["live"], json!({ "live": { "const": true } }))),
        ("Ready", object(&["ready", "generation"], ready)),
        ("Metrics", json!({ "type": "string", "description": "The text format of Prometheus, version 0.0.4." })),
        ("Document", json!({ "type": "object", "description": "This document." })),
    ])
}
