//! A share of a whole in percent: `25%`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::way_out::{KEY, with_hint};

/// A part of a whole, to a hundredth of a percent: more than nothing, and at most all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    const WHOLE: u32 = 10_000;

    /// From 0 to 1.
    #[must_use]
    pub fn of_one(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share like `25%`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percent, E> {
                let mistake = E::invalid_type(de::Unexpected::Unsigned(number), &self);
                Err(with_hint(mistake, &format!("a share has its sign: `{KEY}{number}%`")))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Percent, E> {
                let mistake = E::invalid_type(de::Unexpected::Float(number), &self);
                Err(with_hint(mistake, &format!("a share has its sign: `{KEY}{number}%`")))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                parse(text).ok_or_else(|| {
                    let hint = "write more than 0% and at most 100%, to a hundredth: `25%`, `12.5%`";
                    with_hint(format!("`{text}` is not a valid share"), hint)
                })
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,2})?%$" })
    }
}

fn parse(text: &str) -> Option<Percent> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number =
        |digits: &str, most| (1..=most).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole, 3) || !is_number(part, 2) {
        return None;
    }
    let hundredths = part.parse::<u32>().ok()? * if part.len() == 1 { 10 } else { 1 };
    let share = whole.parse::<u32>().ok()? * 100 + hundredths;
    (1..=Percent::WHOLE).contains(&share).then_some(Percent(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_more_than_nothing_and_at_most_all() {
        for (text, hundredths) in [("25%", 2500), ("0.01%", 1), ("12.5%", 1250), ("100%", 10_000)] {
            assert_eq!(parse(text), Some(Percent(hundredths)), "{text}");
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for text in ["0%", "0.0%", "100.01%", "101%", "25", "-5%", "+5%", "%", ".5%", "5.%", "1.234%", " 5%", "5 %"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
