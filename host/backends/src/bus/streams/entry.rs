//! An entry of a stream, and the event in it.

use redis::Value as Reply;
use serde_json::{Map, Value};

use crate::bus::crossing::source_of;
use tidegate_core::config::{FieldText, StreamFields};
use tidegate_core::protocol::{BusEvent, EventError, Payload};

/// The field that holds a whole event if no `fields` are configured.
const EVENT: &str = "event";

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `1700000000000-0`.
    pub(super) id: String,
    /// In order; `None` if the entry was deleted before it was read.
    pub(super) fields: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Entry {
    /// The entries of an answer, a list of `[id, [name, value, …]]`; anything else is left out.
    pub(super) fn list(reply: Reply) -> Vec<Self> {
        let Reply::Array(entries) = reply else { return Vec::new() };
        entries.into_iter().filter_map(Self::one).collect()
    }

    fn one(reply: Reply) -> Option<Self> {
        let Reply::Array(parts) = reply else { return None };
        let mut parts = parts.into_iter();
        let id = String::from_utf8(bytes(parts.next()?)?).ok()?;
        let fields = match parts.next()? {
            Reply::Array(texts) => {
                let mut texts = texts.into_iter().filter_map(bytes);
                Some(std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect())
            }
            _ => None,
        };
        Some(Self { id, fields })
    }

    /// When Redis accepted it, in milliseconds since the Unix epoch, unless its producer chose the id.
    pub(super) fn written_unix_ms(&self) -> Option<u64> {
        self.id.split_once('-')?.0.parse().ok()
    }

    /// Its content as far as it is text, for a dead letter.
    pub(super) fn shown(&self) -> impl Iterator<Item = (String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.fields.iter().flatten().map(move |(name, value)| (text(name), text(value)))
    }

    /// The event in it, or what is wrong with it.
    pub(super) fn event(
        &self,
        mapping: Option<&StreamFields>,
        stream: &str,
        bytes_max: usize,
    ) -> Result<BusEvent, String> {
        let fields = Fields::of(self.fields.as_deref().unwrap_or_default(), bytes_max)?;
        match mapping {
            None => self.spoken(&fields, stream),
            Some(StreamFields { event: Some(name), .. }) => fields.event(&name.0),
            Some(mapping) => self.mapped(mapping, &fields, stream),
        }
    }

    /// The event of a producer that writes `CloudEvents`: a whole event in one field, or one field for each attribute.
    fn spoken(&self, fields: &Fields<'_>, stream: &str) -> Result<BusEvent, String> {
        if fields.get(EVENT).is_some() {
            return fields.event(EVENT);
        }
        if fields.get("type").is_none() {
            return Err(
                "there is neither a field `event` nor a field `type`: the entry is not a CloudEvent, and no `fields` are configured".into()
            );
        }
        let mut event = Map::new();
        event.insert("specversion".to_owned(), "1.0".into());
        event.insert("id".to_owned(), self.id.clone().into());
        event.insert("source".to_owned(), source_of("redis", stream).into());
        let mut data = Payload::from(Value::Null);
        for (name, value) in &fields.0 {
            if *name == "data" {
                data = fields.json(name)?;
            } else {
                event.insert((*name).to_owned(), (*value).into());
            }
        }
        BusEvent::of(event, data).map_err(|error| error.to_string())
    }

    fn mapped(&self, mapping: &StreamFields, fields: &Fields<'_>, stream: &str) -> Result<BusEvent, String> {
        let kind = mapping.kind.as_ref().ok_or("no `type` is configured")?;
        let mut event = Map::new();
        event.insert("specversion".to_owned(), "1.0".into());
        event.insert("type".to_owned(), fields.text(kind)?.into());
        let id = mapping.id.as_ref().map_or(Ok(self.id.as_str()), |id| fields.text(id))?;
        event.insert("id".to_owned(), id.into());
        let source = mapping.source.as_ref().map(|source| fields.text(source)).transpose()?;
        event.insert("source".to_owned(), source.map_or_else(|| source_of("redis", stream), str::to_owned).into());
        for (name, text) in [("subject", &mapping.subject), ("time", &mapping.time)] {
            // Fields that an entry may lack.
            if let Some(text) = text.as_ref().and_then(|text| fields.text(text).ok()).filter(|text| !text.is_empty()) {
                event.insert(name.to_owned(), text.into());
            }
        }
        let data = match &mapping.data {
            Some(name) => fields.json(&name.0)?,
            None => {
                let named = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::from(*value));
                Value::Object(fields.0.iter().map(named).collect()).into()
            }
        };
        BusEvent::of(event, data).map_err(|error| error.to_string())
    }
}

