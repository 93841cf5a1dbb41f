//! The answers of the host as JSON, and back.

use serde_json::{Map, Value, json};

use crate::contract::{client, queries, secrets, store};
use crate::version::Digest;
use tidegate_core::flow::http_client::HttpResponse;

/// An answer of the host.
pub(crate) trait Answer: Sized {
    /// As it stands on the tape.
    fn to_json(&self) -> Value;

    /// Read back; `None` for anything else.
    fn from_json(json: &Value) -> Option<Self>;
}

/// Bytes: a text where they are UTF-8, else hexadecimal digits.
pub(crate) fn bytes_as_json(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": Digest::hexadecimal(bytes) }),
    }
}

/// What [`bytes_as_json`] wrote.
pub(crate) fn bytes_from_json(json: &Value) -> Option<Vec<u8>> {
    if let Some(text) = json.as_str() {
        return Some(text.as_bytes().to_vec());
    }
    let digits = json.get("hex")?.as_str()?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect())?
}

/// About as many bytes as the value has as text.
pub(super) fn weight(json: &Value) -> usize {
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 8,
        Value::Object(keys) => keys.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>() + 8,
    }
}

/// An error of the contract: its name, and what it says.
fn error(name: &str, detail: Option<Value>) -> Value {
    let mut said = Map::from_iter([("error".to_owned(), name.into())]);
    said.extend(detail.map(|detail| ("detail".to_owned(), detail)));
    said.into()
}

fn error_of(json: &Value) -> Option<(&str, Option<&Value>)> {
    Some((json.get("error")?.as_str()?, json.get("detail")))
}

fn sentence(detail: Option<&Value>) -> Option<String> {
    detail?.as_str().map(str::to_owned)
}

impl Answer for u64 {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_u64()
    }
}

impl Answer for i64 {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_i64()
    }
}

impl Answer for bool {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_bool()
    }
}

impl Answer for String {
    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_str().map(str::to_owned)
    }
}

impl Answer for Vec<u8> {
    fn to_json(&self) -> Value {
        bytes_as_json(self)
    }

    fn from_json(json: &Value) -> Option<Self> {
        bytes_from_json(json)
    }
}

impl Answer for Vec<String> {
    fn to_json(&self) -> Value {
        self.as_slice().into()
    }

    fn from_json(json: &Value) -> Option<Self> {
        json.as_array()?.iter().map(String::from_json).collect()
    }
}

impl Answer for Option<store::Entry> {
    fn to_json(&self) -> Value {
        let entry = |found: &store::Entry| json!({ "value": bytes_as_json(&found.value), "revision": found.revision });
        self.as_ref().map_or(Value::Null, entry)
    }

    fn from_json(json: &Value) -> Option<Self> {
        if json.is_null() {
            return Some(None);
        }
        let (value, revision) = (bytes_from_json(json.get("value")?)?, json.get("revision")?.as_u64()?);
        Some(Some(store::Entry { value, revision }))
    }
}

impl Answer for HttpResponse {
    fn to_json(&self) -> Value {
        json!({ "status": self.status, "headers": self.headers, "body": bytes_as_json(&self.body) })
    }

    fn from_json(json: &Value) -> Option<Self> {
        let status = u16::try_from(json.get("status")?.as_u64()?).ok()?;
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
        let headers = json.get("headers")?.as_array()?.iter().map(pair).collect::<Option<_>>()?;
        Some(Self { status, headers, body: bytes_from_json(json.get("body")?)?.into() })
    }
}

