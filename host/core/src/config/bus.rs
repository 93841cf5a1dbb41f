//! The `bus` key: the sources of bus events in addition to the in-process bus, which is always there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::{HumanDuration, NatsSource, PostgresUrl, RedisUrl};

/// Longest name of a node, of a consumer group and of an outbox, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A source of bus events.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BusSource {
    /// Streams in Redis.
    Redis(RedisSource),
    /// An outbox table in a PostgreSQL database.
    Postgres(PostgresSource),
    /// A stream of NATS JetStream.
    Nats(NatsSource),
}

/// Which of several nodes receives an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BusMode {
    /// Every node receives it, for its own clients.
    #[default]
    FanOut,
    /// One of the nodes receives it. With several nodes a `broker` must carry the resulting publications to the others.
    Shared,
}

/// Streams in Redis 6.2 or later. A consumer group reads each of them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisSource {
    /// The URL of the Redis server.
    pub url: RedisUrl,
    /// The stream to read; use `streams` for several.
    #[serde(default)]
    pub stream: Option<String>,
    /// The streams to read. The server reads each of them separately: an error in one does not stop the others.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Which of several nodes receives an entry. Default `fan-out`.
    #[serde(default)]
    pub mode: BusMode,
    /// The consumer group; with `fan-out`, the prefix of the name of each node's group. Default `tidegate`.
    #[serde(default = "group")]
    pub group: Name,
    /// How an entry becomes an event. Default: producers write `CloudEvents`, either a whole event as JSON in the field
    /// `event`, or one field for each attribute.
    #[serde(default)]
    pub fields: Option<StreamFields>,
    /// Entries that the server reads at once, from 1 to 10,000; after a crash it reads at most so many again. Default
    /// 100.
    #[serde(default = "batch", deserialize_with = "batch_of")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
    /// With `shared`: how long a node may hold an entry without acknowledging it before another node takes the entry
    /// over. Default 30 s.
    #[serde(default = "claim_after")]
    pub claim_after: HumanDuration,
    /// How long a node may be away before the server removes the state kept for it: with `fan-out`, its group. Default
    /// 1 h.
    #[serde(default = "forget_after")]
    pub forget_after: HumanDuration,
    /// How long Redis may take to answer before the server connects again. Default 5 s.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

impl RedisSource {
    /// The streams to read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stream.iter().chain(&self.streams).map(String::as_str)
    }
}

/// An outbox: a table into which applications insert events within their own transactions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresSource {
    /// The database. A connection pooler in front of it is possible.
    pub url: PostgresUrl,
    /// The database for `LISTEN`. It must not go through a pooler that shares connections. Default: `url`.
    #[serde(default)]
    pub listen_url: Option<PostgresUrl>,
    /// The table, `outbox` or `schema.outbox`. The server creates it at its start if it does not exist. Default
    /// `tidegate_outbox`.
    #[serde(default)]
    pub outbox: TableName,
    /// Which of several nodes receives a row. Default `fan-out`.
    #[serde(default)]
    pub mode: BusMode,
    /// Rows that the server reads at once, from 1 to 10,000; after a crash it reads at most so many again. Default 100.
    #[serde(default = "batch", deserialize_with = "batch_of")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
    /// How often the server looks for new rows, at least 10 ms; with a notification it looks at once. Default 1 s.
    #[serde(default = "poll")]
    pub poll: HumanDuration,
    /// How long the server keeps a row that not every node has read. Default 7 days.
    #[serde(default = "retain")]
    pub retain: HumanDuration,
    /// How long a node may be away before the server stops keeping rows for it. Default 1 h.
    #[serde(default = "forget_after")]
    pub forget_after: HumanDuration,
    /// How long the database may take to answer before the server connects again. Default 5 s.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

pub(super) fn group() -> Name {
    Name("tidegate".to_owned())
}

pub(super) const fn batch() -> usize {
    100
}

pub(super) const fn claim_after() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(30))
}

pub(super) const fn forget_after() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(60 * 60))
}

pub(super) const fn timeout() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(5))
}

const fn poll() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(1))
}

const fn retain() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(7 * 24 * 60 * 60))
}

