//! A rate of a channel: `rate:` of `inbound`, and `at_most:` of `delivery`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::Rate;
use crate::config::{Diagnostic, KEY, Node, with_hint};

/// A rate as written: `20/s`.
#[derive(Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct RawRate(#[schemars(regex(pattern = "^[1-9][0-9]*/[smh]$"))] String);

impl<'de> Deserialize<'de> for RawRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = RawRate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate like `20/s`, `100/m` or `1000/h`")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawRate, E> {
                let mistake = E::invalid_type(de::Unexpected::Unsigned(number), &self);
                let hint = format!("a rate has a unit: `{KEY}{number}/s`, `{KEY}{number}/m` or `{KEY}{number}/h`");
                Err(with_hint(mistake, &hint))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawRate, E> {
                Ok(RawRate(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl RawRate {
    /// The rate; a text that is not one is reported.
    pub(super) fn read(self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Rate> {
        let Self(text) = self;
        let rate = parse(&text);
        if rate.is_none() {
            let message = format!("`{text}` is not a valid rate");
            let hint = "write a number from 1 to 4294967295 per second, minute or hour: `20/s`, `100/m`, `1000/h`";
            diagnostics.push(Diagnostic::at(node.place.clone(), message).hint(hint));
        }
        rate
    }
}

/// As a manifest writes it.
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
