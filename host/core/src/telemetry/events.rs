//! One function for each log event with a stable name. None of them takes a token or a payload.
//!
//! Events that clients can cause at will are sampled: the first few of a second are logged at their level, the others
//! at `debug`, and the next logged one says how many there were (`suppressed`).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics::{self, Gate};
use super::names;
use super::registry;

/// How many events of one name are logged at their own level in a second.
const SAMPLES_PER_SECOND_MAX: u64 = 10;
/// Events that continue for long are logged once in so many seconds.
const RARE_PERIOD_S: u64 = 10;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
static CONNECTS: Sampler = Sampler::ten_a_second();
static DISCONNECTS: Sampler = Sampler::ten_a_second();
static AUTH_FAILURES: Sampler = Sampler::ten_a_second();
static ODD_ANSWERS: Sampler = Sampler::ten_a_second();
static VIOLATIONS: Sampler = Sampler::ten_a_second();
static FAULTS: Sampler = Sampler::ten_a_second();
static CANNOT_TELL: Sampler = Sampler::ten_a_second();
static GIVEN_UP: Sampler = Sampler::ten_a_second();
static PANICS: Sampler = Sampler::ten_a_second();
static PANICS_SEEN: Sampler = Sampler::ten_a_second();
static DEAD_LETTERS: Sampler = Sampler::ten_a_second();
static BROKER_REFUSALS: Sampler = Sampler::ten_a_second();
static REVOCATIONS: Sampler = Sampler::ten_a_second();
static UNKEPT: Sampler = Sampler::ten_a_second();

/// Admits the first few events of each period and counts the others.
#[derive(Debug)]
pub struct Sampler {
    period_s: u64,
    samples_max: u64,
    period: AtomicU64,
    seen: AtomicU64,
    suppressed: AtomicU64,
}

impl Sampler {
    /// Admits ten events a second.
    #[must_use]
    pub const fn ten_a_second() -> Self {
        Self::every(1, SAMPLES_PER_SECOND_MAX)
    }

    /// Admits one event in ten seconds: for events that continue until somebody fixes the cause.
    #[must_use]
    pub const fn rare() -> Self {
        Self::every(RARE_PERIOD_S, 1)
    }

    const fn every(period_s: u64, samples_max: u64) -> Self {
        let [period, seen, suppressed] = [const { AtomicU64::new(0) }; 3];
        Self { period_s, samples_max, period, seen, suppressed }
    }

