//! Bus events: CloudEvents 1.0 in their JSON format, structured and batch.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Decimal, OWN_PREFIX, Payload, TraceContext, Unambiguous};

/// One CloudEvent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusEvent {
    /// Always `1.0`.
    specversion: &'static str,
    /// Unique for each source.
    pub id: String,
    /// The source, a URI reference.
    pub source: String,
    /// The type, which bridge rules match.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The JSON data, as its original text; `null` if there was none.
    pub data: Payload,
    /// `datacontenttype`, `dataschema` and extension attributes.
    #[serde(flatten)]
    pub attributes: Map<String, Value>,
    /// Where in a trace it happened: by its extension attributes `traceparent` and `tracestate`, or by the request that
    /// brought it.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
}

/// Why a JSON value is not a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or an object in it has the same key twice.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// Not an object.
    #[error("a CloudEvent is a JSON object")]
    NotAnObject,
    /// A required attribute is absent.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// An attribute is not a non-empty string.
    #[error("attribute `{0}` must be a non-empty string")]
    NotAString(String),
    /// `source` is not a URI reference (RFC 3986).
    #[error("attribute `source` must be a URI reference")]
    NotAUri,
    /// `time` is not a timestamp (RFC 3339).
    #[error("attribute `time` must be an RFC 3339 timestamp")]
    NotATime,
    /// Another version of the specification.
    #[error("`specversion` must be \"1.0\", found {0}")]
    Version(String),
    /// A type that only the server itself uses.
    #[error("the types that begin with `{OWN_PREFIX}` are the server's own")]
    Own,
    /// `data_base64`: schemas check only JSON.
    #[error("`data_base64` is not supported: the data must be JSON")]
    Binary,
    /// Extension names are lower-case letters and digits.
    #[error("attribute `{0}` must be named with lower-case letters and digits")]
    AttributeName(String),
    /// Extension values are strings, booleans or numbers.
    #[error("attribute `{0}` must be a string, a boolean or a number")]
    AttributeValue(String),
    /// A number that neither a 64-bit integer nor a double can hold.
    #[error("attribute `{0}` is a number with too many digits; send it as a string")]
    AttributeDigits(String),
}

impl BusEvent {
    /// An event that the server itself makes.
    #[must_use]
    pub fn new(id: String, source: String, kind: String, data: impl Into<Payload>) -> Self {
        let data = data.into();
        let attributes = Map::new();
        Self { specversion: "1.0", id, source, kind, subject: None, time: None, data, attributes, trace: None }
    }

    /// The same, with the time when it happened.
    #[must_use]
    pub fn at(self, unix_ms: u64) -> Self {
        let time = i64::try_from(unix_ms).ok().and_then(chrono::DateTime::from_timestamp_millis);
        Self { time: time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)), ..self }
    }

    /// Whether it is an event of the server itself.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.kind.starts_with(OWN_PREFIX)
    }

    /// Reads the text of one structured event, and keeps the text of its data.
    ///
    /// # Errors
    /// [`EventError`] naming the invalid attribute.
    pub fn parse(text: &str) -> Result<Self, EventError> {
        let (mut fields, texts) = fields_of(text)?;
        for (name, value) in &fields {
            let is_kept = |text: &&RawValue| Decimal::read(text.get()).double().is_some();
            if name != "data" && value.is_f64() && !texts.get(name.as_str()).is_some_and(is_kept) {
                return Err(EventError::AttributeDigits(name.clone()));
            }
        }
        let data = take_data(&mut fields, &texts);
        Self::of(fields, data)
    }

    /// An event from outside with these attributes and data.
    ///
    /// # Errors
    /// [`EventError`] naming the invalid attribute.
    pub fn of(mut fields: Map<String, Value>, data: Payload) -> Result<Self, EventError> {
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
            data,
            attributes: Map::new(),
            trace: None,
        };
        if event.kind.starts_with(OWN_PREFIX) {
            return Err(EventError::Own);
        }
        // The characters that RFC 3986 does not allow, section 2.
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
        Ok(Self { trace: trace_of(&fields), attributes: fields, ..event })
    }

    /// The event as JSON, with the original text of its data.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Texts, a tree and a text that is JSON already can always be printed as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the output of [`Self::to_text`] without checks: a stored dead letter may not be a valid event. `None` for
    /// anything else.
    #[must_use]
    pub fn kept(text: &str) -> Option<Self> {
        let (mut fields, texts) = fields_of(text).ok()?;
        let data = take_data(&mut fields, &texts);
        let mut text = |name| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        text("specversion")?;
        let (id, source, kind) = (text("id")?, text("source")?, text("type")?);
        let (subject, time) = (text("subject"), text("time"));
        let trace = trace_of(&fields);
        Some(Self { specversion: "1.0", id, source, kind, subject, time, data, attributes: fields, trace })
    }
}

