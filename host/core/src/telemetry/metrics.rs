//! One function for each thing that is counted.

use std::time::Duration;

use super::metric::Metric;
use super::names;
use super::registry::{Handles, Slot, counter, gauge, hot, seconds};

/// The label of a metric about a topic that no channel declares.
pub const NO_CHANNEL: &str = "-";

/// The four gates, as metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Gate 1.
    Connect,
    /// Gate 2.
    Subscribe,
    /// Gate 3.
    Inbound,
    /// Gate 4.
    Broadcast,
}

impl Gate {
    /// The name in labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::Inbound => "inbound",
            Self::Broadcast => "broadcast",
        }
    }
}

/// Counts one decision of a gate and the time it took. `channel` is the template, `outcome` is `ok` or a code.
pub fn gate(gate: Gate, channel: &str, outcome: &'static str, elapsed: Duration) {
    let what = gate.as_str();
    let slot = Slot { counter: names::GATE_DECISIONS.name, what, outcome };
    let make = || Handles {
        counter: counter(names::GATE_DECISIONS, &[("gate", what), ("channel", channel), ("outcome", outcome)]),
        seconds: seconds(names::GATE_SECONDS, &[("gate", what), ("channel", channel)]),
    };
    hot(channel, slot, make, |handles| {
        handles.counter.increment(1);
        handles.seconds.record(elapsed);
    });
}

/// Counts one call of a plugin and the time it took. `kind` is `handler` or `authorizer`, `outcome` is `ok`,
/// `refused`, `allow`, `deny` or the kind of a fault.
pub fn plugin_call(plugin: &str, kind: &'static str, outcome: &'static str, elapsed: Duration) {
    let slot = Slot { counter: names::PLUGIN_CALLS.name, what: kind, outcome };
    let make = || Handles {
        counter: counter(names::PLUGIN_CALLS, &[("plugin", plugin), ("kind", kind), ("outcome", outcome)]),
        seconds: seconds(names::PLUGIN_SECONDS, &[("plugin", plugin), ("kind", kind)]),
    };
    hot(plugin, slot, make, |handles| {
        handles.counter.increment(1);
        handles.seconds.record(elapsed);
    });
}

/// Counts a call of a granted import and the time it took. `outcome` is `ok` or the contract's error.
pub fn plugin_host_call(plugin: &str, import: &'static str, outcome: &'static str, elapsed: Duration) {
    let slot = Slot { counter: names::PLUGIN_HOST_CALLS.name, what: import, outcome };
    let make = || Handles {
        counter: counter(names::PLUGIN_HOST_CALLS, &[("plugin", plugin), ("import", import), ("outcome", outcome)]),
        seconds: seconds(names::PLUGIN_HOST_SECONDS, &[("plugin", plugin), ("import", import)]),
    };
    hot(plugin, slot, make, |handles| {
        handles.counter.increment(1);
        handles.seconds.record(elapsed);
    });
}

/// Counts a running HTTP request of a plugin, until this is dropped.
pub fn plugin_http_request() -> UnderWay {
    UnderWay::begin(gauge(names::PLUGIN_HTTP_REQUESTS, &[]))
}

/// Something that is counted while it lives.
#[must_use]
pub struct UnderWay(::metrics::Gauge);

