//! A JSON text on its way through the gates: kept verbatim, shared without copying.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// One JSON value, kept as the text it arrived in.
#[derive(Debug, Clone)]
pub struct Payload(Arc<RawValue>);

/// Why a text is not a payload. The display says what is wrong and where in the text.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct PayloadError(#[from] serde_json::Error);

impl Payload {
    /// Takes a JSON text.
    ///
    /// # Errors
    /// [`PayloadError`] when the text is not one JSON value.
    pub fn parse(text: String) -> Result<Self, PayloadError> {
        Ok(Self(RawValue::from_string(text)?.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The text as a raw JSON value, for serialisers that copy it verbatim.
    #[must_use]
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// The value read into a tree, as schemas and expressions want it.
    ///
    /// # Errors
    /// [`PayloadError`] when the text nests deeper than the parser goes (128 levels).
    pub fn to_value(&self) -> Result<Value, PayloadError> {
        Ok(serde_json::from_str(self.as_str())?)
    }
}

impl From<Box<RawValue>> for Payload {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

impl From<&Value> for Payload {
    fn from(value: &Value) -> Self {
        let text = value.to_string();
        // A tree always prints as JSON.
        Self(RawValue::from_string(text).unwrap_or_default().into())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
