//! Whether what a provider asks can be reached: told once when it goes away, and once when it is back.

use std::sync::atomic::{AtomicBool, Ordering};

use tidegate_core::telemetry;

/// One thing that a provider asks.
pub(super) struct Reach {
    provider: &'static str,
    source: String,
    is_away: AtomicBool,
}

impl Reach {
    /// `source` is configured, and shown in logs and metrics.
    pub(super) fn new(provider: &'static str, source: String) -> Self {
        Self { provider, source, is_away: AtomicBool::new(false) }
    }

    /// What is asked.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// It answered.
    pub(super) fn answered(&self) {
        telemetry::auth_up(self.provider, &self.source, true);
        if self.is_away.swap(false, Ordering::AcqRel) {
            telemetry::auth_back(self.provider, &self.source);
        }
    }

    /// It did not answer, or nothing that makes sense.
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
