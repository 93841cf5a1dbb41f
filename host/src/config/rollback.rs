//! When a new version of a plugin is taken back: the `rollback:` section.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::HumanDuration;

/// A new version of a plugin that faults is replaced by the one before, by itself, and is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollback {
    /// How long after a swap the new version is watched and the one before is kept. Default 5 min; 0 s takes nothing back.
    pub probation: HumanDuration,
    /// Faults of its own in that time after which it is taken back, if it faults more often than the one before did.
    /// Default 10. A version whose breaker opens is taken back at once.
    pub faults: NonZeroU32,
    /// The least share of its calls that those faults must be, in percent. Default 20.
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
