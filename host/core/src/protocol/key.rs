//! The key of a value on a topic: of the publications with the same key, the newest counts.

use std::sync::Arc;

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The key, as JSON text. Two keys are the same if they are written the same, texts in whatever way they are escaped: `1`
/// and `1.0` are two keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of a payload that names none.
    #[must_use]
    pub fn none() -> Self {
        Self("null".into())
    }

    /// The key with this JSON text. A text is written without escapes where it can be.
    #[must_use]
    pub fn new(json: &str) -> Self {
        let text = json.starts_with('"').then(|| serde_json::from_str::<String>(json).ok()).flatten();
        Self(match text {
            Some(text) => serde_json::Value::String(text).to_string().into(),
            None => json.trim().into(),
        })
    }

    /// Its JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Key> for Arc<str> {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}
