//! What no recording shows: the secrets of the plugin, credentials, and what its operator names by JSON Pointers.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::version::Digest;

/// Stands in the place of a text that is not shown.
pub(crate) const REDACTED: &str = "[redacted]";
/// A shorter text is replaced only where it stands alone: it may be a part of any word.
const PART_BYTES_MIN: usize = 4;
/// Header fields that hold credentials, in lower case.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];
/// Most pointers of one recording, and the longest.
pub(super) const POINTERS_MAX: usize = 32;
pub(super) const POINTER_BYTES_MAX: usize = 256;

/// Whether a header field holds a credential. `name` is in lower case.
pub(crate) fn is_secret_header(name: &str) -> bool {
    SECRET_HEADERS.contains(&name)
}

/// What one recording does not show.
#[derive(Debug, Default)]
pub(super) struct Redaction {
    /// The names of the secrets, for the first line.
    names: Vec<String>,
    pointers: Vec<String>,
    /// Texts, and what stands in their place; the longest first.
    texts: Vec<(String, String)>,
}

impl Redaction {
    pub(super) fn new<'a>(secrets: impl Iterator<Item = (&'a str, &'a str)>, pointers: Vec<String>) -> Self {
        let mut redaction = Self { pointers, ..Self::default() };
        for (name, value) in secrets {
            redaction.names.push(name.to_owned());
            let instead = format!("[redacted: {name}]");
            let forms = forms(value).into_iter().map(|form| (form, instead.clone()));
            redaction.texts.extend(forms);
        }
        redaction.sort();
        redaction
    }

    fn sort(&mut self) {
        self.texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    /// What is redacted, for the first line.
    pub(super) fn told(&self) -> Value {
        json!({ "secrets": self.names, "headers": SECRET_HEADERS, "pointers": self.pointers })
    }

    /// The same tree without what is not shown. Whatever `/payload` is, it is a credential if `is_credential`.
    pub(super) fn of(&self, line: &mut Value, is_credential: bool) {
        // What a pointer hides here may stand elsewhere in the same line, too.
        let mut hidden = Self { texts: self.texts.clone(), ..Self::default() };
        for pointer in self.pointers.iter().map(String::as_str).chain(is_credential.then_some("/payload")) {
            if let Some(found) = line.pointer_mut(pointer) {
                blank(found, &mut hidden.texts);
            }
        }
        hidden.sort();
        for import in line.get_mut("imports").and_then(Value::as_array_mut).into_iter().flatten() {
            for headers in ["/asked/headers", "/answer/ok/headers"] {
                import.pointer_mut(headers).and_then(Value::as_array_mut).into_iter().flatten().for_each(header);
            }
        }
        hidden.replace(line);
    }

    fn replace(&self, at: &mut Value) {
        match at {
            Value::String(text) => {
                for (hidden, instead) in &self.texts {
                    if text == hidden {
                        instead.clone_into(text);
                    } else if hidden.len() >= PART_BYTES_MIN && text.contains(hidden.as_str()) {
                        *text = text.replace(hidden.as_str(), instead);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace(item)),
            Value::Object(keys) => {
                let names: Vec<String> = keys.keys().cloned().collect();
                for name in names {
                    let mut named = Value::String(name.clone());
                    self.replace(&mut named);
                    if let Some(value) = keys.get_mut(&name) {
                        self.replace(value);
                    }
                    // A key may be a secret, too. The order of keys changes then.
                    if named != name.as_str()
                        && let (Some(value), Value::String(named)) = (keys.shift_remove(&name), named)
                    {
                        keys.insert(named, value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The forms in which a text may stand in others: as it is, in JSON, in a URL, as hexadecimal digits.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    let in_json = Value::from(text).to_string();
    let mut in_url = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            in_url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(in_url, "%{byte:02X}");
        }
    }
    forms.extend([in_json[1..in_json.len() - 1].to_owned(), in_url, Digest::hexadecimal(text.as_bytes())]);
    forms.dedup();
    forms.retain(|form| !form.is_empty());
    forms
}

fn header(pair: &mut Value) {
    let name = pair.get(0).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if is_secret_header(&name)
        && let Some(value) = pair.get_mut(1)
    {
        *value = REDACTED.into();
    }
}

/// Empties a value, and keeps its form: the plugin of a replay reads a text where there was one.
fn blank(at: &mut Value, hidden: &mut Vec<(String, String)>) {
    match at {
        Value::Null => {}
        Value::Bool(value) => *value = false,
        Value::Number(number) => *number = 0.into(),
        Value::String(text) => {
            let text = std::mem::replace(text, REDACTED.to_owned());
            hidden.extend(forms(&text).into_iter().map(|form| (form, REDACTED.to_owned())));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| blank(item, hidden)),
        Value::Object(keys) => keys.values_mut().for_each(|value| blank(value, hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(secrets: &[(&str, &str)], pointers: &[&str], mut line: Value) -> Value {
        let pointers = pointers.iter().map(ToString::to_string).collect();
        Redaction::new(secrets.iter().copied(), pointers).of(&mut line, false);
        line
    }

    #[test]
    fn a_secret_stands_nowhere_however_it_is_written() {
        let line = json!({
            "payload": { "text": "x s3\"cret/ y", "s3\"cret/": 1 },
            "imports": [{ "asked": { "url": "https://a/?k=s3%22cret%2F", "body": "{\"k\":\"s3\\\"cret/\"}" } }],
            "answer": { "hex": "7333226372657 42f".replace(' ', "") },
        });
        let text = redacted(&[("KEY", "s3\"cret/")], &[], line).to_string();
        assert!(!text.contains("cret/") && !text.contains("cret%2F") && !text.contains("63726574"), "{text}");
        assert_eq!(text.matches("[redacted: KEY]").count(), 5, "{text}");
    }

    #[test]
    fn a_short_secret_is_replaced_only_where_it_stands_alone() {
        let line = redacted(&[("PIN", "12")], &[], json!({ "a": "12", "b": "2012" }));
        assert_eq!(line, json!({ "a": "[redacted: PIN]", "b": "2012" }));
    }

    #[test]
    fn what_a_pointer_names_is_blank_in_its_form_and_gone_elsewhere() {
        let line = json!({ "payload": { "email": "ada@example.com", "age": 7, "of": ["x", true] }, "answer": { "reply": "to ada@example.com" } });
        let line = redacted(&[], &["/payload/email", "/payload/age", "/payload/of", "/none"], line);
        let payload = json!({ "email": "[redacted]", "age": 0, "of": ["[redacted]", false] });
        assert_eq!(line, json!({ "payload": payload, "answer": { "reply": "to [redacted]" } }));
    }

    #[test]
    fn header_fields_that_hold_credentials_have_no_value() {
        let import = json!({
            "asked": { "headers": [["Authorization", "Bearer x"], ["accept", "a"]] },
            "answer": { "ok": { "headers": [["set-cookie", "sid=1"]] } },
        });
        let line = redacted(&[], &[], json!({ "imports": [import] }));
        assert_eq!(line["imports"][0]["asked"]["headers"], json!([["Authorization", "[redacted]"], ["accept", "a"]]));
        assert_eq!(line["imports"][0]["answer"]["ok"]["headers"][0][1], "[redacted]");
    }

    #[test]
    fn a_credential_is_never_shown() {
        let mut line = json!({ "payload": { "token": "t0ken" }, "imports": [{ "asked": ["t0ken"] }] });
        Redaction::default().of(&mut line, true);
        assert_eq!(line, json!({ "payload": { "token": "[redacted]" }, "imports": [{ "asked": ["[redacted]"] }] }));
    }
}
