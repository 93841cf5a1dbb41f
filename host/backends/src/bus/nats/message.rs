//! A message of a stream, and the event in it.
//!
//! Producers that speak CloudEvents do so in the binding for NATS, binary or structured:
//! <https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md>. A message without
//! headers whose body is a structured event is one, too: before version 1.0.3 the binding knew no headers.

use async_nats::datetime::DateTime;
use async_nats::{header, jetstream};
use serde_json::{Map, Value};

use super::header_value;
use crate::bus::crossing::source_of;
use tidegate_core::config::{BodyFormat, MessageFields, MessageText};
use tidegate_core::protocol::{BusEvent, EventError, Payload, TraceContext};

const CONTENT_TYPE: &str = "content-type";
/// The media type of structured events; a batch of them has one of its own.
const STRUCTURED: &str = "application/cloudevents";
const BATCH: &str = "application/cloudevents-batch";
/// How the headers of a binary event begin.
const ATTRIBUTE: &str = "ce-";
const DATA_CONTENT_TYPE: &str = "datacontenttype";
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    /// When the stream took it, in nanoseconds since the Unix epoch, and its number there: `1700000000000000000-3`. A
    /// stream that is made anew numbers from the beginning.
    pub(super) id: String,
    /// Its number in the stream.
    pub(super) sequence: u64,
    /// When the stream took it.
    pub(super) written: DateTime,
    /// Where it is acknowledged.
    pub(super) reply: String,
    subject: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    /// `None` for what does not come from a stream.
    pub(super) fn of(message: jetstream::Message) -> Option<Self> {
        let info = message.info().ok()?;
        let (sequence, written) = (info.stream_sequence, info.published);
        let reply = message.reply.as_ref()?.to_string();
        let headers = message.headers.iter().flat_map(|headers| headers.iter());
        let each = headers.flat_map(|(name, values)| values.iter().map(|value| (name.to_string(), value.to_string())));
        // What NATS adds for its readers is not the producer's.
        let pin = header::NATS_PIN_ID.to_string();
        let mut headers: Vec<(String, String)> = each.filter(|(name, _)| *name != pin).collect();
        // They come in no order.
        headers.sort();
        Some(Self {
            id: format!("{}-{sequence}", written.unix_timestamp_nanos()),
            sequence,
            written,
            reply,
            subject: message.subject.to_string(),
            headers,
            body: message.payload.to_vec(),
        })
    }

    /// When the stream took it, in milliseconds since the Unix epoch.
    pub(super) fn written_unix_ms(&self) -> Option<u64> {
        u64::try_from(self.written.unix_timestamp_nanos() / 1_000_000).ok()
    }

    /// Its content as far as it is text, for a dead letter.
    pub(super) fn shown(&self) -> impl Iterator<Item = (String, String)> {
        let parts = [("subject", self.subject.clone()), ("body", String::from_utf8_lossy(&self.body).into_owned())];
        let headers = self.headers.iter().map(|(name, value)| (format!("header {name}"), value.clone()));
        parts.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(headers)
    }

    /// The event in it, or what is wrong with it.
    pub(super) fn event(
        &self,
        mapping: Option<&MessageFields>,
        stream: &str,
        bytes_max: usize,
    ) -> Result<BusEvent, String> {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = self.subject.len() + headers + self.body.len();
        if bytes > bytes_max {
            return Err(format!("the message has {bytes} bytes, limits.payload is {bytes_max}"));
        }
        let mut event = match mapping {
            Some(mapping) => self.mapped(mapping, stream)?,
            None => self.spoken()?,
        };
        if event.trace.is_none() {
            let context = self.header(TRACE_PARENT)?.and_then(TraceContext::parse);
            let state = self.header(TRACE_STATE)?;
            event.trace = context.map(|context| context.with_state(state));
        }
        Ok(event)
    }

    /// The event of a producer that speaks CloudEvents.
    fn spoken(&self) -> Result<BusEvent, String> {
        let content_type = self.header(CONTENT_TYPE)?.map(media_type);
        match content_type.as_deref() {
            Some(kind) if kind.starts_with(BATCH) => {
                Err("a batch of CloudEvents: NATS has none, publish each event as a message".to_owned())
            }
            Some(kind) if kind.starts_with(STRUCTURED) => match &kind[STRUCTURED.len()..] {
                "" | "+json" => self.structured(),
                _ => Err(format!("a CloudEvent as `{kind}` is not read; send `{STRUCTURED}+json`")),
            },
            _ if self.attributes().next().is_some() => self.binary(content_type),
            _ => self.structured().map_err(|error| {
                format!(
                    "it has neither headers `ce-…` nor `content-type: {STRUCTURED}+json`, and no `fields` are configured; \
                     its body is no CloudEvent: {error}"
                )
            }),
        }
    }

    fn structured(&self) -> Result<BusEvent, String> {
        BusEvent::parse(self.text()?).map_err(|error| match error {
            EventError::NotJson(_) => format!("the body is {error}"),
            error => error.to_string(),
        })
    }

    /// The headers that are attributes, without their prefix.
    fn attributes(&self) -> impl Iterator<Item = (String, &str)> {
        self.headers.iter().filter_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            Some((name.strip_prefix(ATTRIBUTE)?.to_owned(), value.as_str()))
        })
    }

    fn binary(&self, content_type: Option<String>) -> Result<BusEvent, String> {
        let mut event = Map::new();
        for (name, value) in self.attributes() {
            let value = header_value::read(value).map_err(|error| format!("header `{ATTRIBUTE}{name}` {error}"))?;
            if event.insert(name.clone(), value.into()).is_some() {
                return Err(format!("header `{ATTRIBUTE}{name}` is given twice"));
            }
        }
        let named = event.get(DATA_CONTENT_TYPE).and_then(Value::as_str).map(media_type).or(content_type);
        let data = match named.as_deref() {
            _ if self.body.is_empty() => Value::Null.into(),
            None => self.json()?,
            Some(kind) if kind.ends_with("/json") || kind.ends_with("+json") => self.json()?,
            Some(kind) if kind.starts_with("text/") => Value::from(self.text()?).into(),
            Some(kind) => return Err(format!("its data is `{kind}`: data must be JSON, or `text/…`")),
        };
        if let Some(kind) = named {
            event.entry(DATA_CONTENT_TYPE).or_insert(kind.into());
        }
        BusEvent::of(event, data).map_err(|error| error.to_string())
    }

    fn mapped(&self, mapping: &MessageFields, stream: &str) -> Result<BusEvent, String> {
        let data = match mapping.data {
            BodyFormat::Text => Value::from(self.text()?).into(),
            BodyFormat::Json if self.body.is_empty() => Value::Null.into(),
            BodyFormat::Json => self.json()?,
        };
        let body = match data.value() {
            Ok(value) => value,
            Err(error) => return Err(format!("the body is {error}")),
        };
        let text = |text: &MessageText| self.find(text, body);
        let mut event = Map::new();
        event.insert("specversion".to_owned(), "1.0".into());
        event.insert("type".to_owned(), text(&mapping.kind)?.into());
        let id = mapping.id.as_ref().map_or_else(|| Ok(self.id.clone()), text)?;
        event.insert("id".to_owned(), id.into());
        let source = mapping.source.as_ref().map_or_else(|| Ok(source_of("nats", stream)), text)?;
        event.insert("source".to_owned(), source.into());
        for (name, place) in [("subject", &mapping.subject), ("time", &mapping.time)] {
            // What a message may lack.
            if let Some(text) = place.as_ref().and_then(|place| text(place).ok()).filter(|text| !text.is_empty()) {
                event.insert(name.to_owned(), text.into());
            }
        }
        BusEvent::of(event, data).map_err(|error| error.to_string())
    }

    /// What a mapping names.
    fn find(&self, text: &MessageText, body: &Value) -> Result<String, String> {
        match text {
            MessageText::Always(text) => Ok(text.clone()),
            MessageText::Subject => Ok(self.subject.clone()),
            MessageText::Token(number) => {
                let token = self.subject.split('.').nth(number - 1);
                token.map(str::to_owned).ok_or_else(|| format!("the subject `{}` has no token {number}", self.subject))
            }
            MessageText::Header(name) => {
                let value = self.header(name)?.ok_or_else(|| format!("header `{name}` is missing"))?;
                Ok(value.to_owned())
            }
            MessageText::Body(pointer) => match body.pointer(pointer) {
                Some(Value::String(text)) => Ok(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
                Some(_) => Err(format!("`{pointer}` of the body is neither a text nor a number")),
                None => Err(format!("the body has no `{pointer}`")),
            },
        }
    }

    /// The only value of a header, whatever the case of its name.
    fn header(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() { Err(format!("header `{name}` is given twice")) } else { Ok(value) }
    }

    fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.body).map_err(|_| "the body is not UTF-8".to_owned())
    }

    fn json(&self) -> Result<Payload, String> {
        Payload::read(self.text()?.to_owned()).map_err(|error| format!("the body is {error}"))
    }
}

