//! A JSON text on its way through the gates: kept verbatim, shared without copying, read into a value once.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Unambiguous;

/// One JSON value, kept as its original text. Clones share the text, and its value once it was read.
#[derive(Clone)]
pub struct Payload {
    text: Arc<RawValue>,
    value: Arc<OnceLock<Result<Value, PayloadError>>>,
}

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
        Ok(Self::unread_text(RawValue::from_string(text)?.into()))
    }

    /// Takes a JSON text and reads it: [`Payload::value`] has no error afterwards.
    ///
    /// # Errors
    /// As [`Payload::parse`] and [`Payload::value`].
    pub fn read(text: String) -> Result<Self, PayloadError> {
        let text = RawValue::from_string(text)?;
        let value = read(&text)?;
        Ok(Self::with_value(text, value))
    }

    /// A text whose value was read already.
    pub(super) fn with_value(text: Box<RawValue>, value: Value) -> Self {
        Self { text: text.into(), value: Arc::new(OnceLock::from(Ok(value))) }
    }

    fn unread_text(text: Arc<RawValue>) -> Self {
        Self { text, value: Arc::default() }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get()
    }

    /// The text as a raw JSON value, for serialisers that copy it verbatim.
    #[must_use]
    pub fn as_raw(&self) -> &RawValue {
        &self.text
    }

    /// The value, for schemas and expressions. The first call reads the text. A number that does not fit into a machine
    /// number is only approximate; the text has its digits.
    ///
    /// # Errors
    /// [`PayloadError`] if the text is nested deeper than the parser goes (128 levels), or has the same key of an
    /// object twice: the text travels verbatim, and a reader that takes the first of the two would see a value that
    /// nobody checked.
    pub fn value(&self) -> Result<&Value, &PayloadError> {
        self.value.get_or_init(|| read(&self.text)).as_ref()
    }

    /// The shared text alone, for what keeps many of them.
    #[must_use]
    pub fn text(&self) -> Arc<RawValue> {
        Arc::clone(&self.text)
    }

    /// The text without its value, for a queue whose bound counts the bytes of texts: a value takes many times as many.
    #[must_use]
    pub fn unread(&self) -> Self {
        Self::unread_text(Arc::clone(&self.text))
    }
}

fn read(text: &RawValue) -> Result<Value, PayloadError> {
    let Unambiguous(value) = serde_json::from_str(text.get())?;
    Ok(value)
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Payload").field(&self.as_str()).finish()
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        // A tree can always be printed as JSON.
        Self::with_value(RawValue::from_string(value.to_string()).unwrap_or_default(), value)
    }
}

impl From<&Value> for Payload {
    fn from(value: &Value) -> Self {
        value.clone().into()
    }
}

impl From<Arc<RawValue>> for Payload {
    fn from(text: Arc<RawValue>) -> Self {
        Self::unread_text(text)
    }
}

impl From<Box<RawValue>> for Payload {
    fn from(raw: Box<RawValue>) -> Self {
        Self::unread_text(raw.into())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Result<Value, String> {
        Payload::parse(text.to_owned()).unwrap().value().cloned().map_err(ToString::to_string)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"{"a":[1,-2,2.5,18446744073709551615,true,null,"x\u00e9"],"b":{}}"#;
        assert_eq!(value(text).unwrap(), json!({ "a": [1, -2, 2.5, u64::MAX, true, null, "xé"], "b": {} }));
    }

    #[test]
    fn a_text_is_read_once_whoever_asks_for_its_value() {
        let payload = Payload::parse(r#"{"n":1}"#.to_owned()).unwrap();
        let earlier = payload.clone();
        assert!(payload.value.get().is_none(), "a payload that nobody judges is not read");
        assert!(std::ptr::eq(payload.value().unwrap(), earlier.value().unwrap()));
        assert!(std::ptr::eq(payload.value().unwrap(), payload.clone().value().unwrap()));
        let bad = Payload::parse(r#"{"n":1,"n":2}"#.to_owned()).unwrap();
        assert!(std::ptr::eq(bad.value().unwrap_err(), bad.clone().value().unwrap_err()));
    }

    #[test]
    fn a_value_that_was_there_first_is_never_read_back_from_its_text() {
        for payload in [Payload::from(json!({ "n": 1 })), Payload::read(r#"{"n":1}"#.to_owned()).unwrap()] {
            assert!(payload.value.get().is_some());
            assert_eq!(payload.as_str(), r#"{"n":1}"#);
        }
    }

    #[test]
    fn a_queue_keeps_the_text_alone() {
        let payload = Payload::from(json!({ "n": 1 }));
        let queued = payload.unread();
        assert!(queued.value.get().is_none() && std::ptr::eq(queued.as_str(), payload.as_str()));
    }

    #[test]
    fn a_key_named_twice_is_no_payload_however_it_is_written() {
        for text in [r#"{"n":"x","n":1}"#, r#"[{"a":{"n":1,"\u006e":2}}]"#] {
            assert!(value(text).unwrap_err().starts_with("not JSON: an object names a key twice"), "{text}");
        }
    }
}
