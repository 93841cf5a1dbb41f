//! Idempotency keys, and the fingerprint by which two bodies with one key are compared.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Decimal;

/// Longest idempotency key in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// A key by which a backend names one publish: 1 to 255 printable ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

/// Why a text is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// No character, or more than [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    #[error("an idempotency key has 1 to 255 bytes")]
    Length,
    /// Something else than printable ASCII.
    #[error("an idempotency key has printable ASCII characters only")]
    Character,
}

impl IdempotencyKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`InvalidKey`] if the text is not a valid key.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(InvalidKey::Length);
        }
        if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
            return Err(InvalidKey::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A fingerprint of a JSON value: the same for every text of the value, whatever its white space, the order of the keys
/// and the form of the numbers (`1`, `1.0`, `10e-1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonDigest(String);

impl JsonDigest {
    /// Takes the fingerprint of a JSON text.
    #[must_use]
    pub fn of(text: &RawValue) -> Self {
        let mut hash = Sha256::new();
        add(text, &mut hash);
        Self(format!("{:x}", hash.finalize()))
    }

    /// The fingerprint that was written with `Display`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for JsonDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds a value. Each part begins with its kind and its length, so that no two values have the same bytes. What serde
/// cannot read (it nests too deep) is added as it is written.
fn add(text: &RawValue, hash: &mut Sha256) {
    let text = text.get().trim_ascii();
    match text.as_bytes().first() {
        Some(b'{') => {
            if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
                hash.update([b'{']);
                hash.update(fields.len().to_le_bytes());
                for (key, value) in fields {
                    add_bytes(b'k', key.as_bytes(), hash);
                    add(value, hash);
                }
                return;
            }
        }
        Some(b'[') => {
            if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
                hash.update([b'[']);
                hash.update(items.len().to_le_bytes());
                items.into_iter().for_each(|item| add(item, hash));
                return;
            }
        }
        Some(b'"') => {
            if let Ok(string) = serde_json::from_str::<String>(text) {
                return add_bytes(b's', string.as_bytes(), hash);
            }
        }
        Some(b'-' | b'0'..=b'9') => return add_bytes(b'n', Decimal::read(text).to_string().as_bytes(), hash),
        _ => {}
    }
    add_bytes(b'w', text.as_bytes(), hash);
}

fn add_bytes(kind: u8, bytes: &[u8], hash: &mut Sha256) {
    hash.update([kind]);
    hash.update(bytes.len().to_le_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> JsonDigest {
        JsonDigest::of(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn a_value_has_one_fingerprint_however_it_is_written() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null,"x"]}"#, "{ \"b\": [true, null, \"\\u0078\"],\n\"a\": 1.0 }"),
            ("100", "1e2"),
            ("0", "-0.0"),
            ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
        ] {
            assert_eq!(digest(one), digest(other), "{one} {other}");
        }
    }

    #[test]
    fn two_values_have_two_fingerprints() {
        let texts = [
            "null",
            "true",
            "false",
            "0",
            "1",
            "-1",
            r#""1""#,
            r#""null""#,
            "[]",
            "{}",
            "[[]]",
            "[1,2]",
            "[12]",
            "[2,1]",
            r#"["1,2"]"#,
            r#"{"a":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{},"b":1}"#,
            r#"{"a":"b"}"#,
            r#"["a","b"]"#,
            "123456789012345678901234567890",
            "123456789012345678901234567891",
        ];
        let different: std::collections::BTreeSet<String> = texts.iter().map(|text| digest(text).0).collect();
        assert_eq!(different.len(), texts.len());
    }

    #[test]
    fn a_key_has_1_to_255_printable_characters() {
        assert_eq!(IdempotencyKey::parse("order 7/\"a\"").unwrap().as_str(), "order 7/\"a\"");
        assert!(IdempotencyKey::parse(&"k".repeat(255)).is_ok());
        for (text, error) in [("", InvalidKey::Length), ("é", InvalidKey::Character), ("a\n", InvalidKey::Character)] {
            assert_eq!(IdempotencyKey::parse(text), Err(error), "{text}");
        }
        assert_eq!(IdempotencyKey::parse(&"k".repeat(256)), Err(InvalidKey::Length));
    }
}
