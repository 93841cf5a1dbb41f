//! A JSON text on its way through the gates: kept verbatim, shared without copying.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Unambiguous;

/// One JSON value, kept as its original text.
#[derive(Debug, Clone)]
pub struct Payload(Arc<RawValue>);

/// Why a text is not a payload. The message says what is wrong and where in the text.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct PayloadError(#[from] serde_json::Error);

impl Payload {
    /// Takes a JSON text.
    ///
    /// # Errors
    /// [`PayloadError`] if the text is not one JSON value.
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

    /// Reads the value into a tree, for schemas and expressions.
    ///
    /// # Errors
    /// [`PayloadError`] if the text is nested deeper than the parser goes (128 levels), or has the same key of an
    /// object twice: the text travels verbatim, and a reader that takes the first of the two would see a value that
    /// nobody checked.
    pub fn to_value(&self) -> Result<Value, PayloadError> {
        let Unambiguous(value) = serde_json::from_str(self.as_str())?;
        Ok(value)
    }
}

/// A payload with its value, so that it need not be read again for a check. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadPayload {
    payload: Payload,
    value: Arc<Value>,
}

impl ReadPayload {
    /// Takes a JSON text and reads it.
    ///
    /// # Errors
    /// As [`Payload::parse`] and [`Payload::to_value`].
    pub fn parse(text: String) -> Result<Self, PayloadError> {
        Self::read(Payload::parse(text)?)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// As [`Payload::to_value`].
    pub fn read(payload: Payload) -> Result<Self, PayloadError> {
        let value = payload.to_value()?.into();
        Ok(Self { payload, value })
    }

    /// A payload whose value was read already.
    pub(super) fn with_value(payload: Payload, value: Value) -> Self {
        Self { payload, value: value.into() }
    }

    /// Its value. A number that does not fit into a machine number is only approximate; the text has its digits.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.payload.as_str()
    }
}

impl From<Value> for ReadPayload {
    fn from(value: Value) -> Self {
        Self { payload: Payload::from(&value), value: value.into() }
    }
}

impl PartialEq for ReadPayload {
    fn eq(&self, other: &Self) -> bool {
        self.payload == other.payload
    }
}

impl Serialize for ReadPayload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.payload.serialize(serializer)
    }
}

impl AsRef<Payload> for ReadPayload {
    fn as_ref(&self) -> &Payload {
        &self.payload
    }
}

impl AsRef<Self> for Payload {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl From<ReadPayload> for Payload {
    fn from(read: ReadPayload) -> Self {
        read.payload
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
        // A tree can always be printed as JSON.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        Payload::parse(text.to_owned()).unwrap().to_value().map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"{"a":[1,-2,2.5,18446744073709551615,true,null,"x\u00e9"],"b":{}}"#;
        assert_eq!(value(text).unwrap(), json!({ "a": [1, -2, 2.5, u64::MAX, true, null, "xé"], "b": {} }));
    }

    #[test]
    fn a_key_named_twice_is_no_payload_however_it_is_written() {
        for text in [r#"{"n":"x","n":1}"#, r#"[{"a":{"n":1,"\u006e":2}}]"#] {
            assert!(value(text).unwrap_err().starts_with("not JSON: an object names a key twice"), "{text}");
        }
    }
}
