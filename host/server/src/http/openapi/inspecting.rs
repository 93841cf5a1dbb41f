//! The schemas of what operators look at: channels, topics and clients.

use serde_json::{Map, Value, json};

use tidegate_core::channels::ChangeKind;

use super::schemas::{count, named, object, of};

fn text(says: &str) -> Value {
    json!({ "type": "string", "description": says })
}

fn at_ms(says: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": format!("{says}, in milliseconds since the Unix epoch.") })
}

fn number(says: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "description": says })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn next() -> Value {
    text("There are more: ask again with this as `after`.")
}

pub(super) fn inspecting() -> Map<String, Value> {
    let mut all = channels();
    all.extend(topics());
    all.extend(clients());
    all.extend(acting());
    all.extend(explaining());
    all.extend(reloading());
    all.extend(bridge());
    all
}

fn channels() -> Map<String, Value> {
    let schema = || json!({ "type": ["object", "boolean"], "description": "JSON Schema 2020-12, with what its references lead to in their place." });
    let rate = || json!({ "type": "string", "pattern": "^[1-9][0-9]*/[smh]$" });
    let inbound = json!({ "payload": schema() });
    let kept = |what: &str| {
        let bounds = json!({ what: count("The most."), "bytes": count("The most bytes."), "ttl": text("How long each is kept.") });
        object(&[what, "bytes", "ttl"], bounds)
    };
    let presence = json!({ "debounce": text("How long an absence is not told."), "members": count("The most that are told by name."), "info": schema() });
    let delivery = json!({ "mode": { "enum": ["all", "latest"] }, "key": text("A JSON Pointer."), "version": text("A JSON Pointer."), "at_most": rate() });
    let scope = json!({ "oneOf": [
        { "enum": ["public", "authenticated"] },
        object(&["roles"], json!({ "roles": list(json!({ "type": "string" })) })),
        object(&["user"], json!({ "user": text("The param that is the user's id.") })),
    ] });
    let channel = json!({
        "channel": text("The name template."),
        "feature": text("The feature whose manifest declares it."),
        "description": text("For people."),
        "scope": scope,
        "authorizer": text("The plugin that is asked after the scope."),
        "snapshot": text("The plugin that returns the state of a topic."),
        "retain": kept("keys"),
        "schema": schema(),
        "inbound": object(&[], inbound),
        "handler": text("The plugin that answers what clients send."),
        "relay": { "enum": ["others", "all"], "description": "Who receives what clients send, without a plugin." },
        "rate": rate(),
        "presence": object(&["debounce", "members"], presence),
        "history": kept("messages"),
        "delivery": object(&["mode"], delivery),
        "manifest": text("The file that declares it."),
        "line": { "type": "integer", "minimum": 1 },
        "topics": count("Topics of this node with subscribers."),
        "subscriptions": count("Subscribers of all its topics on this node."),
    });
    let needed = ["channel", "feature", "scope", "schema", "delivery", "manifest", "line", "topics", "subscriptions"];
    let channels =
        json!({ "generation": count("The number of the catalog."), "channels": list(of("Channel")), "next": next() });
    named([("Channel", object(&needed, channel)), ("Channels", object(&["generation", "channels"], channels))])
}

fn topics() -> Map<String, Value> {
    let listed = json!({ "topic": of("Topic"), "channel": text("Its channel."), "subscribers": count("Connections of this node.") });
    let value = json!({
        "key": { "description": "Any JSON value." },
        "position": of("Position"),
        "payload": { "description": "Only for a key that may `read`, too." },
        "bytes": count("The size of the payload."),
    });
    let subscriber = json!({ "connection": text("The id of the connection."), "user": text("The user's id.") });
    let state = json!({
        "topic": of("Topic"),
        "channel": text("Its channel."),
        "subscribers": list(object(&["connection"], subscriber)),
        "subscribers_count": count("Connections of this node; at most 100 are in `subscribers`."),
        "presence": of("Present"),
        "position": of("Position"),
        "history_entries": count("Publications in its history."),
        "retained": list(object(&["key", "bytes"], value)),
        "retained_count": count("Retained values; at most 100 are in `retained`."),
    });
    named([
        ("ListedTopic", object(&["topic", "channel", "subscribers"], listed)),
        ("Topics", object(&["topics"], json!({ "topics": list(of("ListedTopic")), "next": next() }))),
        ("TopicState", object(&["topic", "channel", "subscribers", "subscribers_count"], state)),
    ])
}

fn clients() -> Map<String, Value> {
    let refused = json!({
        "at_ms": at_ms("When"),
        "gate": { "enum": ["connect", "subscribe", "inbound"] },
        "topic": text("As the client named it; it may be no topic."),
        "code": text("What the client was told."),
    });
    let client = json!({
        "connection": text("The id of the connection."),
        "user": text("The user's id."),
        "tenant": text("The user's tenant."),
        "address": text("The client's address."),
        "origin": text("The origin of the client's page."),
        "transport": { "enum": ["websocket", "polling", "stream"] },
        "since_ms": at_ms("Since when"),
        "credential_ends_at": { "type": "integer", "minimum": 0, "description": "When its credential ends, in seconds since the Unix epoch." },
        "lag_ms": number("How far it is behind: what its last answer took, or how long it owes one."),
        "outbound_bytes": count("Bytes that wait for it."),
        "topics": list(of("Topic")),
        "topics_count": count("Topics that it holds; at most 100 are in `topics`."),
        "last_refusals": list(object(&["at_ms", "gate", "code"], refused)),
    });
    let needed =
        ["connection", "transport", "since_ms", "lag_ms", "outbound_bytes", "topics", "topics_count", "last_refusals"];
    named([
        ("Client", object(&needed, client)),
        ("Clients", object(&["clients"], json!({ "clients": list(of("Client")), "next": next() }))),
    ])
}

