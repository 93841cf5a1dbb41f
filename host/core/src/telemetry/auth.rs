//! What an operator sees of the providers of gate 1.

use super::metrics::UnderWay;
use super::names;
use super::registry::{counter, gauge};

/// `auth.away`: what a provider asks does not answer, or nothing that makes sense. Who is connected stays.
pub fn auth_away(provider: &'static str, source: &str, why: &str) {
    let event = names::AUTH_AWAY;
    tracing::error!(event, provider, source, why, "the source of a provider is away");
}

/// `auth.back`: it answers again.
pub fn auth_back(provider: &'static str, source: &str) {
    tracing::info!(event = names::AUTH_BACK, provider, source, "the source of a provider is back");
}

/// Notes whether what a provider asks answers.
pub fn auth_up(provider: &'static str, source: &str, up: bool) {
    gauge(names::AUTH_UP, &[("provider", provider), ("source", source)]).set(f64::from(u8::from(up)));
}

/// `auth.keys`: tokens are checked with other keys from now on.
pub fn auth_keys(source: &str, keys: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a hundred at most")]
    gauge(names::AUTH_KEYS, &[("source", source)]).set(keys as f64);
    tracing::info!(event = names::AUTH_KEYS_READ, source, keys, "read the keys of an issuer");
}

/// Counts a credential that was looked for: `user`, `cached`, `refused`, `over` or `unavailable`.
pub fn auth_lookup(provider: &'static str, outcome: &'static str) {
    counter(names::AUTH_LOOKUPS, &[("provider", provider), ("outcome", outcome)]).increment(1);
}

/// Counts a credential that was looked at again: `same`, `renewed`, `over` or `unavailable`.
pub fn auth_look(outcome: &'static str) {
    counter(names::AUTH_LOOKS, &[("outcome", outcome)]).increment(1);
}

/// Counts sessions whose use was to be written back: `written`, `failed` (to be tried again) or `dropped`.
pub fn auth_activity(outcome: &'static str, sessions: usize) {
    counter(names::AUTH_ACTIVITY, &[("outcome", outcome)]).increment(sessions as u64);
}

/// Counts an HTTP request of a provider that is under way until this is dropped.
pub fn auth_http_request() -> UnderWay {
    UnderWay::begin(gauge(names::AUTH_HTTP_REQUESTS, &[]))
}

/// Counts a token that waits for an issuer's keys until this is dropped.
pub fn auth_waiting() -> UnderWay {
    UnderWay::begin(gauge(names::AUTH_WAITING, &[]))
}
