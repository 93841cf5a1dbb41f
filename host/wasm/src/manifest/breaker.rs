//! `breaker:` of `plugin.yaml`: when the server pauses a plugin, and for how long.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::mistakes::Mistakes;
use tidegate_core::config::{Diagnostic, HumanDuration, Node};

/// The longest pause. Each pause that ends in another fault doubles the next one, up to this limit.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Longest `breaker.window`.
const WINDOW_MAX: Duration = Duration::from_secs(300);

/// The `breaker:` section of `plugin.yaml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BreakerSection {
    /// How many faults within `window` open the breaker, if they are at least half of the calls.
    faults: NonZeroU32,
    /// The time in which the breaker counts calls and faults.
    window: HumanDuration,
    /// How long the first pause lasts; then the breaker tries one call. Each failed try doubles the pause, up to a
    /// minute.
    pause: HumanDuration,
}

impl Default for BreakerSection {
    fn default() -> Self {
        Self {
            faults: NonZeroU32::MIN.saturating_add(19),
            window: HumanDuration::new(Duration::from_secs(10)),
            pause: HumanDuration::new(Duration::from_secs(2)),
        }
    }
}

/// When the breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BreakerSettings {
    pub(crate) faults_max: u32,
    pub(crate) window: Duration,
    pub(crate) pause: Duration,
}

/// Checks the section and reports each error at its place.
pub(crate) fn check(file: &BreakerSection, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> BreakerSettings {
    let mut mistakes = Mistakes { section: "breaker", file: node, diagnostics };
    mistakes.check_time("window", file.window, WINDOW_MAX);
    mistakes.check_time("pause", file.pause, PAUSE_MAX);
    BreakerSettings { faults_max: file.faults.get(), window: file.window.get(), pause: file.pause.get() }
}
