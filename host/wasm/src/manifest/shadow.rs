//! `shadow:` of `plugin.yaml`: a candidate for the next version, which is asked what the version that serves is asked.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The `shadow:` section of `plugin.yaml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowSection {
    /// The file name of the candidate, a component in this directory.
    pub(crate) version: String,
    /// The share of the calls that the candidate is asked, too. Default 100%.
    #[serde(default)]
    pub(crate) share: Share,
}

/// A share of all calls, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    const ALL: u64 = 10_000;

    /// Whether the call of this number, from 0, is one of them: they come evenly.
    pub(crate) const fn has(self, number: u64) -> bool {
        let number = number % Self::ALL;
        (number + 1) * self.0 / Self::ALL > number * self.0 / Self::ALL
    }

    fn parse(text: &str) -> Option<Self> {
        let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
        let hundredths = (percent * 100.0).round();
        (hundredths >= 1.0 && hundredths <= Self::ALL as f64).then_some(Self(hundredths as u64))
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(Self::ALL)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", self.0 as f64 / 100.0)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("expected a share, 0.01% to 100%, found `{text}`")))
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_calls_comes_evenly() {
        for (text, of_a_thousand) in [("100%", 1000), ("5%", 50), ("0.1%", 1), ("33.33%", 333), ("50%", 500)] {
            let share = Share::parse(text).unwrap();
            assert_eq!((0..1000).filter(|number| share.has(*number)).count(), of_a_thousand, "{text}");
            assert_eq!(share.to_string(), text);
        }
        let half = Share::parse("50%").unwrap();
        assert_eq!((0..6).map(|number| half.has(number)).collect::<Vec<_>>(), [false, true, false, true, false, true]);
        for wrong in ["5", "0%", "101%", "0.001%", "x%", "-1%", "NaN%"] {
            assert_eq!(Share::parse(wrong), None, "{wrong}");
        }
    }
}
