//! Keys that people write in the wrong place, or under another name, and where they belong.

/// A key, a key that is known beside it, and the way out.
const MISPLACED: [(&str, &str, &str); 20] = [
    ("outbound_queue", "outbound_bytes", "`outbound_bytes` has taken its place"),
    ("level", "filter", "the level is the `filter`: `filter: debug`"),
    ("history", "broker_prefix", OF_A_CHANNEL),
    ("delivery", "broker_prefix", OF_A_CHANNEL),
    ("snapshot", "broker_prefix", OF_A_CHANNEL),
    ("presence", "broker_prefix", OF_A_CHANNEL),
    (
        "feature",
        "broker_prefix",
        "this file is a channel manifest: a configuration names their directory, `channels: ../channels`",
    ),
    ("schema", "relay", "the schema is the `payload`: `payload: { type: object, … }`"),
    ("retain", "messages", RETAIN),
    ("retain", "at_most", RETAIN),
    ("retain", "authorizer", RETAIN),
    ("key", "retain", "the key of a payload is a part of `delivery`: `delivery: { key: /deviceId }`"),
    ("version", "retain", "the version of a payload is a part of `delivery`: `delivery: { version: /seq }`"),
    ("latest", "at_most", "`latest` is a mode: `mode: latest`"),
    ("messages", "retain", "how many publications are kept is a part of `history`: `history: { messages: 100 }`"),
    ("mode", "authorizer", "the mode is a part of `delivery`: `delivery: { mode: latest }`"),
    ("at_most", "authorizer", "it is a part of `delivery`: `delivery: { mode: latest, at_most: 5/s }`"),
    ("handler", "authorizer", "the handler is a part of `inbound`: `inbound: { payload: …, handler: … }`"),
    ("relay", "authorizer", "it is a part of `inbound`: `inbound: { relay: others }`"),
    ("rate", "authorizer", "the rate is a part of `inbound`: `inbound: { relay: others, rate: 20/s }`"),
];
const OF_A_CHANNEL: &str = "it is a key of a channel, in a manifest `channels/*.yaml`";
const RETAIN: &str = "the newest value of each key is kept by `snapshot`: `snapshot: { retain: latest }`";

/// The hint for an unknown key, if it is one of them.
pub(super) fn hint<S: AsRef<str>>(key: &str, known: &[S]) -> Option<&'static str> {
    let is_known = |beside: &str| known.iter().any(|known| known.as_ref() == beside);
    MISPLACED.iter().find(|(misplaced, beside, _)| *misplaced == key && is_known(beside)).map(|(_, _, hint)| *hint)
}