impl<T: Answer, E: Answer> Answer for Result<T, E> {
    fn to_json(&self) -> Value {
        match self {
            Ok(answer) => json!({ "ok": answer.to_json() }),
            Err(error) => error.to_json(),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        match json.get("ok") {
            Some(answer) => T::from_json(answer).map(Ok),
            None => E::from_json(json).map(Err),
        }
    }
}

impl Answer for secrets::Error {
    fn to_json(&self) -> Value {
        match self {
            Self::Denied => error("denied", None),
            Self::Missing => error("missing", None),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        match error_of(json)? {
            ("denied", _) => Some(Self::Denied),
            ("missing", _) => Some(Self::Missing),
            _ => None,
        }
    }
}

impl Answer for store::Error {
    fn to_json(&self) -> Value {
        match self {
            Self::Denied => error("denied", None),
            Self::TooLarge => error("too_large", None),
            Self::Conflict(revision) => error("conflict", Some((*revision).into())),
            Self::NotAnInteger => error("not_an_integer", None),
            Self::RateLimited => error("rate_limited", None),
            Self::Unavailable(why) => error("unavailable", Some(why.as_str().into())),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        Some(match error_of(json)? {
            ("denied", _) => Self::Denied,
            ("too_large", _) => Self::TooLarge,
            ("conflict", revision) => Self::Conflict(revision?.as_u64()?),
            ("not_an_integer", _) => Self::NotAnInteger,
            ("rate_limited", _) => Self::RateLimited,
            ("unavailable", why) => Self::Unavailable(sentence(why)?),
            _ => return None,
        })
    }
}

impl Answer for queries::Error {
    fn to_json(&self) -> Value {
        match self {
            Self::Denied => error("denied", None),
            Self::InvalidParams(why) => error("invalid_params", Some(why.as_str().into())),
            Self::TooLarge => error("too_large", None),
            Self::RateLimited => error("rate_limited", None),
            Self::Timeout => error("timeout", None),
            Self::Unavailable(why) => error("unavailable", Some(why.as_str().into())),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        Some(match error_of(json)? {
            ("denied", _) => Self::Denied,
            ("invalid_params", why) => Self::InvalidParams(sentence(why)?),
            ("too_large", _) => Self::TooLarge,
            ("rate_limited", _) => Self::RateLimited,
            ("timeout", _) => Self::Timeout,
            ("unavailable", why) => Self::Unavailable(sentence(why)?),
            _ => return None,
        })
    }
}

impl Answer for client::Error {
    fn to_json(&self) -> Value {
        match self {
            Self::Invalid(why) => error("invalid", Some(why.as_str().into())),
            Self::Denied(why) => error("denied", Some(why.as_str().into())),
            Self::TooLarge => error("too_large", None),
            Self::RateLimited => error("rate_limited", None),
            Self::Timeout => error("timeout", None),
            Self::Unreachable(why) => error("unreachable", Some(why.as_str().into())),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        Some(match error_of(json)? {
            ("invalid", why) => Self::Invalid(sentence(why)?),
            ("denied", why) => Self::Denied(sentence(why)?),
            ("too_large", _) => Self::TooLarge,
            ("rate_limited", _) => Self::RateLimited,
            ("timeout", _) => Self::Timeout,
            ("unreachable", why) => Self::Unreachable(sentence(why)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn returns<T: Answer + Debug>(answer: &T) {
        let json = answer.to_json();
        let back = T::from_json(&json).unwrap_or_else(|| panic!("{json} is not read back"));
        assert_eq!(format!("{back:?}"), format!("{answer:?}"), "{json}");
    }

    #[test]
    fn every_answer_of_the_host_is_read_back_as_it_was_written() {
        returns(&u64::MAX);
        returns(&i64::MIN);
        returns(&vec![0_u8, 255, 7]);
        returns(&b"text".to_vec());
        returns(&Ok::<_, store::Error>(Some(store::Entry { value: vec![200], revision: 7 })));
        returns(&Ok::<Option<store::Entry>, store::Error>(None));
        for error in [store::Error::Denied, store::Error::Conflict(0), store::Error::Unavailable("x".to_owned())] {
            returns(&Err::<bool, _>(error));
        }
        for error in [queries::Error::TooLarge, queries::Error::InvalidParams("x".to_owned()), queries::Error::Timeout]
        {
            returns(&Err::<String, _>(error));
        }
        let headers = vec![("a".to_owned(), "b".to_owned()), ("a".to_owned(), "c".to_owned())];
        returns(&Ok::<_, client::Error>(HttpResponse { status: 404, headers, body: vec![0xff].into() }));
        for error in [client::Error::TooLarge, client::Error::Denied("x".to_owned()), client::Error::RateLimited] {
            returns(&Err::<HttpResponse, _>(error));
        }
        returns(&Err::<String, _>(secrets::Error::Missing));
    }
}
