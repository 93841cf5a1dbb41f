//! The `broker` key: how publications reach the other nodes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::{NatsUrl, RedisUrl};

/// How publications reach other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Broker {
    /// There are no other nodes.
    #[default]
    Memory,
    /// Through this Redis.
    Redis(RedisUrl),
    /// Through this NATS, with JetStream.
    Nats(NatsUrl),
}

impl<'de> Deserialize<'de> for Broker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "memory" {
            return Ok(Self::Memory);
        }
        if text.starts_with("nats://") || text.starts_with("tls://") {
            return NatsUrl::parse(&text).map(Self::Nats).map_err(de::Error::custom);
        }
        let told = |no_url| de::Error::custom(format!("{no_url}, `nats://…`, or `memory` for a single node"));
        RedisUrl::parse(&text).map(Self::Redis).map_err(told)
    }
}

impl JsonSchema for Broker {
    fn schema_name() -> Cow<'static, str> {
        "Broker".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(memory|rediss?://.+|(nats|tls)://.+|.*\$\{.+\}.*)$",
            "description": "How publications reach other nodes.",
        })
    }
}

/// The prefix of every key and channel in Redis, or of every subject and of the stream in NATS, so that several
/// installations can share one: letters, digits, `-` and `_`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerPrefix(String);

/// Longest prefix, in bytes.
const PREFIX_BYTES_MAX: usize = 64;

impl BrokerPrefix {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for BrokerPrefix {
    fn default() -> Self {
        Self("tidegate".to_owned())
    }
}

impl<'de> Deserialize<'de> for BrokerPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if (1..=PREFIX_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        Err(de::Error::custom(format!("expected 1 to {PREFIX_BYTES_MAX} letters, digits, `-` or `_`")))
    }
}

impl JsonSchema for BrokerPrefix {
    fn schema_name() -> Cow<'static, str> {
        "BrokerPrefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{1,64}$",
            "description": "The prefix of every key and channel in Redis, or subject in NATS.",
        })
    }
}
