//! The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header): a quoted string of RFC 9651, or bare.

use axum::http::HeaderMap;

use super::answer::Problem;
use tidegate_core::protocol::{IdempotencyKey, InvalidKey};

const NAME: &str = "idempotency-key";

/// The key of a request, if it has one.
///
/// # Errors
/// 400 if the header comes twice or is not a valid key.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request("`Idempotency-Key` comes twice"));
    }
    let text = value.to_str().map_err(|_| malformed(InvalidKey::Character))?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unquote(rest).ok_or_else(|| Problem::bad_request("`Idempotency-Key` has an open quote"))?,
        None if text.contains([' ', '"', ',', ';', '\\']) => {
            return Err(Problem::bad_request(
                "`Idempotency-Key` must be quoted if it has a space, a quote, a comma, a semicolon or a backslash",
            ));
        }
        None => text.to_owned(),
    };
    IdempotencyKey::parse(&key).map(Some).map_err(malformed)
}

fn malformed(error: InvalidKey) -> Problem {
    Problem::bad_request(format!("not a valid `Idempotency-Key`: {error}"))
}

/// What stands before the closing quote, which is the last character. A backslash escapes a quote or a backslash.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key(value: &str) -> Result<String, ()> {
        let headers = [(NAME.parse().unwrap(), HeaderValue::from_str(value).unwrap())].into_iter().collect();
        read(&headers).map(|key| key.unwrap().as_str().to_owned()).map_err(drop)
    }

    #[test]
    fn a_quoted_key_and_a_bare_one_are_the_same() {
        for value in ["order-7", "\"order-7\"", "  \"order-7\" "] {
            assert_eq!(key(value).unwrap(), "order-7", "{value}");
        }
        assert_eq!(key(r#""a \"b\" \\ c""#).unwrap(), r#"a "b" \ c"#);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for value in ["", "\"\"", "\"a", "a\"", "\"a\"b", "\"a\";p=1", "a b", "a,b", r#""a\b""#, &"k".repeat(256)] {
            assert!(key(value).is_err(), "{value}");
        }
        assert!(read(&HeaderMap::new()).unwrap().is_none());
    }
}
