//! Whether the source of a provider is reachable: reported once when it goes away, and once when it is back.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_core::telemetry;

/// A source that a provider asks.
pub(super) struct Health {
    provider: &'static str,
    source: String,
    is_away: AtomicBool,
}

impl Health {
    /// `source` is the configured name, for logs and metrics.
    pub(super) fn new(provider: &'static str, source: String) -> Self {
        Self { provider, source, is_away: AtomicBool::new(false) }
    }

    /// The name of the source.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Records an answer.
    pub(super) fn answered(&self) {
        telemetry::auth_up(self.provider, &self.source, true);
        if self.is_away.swap(false, Ordering::AcqRel) {
            telemetry::auth_back(self.provider, &self.source);
        }
    }

    /// Records a missing answer, or one that makes no sense.
    pub(super) fn failed(&self, why: &str) {
        telemetry::auth_up(self.provider, &self.source, false);
        if self.is_away.swap(true, Ordering::AcqRel) {
            tracing::debug!(
                provider = self.provider,
                source = self.source,
                why,
                "the source of a provider is still away"
            );
        } else {
            telemetry::auth_away(self.provider, &self.source, why);
        }
    }
}
