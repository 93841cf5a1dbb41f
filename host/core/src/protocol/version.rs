//! The version of a publication: which of two values of a key is the newer one.

use chrono::DateTime;

use super::Decimal;

/// Most digits of a number that is a version.
const DIGITS_MAX: usize = 40;

/// A number or a time, as a text that sorts as it does: a broker compares the texts. A time comes after every number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Box<str>);

impl Version {
    /// A number of a JSON text, whatever its size; `None` if it has more than 40 digits.
    #[must_use]
    pub fn number(written: &str) -> Option<Self> {
        let number = Decimal::read(written);
        (number.digits_count() <= DIGITS_MAX).then(|| Self(format!("1{}", number.sortable()).into()))
    }

    /// An RFC 3339 time; `None` for any other text. What is beyond nanoseconds does not count.
    #[must_use]
    pub fn time(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        let (seconds, nanos) = (time.timestamp().wrapping_sub(i64::MIN).cast_unsigned(), time.timestamp_subsec_nanos());
        Some(Self(format!("2{seconds:020}{nanos:010}").into()))
    }

    /// The text: digits, and perhaps an `a` at the end.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(versions: &[&str], read: fn(&str) -> Option<Version>) {
        let read: Vec<Version> = versions.iter().map(|text| read(text).unwrap()).collect();
        for (at, pair) in read.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{} comes before {}", versions[at], versions[at + 1]);
        }
    }

    #[test]
    fn numbers_are_newer_when_they_are_larger_however_they_are_written() {
        let rising = [
            "-1e400",
            "-12300",
            "-123",
            "-12.3",
            "-1.23",
            "-1.2",
            "-0.5",
            "-1e-400",
            "0",
            "1e-400",
            "0.5",
            "0.51",
            "1",
            "1.0000000000000000001",
            "2",
            "10",
            "12",
            "123",
            "9007199254740992",
            "9007199254740993",
            "12345678901234567890123",
            "12345678901234567890124",
            "1e400",
        ];
        sorted(&rising, Version::number);
        for same in [["7", "7.0"], ["70e-1", "0.7e1"], ["0", "-0.0"]] {
            assert_eq!(Version::number(same[0]), Version::number(same[1]), "{same:?}");
        }
        assert_eq!(Version::number(&"7".repeat(41)), None);
        assert_eq!(Version::number(&format!("-{}", "7".repeat(41))), None);
        assert!(Version::number(&format!("-{}e{}", "7".repeat(40), "9".repeat(40))).is_some());
    }

    #[test]
    fn times_are_newer_when_they_are_later_wherever_they_were_taken() {
        let rising = [
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59.9Z",
            "1970-01-01T00:00:00Z",
            "2026-06-01T12:00:00+02:00",
            "2026-06-01T10:00:00.000000001Z",
            "2026-06-01T10:00:00.5Z",
            "2026-06-01T10:00:01Z",
            "9999-12-31T23:59:59Z",
        ];
        sorted(&rising, Version::time);
        assert!(Version::time("2026-06-01").is_none() && Version::time("7").is_none() && Version::time("").is_none());
        assert!(Version::number("1e400") < Version::time("0000-01-01T00:00:00Z"));
    }
}
