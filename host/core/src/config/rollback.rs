//! When the server rolls a new plugin version back: the `rollback:` section.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::HumanDuration;

/// The server rolls a new plugin version that faults back to the version before, and quarantines the new one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// How long after a swap the server watches the new version and keeps the version before ready. Default 5 min; with
    /// 0 s the server never rolls back.
    pub probation: HumanDuration,
    /// Faults of the new version during the probation before the server rolls it back, provided that it also faults
    /// more often than the version before. Default 10. A version whose breaker opens is rolled back at once.
    pub faults: NonZeroU32,
    /// The least share of its calls that must fault, in percent, before the server rolls it back. Default 20.
    #[serde(deserialize_with = "percent")]
    #[schemars(range(max = 100))]
    pub percent: u8,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            probation: HumanDuration::new(Duration::from_secs(5 * 60)),
            faults: NonZeroU32::MIN.saturating_add(9),
            percent: 20,
        }
    }
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        percent @ 0..=100 => Ok(percent),
        more => Err(serde::de::Error::custom(format!("expected at most 100 percent, found {more}"))),
    }
}
