//! A number of messages per time: `20/s`.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::way_out::{KEY, with_hint};

/// A number of messages per time, `20/s`; up to that many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub messages: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate like `20/s`, `100/m` or `1000/h`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Rate, E> {
                let mistake = E::invalid_type(de::Unexpected::Unsigned(number), &self);
                let hint = format!("a rate has a unit: `{KEY}{number}/s`, `{KEY}{number}/m` or `{KEY}{number}/h`");
                Err(with_hint(mistake, &hint))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Rate, E> {
                let hint = "write a number from 1 to 4294967295 per second, minute or hour: `20/s`, `100/m`, `1000/h`";
                parse(text).ok_or_else(|| with_hint(format!("`{text}` is not a valid rate"), hint))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*/[smh]$" })
    }
}

/// As a file writes it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per.as_secs() {
            1 => write!(f, "{}/s", self.messages),
            60 => write!(f, "{}/m", self.messages),
            3600 => write!(f, "{}/h", self.messages),
            _ => write!(f, "{} in {:?}", self.messages, self.per),
        }
    }
}

fn parse(text: &str) -> Option<Rate> {
    let (messages, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    // `u32` would also accept `+5`.
    let messages =
        messages.parse::<NonZeroU32>().ok().filter(|_| messages.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(Rate { messages, per: Duration::from_secs(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_per_second_minute_or_hour() {
        let rate = |text| parse(text).map(|rate| (rate.messages.get(), rate.per.as_secs()));
        assert_eq!(rate("20/s"), Some((20, 1)));
        assert_eq!(rate("100/m"), Some((100, 60)));
        assert_eq!(rate("1000/h"), Some((1000, 3600)));
        for wrong in ["", "20", "/s", "0/s", "-1/s", "+1/s", "20/d", "20 / s", "1.5/s", "99999999999/s"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }
}
