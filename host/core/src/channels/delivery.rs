//! `delivery:` of a channel: what a client receives that is behind, and where a payload has its key and its version.

use std::collections::HashMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use sha2::{Digest as _, Sha256};

use super::{Rate, Violation};
use crate::config::{Diagnostic, Node};
use crate::protocol::{Key, Payload, Version};

/// What a client receives that reads slower than it is sent to, and what tells publications apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryPolicy {
    /// Only the newest publication of each key waits for a client that is behind; otherwise every one, in order.
    pub latest: bool,
    /// Where a payload has its key.
    pub key: Option<Pointer>,
    /// How often publications of a key go out, for everybody.
    pub at_most: Option<Rate>,
    /// Where a payload has its version.
    pub version: Option<Pointer>,
    /// Receivers are told where in a trace a publication was published.
    pub trace: bool,
    /// What tells these places for keys and versions from others, on every node the same; 0 without any.
    pub found_by: u64,
}

/// A place in a payload: a JSON Pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

/// What a client receives that reads slower than it is sent to, and what tells publications apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Delivery")]
pub(super) struct RawDelivery {
    /// `all`: a client receives every publication in order, and one that is too far behind is disconnected. `latest`: a
    /// client that is behind loses old values of a key, never the newest. Default `all`.
    mode: Option<RawMode>,
    /// Where a payload has its key, a JSON Pointer: `/deviceId`. Payloads without it share one key, `null`.
    key: Option<RawPointer>,
    /// With `mode: latest`: how many publications of a key go out in what time, for everybody: `5/s`, `100/m`, `1000/h`.
    /// The last of a burst always arrives.
    at_most: Option<Rate>,
    /// Where a payload has its version, a number or an RFC 3339 time, as a JSON Pointer: `/seq`. A publication that is
    /// not newer than the last of its key goes to nobody.
    version: Option<RawPointer>,
    /// Whether receivers are told where in a trace a publication was published: `traceparent` of W3C Trace Context in
    /// `meta`, if it was published in a trace. Default `false`.
    #[serde(default)]
    trace: bool,
}

/// What waits for a client that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "DeliveryMode")]
enum RawMode {
    /// Every publication.
    All,
    /// The newest of each key.
    Latest,
}