    /// Whether this event is logged at its level, and how many were not since the last one that was. A race at the turn
    /// of a period may admit a few more; the count loses none.
    fn admit(&self, second: u64) -> Option<u64> {
        let period = second / self.period_s;
        if self.period.swap(period, Ordering::Relaxed) != period {
            self.seen.store(0, Ordering::Relaxed);
        }
        if self.seen.fetch_add(1, Ordering::Relaxed) < self.samples_max {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The same, now.
    pub fn admit_now(&self) -> Option<u64> {
        self.admit(STARTED.elapsed().as_secs())
    }
}

/// A macro, because the level of an event must be a constant where it is logged.
macro_rules! sampled {
    ($sampler:expr, $level:ident, $message:literal, $($field:tt)*) => {
        match $sampler.admit_now() {
            Some(suppressed) => tracing::$level!($($field)*, suppressed, $message),
            None => tracing::debug!($($field)*, $message),
        }
    };
}

/// `realtime.connect`: gate 1 accepted a connection. `user` is its id, `None` is anonymous.
pub fn connected(connection: &str, user: Option<&str>, transport: &str) {
    sampled!(CONNECTS, info, "connected", event = names::CONNECT, connection, user, transport);
}

/// `realtime.disconnect`: a connection ended.
pub fn disconnected(connection: &str, user: Option<&str>, reason: &str) {
    sampled!(DISCONNECTS, info, "disconnected", event = names::DISCONNECT, connection, user, reason);
}

/// `realtime.auth_failed`: gate 1 refused a credential, an origin, or a connection without a credential.
///
/// `origin` and `host` are what the request said: a page is refused whose origin is neither the host that was asked nor
/// listed.
pub fn auth_failed(connection: Option<&str>, code: &'static str, origin: Option<&str>, host: Option<&str>) {
    sampled!(AUTH_FAILURES, warn, "authentication failed", event = names::AUTH_FAILED, connection, code, origin, host);
}

/// `auth.odd`: a provider's answer about one credential makes no sense; only this credential is refused.
pub fn auth_odd(provider: &'static str, source: &str, why: &str) {
    sampled!(
        ODD_ANSWERS,
        warn,
        "refused a credential: the answer about it makes no sense",
        event = names::AUTH_ODD,
        provider,
        source,
        why
    );
}

/// `realtime.boundary_violation`: a client tried something at gate 2 or 3 that it may not do. Only these codes count:
/// `forbidden`, `unauthenticated`, `unknown_channel`, `invalid_payload`, `payload_too_large`.
pub fn boundary_violation(gate: Gate, connection: &str, user: Option<&str>, channel: &str, code: &'static str) {
    let violates =
        ["forbidden", "unauthenticated", "unknown_channel", "invalid_payload", "payload_too_large"].contains(&code);
    if violates {
        let gate = gate.as_str();
        sampled!(
            VIOLATIONS,
            warn,
            "refused a request at the boundary",
            event = names::BOUNDARY_VIOLATION,
            gate,
            connection,
            user,
            channel,
            code
        );
    }
}

/// A plugin's failure, for the log.
#[derive(Debug, Clone, Copy)]
pub struct PluginFault<'a> {
    /// The plugin.
    pub plugin: &'a str,
    /// The version; `None` if it is not loaded.
    pub version: Option<&'a str>,
    /// One of a closed list.
    pub kind: &'static str,
    /// The template of the call's channel.
    pub channel: &'a str,
    /// The id of the call's user.
    pub user: Option<&'a str>,
    /// For the operator, never for a client.
    pub detail: &'a str,
    /// The beginning of the message that caused it, if it is shown (`tidegate dev`).
    pub input: Option<&'a str>,
}

/// `plugin.fault`: logs and counts a plugin's failure.
pub fn plugin_fault(fault: &PluginFault<'_>) {
    let PluginFault { plugin, version, kind, channel, user, detail, input } = *fault;
    metrics::plugin_faulted(plugin, kind, channel);
    let event = names::PLUGIN_FAULT;
    sampled!(FAULTS, error, "plugin failed", event, plugin, version, kind, channel, user, detail, input);
}

/// `plugin.cannot_tell`: logs and counts an authorizer's answer that is neither yes nor no. `why` is for the operator,
/// never for a client.
pub fn cannot_tell(plugin: &str, channel: &str, action: &'static str, user: Option<&str>, why: &str) {
    metrics::cannot_tell(plugin, action, channel);
    let event = names::PLUGIN_CANNOT_TELL;
    sampled!(CANNOT_TELL, warn, "an authorizer cannot decide", event, plugin, channel, action, user, why);
}

/// `realtime.given_up`: logs and counts a subscription that ended because no authorizer could decide for too long.
pub fn given_up(channel: &str, topic: &str, user: Option<&str>, grace: Duration) {
    metrics::reauthorized(channel, "given_up");
    let (event, grace_s) = (names::GIVEN_UP, grace.as_secs());
    sampled!(
        GIVEN_UP,
        warn,
        "ended a subscription: no authorizer could decide for too long",
        event,
        channel,
        topic,
        user,
        grace_s
    );
}

/// `plugin.paused`: a plugin failed so often that a class of its calls is paused.
pub fn plugin_paused(plugin: &str, class: &'static str, pause: Duration) {
    metrics::plugin_breaker(plugin, class, "paused");
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(event = names::PLUGIN_PAUSED, plugin, class, pause_ms, "plugin paused after too many faults");
}

/// `plugin.resumed`: the tried call succeeded, and all calls go to the plugin again.
pub fn plugin_resumed(plugin: &str, class: &'static str) {
    metrics::plugin_breaker(plugin, class, "resumed");
    tracing::info!(event = names::PLUGIN_RESUMED, plugin, class, "plugin is called again");
}

/// `plugin.rolled_back`: a version failed after a swap, and the version before serves again. `from` and `to` are
/// versions.
pub fn plugin_rolled_back(plugin: &str, from: &str, to: &str, generation: u64, reason: &str) {
    metrics::plugin_rolled_back(plugin, "rolled_back");
    metrics::generation(generation);
    let event = names::PLUGIN_ROLLED_BACK;
    tracing::error!(event, plugin, from, to, generation, reason, "plugin rolled back, the version before serves again");
}

/// `plugin.rolled_back`: a version failed after a swap but serves on, because the version before does not fit the
/// present channels. Only its breaker is left.
pub fn plugin_not_rolled_back(plugin: &str, from: &str, why: &str) {
    metrics::plugin_rolled_back(plugin, "kept");
    let event = names::PLUGIN_ROLLED_BACK;
    tracing::error!(event, plugin, from, why, "plugin fails, and the version before does not fit the present channels");
}

/// `plugin.failing`: a version fails since it was swapped in, and serves on: in `dev` nothing is rolled back.
pub fn plugin_failing(plugin: &str, version: &str, reason: &str) {
    let event = names::PLUGIN_FAILING;
    tracing::error!(
        event,
        plugin,
        version,
        reason,
        "plugin fails since the swap, and serves on until you save another version"
    );
}

/// `plugin.lingers`: a version was replaced long ago, and its calls still run (`limits.plugin_drain`).
pub fn plugin_lingers(plugin: &str, version: &str, instances: u32, elapsed: Duration) {
    let elapsed_s = elapsed.as_secs();
    let event = names::PLUGIN_LINGERS;
    tracing::warn!(event, plugin, version, instances, elapsed_s, "a replaced plugin version still has running calls");
}

/// `plugin.cleared`: a quarantined version was re-admitted.
pub fn plugin_cleared(plugin: &str, component: &str) {
    tracing::info!(event = names::PLUGIN_CLEARED, plugin, component, "plugin version re-admitted");
}

/// `plugin.kept_out`: the version in a plugin's directory is quarantined. The version `serving` serves on; without one
/// the plugin is missing.
pub fn plugin_kept_out(plugin: &str, component: &str, reason: &str, serving: Option<&str>) {
    let event = names::PLUGIN_KEPT_OUT;
    match serving {
        Some(serving) => {
            let message = "a quarantined version is not loaded, the version before serves on";
            tracing::warn!(event, plugin, component, reason, serving, message);
        }
        None => {
            let message =
                "a quarantined version is not loaded and there is no other: requests that need the plugin are refused";
            tracing::error!(event, plugin, component, reason, message);
        }
    }
}

/// `plugin.quarantine`: the file of quarantined versions, or a line of it, cannot be read or written.
pub fn plugin_quarantine_unusable(file: &str, why: &str) {
    tracing::error!(event = names::PLUGIN_QUARANTINE, file, why, "the quarantine of plugins cannot be read or written");
}

/// `plugin.compiled`: the native code of a component is ready, from the compiler or, if `cached`, from the cache.
pub fn plugin_compiled(plugin: &str, component: &str, cached: bool, elapsed: Duration) {
    metrics::plugin_compiled(if cached { "cache" } else { "compiler" }, elapsed);
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    tracing::info!(event = names::PLUGIN_COMPILED, plugin, component, cached, elapsed_ms, "plugin compiled");
}

/// `plugin.tested`: a version passed its golden vectors, or failed some (`failed`) and does not serve.
pub fn plugin_tested(plugin: &str, component: &str, vectors: usize, failed: usize, elapsed: Duration) {
    metrics::plugin_tested(plugin, if failed == 0 { "passed" } else { "failed" });
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    if failed == 0 {
        let event = names::PLUGIN_TESTED;
        tracing::info!(event, plugin, component, vectors, failed, elapsed_ms, "plugin passed its golden vectors");
    } else {
        let event = names::PLUGIN_TESTED;
        tracing::warn!(event, plugin, component, vectors, failed, elapsed_ms, "plugin failed its golden vectors");
    }
}

/// `plugin.cache`: an entry failed verification; the component is compiled again.
pub fn plugin_cache_rejected(component: &str, why: &str) {
    metrics::plugin_cache_rejected();
    tracing::warn!(
        event = names::PLUGIN_CACHE,
        component,
        why,
        "compiled plugin in the cache is not used, compiling it again"
    );
}

/// `plugin.cache`: compiled components cannot be stored; every start compiles.
pub fn plugin_cache_unusable(directory: &str, why: &str) {
    tracing::warn!(event = names::PLUGIN_CACHE, directory, why, "the cache of compiled plugins cannot be used");
}

/// `bridge.dead_letter`: logs and counts a bus event that matched a rule but could not cross.
pub fn dead_letter(id: &str, on: &str, to: &str, reason: &str) {
    metrics::dead_letter_kept();
    sampled!(
        DEAD_LETTERS,
        warn,
        "bus event could not cross the bridge",
        event = names::DEAD_LETTER,
        id,
        on,
        to,
        reason
    );
}

/// `bridge.discarded`: an operator discarded a dead letter; `by` is the name of the API key, `why` what it gave as reason.
pub fn dead_letter_discarded(id: &str, on: &str, to: &str, by: &str, why: Option<&str>) {
    metrics::dead_letter_discarded();
    tracing::info!(event = names::DEAD_LETTER_DISCARDED, id, on, to, by, why, "dead letter discarded");
}

/// `server.panic`: a bug was caught at the edge of a task; everything else continues. `place` is one of a closed list.
pub fn panicked(place: &'static str, detail: &str) {
    metrics::panicked(place);
    sampled!(PANICS, error, "panicked, please report this bug", event = names::PANIC, place, detail);
}

/// `server.panic`: any panic, where it began. Its catcher reports the consequences.
pub(super) fn panic_seen(place: &str, thread: Option<&str>, detail: &str, backtrace: Option<&str>) {
    let event = names::PANIC;
    sampled!(PANICS_SEEN, error, "panicked, please report this bug", event, place, thread, detail, backtrace);
}

/// `log.lines_dropped`: this number of lines is missing in the log, or on standard output.
pub(super) fn log_lines_dropped(lines: u64) {
    tracing::warn!(event = names::LOG_DROPPED, lines, "lines dropped because nobody read them in time");
}

/// `catalog.note`: a note on a declared channel that is not an error, in one line.
pub fn catalog_note(note: &str) {
    tracing::warn!(event = names::CATALOG_NOTE, note, "a note on the declared channels");
}

/// `store.away`: the store stopped working; the keys of plugins fail with `unavailable`, and the server is not ready.
pub fn store_away(store: &str, why: &str) {
    tracing::error!(event = names::STORE_AWAY, store, why, "the store is away");
}

/// `store.back`: the store works again.
pub fn store_back(store: &str) {
    tracing::info!(event = names::STORE_BACK, store, "the store is back");
}

/// `broker.away`: a connection to the broker is lost; until it is back other nodes cannot be reached. `link` is
/// `in` or `out`.
pub fn broker_away(place: &str, link: &'static str, why: &str) {
    tracing::error!(event = names::BROKER_AWAY, place, link, why, "the broker is away");
}

/// `broker.back`: the connection works, again or for the first time. The subscribers of `gaps` topics received a gap.
pub fn broker_back(place: &str, link: &'static str, gaps: usize) {
    tracing::info!(event = names::BROKER_BACK, place, link, gaps, "the broker is back");
}

/// `broker.refused`: Redis answered with an error: no memory, no permission, a replica that refuses writes.
pub fn broker_refused(why: &str) {
    sampled!(BROKER_REFUSALS, error, "the broker refused a command", event = names::BROKER_REFUSED, why);
}

/// A revocation in force, for the log.
#[derive(Debug, Clone, Copy)]
pub struct RevocationTaken<'a> {
    /// Its id.
    pub id: &'a str,
    /// The user.
    pub user: Option<&'a str>,
    /// The topic.
    pub topic: Option<&'a str>,
    /// The reason, in the words of the caller.
    pub reason: Option<&'a str>,
    /// `http`, `bridge`, `store`, `broker` or `start`.
    pub from: &'static str,
    /// Sessions that it ended on this node.
    pub sessions: usize,
    /// Subscriptions that it ended on this node, in sessions that continue.
    pub subscriptions: usize,
}