fn reason() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "\\S", "description": "For the log. At most 1024 bytes." })
}

fn acting() -> Map<String, Value> {
    named([
        ("Disconnect", object(&["reason"], json!({ "reason": reason() }))),
        ("Unsubscribe", object(&["topic", "reason"], json!({ "topic": of("Topic"), "reason": reason() }))),
        ("Done", object(&["connection"], json!({ "connection": text("The id of the connection.") }))),
    ])
}

fn explaining() -> Map<String, Value> {
    let user = json!({ "id": { "type": "string" }, "roles": list(json!({ "type": "string" })), "tenant": { "type": ["string", "null"] } });
    let question = json!({
        "type": "object",
        "description": "Who asks is one of `user`, `anonymous` and `token`.",
        "required": ["action", "topic"],
        "properties": {
            "user": object(&["id"], user),
            "anonymous": { "const": true },
            "token": text("A credential of a client: it goes through gate 1, and is not kept."),
            "action": { "enum": ["subscribe", "send"] },
            "topic": text("A concrete name. What is no topic is explained, too."),
            "payload": { "description": "What is sent; without it the checks of a payload are left out." },
        },
        "additionalProperties": false,
        "oneOf": [{ "required": ["user"] }, { "required": ["anonymous"] }, { "required": ["token"] }],
    });
    let step = json!({
        "gate": { "enum": ["connect", "subscribe", "inbound", "broadcast"] },
        "check": { "enum": ["connect", "topic", "scope", "authorizer", "inbound", "payload", "rate", "version", "handler", "relay"] },
        "refused": text("The code that a client would see, if the answer is no."),
        "detail": text("Why, for operators: it may say what a client must not learn."),
        "rule": text("What is declared that decides, and where."),
        "plugin": text("The plugin that decides."),
        "version": text("The first digits of the plugin's version."),
        "took_us": count("How long it took, in microseconds."),
    });
    let explanation = json!({
        "allowed": { "type": "boolean" },
        "code": text("The code that a client would see, if it is not allowed."),
        "steps": list(object(&["gate", "check", "detail", "took_us"], step)),
    });
    named([("Question", question), ("Explanation", object(&["allowed", "steps"], explanation))])
}

fn reloading() -> Map<String, Value> {
    let error = json!({
        "place": text("The file."),
        "line": { "type": "integer", "minimum": 1 },
        "message": text("What is wrong."),
        "hint": text("The way out."),
    });
    let reload = json!({
        "at_ms": at_ms("When"),
        "outcome": { "enum": ["applied", "rejected", "rolled_back"], "description": "`rolled_back`: a plugin failed after a reload, and its version before serves again." },
        "generation": count("The number of the catalog that serves since then."),
        "took_ms": count("How long it took, in milliseconds."),
        "changes": list(text("A change in words.")),
        "kinds": list(json!({
            "enum": ChangeKind::ALL,
            "description": "What each change means for people, in the order of `changes`.",
        })),
        "files": list(text("A file that changed, or that is wrong.")),
        "errors": list(object(&["message"], error)),
    });
    let needed = ["at_ms", "outcome", "took_ms", "changes", "kinds", "files", "errors"];
    named([
        ("Reload", object(&needed, reload)),
        ("Reloads", object(&["reloads"], json!({ "reloads": list(of("Reload")) }))),
    ])
}

fn bridge() -> Map<String, Value> {
    let rule = json!({
        "on": text("The event type, or a prefix of it."),
        "to": text("The channel; or what it ends."),
        "does": { "enum": ["publish", "remove", "revoke", "end_sessions"] },
        "crossed": count("Events that were published."),
        "removed": count("Events that took a value away."),
        "revoked": count("Events that revoked."),
        "skipped": count("Events for which the condition was false."),
        "dead": count("Events that became dead letters."),
    });
    let source = json!({
        "source": text("Its name in the metrics."),
        "up": { "type": "boolean", "description": "Whether it is read." },
        "lag_ms": number("How old its last event was when it crossed."),
        "events": count("Events that were taken."),
    });
    let rule_keys = ["on", "to", "does", "crossed", "removed", "revoked", "skipped", "dead"];
    let bridge = json!({
        "rules": list(object(&rule_keys, rule)),
        "sources": list(object(&["source", "up", "events"], source)),
        "dead_letters": count("Dead letters that are kept."),
        "unlisted": count("Events without a rule."),
    });
    named([("Bridge", object(&["rules", "sources", "dead_letters", "unlisted"], bridge))])
}
