//! The value of an attribute in a header: quoted perhaps, then percent-encoded, as the binding of CloudEvents for NATS
//! says.

/// The text that it stands for.
pub(super) fn read(value: &str) -> Result<String, &'static str> {
    decoded(&unquoted(value.trim()))
}

/// What is between quotes, without its backslashes.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        text.push(if c == '\\' { rest.next().unwrap_or(c) } else { c });
    }
    text
}

/// Each `%41` as the byte that it stands for; a `%` before anything else is itself.
fn decoded(value: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, more @ ..] = rest {
        let byte = more.get(..2).filter(|_| *first == b'%').and_then(byte);
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 after percent-decoding")
}

fn byte(hex: &[u8]) -> Option<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(digit(&hex[0])? * 16 + digit(&hex[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_value_is_decoded_once() {
        assert_eq!(read("Euro%20%E2%82%AC%20%F0%9F%98%80"), Ok("Euro € 😀".to_owned()));
        assert_eq!(read("%e2%82%ac%2520"), Ok("€%20".to_owned()));
        assert_eq!(read("plain €"), Ok("plain €".to_owned()));
        assert_eq!(read("100%, %zz, %4"), Ok("100%, %zz, %4".to_owned()));
    }

    #[test]
    fn a_quoted_value_is_unquoted_first() {
        assert_eq!(read(r#""a \"b\" \\ %41""#), Ok(r#"a "b" \ A"#.to_owned()));
        assert_eq!(read(r#"""#), Ok(r#"""#.to_owned()));
    }

    #[test]
    fn what_is_no_utf_8_is_refused() {
        assert_eq!(read("%C0%A0"), Err("is not UTF-8 after percent-decoding"));
    }
}
