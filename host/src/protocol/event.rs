//! Bus events: CloudEvents 1.0 in their JSON format, structured and batch.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use serde::Serialize;
use serde_json::{Map, Value};

/// One CloudEvent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusEvent {
    /// Always `1.0`.
    specversion: &'static str,
    /// Unique per source.
    pub id: String,
    /// Who it came from, a URI reference.
    pub source: String,
    /// What happened: what bridge rules match on.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The JSON data; `null` when there was none.
    pub data: Value,
    /// `datacontenttype`, `dataschema` and extension attributes.
    #[serde(flatten)]
    pub attributes: Map<String, Value>,
}

/// Why a JSON value is not a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not an object.
    #[error("a CloudEvent is a JSON object")]
    NotAnObject,
    /// A required attribute is absent.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute is not a non-empty string.
    #[error("attribute `{0}` must be a non-empty string")]
    NotAString(String),
    /// `source` is no URI reference (RFC 3986).
    #[error("attribute `source` must be a URI reference")]
    NotAUri,
    /// `time` is no timestamp (RFC 3339).
    #[error("attribute `time` must be an RFC 3339 timestamp")]
    NotATime,
    /// Another version of the specification.
    #[error("`specversion` must be \"1.0\", found {0}")]
    Version(String),
    /// `data_base64`: schemas judge JSON only.
    #[error("`data_base64` is not taken: the data must be JSON")]
    Binary,
    /// Extension names are lower-case letters and digits.
    #[error("attribute `{0}` must be named with lower-case letters and digits")]
    AttributeName(String),
    /// Extension values are strings, booleans or numbers.
    #[error("attribute `{0}` must be a string, a boolean or a number")]
    AttributeValue(String),
}

impl BusEvent {
    /// An event of the server's own making.
    #[must_use]
    pub fn new(id: String, source: String, kind: String, data: Value) -> Self {
        Self { specversion: "1.0", id, source, kind, subject: None, time: None, data, attributes: Map::new() }
    }

    /// Reads one structured event.
    ///
    /// # Errors
    /// [`EventError`] naming the attribute that is wrong.
    pub fn from_json(value: Value) -> Result<Self, EventError> {
        let Value::Object(mut fields) = value else { return Err(EventError::NotAnObject) };
        match fields.remove("specversion") {
            Some(Value::String(version)) if version == "1.0" => {}
            Some(other) => return Err(EventError::Version(other.to_string())),
            None => return Err(EventError::Missing("specversion")),
        }
        if fields.contains_key("data_base64") {
            return Err(EventError::Binary);
        }
        let event = Self {
            specversion: "1.0",
            id: required(&mut fields, "id")?,
            source: required(&mut fields, "source")?,
            kind: required(&mut fields, "type")?,
            subject: optional(&mut fields, "subject")?,
            time: optional(&mut fields, "time")?,
            data: fields.remove("data").unwrap_or_default(),
            attributes: Map::new(),
        };
        // The characters that RFC 3986 leaves out, section 2.
        if event.source.bytes().any(|b| !b.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&b)) {
            return Err(EventError::NotAUri);
        }
        if event.time.as_deref().is_some_and(|time| chrono::DateTime::parse_from_rfc3339(time).is_err()) {
            return Err(EventError::NotATime);
        }
        for (name, value) in &fields {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
                return Err(EventError::AttributeName(name.clone()));
            }
            if matches!(value, Value::Object(_) | Value::Array(_)) {
                return Err(EventError::AttributeValue(name.clone()));
            }
        }
        Ok(Self { attributes: fields, ..event })
    }

    /// Reads what [`Self::to_json`] wrote, unchecked: what was kept was perhaps no event in every respect. `None` for
    /// anything else.
    #[must_use]
    pub fn kept(value: Value) -> Option<Self> {
        let Value::Object(mut fields) = value else { return None };
        let mut text = |name| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        text("specversion")?;
        let (id, source, kind) = (text("id")?, text("source")?, text("type")?);
        let (subject, time) = (text("subject"), text("time"));
        let data = fields.remove("data").unwrap_or_default();
        Some(Self { specversion: "1.0", id, source, kind, subject, time, data, attributes: fields })
    }

    /// The event as JSON, as expressions see it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn required(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, EventError> {
    optional(fields, name)?.ok_or(EventError::Missing(name))
}

fn optional(fields: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, EventError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(EventError::NotAString(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_structured_event_comes_back_as_it_went_in() {
        let event = json!({ "specversion": "1.0", "id": "1", "source": "/cms", "type": "article.published",
            "data": { "title": "x" }, "tenant": "t1" });
        assert_eq!(BusEvent::from_json(event.clone()).unwrap().to_json(), event);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |value| BusEvent::from_json(value).unwrap_err().to_string();
        assert_eq!(error(json!([])), "a CloudEvent is a JSON object");
        assert_eq!(error(json!({})), "attribute `specversion` is missing");
        assert_eq!(error(json!({ "specversion": "0.3" })), "`specversion` must be \"1.0\", found \"0.3\"");
        assert_eq!(error(json!({ "specversion": "1.0", "id": "" })), "attribute `id` must be a non-empty string");
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "no uri", "type": "t" })),
            "attribute `source` must be a URI reference"
        );
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "/", "type": "t", "time": "noon" })),
            "attribute `time` must be an RFC 3339 timestamp"
        );
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "/", "type": "t", "Bad_Name": 1 })),
            "attribute `Bad_Name` must be named with lower-case letters and digits"
        );
    }
}
