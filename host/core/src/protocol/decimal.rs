//! The exact value of a JSON number, digit by digit, even if it does not fit into a machine number.

/// A decimal number, exact: `±digits × 10^exponent`. `7`, `7.0` and `70e-1` are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; empty for zero, which has no sign.
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a number of a JSON text. An exponent beyond the 64-bit integers counts as the largest or smallest of them.
    #[must_use]
    pub fn read(number: &str) -> Self {
        let (is_negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let beyond = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
        let exponent: i64 = exponent.parse().unwrap_or(beyond);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let trimmed = digits.trim_end_matches('0');
        let zeros = length(&digits[trimmed.len()..]);
        let digits = trimmed.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Self { is_negative: false, digits, exponent: 0 };
        }
        Self { is_negative, exponent: exponent.saturating_sub(length(fraction)).saturating_add(zeros), digits }
    }

    /// The number, if it is whole and has at most 38 digits.
    #[must_use]
    pub fn whole(&self) -> Option<i128> {
        let zeros = usize::try_from(self.exponent).ok()?;
        if self.digits.is_empty() {
            return Some(0);
        }
        if self.digits.len().saturating_add(zeros) > 38 {
            return None;
        }
        let number: i128 = format!("{}{}", self.digits, "0".repeat(zeros)).parse().ok()?;
        Some(if self.is_negative { -number } else { number })
    }

    /// The double that is written as this number again, if there is one. `0.1` has one, because its double has no
    /// shorter form; a number of 30 digits has none.
    #[must_use]
    pub fn double(&self) -> Option<f64> {
        let double: f64 = self.to_string().parse().ok()?;
        (Self::read(&format!("{double:e}")) == *self).then_some(double)
    }

    /// How many digits it has, without zeros at either end.
    #[must_use]
    pub const fn digits_count(&self) -> usize {
        self.digits.len()
    }

    /// A text that sorts among such texts as the number does among numbers.
    #[must_use]
    pub fn sortable(&self) -> String {
        if self.digits.is_empty() {
            return "1".to_owned();
        }
        let point = self.exponent.saturating_add(length(&self.digits)).wrapping_sub(i64::MIN).cast_unsigned();
        if self.is_negative {
            // The larger its digits, the smaller the number; and the end comes after every digit.
            let digits: String = self.digits.bytes().map(|digit| char::from(b'0' + b'9' - digit)).collect();
            return format!("0{:020}{digits}a", u64::MAX - point);
        }
        format!("2{point:020}{}", self.digits)
    }

    fn padded(&self) -> &str {
        if self.digits.is_empty() { "0" } else { &self.digits }
    }
}

/// The same text for every form of a number.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.is_negative { "-" } else { "" };
        write!(f, "{sign}{}e{}", self.padded(), self.exponent)
    }
}

fn length(digits: &str) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

/// The numbers of a JSON text, as written and in order. The text must be JSON.
pub fn numbers(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            rest = &rest[start..];
            if !rest.starts_with('"') {
                let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
                let (number, after) = rest.split_at(end);
                rest = after;
                return Some(number);
            }
            rest = after_text(&rest[1..]);
        }
    })
}

/// The rest after the end of a JSON text whose opening quote was read.
fn after_text(mut rest: &str) -> &str {
    while let Some(at) = rest.find(['"', '\\']) {
        let is_end = rest.as_bytes()[at] == b'"';
        let escaped = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[at + 1..];
        if is_end {
            return rest;
        }
        rest = &rest[escaped..];
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_whole_however_it_is_written() {
        let whole = |text: &str| Decimal::read(text).whole();
        for text in ["7", "7.0", "7.000", "70e-1", "0.7e1", "7E0", "7e+0"] {
            assert_eq!(whole(text), Some(7), "{text}");
        }
        assert_eq!([whole("-0"), whole("-0.0"), whole("0e5"), whole("1e2")], [Some(0), Some(0), Some(0), Some(100)]);
        assert_eq!(whole("-9223372036854775808"), Some(i64::MIN.into()));
        assert_eq!([whole("7.5"), whole("1e-2"), whole("1e39"), whole("1e99999999999999999999")], [None; 4]);
    }

    #[test]
    fn a_number_has_a_double_when_the_double_is_written_as_that_number() {
        let double = |text: &str| Decimal::read(text).double();
        assert_eq!(double("0.1"), Some(0.1));
        assert_eq!(double("4.350"), Some(4.35));
        assert_eq!(double("1e20"), Some(1e20));
        assert_eq!(double("-2.5e-8"), Some(-2.5e-8));
        for text in
            ["0.10000000000000000001", "123456789012345678901234567890", "9007199254740993.5", "1e-400", "1e400"]
        {
            assert_eq!(double(text), None, "{text}");
        }
    }

    #[test]
    fn the_numbers_of_a_text_are_found_and_none_in_its_strings() {
        let text = r#" {"a1":[1, -2.50,"3 \" 4\\"],"é\\":{"b":6e+7,"c":[true,null]},"d":-0}"#;
        assert_eq!(numbers(text).collect::<Vec<_>>(), ["1", "-2.50", "6e+7", "-0"]);
        assert_eq!(numbers("12").collect::<Vec<_>>(), ["12"]);
        assert_eq!(numbers(r#""x""#).count(), 0);
    }
}