pub(super) fn batch_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        batch @ 1..=10_000 => Ok(batch),
        _ => Err(de::Error::custom("expected a number from 1 to 10000")),
    }
}

/// How an entry of a stream becomes an event: either `event` alone, or `type` with any of the others. `$name` stands
/// for the value of the field of that name; any other text stands for itself (`$$` for a text that begins with `$`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamFields {
    /// The field that holds a whole `CloudEvent` as JSON.
    #[serde(default)]
    pub event: Option<FieldName>,
    /// The event's type.
    #[serde(default, rename = "type")]
    pub kind: Option<FieldText>,
    /// The event's id. Default: the id of the entry.
    #[serde(default)]
    pub id: Option<FieldText>,
    /// The event's source, a URI reference. Default: `/redis/` and the name of the stream.
    #[serde(default)]
    pub source: Option<FieldText>,
    /// The event's subject. Default: none.
    #[serde(default)]
    pub subject: Option<FieldText>,
    /// The event's time, RFC 3339. Default: none.
    #[serde(default)]
    pub time: Option<FieldText>,
    /// The field that holds the event's data as JSON. Default: all fields of the entry, as texts.
    #[serde(default)]
    pub data: Option<FieldName>,
}

/// A text, or the field that holds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldText {
    /// This text for every entry.
    Always(String),
    /// The value of the field with this name.
    Field(String),
}

impl<'de> Deserialize<'de> for FieldText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.strip_prefix('$') {
            _ if text.is_empty() => Err(de::Error::custom("expected a text, or `$name` for the field of that name")),
            Some("") => Err(de::Error::custom("expected the name of a field after the `$`")),
            Some(rest) if rest.starts_with('$') => Ok(Self::Always(rest.to_owned())),
            Some(name) => Ok(Self::Field(name.to_owned())),
            None => Ok(Self::Always(text)),
        }
    }
}

impl JsonSchema for FieldText {
    fn schema_name() -> Cow<'static, str> {
        "FieldText".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A text, or `$name` for the value of the field of that name." })
    }
}

/// A field of an entry, written `$name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName(pub String);

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match FieldText::deserialize(deserializer)? {
            FieldText::Field(name) => Ok(Self(name)),
            FieldText::Always(_) => Err(de::Error::custom("expected `$name`, the field of that name")),
        }
    }
}

impl JsonSchema for FieldName {
    fn schema_name() -> Cow<'static, str> {
        "FieldName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\$[^$]", "description": "`$name`: the field of that name." })
    }
}

/// The name of a node or of a group: letters, digits, `.`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a name from another text: replaces every character that a name cannot hold with `-`.
    #[must_use]
    pub fn made_of(text: &str) -> Self {
        let fitting = text.chars().map(|c| if c.is_ascii() && fits(c as u8) { c } else { '-' });
        Self(fitting.take(NAME_BYTES_MAX).collect())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const fn fits(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        Err(de::Error::custom(format!("expected 1 to {NAME_BYTES_MAX} letters, digits, `.`, `-` or `_`")))
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "1 to 63 letters, digits, `.`, `-` or `_`." })
    }
}

/// The name of a table that needs no quotes in SQL: lower-case letters, digits and `_`, with an optional schema and dot
/// in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

impl TableName {
    /// The text, which SQL statements hold unquoted.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self("tidegate_outbox".to_owned())
    }
}

/// Longest part of a table's name, in bytes. The names of the objects that belong to the table are longer, and
/// PostgreSQL cuts names at 63 bytes.
const TABLE_BYTES_MAX: usize = 48;

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let holds = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let is_name = |part: &str| part.len() <= TABLE_BYTES_MAX && begins(part) && holds(part);
        if text.split('.').count() <= 2 && text.split('.').all(is_name) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "expected the name of a table, `outbox` or `schema.outbox`: lower-case letters, digits and `_`";
        Err(format!("{expected}, at most {TABLE_BYTES_MAX} each"))
    }
}

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TableName {
    fn schema_name() -> Cow<'static, str> {
        "TableName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z_][a-z0-9_]{0,47}(\\.[a-z_][a-z0-9_]{0,47})?$",
            "description": "The name of a table: `table` or `schema.table`.",
        })
    }
}
