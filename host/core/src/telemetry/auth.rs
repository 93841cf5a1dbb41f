//! Metrics and log events of the providers of gate 1.

use super::metrics::UnderWay;
use super::names;
use super::registry::{counter, gauge};

/// `auth.away`: the source of a provider does not answer, or its answers make no sense. Open connections stay.
pub fn auth_away(provider: &'static str, source: &str, why: &str) {
    let event = names::AUTH_AWAY;
    tracing::error!(event, provider, source, why, "the source of a provider is away");
}

/// `auth.back`: the source answers again.
pub fn auth_back(provider: &'static str, source: &str) {
    tracing::info!(event = names::AUTH_BACK, provider, source, "the source of a provider is back");
}

/// Records whether the source of a provider answers.
pub fn auth_up(provider: &'static str, source: &str, up: bool) {
    gauge(names::AUTH_UP, &[("provider", provider), ("source", source)]).set(f64::from(u8::from(up)));
}

/// `auth.keys`: from now on tokens are checked with other keys.
pub fn auth_keys(source: &str, keys: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
    gauge(names::AUTH_KEYS, &[("source", source)]).set(keys as f64);
    tracing::info!(event = names::AUTH_KEYS_READ, source, keys, "read the keys of an issuer");
}

/// Counts a lookup of a credential: `user`, `cached`, `refused`, `over` or `unavailable`.
pub fn auth_lookup(provider: &'static str, outcome: &'static str) {
    counter(names::AUTH_LOOKUPS, &[("provider", provider), ("outcome", outcome)]).increment(1);
}

/// Counts a repeated check of a credential: `same`, `renewed`, `over` or `unavailable`.
pub fn auth_look(outcome: &'static str) {
    counter(names::AUTH_LOOKS, &[("outcome", outcome)]).increment(1);
}

/// Counts sessions whose activity was due for writing back: `written`, `failed` (the server tries again) or `dropped`.
pub fn auth_activity(outcome: &'static str, sessions: usize) {
    counter(names::AUTH_ACTIVITY, &[("outcome", outcome)]).increment(sessions as u64);
}

/// Counts a running HTTP request of a provider, until this is dropped.
pub fn auth_http_request() -> UnderWay {
    UnderWay::begin(gauge(names::AUTH_HTTP_REQUESTS, &[]))
}

/// Counts a token that waits for an issuer's keys until this is dropped.
pub fn auth_waiting() -> UnderWay {
    UnderWay::begin(gauge(names::AUTH_WAITING, &[]))
}
