//! The `bus` key: where bus events come from besides the in-process bus, which is always there.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::{HumanDuration, PostgresUrl, RedisUrl};

/// Longest name of a node, of a consumer group and of an outbox, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A source of bus events.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BusSource {
    /// Streams of a Redis.
    Redis(RedisSource),
    /// An outbox table of a PostgreSQL database.
    Postgres(PostgresSource),
}

/// Who of several nodes gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BusMode {
    /// Every node, each for its own sockets.
    #[default]
    FanOut,
    /// One of them. With several nodes a `broker` takes what it leads to the others.
    Shared,
}

/// Streams of a Redis, 6.2 or later, each read by a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisSource {
    /// Where it is.
    pub url: RedisUrl,
    /// The stream to read, or `streams` for several.
    #[serde(default)]
    pub stream: Option<String>,
    /// The streams to read, each for itself: what is wrong with one holds up no other.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Who of several nodes gets an entry. Default `fan-out`.
    #[serde(default)]
    pub mode: BusMode,
    /// The consumer group; with `fan-out` what the name of each node's group begins with. Default `tidegate`.
    #[serde(default = "group")]
    pub group: Name,
    /// How an entry becomes an event. Default: the producers speak `CloudEvents`, a whole one as JSON in the field `event`,
    /// or an attribute a field.
    #[serde(default)]
    pub fields: Option<StreamFields>,
    /// Entries read at once, 1 to 10,000: so many are read again after a crash. Default 100.
    #[serde(default = "batch", deserialize_with = "batch_of")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
    /// With `shared`, how long a node may have an entry and not acknowledge it until another takes it over. Default 30 s.
    #[serde(default = "claim_after")]
    pub claim_after: HumanDuration,
    /// How long a node may be gone until what is kept for it is removed: with `fan-out` its group. Default 1 h.
    #[serde(default = "forget_after")]
    pub forget_after: HumanDuration,
    /// How long an answer may take; then the link is made anew. Default 5 s.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

impl RedisSource {
    /// The streams to read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stream.iter().chain(&self.streams).map(String::as_str)
    }
}

/// An outbox: a table that applications insert events into within their own transactions.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresSource {
    /// The database; through a pooler, too.
    pub url: PostgresUrl,
    /// The database for `LISTEN`, not through a pooler that gives a connection to several. Default: `url`.
    #[serde(default)]
    pub listen_url: Option<PostgresUrl>,
    /// The table, `outbox` or `schema.outbox`; made at start when it is not there. Default `tidegate_outbox`.
    #[serde(default)]
    pub outbox: TableName,
    /// Who of several nodes gets a row. Default `fan-out`.
    #[serde(default)]
    pub mode: BusMode,
    /// Rows read at once, 1 to 10,000: so many are read again after a crash. Default 100.
    #[serde(default = "batch", deserialize_with = "batch_of")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch: usize,
    /// How often is looked for new rows, at least 10 ms; a notification makes it at once. Default 1 s.
    #[serde(default = "poll")]
    pub poll: HumanDuration,
    /// How long a row is kept that not every node has read. Default 7 days.
    #[serde(default = "retain")]
    pub retain: HumanDuration,
    /// How long a node may be gone until rows are no longer kept for it. Default 1 h.
    #[serde(default = "forget_after")]
    pub forget_after: HumanDuration,
    /// How long an answer may take; then the link is made anew. Default 5 s.
    #[serde(default = "timeout")]
    pub timeout: HumanDuration,
}

fn group() -> Name {
    Name("tidegate".to_owned())
}

const fn batch() -> usize {
    100
}

const fn claim_after() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(30))
}

const fn forget_after() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(60 * 60))
}

const fn timeout() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(5))
}

const fn poll() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(1))
}

const fn retain() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(7 * 24 * 60 * 60))
}

fn batch_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        batch @ 1..=10_000 => Ok(batch),
        _ => Err(de::Error::custom("expected a number from 1 to 10000")),
    }
}

/// How an entry of a stream becomes an event: `event` alone, or `type` and perhaps others. `$name` is the field of that
/// name, any other text is the text itself (`$$` for one that begins with a `$`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamFields {
    /// The field that holds a whole `CloudEvent` as JSON.
    #[serde(default)]
    pub event: Option<FieldName>,
    /// The type.
    #[serde(default, rename = "type")]
    pub kind: Option<FieldText>,
    /// The id. Default: the id of the entry.
    #[serde(default)]
    pub id: Option<FieldText>,
    /// The source, a URI reference. Default: `/redis/` and the stream.
    #[serde(default)]
    pub source: Option<FieldText>,
    /// The subject. Default: none.
    #[serde(default)]
    pub subject: Option<FieldText>,
    /// The time, RFC 3339. Default: none.
    #[serde(default)]
    pub time: Option<FieldText>,
    /// The field that holds the data as JSON. Default: every field of the entry, as texts.
    #[serde(default)]
    pub data: Option<FieldName>,
}

/// A text, or the field that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldText {
    /// This text for every entry.
    Always(String),
    /// What the field of this name holds.
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
        json_schema!({ "type": "string", "description": "A text, or `$name` for what the field of that name holds." })
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
        json_schema!({ "type": "string", "pattern": r"^\$[^$]", "description": "`$name`, the field of that name." })
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

    /// A name made of another text: what a name does not hold becomes `-`.
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

/// The name of a table, as it needs no quotes: lower-case letters, digits and `_`, perhaps behind a schema and a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

impl TableName {
    /// The text: it stands in SQL as it is.
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

/// Longest part of a table's name, in bytes: the names of what belongs to it are longer, and PostgreSQL's end at 63.
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
            "description": "The name of a table, perhaps behind a schema and a dot.",
        })
    }
}
