//! Metrics and log events of the export of traces and metrics.

use super::events::Sampler;
use super::metric::{self, Metric};
use super::names;
use super::registry::{counter, gauge};
use super::trace::SPANS;

pub(super) const OTLP_REQUESTS: Metric = metric::counter(
    "tidegate_otlp_requests_total",
    "Requests to the collector, by signal (traces, metrics) and outcome (taken; rejected: not all of it, or none; away: no answer, or later)",
);
pub(super) const OTLP_UP: Metric = metric::gauge(
    "tidegate_otlp_up",
    "1 if the collector took the last request, else 0, by signal (traces, metrics); absent without `telemetry.otlp`",
);

static REJECTIONS: Sampler = Sampler::rare();

/// What is sent to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Finished spans.
    Traces,
    /// The state of every metric.
    Metrics,
}

impl Signal {
    /// The name in labels, in the log and in the collector's paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// Counts a request to the collector: `taken`, `rejected` or `away`.
pub fn collector_request(signal: Signal, outcome: &'static str) {
    counter(OTLP_REQUESTS, &[("signal", signal.as_str()), ("outcome", outcome)]).increment(1);
    gauge(OTLP_UP, &[("signal", signal.as_str())]).set(f64::from(u8::from(outcome == "taken")));
}

/// Counts spans that left the queue: `exported` or `lost`.
pub fn spans_over(outcome: &'static str, spans: usize) {
    counter(SPANS, &[("outcome", outcome)]).increment(spans as u64);
}

/// `telemetry.away`: the collector does not answer. Nobody waits for it.
pub fn collector_away(signal: Signal, collector: &str, why: &str) {
    let (event, signal) = (names::COLLECTOR_AWAY, signal.as_str());
    tracing::warn!(event, signal, collector, why, "the collector is away");
}

/// `telemetry.back`: the collector answers again.
pub fn collector_back(signal: Signal, collector: &str) {
    tracing::info!(event = names::COLLECTOR_BACK, signal = signal.as_str(), collector, "the collector is back");
}

/// `telemetry.rejected`: the collector does not take what it was sent. To send it again would change nothing.
pub fn collector_rejected(signal: Signal, collector: &str, why: &str) {
    if let Some(suppressed) = REJECTIONS.admit_now() {
        let (event, signal) = (names::COLLECTOR_REJECTED, signal.as_str());
        tracing::warn!(event, signal, collector, why, suppressed, "the collector rejects what it is sent");
    }
}