impl UnderWay {
    pub(super) fn begin(count: ::metrics::Gauge) -> Self {
        count.increment(1.0);
        Self(count)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Counts log lines of a plugin that were dropped (`limits.log_lines`, `limits.log_rate`).
pub fn plugin_log_dropped(plugin: &str, lines: u32) {
    counter(names::PLUGIN_LOG_DROPPED, &[("plugin", plugin)]).increment(lines.into());
}

/// Counts a lookup or an eviction in the cache of granted answers: `hit`, `miss` or `evicted`.
pub fn authorizer_cache(plugin: &str, outcome: &'static str) {
    let slot = Slot { counter: names::AUTHORIZER_CACHE.name, what: "", outcome };
    let make = || Handles {
        counter: counter(names::AUTHORIZER_CACHE, &[("plugin", plugin), ("outcome", outcome)]),
        seconds: ::metrics::Histogram::noop(),
    };
    hot(plugin, slot, make, |handles| handles.counter.increment(1));
}

/// Counts a stream until this is dropped.
pub fn stream() -> UnderWay {
    UnderWay::begin(gauge(names::STREAMS, &[]))
}

/// Counts a request of a session that this node does not know.
pub fn session_unknown() {
    counter(names::SESSIONS_UNKNOWN, &[]).increment(1);
}

/// Records the bytes that the histories of this node take.
pub fn history_bytes(bytes: usize) {
    gauge(names::HISTORY_BYTES, &[]).set(bytes as f64);
}

/// Records how many sessions wait for their clients to come back.
pub fn parked_sessions(sessions: usize) {
    gauge(names::PARKED_SESSIONS, &[]).set(sessions as f64);
}

/// Counts a session that was given up for a younger one.
pub fn parked_session_displaced() {
    counter(names::PARKED_SESSIONS_DISPLACED, &[]).increment(1);
}

/// Counts that a publisher delivered what waited for a part of a large room.
pub fn group_relieved() {
    counter(names::GROUPS_RELIEVED, &[]).increment(1);
}

/// Counts publications in whose place a newer one of their key went out. `way` is `queue` or `at_most`.
pub fn conflated(channel: &str, way: &'static str, by: usize) {
    if by > 0 {
        let slot = Slot { counter: names::CONFLATED.name, what: way, outcome: "" };
        let make = || Handles {
            counter: counter(names::CONFLATED, &[("channel", channel), ("way", way)]),
            seconds: ::metrics::Histogram::noop(),
        };
        hot(channel, slot, make, |handles| handles.counter.increment(by as u64));
    }
}

/// Records the bytes that wait because of `delivery.at_most`.
pub fn thinning_bytes(bytes: usize) {
    gauge(names::THINNING_BYTES, &[]).set(bytes as f64);
}

/// Counts a publication that went out too soon, because there was no room for it to wait.
pub fn thinning_overflow(channel: &str) {
    count_by_channel(names::THINNING_OVERFLOWS, channel, 1);
}

/// Counts a reader that asked for what it missed. `way` is `since`, `http` or `pid`; `reason` says why it did not get it.
pub fn recovery(way: &'static str, reason: Option<&'static str>) {
    let outcome = if reason.is_none() { "recovered" } else { "not_recovered" };
    let labels = [("way", way), ("outcome", outcome), ("reason", reason.unwrap_or("-"))];
    counter(names::RECOVERIES, &labels).increment(1);
}

/// Records whether other nodes can be reached.
pub fn broker_up(is_up: bool) {
    gauge(names::BROKER_UP, &[]).set(if is_up { 1.0 } else { 0.0 });
}

/// Counts a publication for other nodes, and the time until the broker accepted or refused it.
pub fn broker_published(is_taken: bool, elapsed: Duration) {
    let outcome = if is_taken { "taken" } else { "refused" };
    let slot = Slot { counter: names::BROKER_PUBLISHED.name, what: "", outcome };
    let make = || Handles {
        counter: counter(names::BROKER_PUBLISHED, &[("outcome", outcome)]),
        seconds: seconds(names::BROKER_SECONDS, &[]),
    };
    hot("", slot, make, |handles| {
        handles.counter.increment(1);
        if is_taken {
            handles.seconds.record(elapsed);
        }
    });
}

/// Counts a message from another node.
pub fn broker_heard() {
    count(names::BROKER_HEARD, "", &[], 1);
}

/// Records how many commands wait for the broker, and how many bytes wait or are on their way.
pub fn broker_queue(words: usize, bytes: usize) {
    gauge(names::BROKER_QUEUE, &[]).set(words as f64);
    gauge(names::BROKER_QUEUE_BYTES, &[]).set(bytes as f64);
}

/// Records how many topics this node listens to.
pub fn broker_topics(topics: usize) {
    gauge(names::BROKER_TOPICS, &[]).set(topics as f64);
}

/// Counts a topic whose subscribers received a gap.
pub fn broker_gap() {
    counter(names::BROKER_GAPS, &[]).increment(1);
}

/// Counts a look-up of a rate window that all nodes share: `ok`, `limited` or `unasked`.
pub fn broker_rate(outcome: &'static str) {
    counter(names::BROKER_RATES, &[("outcome", outcome)]).increment(1);
}

/// Counts the delivery of a publication: how many queues accepted it and how many did not.
pub fn delivered(channel: &str, queued: usize, failed: usize) {
    count_by_channel(names::DELIVERIES, channel, queued);
    count_by_channel(names::DELIVERIES_FAILED, channel, failed);
}

pub(super) fn count_by_channel(metric: Metric, channel: &str, by: usize) {
    if by > 0 {
        count(metric, channel, &[("channel", channel)], by);
    }
}

/// Counts on the hot path; `label` is the only label that is not constant, empty if there is none.
fn count(metric: Metric, label: &str, labels: &[(&'static str, &str)], by: usize) {
    let slot = Slot { counter: metric.name, what: "", outcome: "" };
    let make = || Handles { counter: counter(metric, labels), seconds: ::metrics::Histogram::noop() };
    hot(label, slot, make, |handles| handles.counter.increment(by as u64));
}

/// Counts a plugin that was paused or resumed; [`super::plugin_paused`] and [`super::plugin_resumed`] call this and log
/// it.
pub(super) fn plugin_breaker(plugin: &str, class: &'static str, outcome: &'static str) {
    counter(names::PLUGIN_BREAKER, &[("plugin", plugin), ("class", class), ("outcome", outcome)]).increment(1);
}

/// Records whether a version of a plugin is in a state: `active`, `rejected` or `quarantined`.
pub fn plugin_state(plugin: &str, state: &'static str, is: bool) {
    gauge(names::PLUGIN_STATE, &[("plugin", plugin), ("state", state)]).set(f64::from(u8::from(is)));
}

/// Counts a plugin's fault; [`super::plugin_fault`] calls this and logs it.
pub(super) fn plugin_faulted(plugin: &str, kind: &'static str, channel: &str) {
    counter(names::PLUGIN_FAULTS, &[("plugin", plugin), ("kind", kind), ("channel", channel)]).increment(1);
}

/// Counts a plugin's native code; [`super::plugin_compiled`] calls this and logs it.
pub(super) fn plugin_compiled(from: &'static str, elapsed: Duration) {
    counter(names::PLUGIN_COMPILES, &[("from", from)]).increment(1);
    seconds(names::PLUGIN_COMPILE_SECONDS, &[("from", from)]).record(elapsed);
}

/// Counts a run of a plugin's golden vectors; [`super::plugin_tested`] calls this and logs it.
pub(super) fn plugin_tested(plugin: &str, outcome: &'static str) {
    counter(names::PLUGIN_SELF_TESTS, &[("plugin", plugin), ("outcome", outcome)]).increment(1);
}

/// Counts a version that failed after a swap; [`super::plugin_rolled_back`] and [`super::plugin_not_rolled_back`] call
/// this and log it.
pub(super) fn plugin_rolled_back(plugin: &str, outcome: &'static str) {
    counter(names::PLUGIN_ROLLBACKS, &[("plugin", plugin), ("outcome", outcome)]).increment(1);
}

/// Counts a created instance.
pub fn plugin_instance_created(plugin: &str) {
    count(names::PLUGIN_INSTANCES_CREATED, plugin, &[("plugin", plugin)], 1);
}

/// Counts a dropped instance. `reason` is one of a closed list.
pub fn plugin_instance_retired(plugin: &str, reason: &'static str) {
    let slot = Slot { counter: names::PLUGIN_INSTANCES_RETIRED.name, what: "", outcome: reason };
    let make = || Handles {
        counter: counter(names::PLUGIN_INSTANCES_RETIRED, &[("plugin", plugin), ("reason", reason)]),
        seconds: ::metrics::Histogram::noop(),
    };
    hot(plugin, slot, make, |handles| handles.counter.increment(1));
}

/// Records how many instances of a plugin are working and resting.
pub fn plugin_instances(plugin: &str, working: u32, resting: u32) {
    for (state, instances) in [("working", working), ("resting", resting)] {
        gauge(names::PLUGIN_INSTANCES, &[("plugin", plugin), ("state", state)]).set(f64::from(instances));
    }
}

/// Records the limits of instances: for `all`, and reserved for `authorizers`.
pub fn plugin_instances_max(of: &'static str, instances: u32) {
    gauge(names::PLUGIN_INSTANCES_MAX, &[("for", of)]).set(f64::from(instances));
}

/// Records how many calls of all plugins wait for an instance (`limits.plugin_instances`).
pub fn plugin_instances_wanted(calls: u32) {
    gauge(names::PLUGIN_INSTANCES_WANTED, &[]).set(f64::from(calls));
}

/// Records how many calls of a class of a plugin wait for their turn (`limits.concurrency`).
pub fn plugin_calls_waiting(plugin: &str, class: &'static str, calls: u32) {
    gauge(names::PLUGIN_CALLS_WAITING, &[("plugin", plugin), ("class", class)]).set(f64::from(calls));
}

/// Records how long a call waited for its `turn`, or for an `instance`; calls that need not wait are not recorded.
pub fn plugin_waited(plugin: &str, what: &'static str, elapsed: Duration) {
    seconds(names::PLUGIN_WAIT_SECONDS, &[("plugin", plugin), ("for", what)]).record(elapsed);
}

/// Records how many replaced versions of a plugin still have calls after `limits.plugin_drain`.
pub fn plugin_versions_lingering(plugin: &str, versions: usize) {
    gauge(names::PLUGIN_VERSIONS_LINGERING, &[("plugin", plugin)]).set(versions as f64);
}

/// Counts a cache entry that was not used; [`super::plugin_cache_rejected`] calls this and logs it.
pub(super) fn plugin_cache_rejected() {
    counter(names::PLUGIN_CACHE_REJECTED, &[]).increment(1);
}

/// Records whether the store works.
pub fn store_up(up: bool) {
    gauge(names::STORE_UP, &[]).set(f64::from(u8::from(up)));
}

/// Counts expired keys that were removed from the store.
pub fn store_swept(keys: u64) {
    counter(names::STORE_SWEPT, &[]).increment(keys);
}

/// Records how many revocations are in force.
pub fn revocations(known: usize) {
    gauge(names::REVOCATIONS, &[]).set(known as f64);
}

/// Records how many credentials are remembered whose issuer's clock is ahead.
pub fn credentials_ahead(remembered: usize) {
    gauge(names::CREDENTIALS_AHEAD, &[]).set(remembered as f64);
}

/// Counts a revocation; [`super::revocation`] calls this and logs it.
pub(super) fn revocation_taken(from: &'static str) {
    counter(names::REVOCATIONS_TAKEN, &[("from", from)]).increment(1);
}

/// Counts an authorizer that could not decide; [`super::cannot_tell`] calls this and logs it.
pub(super) fn cannot_tell(plugin: &str, action: &'static str, channel: &str) {
    counter(names::CANNOT_TELL, &[("plugin", plugin), ("action", action), ("channel", channel)]).increment(1);
}

/// Counts a re-authorized subscription: `kept`, `lost`, `doubted` or `given_up`. `channel` is the template.
pub fn reauthorized(channel: &str, outcome: &'static str) {
    counter(names::REAUTHORIZED, &[("channel", channel), ("outcome", outcome)]).increment(1);
}

/// Counts an accepted connection.
pub fn connection_opened() {
    gauge(names::CONNECTIONS, &[]).increment(1.0);
    counter(names::CONNECTIONS_OPENED, &[]).increment(1);
}

/// Counts a connection's end; every [`connection_opened`] has one. `reason` is one of a closed list.
pub fn connection_closed(reason: &'static str) {
    gauge(names::CONNECTIONS, &[]).decrement(1.0);
    counter(names::CONNECTIONS_CLOSED, &[("reason", reason)]).increment(1);
}

/// Counts a connection that gate 1 or a limit refused.
pub fn connection_refused(code: &'static str) {
    counter(names::CONNECTIONS_REFUSED, &[("code", code)]).increment(1);
}

/// Counts a subscription that began. `channel` is the template.
pub fn subscribed(channel: &str) {
    gauge(names::SUBSCRIPTIONS, &[("channel", channel)]).increment(1.0);
}

/// Counts a subscription's end; every [`subscribed`] has one.
pub fn unsubscribed(channel: &str) {
    gauge(names::SUBSCRIPTIONS, &[("channel", channel)]).decrement(1.0);
}

/// Counts a connection that was closed because the client is a slow consumer (`limits.outbound_bytes`).
pub fn slow_consumer() {
    counter(names::SLOW_CONSUMERS, &[]).increment(1);
}

/// Sets how many bytes wait for all clients together.
pub fn outbound_bytes(bytes: usize) {
    gauge(names::OUTBOUND_BYTES, &[]).set(bytes as f64);
}

/// Records how far a client is behind. `channel` is the template of its only topic.
pub fn client_lag(channel: &str, lag: Duration) {
    seconds(names::CLIENT_LAG_SECONDS, &[("channel", channel)]).record(lag);
}

/// Counts a client that was not read for a while, because as many of its events as may wait were waiting
/// (`limits.inbound_queue`).
pub fn inbound_wait() {
    counter(names::INBOUND_WAITS, &[]).increment(1);
}

/// Counts a connection that is not announced to plugins because too many waited (`limits.connection_events`).
pub fn connection_unannounced() {
    counter(names::CONNECTIONS_UNANNOUNCED, &[]).increment(1);
}

/// Counts the result of a bridge rule for an event: `crossed`, `removed`, `revoked`, `skipped` or `dead`.
pub fn bridged(on: &str, to: &str, outcome: &'static str) {
    counter(names::BRIDGED, &[("on", on), ("to", to), ("outcome", outcome)]).increment(1);
}

/// Records how many users and anonymous connections are present, each topic by itself.
pub fn presence_members(members: usize) {
    gauge(names::PRESENCE_MEMBERS, &[]).set(members as f64);
}

/// Counts a publish with an idempotency key, or keys that were forgotten for newer ones. `outcome` is one of a closed
/// list.
pub fn idempotent(outcome: &'static str, keys: usize) {
    if keys > 0 {
        counter(names::IDEMPOTENT, &[("outcome", outcome)]).increment(keys as u64);
    }
}

/// Records how many bus events wait for the bridge.
pub fn bus_queue(events: usize) {
    gauge(names::BUS_QUEUE, &[]).set(events as f64);
}

/// Counts bus events refused because the queue was full (`limits.bus_queue`).
pub fn bus_refused(events: usize) {
    counter(names::BUS_REFUSED, &[]).increment(events as u64);
}

/// Counts bus events without a bridge rule.
pub fn bus_unlisted(events: usize) {
    if events > 0 {
        count(names::BUS_UNLISTED, "", &[], events);
    }
}

/// Records how many dead letters there are.
pub fn dead_letters(kept: usize) {
    gauge(names::DEAD_LETTERS, &[]).set(kept as f64);
}

/// Counts a new dead letter; [`super::dead_letter`] calls this and logs it.
pub(super) fn dead_letter_kept() {
    counter(names::DEAD_LETTERS_KEPT, &[]).increment(1);
}

/// Counts a dead letter that an operator discarded; [`super::dead_letter_discarded`] calls this and logs it.
pub(super) fn dead_letter_discarded() {
    counter(names::DEAD_LETTERS_DISCARDED, &[]).increment(1);
}

/// Counts a dead letter that was dropped for a newer one (`limits.dead_letters`).
pub fn dead_letter_dropped() {
    counter(names::DEAD_LETTERS_DROPPED, &[]).increment(1);
}

/// Counts lines that standard output or standard error did not accept (`limits.log_queue`).
pub(super) fn log_lines_dropped(lines: u64) {
    counter(names::LOG_LINES_DROPPED, &[]).increment(lines);
}

/// Records the number of the current catalog.
pub fn generation(generation: u64) {
    gauge(names::GENERATION, &[]).set(generation as f64);
}

pub(super) fn panicked(place: &'static str) {
    counter(names::PANICS, &[("place", place)]).increment(1);
}

pub(super) fn reloaded(outcome: &'static str) {
    counter(names::RELOADS, &[("outcome", outcome)]).increment(1);
}

pub(super) fn reload_took(elapsed: Duration) {
    seconds(names::RELOAD_SECONDS, &[]).record(elapsed);
}

/// Counts one answered HTTP request. `route` is the route's pattern, never the path, so that the number of labels stays
/// bounded.
pub fn http_request(route: &str, status: u16, elapsed: Duration) {
    counter(names::HTTP_REQUESTS, &[("route", route), ("status", &status.to_string())]).increment(1);
    seconds(names::HTTP_SECONDS, &[("route", route)]).record(elapsed);
}
