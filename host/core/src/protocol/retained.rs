//! The state of a topic for a new subscriber: retained values by key, or the payloads of a plugin.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Key, Meta, Payload, Position};

/// The newest value of a key: `{ key, payload, meta }`.
#[derive(Debug, Clone, PartialEq)]
pub struct RetainedValue {
    /// The key.
    pub key: Key,
    /// The payload.
    pub payload: Payload,
    /// Its place in the history, if the channel keeps one.
    pub position: Option<Position>,
}

impl Serialize for RetainedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("value", 3)?;
        out.serialize_field("key", &self.key)?;
        out.serialize_field("payload", self.payload.as_raw())?;
        out.serialize_field("meta", &Meta { position: self.position.as_ref(), trace: None })?;
        out.end()
    }
}

/// `snapshot` of the ack of a subscribe.
#[derive(Debug, Clone, PartialEq)]
pub enum Snapshot {
    /// What a plugin returned, on a channel that retains nothing: a list of payloads.
    Payloads(Vec<Payload>),
    /// The newest value of every key.
    Values(Vec<RetainedValue>),
}

/// What a retained value takes in an answer beside its key and its payload.
const VALUE_BYTES: usize = 100;

impl Snapshot {
    /// About how many bytes it takes in an answer.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Payloads(payloads) => payloads.iter().map(|payload| payload.as_str().len() + 1).sum(),
            Self::Values(values) => {
                values.iter().map(|one| one.key.as_str().len() + one.payload.as_str().len() + VALUE_BYTES).sum()
            }
        }
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Payloads(payloads) => payloads.serialize(serializer),
            Self::Values(values) => values.serialize(serializer),
        }
    }
}
