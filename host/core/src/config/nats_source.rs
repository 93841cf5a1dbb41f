//! `bus: - nats:`, a stream of NATS JetStream, and how its messages become events.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::bus::{batch, batch_of, claim_after, forget_after, group, timeout};
use super::{BusMode, HumanDuration, Name, NatsUrl};

/// A stream of NATS JetStream. A durable consumer reads it. NATS 2.11 or later.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsSource {
    /// The URL of the NATS server.
    pub url: NatsUrl,
    /// The stream to read. It must exist: the server does not create it.
    #[serde(deserialize_with = "stream_of")]
    pub stream: String,
    /// The subjects of the stream to read, with `*` and `>`. Default: all.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// Which of several nodes receives a message. Default `fan-out`.
    #[serde(default)]
    pub mode: BusMode,
    /// The durable consumer; with `fan-out`, the beginning of the name of each node's consumer. Default `tidegate`.
    #[serde(default = "group")]
    pub group: Name,
    /// How a message becomes an event. Default: producers write `CloudEvents`, in the binding for NATS.
    #[serde(default)]
    pub fields: Option<MessageFields>,
    /// Messages that the server reads at once, from 1 to 10,000; after a crash it reads at most so many again. Default
    /// 100.
    #[serde(default = "batch", deserialize_with = "batch_of")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
    /// With `shared`: how long a node may hold a message without acknowledging it before another node gets it. Default
    /// 30 s.
    #[serde(default = "claim_after")]
    pub claim_after: HumanDuration,
    /// How long a node may be away before NATS removes the state kept for it: with `fan-out`, its consumer. Default 1 h.
    #[serde(default = "forget_after")]
    pub forget_after: HumanDuration,
    /// How long NATS may take to answer before the server connects again. Default 5 s.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

fn stream_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || ".*>/\\".contains(c)) {
        let expected = "expected the name of a stream, without a space, `.`, `*`, `>`, `/` or `\\`";
        return Err(de::Error::custom(format!("{expected}: subjects go to `subjects`")));
    }
    Ok(name)
}

/// How a message becomes an event. `$subject` stands for the subject of the message, `$subject.2` for its second token,
/// `$header.NAME` for the header of that name, `$/device/id` for a value in the JSON of the body (a JSON Pointer); any
/// other text stands for itself (`$$` for a text that begins with `$`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageFields {
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: MessageText,
    /// The event's id. Default: the time and the number that the stream gave the message.
    #[serde(default)]
    pub id: Option<MessageText>,
    /// The event's source, a URI reference. Default: `/nats/` and the name of the stream.
    #[serde(default)]
    pub source: Option<MessageText>,
    /// The event's subject. Default: none.
    #[serde(default)]
    pub subject: Option<MessageText>,
    /// The event's time, RFC 3339. Default: none.
    #[serde(default)]
    pub time: Option<MessageText>,
    /// What the body of a message is, the event's data: `json`, or `text`, which becomes a JSON text. Default `json`.
    #[serde(default)]
    pub data: BodyFormat,
}

/// What the body of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BodyFormat {
    /// JSON; an empty body is `null`.
    #[default]
    Json,
    /// UTF-8, which becomes a JSON text.
    Text,
}

/// A text, or where in a message it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageText {
    /// This text for every message.
    Always(String),
    /// The subject.
    Subject,
    /// A token of the subject; the first one is 1.
    Token(usize),
    /// The value of the header with this name.
    Header(String),
    /// A text, number or boolean in the JSON of the body, at this JSON Pointer.
    Body(String),
}

const EXPECTED: &str =
    "expected a text, `$subject`, `$subject.2` (its second token), `$header.NAME` or `$/pointer` into the body";

impl<'de> Deserialize<'de> for MessageText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let named = match text.strip_prefix('$') {
            None => Some(Self::Always(text.clone())).filter(|_| !text.is_empty()),
            Some("subject") => Some(Self::Subject),
            Some(rest) if rest.starts_with('$') => Some(Self::Always(rest.to_owned())),
            Some(rest) if rest.starts_with('/') => Some(Self::Body(rest.to_owned())),
            Some(rest) => match (rest.strip_prefix("subject."), rest.strip_prefix("header.")) {
                (Some(number), _) => number.parse().ok().filter(|number| *number > 0).map(Self::Token),
                (_, Some(name)) => Some(Self::Header(name.to_owned())).filter(|_| !name.is_empty()),
                (None, None) => None,
            },
        };
        named.ok_or_else(|| de::Error::custom(EXPECTED))
    }
}

impl JsonSchema for MessageText {
    fn schema_name() -> Cow<'static, str> {
        "MessageText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let about = "A text, or where in a message it stands: `$subject`, `$subject.2`, `$header.NAME`, `$/pointer`.";
        json_schema!({ "type": "string", "description": about })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<MessageText> {
        serde_json::from_value(serde_json::json!(text)).ok()
    }

    #[test]
    fn a_text_is_itself_or_stands_in_a_message() {
        assert_eq!(read("a.b"), Some(MessageText::Always("a.b".to_owned())));
        assert_eq!(read("$$x"), Some(MessageText::Always("$x".to_owned())));
        assert_eq!(read("$subject"), Some(MessageText::Subject));
        assert_eq!(read("$subject.2"), Some(MessageText::Token(2)));
        assert_eq!(read("$header.Device-Id"), Some(MessageText::Header("Device-Id".to_owned())));
        assert_eq!(read("$/device/id"), Some(MessageText::Body("/device/id".to_owned())));
        for text in ["", "$", "$x", "$subject.0", "$subject.x", "$subjects", "$header.", "$header"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