/// `revocation.taken`: logs and counts a revocation that is in force from now on.
pub fn revocation(taken: &RevocationTaken<'_>) {
    let RevocationTaken { id, user, topic, reason, from, sessions, subscriptions } = *taken;
    metrics::revocation_taken(from);
    if from == "start" {
        // It was reported when it was made; the number of loaded ones is reported once.
        return;
    }
    sampled!(
        REVOCATIONS,
        info,
        "revoked",
        event = names::REVOCATION_TAKEN,
        id,
        user,
        topic,
        reason,
        from,
        sessions,
        subscriptions
    );
}

/// `revocation.unkept`: a revocation is in force but not stored; the server tries again until it stops.
pub fn revocation_unkept(id: &str, why: &str) {
    sampled!(UNKEPT, error, "a revocation is not stored yet", event = names::REVOCATION_UNKEPT, id, why);
}

/// `revocation.unloaded`: the earlier revocations cannot be read. Until they can, credentials are refused with
/// `unavailable`, and the server is not ready.
pub fn revocations_unloaded(why: &str) {
    let event = names::REVOCATION_UNLOADED;
    tracing::error!(event, why, "revocations cannot be loaded, so nobody with a credential can connect");
}

/// `revocation.loaded`: the earlier revocations are in force; logged if there are any, or if it took a second attempt.
pub fn revocations_loaded(found: usize, was_late: bool) {
    if found > 0 || was_late {
        tracing::info!(event = names::REVOCATION_LOADED, found, "revocations loaded");
    }
}

/// `server.listening`: clients can connect.
pub fn listening(address: &str) {
    tracing::info!(event = names::LISTENING, address, "listening");
}

/// `server.draining`: no new connections; the open ones were informed.
pub fn draining(connections: usize) {
    // Once, for the application's clients.
    if !registry::is_apart() {
        tracing::info!(event = names::SERVER_DRAINING, connections, "draining");
    }
}

/// `server.stopped`: the end, with the connections that had to be cut.
pub fn stopped(connections_cut: usize) {
    tracing::info!(event = names::STOPPED, connections_cut, "stopped");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_sampled_and_the_next_event_logged_says_how_many_were_not() {
        let sampler = Sampler::ten_a_second();
        let logged = (0..1000).filter(|_| sampler.admit(1).is_some()).count();
        assert_eq!(logged as u64, SAMPLES_PER_SECOND_MAX);
        assert_eq!(sampler.admit(2), Some(1000 - SAMPLES_PER_SECOND_MAX));
        assert_eq!(sampler.admit(2), Some(0));
    }
}