/// The fields of an entry, all text.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn of(fields: &'a [(Vec<u8>, Vec<u8>)], bytes_max: usize) -> Result<Self, String> {
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > bytes_max {
            return Err(format!("the entry has {bytes} bytes, limits.payload is {bytes_max}"));
        }
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).map_err(|_| "a field is not UTF-8".to_owned());
        fields.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect::<Result<_, _>>().map(Self)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    fn need(&self, name: &str) -> Result<&'a str, String> {
        self.get(name).ok_or_else(|| format!("field `{name}` is missing"))
    }

    fn text(&self, text: &'a FieldText) -> Result<&'a str, String> {
        match text {
            FieldText::Always(text) => Ok(text),
            FieldText::Field(name) => self.need(name),
        }
    }

    fn json(&self, name: &str) -> Result<Payload, String> {
        Payload::read(self.need(name)?.to_owned()).map_err(|error| format!("field `{name}` is {error}"))
    }

    fn event(&self, name: &str) -> Result<BusEvent, String> {
        BusEvent::parse(self.need(name)?).map_err(|error| match error {
            EventError::NotJson(_) => format!("field `{name}` is {error}"),
            error => error.to_string(),
        })
    }
}

fn bytes(reply: Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::BulkString(bytes) => Some(bytes),
        Reply::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(fields: &[(&str, &str)]) -> Entry {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        Entry { id: "1700000000000-3".to_owned(), fields: Some(fields) }
    }

    fn event(mapping: Option<Value>, fields: &[(&str, &str)]) -> Result<Value, String> {
        let mapping = mapping.map(|mapping| serde_json::from_value::<StreamFields>(mapping).unwrap());
        entry(fields)
            .event(mapping.as_ref(), "device positions", 1000)
            .map(|event| serde_json::to_value(event).unwrap())
    }

    #[test]
    fn a_producer_that_speaks_cloudevents_needs_no_mapping() {
        let whole = r#"{"specversion":"1.0","id":"7","source":"/cms","type":"a.b","data":{"n":1}}"#;
        assert_eq!(event(None, &[("event", whole)]), Ok(serde_json::from_str(whole).unwrap()));
        let attributes = [("type", "a.b"), ("id", "7"), ("source", "/cms"), ("tenant", "t"), ("data", r#"{"n":1}"#)];
        let expected = json!({ "specversion": "1.0", "id": "7", "source": "/cms", "type": "a.b", "data": { "n": 1 },
            "tenant": "t" });
        assert_eq!(event(None, &attributes), Ok(expected));
    }

    #[test]
    fn what_an_entry_does_not_say_is_the_streams_and_the_entrys_own() {
        let expected = json!({ "specversion": "1.0", "id": "1700000000000-3", "source": "/redis/device%20positions",
            "type": "a.b", "data": null });
        assert_eq!(event(None, &[("type", "a.b")]), Ok(expected));
    }

    #[test]
    fn fields_are_mapped_by_name_or_are_the_same_for_all() {
        let fields = [("device", "d1"), ("payload", r#"{"lat":1.5}"#), ("at", "2026-01-01T00:00:00Z")];
        let mapping = json!({ "type": "telemetry.position", "source": "/fleet", "subject": "$device", "time": "$at",
            "data": "$payload" });
        let expected = json!({ "specversion": "1.0", "id": "1700000000000-3", "source": "/fleet",
            "type": "telemetry.position", "subject": "d1", "time": "2026-01-01T00:00:00Z", "data": { "lat": 1.5 } });
        assert_eq!(event(Some(mapping), &fields), Ok(expected));
        let all = event(Some(json!({ "type": "$device", "subject": "$none" })), &fields[..1]).unwrap();
        assert_eq!((&all["type"], &all["data"], all.get("subject")), (&json!("d1"), &json!({ "device": "d1" }), None));
        let dollar = event(Some(json!({ "type": "$$x" })), &[]).unwrap();
        assert_eq!(dollar["type"], "$x");
    }

    #[test]
    fn what_is_no_event_is_told() {
        let told = |mapping, fields: &[(&str, &str)]| event(mapping, fields).unwrap_err();
        assert!(told(None, &[("x", "1")]).starts_with("there is neither a field `event` nor a field `type`"));
        assert!(told(None, &[("event", "{")]).starts_with("field `event` is not JSON: "));
        assert!(told(None, &[("type", "a"), ("data", "x")]).starts_with("field `data` is not JSON: "));
        assert_eq!(told(None, &[("event", "{}")]), "attribute `specversion` is missing");
        assert_eq!(told(Some(json!({ "type": "$kind" })), &[("x", "1")]), "field `kind` is missing");
        assert_eq!(told(None, &[("type", "")]), "attribute `type` must be a non-empty string");
        assert_eq!(told(None, &[("type", &"x".repeat(1000))]), "the entry has 1004 bytes, limits.payload is 1000");
    }

    #[test]
    fn a_field_that_is_no_text_is_told_and_shown_as_far_as_it_goes() {
        let entry = Entry { id: "1-0".to_owned(), fields: Some(vec![(b"type".to_vec(), vec![b'a', 0xff])]) };
        assert_eq!(entry.event(None, "s", 1000), Err("a field is not UTF-8".to_owned()));
        assert_eq!(entry.shown().collect::<Vec<_>>(), [("type".to_owned(), "a\u{fffd}".to_owned())]);
    }
}
