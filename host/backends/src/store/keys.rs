//! How both back ends treat keys: their order is the order of their bytes, so a prefix is a range.

/// The range of keys that begin with a prefix and come after a key: from the first value, up to but not including the
/// second.
pub(super) fn range(prefix: &str, after: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let start = match after {
        // The next possible key.
        Some(after) if after >= prefix => [after.as_bytes(), b"\0"].concat(),
        _ => prefix.as_bytes().to_vec(),
    };
    (start, after_all_of(prefix))
}

/// Bytes greater than every text that begins with the prefix, and not greater than any other greater text.
fn after_all_of(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        // No byte of UTF-8 is 255, so the last one can grow.
        Some(last) => *last += 1,
        None => bytes.push(u8::MAX),
    }
    bytes
}

/// A number in the type of databases.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number in the type of the ports.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(after_all_of("ab"), b"ac");
        assert!(after_all_of("").as_slice() > char::MAX.to_string().as_bytes());
    }

    #[test]
    fn a_page_goes_on_behind_the_last_key_and_never_before_the_prefix() {
        assert_eq!(range("a:", None).0, b"a:");
        assert_eq!(range("a:", Some("a:2")).0, b"a:2\0");
        assert_eq!(range("a:", Some("a")).0, b"a:");
    }
}