/// A pointer as written.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
struct RawPointer(#[schemars(regex(pattern = "^(/([^/~]|~[01])*)+$"))] String);

impl<'de> Deserialize<'de> for RawPointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = RawPointer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a place in the payload, a JSON Pointer like `/deviceId`")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawPointer, E> {
                Ok(RawPointer(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl RawDelivery {
    /// The policy; mistakes in its values, and beside the other keys of the channel, are reported.
    pub(super) fn read(self, channel: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<DeliveryPolicy> {
        let told = diagnostics.len();
        let delivery = channel.get("delivery")?;
        let latest = self.mode == Some(RawMode::Latest);
        let mut pointer =
            |key: &str, text: Option<RawPointer>| Pointer::read(&text?.0, delivery.get(key)?, diagnostics);
        let (key, version) = (pointer("key", self.key), pointer("version", self.version));
        let found_by = found_by(key.as_ref(), version.as_ref());
        let policy = DeliveryPolicy { latest, key, at_most: self.at_most, version, trace: self.trace, found_by };
        if diagnostics.len() == told {
            diagnostics.extend(policy.changes_nothing(channel, delivery));
            diagnostics.extend(history_and_latest(channel, delivery, latest));
        }
        (diagnostics.len() == told).then_some(policy)
    }
}

fn found_by(key: Option<&Pointer>, version: Option<&Pointer>) -> u64 {
    if key.is_none() && version.is_none() {
        return 0;
    }
    let text = |pointer: Option<&Pointer>| pointer.map_or_else(String::new, |pointer| format!("{:?}", pointer.0));
    let digest = Sha256::digest(format!("{} {}", text(key), text(version)));
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// `history` promises every publication, and `latest` only the newest of each key.
fn history_and_latest(channel: &Node, delivery: &Node, latest: bool) -> Option<Diagnostic> {
    let history = channel.entry("history").filter(|_| latest)?;
    let message = "`history` and `mode: latest` cannot be used together";
    let hint = "history keeps every publication, `latest` delivers the newest: to keep the newest of each key, write \
        `snapshot: { retain: latest }` in place of `history`";
    let mode = delivery.entry("mode")?;
    let diagnostic = Diagnostic::at(history.key_place.clone(), message).hint(hint);
    Some(diagnostic.also("the mode is here", mode.key_place.clone()))
}

impl DeliveryPolicy {
    /// A key of the manifest that would change nothing.
    fn changes_nothing(&self, channel: &Node, delivery: &Node) -> Option<Diagnostic> {
        let retains = channel.get("snapshot").is_some_and(|snapshot| snapshot.entry("retain").is_some());
        let (key, message, hint) = match self {
            Self { latest: false, at_most: Some(_), .. } => {
                let hint = "add `mode: latest`; with `mode: all` clients receive everything";
                ("at_most", "`at_most` needs `mode: latest`", hint)
            }
            Self { latest: false, key: Some(_), version: None, .. } if !retains => {
                let hint = "add `mode: latest`, `version` or `snapshot: { retain: latest }`, or leave `key` out";
                ("key", "`key` changes nothing here", hint)
            }
            _ => return None,
        };
        Some(Diagnostic::at(delivery.entry(key)?.key_place.clone(), message).hint(hint))
    }

    /// The key of a payload that met its schema.
    #[must_use]
    pub fn key_of(&self, payload: &Payload) -> Key {
        let written = self.key.as_ref().and_then(|pointer| pointer.written(payload));
        written.map_or_else(Key::none, |text| Key::new(&text))
    }

    /// The version of a payload, on a channel that has versions.
    ///
    /// # Errors
    /// The payload has none.
    pub fn version_of(&self, payload: &Payload) -> Result<Option<Version>, Violation> {
        let Some(pointer) = &self.version else { return Ok(None) };
        let version = pointer.value(payload).and_then(|value| match value {
            Value::String(text) => Version::time(text),
            Value::Number(_) => Version::number(&pointer.written(payload)?),
            _ => None,
        });
        let message = "a version is missing here: a number of at most 40 digits, or an RFC 3339 time";
        let violation = || Violation { path: pointer.0.clone(), message: message.to_owned() };
        version.map(Some).ok_or_else(violation)
    }
}

impl Pointer {
    /// The pointer as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a pointer to something inside of a payload.
    fn parse(text: &str) -> Option<Self> {
        let is_pointer = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        (text.starts_with('/') && is_pointer).then(|| Self(text.to_owned()))
    }

    fn read(text: &str, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        let pointer = Self::parse(text);
        if pointer.is_none() {
            let message = format!("`{text}` is not a valid JSON Pointer");
            diagnostics.push(Diagnostic::at(node.place.clone(), message).hint(Self::meant_by(text)));
        }
        pointer
    }

    /// The hint for a text that is not a pointer.
    fn meant_by(text: &str) -> String {
        if text.starts_with('/') {
            let meant = text.replace("~0", "~").replace('~', "~0").replace("~01", "~1");
            return format!("a JSON Pointer writes `~` as `~0`, and `/` in a name as `~1`: did you mean `{meant}`?");
        }
        let meant = text.trim_start_matches(['$', '#', '.']).replace('~', "~0").replace(['.', '/'], "/");
        match meant.trim_matches('/') {
            "" => "a JSON Pointer names what is inside of the payload: `/deviceId`, `/device/id`".to_owned(),
            meant => format!("a JSON Pointer begins with `/`, at the top of the payload: did you mean `/{meant}`?"),
        }
    }

    fn value<'p>(&self, payload: &'p Payload) -> Option<&'p Value> {
        payload.value().ok()?.pointer(&self.0)
    }

    /// The JSON text of what is there, with all digits of its numbers.
    fn written(&self, payload: &Payload) -> Option<String> {
        match self.value(payload)? {
            Value::Array(_) | Value::Object(_) => {}
            Value::Number(number) if number.is_f64() => {}
            value => return Some(value.to_string()),
        }
        let mut at = payload.as_raw();
        for step in self.0.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            at = if at.get().starts_with('{') {
                serde_json::from_str::<HashMap<String, &RawValue>>(at.get()).ok()?.get(&step).copied()?
            } else {
                serde_json::from_str::<Vec<&RawValue>>(at.get()).ok()?.get(step.parse::<usize>().ok()?).copied()?
            };
        }
        Some(at.get().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(key: &str, version: &str) -> DeliveryPolicy {
        let (key, version) = (Pointer::parse(key), Pointer::parse(version));
        DeliveryPolicy { latest: true, key, version, ..DeliveryPolicy::default() }
    }

    fn key(pointer: &str, payload: &str) -> String {
        let payload = Payload::parse(payload.to_owned()).unwrap();
        policy(pointer, "").key_of(&payload).as_str().to_owned()
    }

    #[test]
    fn a_key_is_the_json_text_at_its_place_with_all_digits() {
        for (pointer, payload, found) in [
            ("/deviceId", r#"{"deviceId": "d1"}"#, r#""d1""#),
            ("/deviceId", r#"{"deviceId": "\u0064\u00e9"}"#, r#""dé""#),
            ("/device/id", r#"{"device": {"id": 7}}"#, "7"),
            ("/a~1b/1/m~0n", r#"{"a/b": [0, {"m~n": 1.50}]}"#, "1.50"),
            ("/id", r#"{"id": 123456789012345678901234567890}"#, "123456789012345678901234567890"),
            ("/at", r#"{"at": [1.0, 2]}"#, "[1.0, 2]"),
            ("/is", r#"{"is": true}"#, "true"),
        ] {
            assert_eq!(key(pointer, payload), found, "{pointer} in {payload}");
        }
    }

    #[test]
    fn payloads_without_the_key_share_one() {
        for payload in [r#"{"other": 1}"#, r#"{"deviceId": null}"#, "[1]", "7", "null"] {
            assert_eq!(key("/deviceId", payload), "null", "{payload}");
        }
        assert_eq!(key("", r#"{"deviceId": 1}"#), "null", "a channel without `key`");
    }

    #[test]
    fn a_version_is_a_number_or_a_time() {
        let version = |payload: &str| policy("", "/seq").version_of(&Payload::parse(payload.to_owned()).unwrap());
        assert_eq!(version(r#"{"seq": 7.0}"#), Ok(Version::number("7")));
        assert_eq!(version(r#"{"seq": 9007199254740993.5}"#), Ok(Version::number("9007199254740993.5")));
        assert_eq!(version(r#"{"seq": "2026-06-01T12:00:00+02:00"}"#), Ok(Version::time("2026-06-01T10:00:00Z")));
        for without in ["{}", "7", r#"{"seq": null}"#, r#"{"seq": "7"}"#, r#"{"seq": true}"#, r#"{"seq": [7]}"#] {
            assert_eq!(version(without).unwrap_err().path, "/seq", "{without}");
        }
        assert_eq!(policy("", "").version_of(&Payload::parse("7".to_owned()).unwrap()), Ok(None));
    }

    #[test]
    fn a_pointer_begins_with_a_slash() {
        for text in ["/a", "/a/0/b", "/", "/a~0b~1c", "/ü"] {
            assert!(Pointer::parse(text).is_some(), "{text}");
        }
        for text in ["", "a", "a/b", "$.a", "#/a", "/a~", "/a~2"] {
            assert!(Pointer::parse(text).is_none(), "{text}");
        }
    }
}
