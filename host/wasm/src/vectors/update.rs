//! Writes an answer into the file of a vector as its `expect`. Every other byte stays.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use serde_json::value::RawValue;
use std::io::{self, Write};

use super::compare::OPTIONAL;

/// Longest answer on one line, in bytes.
const LINE_BYTES_MAX: usize = 100;

/// The `expect` of the file.
#[derive(Deserialize)]
struct Stands<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    expect: Option<&'a RawValue>,
}

/// A value that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The text of a vector with this answer as `expect`.
pub(super) fn updated(text: &str, answer: &Value) -> String {
    let stands = serde_json::from_str::<Stands<'_>>(text).ok().and_then(|stands| stands.expect);
    let was = stands.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()).filter(Value::is_object);
    let answer = as_kept(answer, was.as_ref());
    match stands {
        Some(raw) => {
            // `raw` is borrowed from `text`.
            let start = raw.get().as_ptr() as usize - text.as_ptr() as usize;
            let end = start + raw.get().len();
            let is_one_line = !raw.get().contains('\n');
            format!("{}{}{}", &text[..start], written(&answer, text, start, is_one_line), &text[end..])
        }
        None => appended(text, &answer),
    }
}

/// With `expect` as the last key.
fn appended(text: &str, answer: &Value) -> String {
    let Some(end) = text.rfind('}') else { return text.to_owned() };
    let before = text[..end].trim_end();
    let comma = if before.ends_with('{') { "" } else { "," };
    let lead = format!("{before}{comma}\n  \"expect\": ");
    let start = lead.len();
    format!("{lead}{}\n{}", written(answer, &lead, start, true), &text[end..])
}

/// The answer for the file: without optional keys that the old `expect` lacked, and without defaults.
fn as_kept(answer: &Value, was: Option<&Value>) -> Value {
    let mut kept = answer.clone();
    for (pointer, key) in OPTIONAL {
        let same_answer =
            was.and_then(|was| was.pointer(pointer)).filter(|at| !pointer.is_empty() || at.get("decision").is_some());
        // The sentence of a new kind of answer is news. The detail of a fault differs between builds.
        let stays = match same_answer {
            Some(at) => at.get(key).is_some(),
            None => !matches!(key, "detail" | "ttl_ms"),
        };
        if let Some(Value::Object(keys)) = kept.pointer_mut(pointer)
            && !stays
        {
            keys.shift_remove(key);
        }
    }
    if let Value::Object(keys) = &mut kept {
        let says_effects = was.is_some_and(|was| was.get("effects").is_some());
        let goes_without_saying = keys.contains_key("reply") && keys.get("effects") == Some(&Value::Array(Vec::new()));
        if goes_without_saying && !says_effects {
            keys.shift_remove("effects");
        }
    }
    kept
}

/// The answer on one line, if it fits and was on one line before; else on several, indented like the file.
fn written(answer: &Value, text: &str, start: usize, is_one_line: bool) -> String {
    let line = serialized(answer, Spaced::default());
    if is_one_line && line.len() <= LINE_BYTES_MAX || is_scalar(answer) {
        return line;
    }
    let own = text[..start].rsplit('\n').next().unwrap_or_default();
    let indent: String = own.chars().take_while(|letter| letter.is_whitespace()).collect();
    serialized(answer, PrettyFormatter::new()).replace('\n', &format!("\n{indent}"))
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn serialized(value: &Value, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let done = serde::Serialize::serialize(value, &mut Serializer::with_formatter(&mut bytes, formatter));
    // Serializing a JSON tree never fails.
    done.ok().and_then(|()| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// `{ "reply": [1, 2] }`, as people write it.
#[derive(Default)]
struct Spaced {
    is_empty: bool,
}

impl Formatter for Spaced {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.is_empty = true;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let end: &[u8] = if std::mem::take(&mut self.is_empty) { b"}" } else { b" }" };
        writer.write_all(end)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.is_empty = false;
        writer.write_all(if first { b" " } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_expected_changes_in_the_file() {
        let text = "{\n  \"kind\": \"handler\",\n  \"payload\": { \"n\": 1.50, \"big\": 123456789012345678901234567890 },\n  \"expect\": { \"reply\": { \"text\": \"hello, Ada\" } }\n}\n";
        let answer = json!({ "reply": { "text": "ahoy, Ada" }, "effects": [] });
        assert_eq!(updated(text, &answer), text.replace("hello", "ahoy"));
        let several = text.replace("{ \"reply\": { \"text\": \"hello, Ada\" } }", "{\n    \"reply\": 1\n  }");
        let wanted = "\"expect\": {\n    \"reply\": {\n      \"text\": \"ahoy, Ada\"\n    }\n  }\n}\n";
        assert!(updated(&several, &answer).ends_with(wanted), "{}", updated(&several, &answer));
    }

    #[test]
    fn an_answer_that_nobody_expected_yet_is_the_last_key() {
        let effect = json!({ "emit": { "topic": "t", "payload": {}, "to": "everyone" } });
        let text = updated("{ \"kind\": \"connection\", \"phase\": \"connected\" }\n", &json!({ "effects": [effect] }));
        let expected = "{ \"kind\": \"connection\", \"phase\": \"connected\",\n  \"expect\": { \"effects\": [{ \"emit\": { \"topic\": \"t\", \"payload\": {}, \"to\": \"everyone\" } }] }\n}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn sentences_stay_out_where_the_file_left_them_out() {
        let of = |expect: &str, answer: Value| {
            let text = updated(&format!("{{ \"expect\": {expect} }}"), &answer);
            serde_json::from_str::<Value>(&text).unwrap()["expect"].clone()
        };
        let deny = json!({ "decision": "deny", "reason": "no member" });
        assert_eq!(of(r#"{ "decision": "allow" }"#, deny.clone()), json!({ "decision": "deny" }));
        assert_eq!(of(r#"{ "decision": "deny", "reason": "other" }"#, deny.clone()), deny);
        let refused = json!({ "refusal": { "code": "forbidden", "message": "not you" } });
        assert_eq!(
            of(r#"{ "refusal": { "code": "failed" } }"#, refused.clone())["refusal"],
            json!({ "code": "forbidden" })
        );
        assert_eq!(of(r#"{ "reply": 1 }"#, refused.clone()), refused, "another answer: its sentence is news");
        let fault = json!({ "fault": { "kind": "trap", "detail": "at 0x1" } });
        assert_eq!(of(r#"{ "reply": 1 }"#, fault), json!({ "fault": { "kind": "trap" } }));
        assert_eq!(of("null", json!({ "decision": "allow", "ttl_ms": 0 })), json!({ "decision": "allow" }));
    }
}