/// `application/json` of `Application/JSON; charset=utf-8`.
fn media_type(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Message {
        Message {
            id: "1700000000000000000-3".to_owned(),
            sequence: 3,
            written: async_nats::datetime::from_nanos(1_700_000_000_000_000_000).unwrap(),
            reply: String::new(),
            subject: "fleet.d1.position".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: body.as_ref().to_vec(),
        }
    }

    fn event(mapping: Option<Value>, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Result<Value, String> {
        let mapping = mapping.map(|mapping| serde_json::from_value::<MessageFields>(mapping).unwrap());
        let event = message(headers, body).event(mapping.as_ref(), "FLEET 1", 1000)?;
        Ok(serde_json::to_value(event).unwrap())
    }

    const BINARY: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/cms"), ("ce-type", "a.b")];

    fn binary(more: &[(&str, &str)], body: impl AsRef<[u8]>) -> Result<Value, String> {
        event(None, &[&BINARY[..], more].concat(), body)
    }

    #[test]
    fn a_structured_event_is_told_by_its_content_type_or_by_its_body() {
        let whole = r#"{"specversion":"1.0","id":"7","source":"/cms","type":"a.b","data":{"n":1}}"#;
        let expected: Value = serde_json::from_str(whole).unwrap();
        for kind in ["application/cloudevents+json", "Application/CloudEvents; charset=utf-8"] {
            assert_eq!(event(None, &[("content-type", kind)], whole).as_ref(), Ok(&expected), "{kind}");
        }
        assert_eq!(event(None, &[], whole).as_ref(), Ok(&expected));
        // What a publisher says beside it is no attribute.
        assert_eq!(event(None, &[("Nats-Msg-Id", "1")], whole), Ok(expected));
    }

    #[test]
    fn a_binary_event_has_its_attributes_in_headers_and_its_data_in_the_body() {
        let expected = json!({ "specversion": "1.0", "id": "7", "source": "/cms", "type": "a.b",
            "data": { "n": 1 }, "subject": "Zürich 1", "datacontenttype": "application/json", "tenant": "t" });
        let more = [("ce-subject", "Z%C3%BCrich%201"), ("ce-datacontenttype", "application/json"), ("Ce-Tenant", "t")];
        assert_eq!(binary(&more, r#"{"n":1}"#), Ok(expected));
        assert_eq!(binary(&[], "").unwrap()["data"], Value::Null);
        let kind = binary(&[("Content-Type", "application/json; charset=utf-8")], "1").unwrap();
        assert_eq!((&kind["data"], &kind["datacontenttype"]), (&json!(1), &json!("application/json")));
        assert_eq!(binary(&[("ce-datacontenttype", "text/plain")], "grün").unwrap()["data"], "grün");
    }

    #[test]
    fn a_message_that_speaks_no_cloudevents_is_mapped() {
        let mapping = json!({ "type": "$subject.3", "id": "$header.nats-msg-id", "source": "/fleet", "subject": "$subject.2",
            "time": "$/at" });
        let body = r#"{"at":"2026-01-01T00:00:00Z","lat":1.5}"#;
        let expected = json!({ "specversion": "1.0", "id": "m1", "source": "/fleet", "type": "position",
            "subject": "d1", "time": "2026-01-01T00:00:00Z", "data": { "at": "2026-01-01T00:00:00Z", "lat": 1.5 } });
        assert_eq!(event(Some(mapping), &[("Nats-Msg-Id", "m1")], body), Ok(expected));
        let bare =
            event(Some(json!({ "type": "$subject", "subject": "$header.none", "data": "text" })), &[], "21°").unwrap();
        let expected = json!({ "specversion": "1.0", "id": "1700000000000000000-3", "source": "/nats/FLEET%201",
            "type": "fleet.d1.position", "data": "21°" });
        assert_eq!(bare, expected);
        assert_eq!(event(Some(json!({ "type": "$/n" })), &[], r#"{"n":7}"#).unwrap()["type"], "7");
    }

    #[test]
    fn what_is_no_event_is_told() {
        let told = |headers: &[(&str, &str)], body: &str| event(None, headers, body).unwrap_err();
        assert!(
            told(&[], "x")
                .ends_with("its body is no CloudEvent: the body is not JSON: expected value at line 1 column 1")
        );
        assert!(told(&[], "{}").ends_with("attribute `specversion` is missing"));
        assert_eq!(
            told(&[("content-type", "application/cloudevents-batch+json")], "[]"),
            "a batch of CloudEvents: NATS has none, publish each event as a message"
        );
        assert!(
            told(&[("content-type", "application/cloudevents+avro")], "x").contains("`application/cloudevents+avro`")
        );
        assert_eq!(told(&[("ce-id", "1")], "1"), "attribute `specversion` is missing");
        assert_eq!(told(&[("content-type", "a"), ("Content-Type", "b")], "1"), "header `content-type` is given twice");
        assert!(told(&[], &"x".repeat(1000)).contains("limits.payload is 1000"));
        assert_eq!(binary(&[("ce-id", "8")], "1"), Err("header `ce-id` is given twice".to_owned()));
        assert_eq!(
            binary(&[("ce-x", "%ff")], "1"),
            Err("header `ce-x` is not UTF-8 after percent-decoding".to_owned())
        );
        assert_eq!(
            binary(&[("ce-datacontenttype", "image/png")], "1"),
            Err("its data is `image/png`: data must be JSON, or `text/…`".to_owned())
        );
        assert!(
            binary(&[("content-type", "application/json")], "hello").unwrap_err().starts_with("the body is not JSON: ")
        );
        let mapped = |of: &str| event(Some(json!({ "type": of })), &[], r#"{"a":{}}"#).unwrap_err();
        assert_eq!(mapped("$subject.4"), "the subject `fleet.d1.position` has no token 4");
        assert_eq!(mapped("$header.kind"), "header `kind` is missing");
        assert_eq!(mapped("$/b"), "the body has no `/b`");
        assert_eq!(mapped("$/a"), "`/a` of the body is neither a text nor a number");
    }

    #[test]
    fn a_body_that_is_no_text_is_told_and_shown_as_far_as_it_goes() {
        let message = message(&[("ce-type", "a")], [b'a', 0xff]);
        assert_eq!(message.event(None, "s", 1000), Err("the body is not UTF-8".to_owned()));
        let shown: Vec<_> = message.shown().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["subject=fleet.d1.position", "body=a\u{fffd}", "header ce-type=a"]);
    }

    #[test]
    fn a_trace_is_in_an_extension_or_beside_the_event() {
        let (inner, outer) = (
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01",
        );
        let trace = |headers: &[(&str, &str)]| {
            let headers = [&BINARY[..], headers].concat();
            message(&headers, "1").event(None, "s", 1000).unwrap().trace.map(|trace| trace.to_string())
        };
        assert_eq!(trace(&[("ce-traceparent", inner), ("traceparent", outer)]).as_deref(), Some(inner));
        assert_eq!(trace(&[("traceparent", outer)]).as_deref(), Some(outer));
        assert_eq!(trace(&[("traceparent", "x")]), None);
    }
}
