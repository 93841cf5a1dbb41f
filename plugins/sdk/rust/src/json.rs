//! JSON as the contract means it: what Rust would change is refused, and mistakes are told in the words of every SDK.

mod finite;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Digits that every whole number of 64 bits may have.
const DIGITS_ALWAYS_EXACT: usize = 18;

/// Reads a JSON text. The error says where it is not what `T` says: "`a.b[0]`: expected a text, found a number".
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if let Some(number) = whole_numbers(text).find(|number| !is_exact(number)) {
        return Err(format!("{number} is larger than 64 bits hold exactly: have it sent as a text"));
    }
    serde_json::from_str(text).map_err(|error| {
        // Once more, for the place: reading with it takes longer.
        let read: Result<T, _> = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text));
        read.err().map_or_else(|| error.to_string(), |placed| told(&placed.path().to_string(), placed.inner()))
    })
}

/// Writes a value as JSON.
///
/// # Errors
/// A sentence when it has none: a map whose keys are no texts, a number that is not finite.
pub(crate) fn write(value: &(impl Serialize + ?Sized)) -> Result<String, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    if text.contains("null") {
        // It may stand for a number that has no JSON.
        value.serialize(finite::Finite).map_err(|error| error.to_string())?;
    }
    Ok(text)
}

/// The whole numbers of a JSON text that have many digits.
fn whole_numbers(text: &str) -> impl Iterator<Item = &str> {
    let mut in_text = false;
    let mut is_escaped = false;
    let mut is_number = move |char: char| {
        if is_escaped {
            is_escaped = false;
        } else if char == '"' {
            in_text = !in_text;
        } else {
            is_escaped = in_text && char == '\\';
        }
        !in_text && matches!(char, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')
    };
    text.split(move |char| !is_number(char))
        .filter(|part| part.len() > DIGITS_ALWAYS_EXACT && !part.contains(['.', 'e', 'E']))
}

/// Whether a whole number is one of 64 bits, or comes back as it is from an `f64`.
fn is_exact(number: &str) -> bool {
    number.parse::<i64>().is_ok()
        || number.parse::<u64>().is_ok()
        || number.parse::<f64>().is_ok_and(|float| float.to_string() == number)
}

/// serde's sentence in the words of every SDK.
fn told(path: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said);
    let path = if path == "." { "" } else { path };
    if let Some(name) = said.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let dot = if path.is_empty() { "" } else { "." };
        return format!("`{path}{dot}{name}` is missing");
    }
    let place = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
    let mismatch = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    match mismatch.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, wanted)) => format!("{place}expected {}, found {}", expected(wanted), named(found, wanted)),
        None => format!("{place}{said}"),
    }
}

fn expected(wanted: &str) -> &str {
    match wanted {
        "a string" | "string" | "a borrowed string" => "a text",
        "i64" | "u64" | "isize" | "usize" => "a whole number",
        "i8" | "i16" | "i32" | "u8" | "u16" | "u32" => "a whole number of this size",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted => wanted,
    }
}

fn named<'a>(found: &'a str, wanted: &str) -> &'a str {
    let wants_number = matches!(wanted.as_bytes(), [b'i' | b'u' | b'f', b'1'..=b'9' | b's', ..]);
    match found.split([' ', '`', '"']).next() {
        Some("integer" | "floating" | "number") if wants_number => found.split('`').nth(1).unwrap_or("a number"),
        Some("integer" | "floating" | "number") => "a number",
        Some("string") => "a text",
        Some("boolean") => "true or false",
        Some("sequence") => "a list",
        Some("map") => "an object",
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only what is wrong with it is looked at")]
    struct Person {
        name: String,
        age: Option<u8>,
        #[serde(default)]
        tags: Vec<String>,
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_in_the_words_of_every_sdk() {
        for (text, told) in [
            (r#"{"name":5}"#, "`name`: expected a text, found a number"),
            (r#"{"name":"a","age":1.5}"#, "`age`: expected a whole number of this size, found 1.5"),
            (r#"{"name":"a","age":300}"#, "`age`: expected a whole number of this size, found 300"),
            (r#"{"name":"a","tags":["x",null]}"#, "`tags[1]`: expected a text, found null"),
            (r#"{"name":"a","tags":{}}"#, "`tags`: expected a list, found an object"),
            (r#"{"NAME":"a"}"#, "`name` is missing"),
            ("true", "expected an object, found true or false"),
        ] {
            assert_eq!(read::<Person>(text).unwrap_err(), told, "{text}");
        }
    }

    #[test]
    fn a_name_counts_once() {
        assert!(read::<Person>(r#"{"name":"a","name":"b"}"#).unwrap_err().contains("duplicate"));
    }

    #[test]
    fn a_whole_number_that_would_come_back_as_another_is_refused() {
        for text in ["12345678901234567890", "-9223372036854775808", "100000000000000000000", "[1e300]"] {
            assert!(read::<Value>(text).is_ok(), "{text}");
        }
        for text in ["123456789012345678901", "-9223372036854775809", r#"{"a":["\"",99999999999999999999]}"#] {
            assert!(read::<Value>(text).unwrap_err().contains("is larger than 64 bits hold exactly"), "{text}");
        }
        assert!(read::<Value>(r#""\\\"123456789012345678901""#).is_ok());
    }

    #[test]
    fn a_number_that_is_not_finite_has_no_json() {
        for value in [f64::NAN, f64::INFINITY] {
            assert!(write(&value).unwrap_err().contains("not finite"));
            assert!(write(&[("a", Some(value))]).is_err());
        }
        assert!(write(&std::collections::BTreeMap::from([("a", vec![f32::NAN])])).is_err());
        assert_eq!(write(&json!({ "a": [null, 1.5] })).unwrap(), r#"{"a":[null,1.5]}"#);
    }
}