/// The extension for distributed tracing: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md>.
/// A malformed one is an attribute like any other.
fn trace_of(attributes: &Map<String, Value>) -> Option<TraceContext> {
    let context = TraceContext::parse(attributes.get("traceparent")?.as_str()?)?;
    Some(context.with_state(attributes.get("tracestate").and_then(Value::as_str)))
}

/// The fields of a JSON object, as written.
type Texts<'t> = HashMap<String, &'t RawValue>;

/// The fields of a JSON object, each once: their values and their texts.
fn fields_of(text: &str) -> Result<(Map<String, Value>, Texts<'_>), EventError> {
    let not_json = |error: serde_json::Error| EventError::NotJson(error.to_string());
    let Unambiguous(value) = serde_json::from_str(text).map_err(not_json)?;
    let Value::Object(fields) = value else { return Err(EventError::NotAnObject) };
    Ok((fields, serde_json::from_str(text).map_err(not_json)?))
}

fn take_data(fields: &mut Map<String, Value>, texts: &Texts<'_>) -> Payload {
    match (fields.remove("data"), texts.get("data")) {
        (Some(value), Some(text)) => Payload::with_value((*text).to_owned(), value),
        _ => Value::Null.into(),
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
        let read = BusEvent::parse(&event.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), event);
        assert_eq!(BusEvent::kept(&read.to_text()), Some(read));
    }

    #[test]
    fn the_trace_of_an_event_is_read_from_its_extension_and_a_malformed_one_breaks_nothing() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let traced = |extension: Value| {
            let event = json!({ "specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": 1,
                "traceparent": extension, "tracestate": "congo=t61" });
            let read = BusEvent::parse(&event.to_string()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), event, "its attributes stay as they were");
            assert_eq!(BusEvent::kept(&read.to_text()).unwrap().trace, read.trace);
            read.trace
        };
        let trace = traced(json!(parent)).unwrap();
        assert_eq!((trace.to_string().as_str(), trace.state()), (parent, Some("congo=t61")));
        for malformed in [json!("no"), json!(7), json!(true), json!(parent.to_uppercase())] {
            assert_eq!(traced(malformed), None);
        }
    }

    #[test]
    fn the_data_keeps_its_digits() {
        let data = r#"{"n":123456789012345678901234567890,"p":7.10,"z":-0, "e":1E2}"#;
        let text = format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{data}}}"#);
        let event = BusEvent::parse(&text).unwrap();
        assert_eq!(event.data.as_str(), data);
        let kept = event.to_text();
        assert!(kept.contains(data), "{kept}");
        assert_eq!(BusEvent::kept(&kept).unwrap().data.as_str(), data);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |value: Value| BusEvent::parse(&value.to_string()).unwrap_err().to_string();
        assert_eq!(error(json!([])), "a CloudEvent is a JSON object");
        assert_eq!(error(json!({})), "attribute `specversion` is missing");
        assert_eq!(error(json!({ "specversion": "0.3" })), "`specversion` must be \"1.0\", found \"0.3\"");
        assert_eq!(error(json!({ "specversion": "1.0", "id": "" })), "attribute `id` must be a non-empty string");
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "no uri", "type": "t" })),
            "attribute `source` must be a URI reference"
        );
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "/", "type": "tidegate.member.left" })),
            "the types that begin with `tidegate.` are the server's own"
        );
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "/", "type": "t", "time": "noon" })),
            "attribute `time` must be an RFC 3339 timestamp"
        );
        assert_eq!(
            error(json!({ "specversion": "1.0", "id": "1", "source": "/", "type": "t", "Bad_Name": 1 })),
            "attribute `Bad_Name` must be named with lower-case letters and digits"
        );
        let digits = BusEvent::parse(r#"{"specversion":"1.0","n":100000000000000000001}"#).unwrap_err().to_string();
        assert_eq!(digits, "attribute `n` is a number with too many digits; send it as a string");
        assert!(
            BusEvent::parse(r#"{"id":1,"id":2}"#).unwrap_err().to_string().starts_with("not JSON: an object names")
        );
    }
}
