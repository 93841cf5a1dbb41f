//! The name of every metric: the one list that the code, the tests and the manual share. The names of events stand in
//! `event_names.rs`.

pub(super) use super::event_names::*;
use super::export::{OTLP_REQUESTS, OTLP_UP};
use super::metric::{Metric, counter, gauge, seconds};
use super::teams::{TEAM_BUDGET, TEAM_REFUSED, TEAM_USED};
use super::trace::{SPANS, SPANS_WAITING};

pub(super) const MEMORY: Metric = gauge("tidegate_memory_bytes", "Resident memory of the process");
pub(super) const CONNECTIONS: Metric = gauge("tidegate_connections", "Open client connections");
pub(super) const CONNECTIONS_OPENED: Metric =
    counter("tidegate_connections_opened_total", "Accepted client connections");
pub(super) const CONNECTIONS_CLOSED: Metric =
    counter("tidegate_connections_closed_total", "Closed client connections, by reason");
pub(super) const CONNECTIONS_REFUSED: Metric =
    counter("tidegate_connections_refused_total", "Refused client connections, by code");
pub(super) const SESSIONS_UNKNOWN: Metric = counter(
    "tidegate_sessions_unknown_total",
    "Requests for an unknown session: it has ended, or belongs to another node because the load balancer has no sticky sessions",
);
pub(super) const SUBSCRIPTIONS: Metric = gauge("tidegate_subscriptions", "Current subscriptions, by channel template");
pub(super) const GATE_DECISIONS: Metric = counter(
    "tidegate_gate_decisions_total",
    "Decisions of the gates, by gate, channel template and outcome (ok or a code)",
);
pub(super) const GATE_SECONDS: Metric =
    seconds("tidegate_gate_seconds", "Time for a gate's decision, including plugins, by gate and channel template");
pub(super) const PLUGIN_CALLS: Metric =
    counter("tidegate_plugin_calls_total", "Plugin calls, by plugin, kind and outcome");
pub(super) const PLUGIN_SECONDS: Metric =
    seconds("tidegate_plugin_call_seconds", "Duration of plugin calls, by plugin and kind");
pub(super) const PLUGIN_FAULTS: Metric =
    counter("tidegate_plugin_faults_total", "Faults of plugins, by plugin, kind of fault and channel template");
pub(super) const CANNOT_TELL: Metric = counter(
    "tidegate_plugin_cannot_tell_total",
    "Calls in which an authorizer could not decide, by plugin, action (connect, subscribe, send) and channel template",
);
pub(super) const PLUGIN_HOST_CALLS: Metric = counter(
    "tidegate_plugin_host_calls_total",
    "Calls of granted imports, by plugin, import (secrets, kv, queries, http) and outcome (ok, an error of the contract, or cancelled)",
);
pub(super) const PLUGIN_HOST_SECONDS: Metric =
    seconds("tidegate_plugin_host_call_seconds", "Duration of calls of granted imports, by plugin and import");
pub(super) const PLUGIN_HTTP_REQUESTS: Metric =
    gauge("tidegate_plugin_http_requests", "Running HTTP requests of plugins (limits.plugin_requests)");
pub(super) const PLUGIN_LOG_DROPPED: Metric = counter(
    "tidegate_plugin_log_lines_dropped_total",
    "Dropped log lines of plugins, beyond limits.log_lines or limits.log_rate, by plugin",
);
pub(super) const PLUGIN_COMPILES: Metric =
    counter("tidegate_plugin_compiles_total", "Plugins made ready, by source of the native code (compiler, cache)");
pub(super) const PLUGIN_COMPILE_SECONDS: Metric =
    seconds("tidegate_plugin_compile_seconds", "Time to get a plugin's native code, by its source");
pub(super) const PLUGIN_CACHE_REJECTED: Metric = counter(
    "tidegate_plugin_cache_rejected_total",
    "Cache entries that failed verification; the server compiled these plugins again",
);
pub(super) const PLUGIN_SELF_TESTS: Metric = counter(
    "tidegate_plugin_self_tests_total",
    "Self-tests of plugins (golden vectors) before they serve, by plugin and outcome (passed, failed)",
);
pub(super) const PLUGIN_RECORDINGS: Metric = counter(
    "tidegate_plugin_recordings_total",
    "Recordings of the calls of plugins that ended, by plugin and reason (calls, bytes, time, replaced, stopped)",
);
pub(super) const PLUGIN_RECORDED_CALLS: Metric =
    counter("tidegate_plugin_recorded_calls_total", "Calls that are in recordings, by plugin");
pub(super) const PLUGIN_SHADOW_CALLS: Metric = counter(
    "tidegate_plugin_shadow_calls_total",
    "Calls for the candidate of a shadow, by plugin and outcome (same, differs; dropped: too many waited)",
);
pub(super) const PLUGIN_SHADOW_DIFFERENCES: Metric = counter(
    "tidegate_plugin_shadow_differences_total",
    "Differences between the answers of a candidate and of the version that serves, by plugin and kind",
);
pub(super) const PLUGIN_ROLLBACKS: Metric = counter(
    "tidegate_plugin_rollbacks_total",
    "Plugin versions that failed after a swap, by plugin and outcome (rolled_back; kept: the version before does not fit any more)",
);
pub(super) const PLUGIN_BREAKER: Metric = counter(
    "tidegate_plugin_breaker_total",
    "Pauses of plugins after too many faults, and their ends, by plugin, class (authorizer, worker) and outcome (paused, resumed)",
);
pub(super) const PLUGIN_INSTANCES: Metric =
    gauge("tidegate_plugin_instances", "Live plugin instances, by plugin and state (working, resting)");
pub(super) const PLUGIN_INSTANCES_MAX: Metric = gauge(
    "tidegate_plugin_instances_max",
    "Most plugin instances: in total (limits.plugin_instances), and reserved for authorizers (limits.plugin_authorizer_instances)",
);
pub(super) const PLUGIN_INSTANCES_CREATED: Metric =
    counter("tidegate_plugin_instances_created_total", "Created plugin instances, by plugin");
pub(super) const PLUGIN_INSTANCES_RETIRED: Metric = counter(
    "tidegate_plugin_instances_retired_total",
    "Dropped plugin instances, by plugin and reason (failed, calls, memory, idle, per_call, wanted, replaced, trial)",
);
pub(super) const PLUGIN_INSTANCES_WANTED: Metric = gauge(
    "tidegate_plugin_instances_wanted",
    "Calls that wait for a free instance, for all plugins together (limits.plugin_instances)",
);
pub(super) const PLUGIN_CALLS_WAITING: Metric = gauge(
    "tidegate_plugin_calls_waiting",
    "Calls that wait for their turn (the plugin's limits.concurrency), by plugin and class (authorizer, worker)",
);
pub(super) const PLUGIN_WAIT_SECONDS: Metric = seconds(
    "tidegate_plugin_wait_seconds",
    "Waiting time of calls that could not begin at once, by plugin and reason (turn, instance)",
);
pub(super) const PLUGIN_VERSIONS_LINGERING: Metric = gauge(
    "tidegate_plugin_versions_lingering",
    "Replaced plugin versions with calls that still run after limits.plugin_drain, by plugin",
);
pub(super) const PLUGIN_STATE: Metric = gauge(
    "tidegate_plugin_state",
    "1 if a version of the plugin is in this state (active, rejected, quarantined), else 0",
);
pub(super) const AUTHORIZER_CACHE: Metric = counter(
    "tidegate_authorizer_cache_total",
    "Lookups and evictions in the cache of granted answers (limits.authorizer_cache), by plugin and outcome (hit, miss, evicted)",
);
pub(super) const PUBLICATIONS: Metric = counter(
    "tidegate_publications_total",
    "Publications that came to the subscribers of this node, however many there are, by channel template",
);
pub(super) const DELIVERIES: Metric =
    counter("tidegate_deliveries_total", "Publications queued for a subscriber, by channel template");
pub(super) const DELIVERIES_FAILED: Metric = counter(
    "tidegate_deliveries_failed_total",
    "Publications that did not fit into a subscriber's queue, by channel template",
);
pub(super) const SLOW_CONSUMERS: Metric = counter(
    "tidegate_slow_consumers_total",
    "Connections closed because the client reads too slowly (limits.outbound_bytes)",
);
pub(super) const OUTBOUND_BYTES: Metric = gauge("tidegate_outbound_bytes", "Bytes that wait for clients");
pub(super) const STREAMS: Metric = gauge("tidegate_streams", "Open streams of topics (limits.streams)");
pub(super) const CLIENT_LAG_SECONDS: Metric = seconds(
    "tidegate_client_lag_seconds",
    "How far a client is behind, by the channel template of its only topic (- if it holds several or none)",
);
pub(super) const INBOUND_WAITS: Metric = counter(
    "tidegate_inbound_waits_total",
    "Times that a client was read no further because too many of its events waited (limits.inbound_queue)",
);
pub(super) const CONNECTIONS_UNANNOUNCED: Metric = counter(
    "tidegate_connections_unannounced_total",
    "Connections not announced to plugins because too many waited (limits.connection_events)",
);
pub(super) const BRIDGED: Metric = counter(
    "tidegate_bridge_events_total",
    "Bus events that a bridge rule matched, by rule (on, to) and outcome (crossed, removed, revoked, skipped, dead)",
);
pub(super) const BUS_QUEUE: Metric = gauge("tidegate_bus_queue_events", "Bus events that wait for the bridge");
pub(super) const BUS_REFUSED: Metric =
    counter("tidegate_bus_refused_total", "Bus events refused because the queue was full (limits.bus_queue)");
pub(super) const OWN_EVENTS: Metric = counter(
    "tidegate_own_events_total",
    "Events of the server itself that a bridge rule wants, by type and outcome (queued; suppressed: more than ten in a second; dropped: limits.own_events waited; here_only: the broker was away)",
);
pub(super) const BUS_UNLISTED: Metric =
    counter("tidegate_bus_unlisted_total", "Bus events without a bridge rule; the server drops them");
pub(super) const BUS_EVENTS: Metric = counter(
    "tidegate_bus_events_total",
    "Bus events received, by source and outcome (taken, duplicate, unlisted, unreadable)",
);
pub(super) const BUS_DELAY: Metric =
    seconds("tidegate_bus_delay_seconds", "Time from writing a bus event until it crossed the bridge, by source");
pub(super) const BUS_REMEMBERED: Metric =
    gauge("tidegate_bus_remembered_events", "Bus events remembered to ignore duplicates (limits.duplicates)");
pub(super) const BUS_LAG: Metric =
    gauge("tidegate_bus_lag_seconds", "How old the last bus event was when it crossed the bridge, by source");
pub(super) const BUS_SOURCE_UP: Metric = gauge(
    "tidegate_bus_source_up",
    "1 while the server reads a source of bus events, 0 while the source is away, by source",
);
pub(super) const BUS_MISSED: Metric =
    counter("tidegate_bus_missed_total", "Bus events lost before this node read them, by source; a lower bound");
pub(super) const BUS_GAPS: Metric = counter(
    "tidegate_bus_gaps_total",
    "Topics whose subscribers here received a gap because of missed bus events, by source",
);
pub(super) const DEAD_LETTERS: Metric = gauge("tidegate_dead_letters", "Current dead letters");
pub(super) const DEAD_LETTERS_KEPT: Metric = counter(
    "tidegate_dead_letters_kept_total",
    "New dead letters: bus events that a rule matched but that could not cross",
);
pub(super) const DEAD_LETTERS_DROPPED: Metric =
    counter("tidegate_dead_letters_dropped_total", "Dead letters dropped for newer ones (limits.dead_letters)");
pub(super) const DEAD_LETTERS_DISCARDED: Metric =
    counter("tidegate_dead_letters_discarded_total", "Dead letters that an operator discarded");
pub(super) const GENERATION: Metric = gauge("tidegate_generation", "The number of the current catalog");
pub(super) const RELOADS: Metric = counter("tidegate_reloads_total", "Reloads, by outcome (applied, rejected)");
pub(super) const FILES_WATCHED: Metric = gauge(
    "tidegate_files_watched",
    "1 while the system reports changed files, 0 while the server checks them every few seconds",
);
pub(super) const RELOAD_SECONDS: Metric =
    seconds("tidegate_reload_seconds", "Time from the start of an applied reload to the swap");
pub(super) const HTTP_REQUESTS: Metric = counter("tidegate_http_requests_total", "HTTP requests, by route and status");
pub(super) const HTTP_SECONDS: Metric = seconds("tidegate_http_request_seconds", "Duration of HTTP requests, by route");

pub(super) const STORE_UP: Metric =
    gauge("tidegate_store_up", "1 while the store works, 0 while it is away; absent until the store is first needed");
pub(super) const STORE_SWEPT: Metric =
    counter("tidegate_store_swept_total", "Expired keys of plugins that the server removed from the store");
pub(super) const AUTH_UP: Metric = gauge(
    "tidegate_auth_up",
    "1 while the source that a provider asks answers, 0 while it is away, by provider and source; absent until first asked",
);
pub(super) const AUTH_KEYS: Metric = gauge("tidegate_auth_keys", "Keys for checking tokens, by source");
pub(super) const AUTH_LOOKUPS: Metric = counter(
    "tidegate_auth_lookups_total",
    "Lookups of credentials, by provider (introspect, session; jwt for an unknown key) and outcome (user, cached, refused, over, odd, unavailable)",
);
pub(super) const AUTH_LOOKS: Metric = counter(
    "tidegate_auth_looks_total",
    "Repeated checks of the credentials of open sessions, by outcome (same, renewed, over, unavailable)",
);
pub(super) const AUTH_ACTIVITY: Metric = counter(
    "tidegate_auth_activity_total",
    "Sessions whose activity was due for writing back, by outcome (written; failed: the server tries again; dropped: too many sessions)",
);
pub(super) const AUTH_HTTP_REQUESTS: Metric =
    gauge("tidegate_auth_http_requests", "Running HTTP requests of identity providers (limits.auth_requests)");
pub(super) const AUTH_WAITING: Metric = gauge(
    "tidegate_auth_waiting",
    "Tokens with an unknown key that wait for the next fetch of the issuer's keys (limits.auth_waiting)",
);
pub(super) const HISTORY_BYTES: Metric = gauge(
    "tidegate_history_bytes",
    "Bytes of this node's memory that the histories of all topics take (limits.history_bytes); with a broker they are there",
);
pub(super) const CONFLATED: Metric = counter(
    "tidegate_conflated_total",
    "Publications of channels with `delivery.mode: latest` in whose place a newer one of their key went out, by channel template and way (queue: for one client that was behind; at_most: for everybody on the node)",
);
pub(super) const GROUPS_RELIEVED: Metric = counter(
    "tidegate_groups_relieved_total",
    "Times that somebody who published to a topic with many subscribers first delivered what 1,024 publications before it left waiting",
);
pub(super) const THINNING_BYTES: Metric = gauge(
    "tidegate_thinning_bytes",
    "Bytes of keys and values that wait because of `delivery.at_most` (limits.thinning_bytes)",
);
pub(super) const THINNING_OVERFLOWS: Metric = counter(
    "tidegate_thinning_overflows_total",
    "Publications that went out sooner than `delivery.at_most` says, because limits.thinning_bytes were in use, by channel template",
);
pub(super) const RECOVERIES: Metric = counter(
    "tidegate_recoveries_total",
    "Readers that asked for what they missed, by way (since: with a subscribe; http; pid: a stock client by itself), outcome (recovered, not_recovered) and reason (-; expired, too_many, epoch_changed, no_history, unknown_session, other_user)",
);
pub(super) const PARKED_SESSIONS: Metric = gauge(
    "tidegate_parked_sessions",
    "Sessions without a transport whose clients may come back and recover (limits.parked_sessions)",
);
pub(super) const PARKED_SESSIONS_DISPLACED: Metric = counter(
    "tidegate_parked_sessions_displaced_total",
    "Sessions without a transport that were given up for younger ones, because limits.parked_sessions waited",
);
pub(super) const RETAINED_VALUES: Metric = gauge(
    "tidegate_retained_values",
    "Retained values of all topics in this node's memory; with a broker they are there",
);
pub(super) const RETAINED_BYTES: Metric = gauge(
    "tidegate_retained_bytes",
    "Bytes of this node's memory that retained values and versions take (limits.retained_bytes); with a broker they are there",
);
pub(super) const RETAINED_DISPLACED: Metric = counter(
    "tidegate_retained_displaced_total",
    "Retained values and versions in this node's memory that made room for others, by limit (keys, bytes: of the channel; retained_bytes: of the node)",
);
pub(super) const PUBLICATIONS_STALE: Metric = counter(
    "tidegate_publications_stale_total",
    "Publications that were not newer than the last one of their key and went to nobody, by channel",
);
pub(super) const BROKER_UP: Metric = gauge(
    "tidegate_broker_up",
    "1 while both connections to the broker work and it accepts publications, else 0; absent with one node",
);
pub(super) const BROKER_PUBLISHED: Metric = counter(
    "tidegate_broker_published_total",
    "Publications for other nodes, by outcome (taken; refused: the broker was away, its queue was full, or it did not answer in time)",
);
pub(super) const BROKER_SECONDS: Metric =
    seconds("tidegate_broker_publish_seconds", "Time until the broker accepted a publication for other nodes");
pub(super) const BROKER_HEARD: Metric = counter("tidegate_broker_heard_total", "Messages received from other nodes");
pub(super) const BROKER_QUEUE: Metric =
    gauge("tidegate_broker_queue", "Commands that wait for the broker (limits.broker_queue)");
pub(super) const BROKER_QUEUE_BYTES: Metric = gauge(
    "tidegate_broker_queue_bytes",
    "Bytes that wait for the broker or are on their way to it (limits.broker_queue_bytes)",
);
pub(super) const BROKER_TOPICS: Metric = gauge("tidegate_broker_topics", "Topics that this node listens to");
pub(super) const BROKER_GAPS: Metric = counter(
    "tidegate_broker_gaps_total",
    "Topics whose subscribers here received a gap because of missed publications",
);
pub(super) const BROKER_RATES: Metric = counter(
    "tidegate_broker_rates_total",
    "Messages of users checked against rate limits that all nodes share, by outcome (ok, limited; unasked: the broker was away)",
);
pub(super) const REVOCATIONS: Metric = gauge("tidegate_revocations", "Revocations in force (limits.revocations)");
pub(super) const CREDENTIALS_AHEAD: Metric = gauge(
    "tidegate_credentials_ahead",
    "Credentials remembered because their issuer's clock is ahead of this server's clock (limits.revocations)",
);
pub(super) const REVOCATIONS_TAKEN: Metric =
    counter("tidegate_revocations_total", "Revocations put in force, by origin (http, bridge, store, broker, start)");
pub(super) const REAUTHORIZED: Metric = counter(
    "tidegate_reauthorized_total",
    "Subscriptions re-authorized, by channel template and outcome (kept; lost; doubted: kept because the authorizer could not decide; given_up: it could not for auth.recheck_grace)",
);
pub(super) const TCP_CONNECTIONS: Metric =
    gauge("tidegate_tcp_connections", "Open TCP connections, websockets included");
pub(super) const TCP_CONNECTIONS_MAX: Metric = gauge(
    "tidegate_tcp_connections_max",
    "Most TCP connections (limits.tcp_connections, or as many as the file descriptors allow)",
);
pub(super) const TCP_REFUSED: Metric = counter(
    "tidegate_tcp_refused_total",
    "TCP connections beyond the limit, answered with 503 (limits.tcp_connections)",
);
pub(super) const TCP_TIMEOUTS: Metric =
    counter("tidegate_tcp_timeouts_total", "Waits for a client that timed out, by phase (head, body, idle, write)");
pub(super) const ACCEPT_ERRORS: Metric = counter(
    "tidegate_accept_errors_total",
    "New TCP connections that the system refused, mostly because file descriptors ran out",
);
pub(super) const LOG_LINES_DROPPED: Metric = counter(
    "tidegate_log_lines_dropped_total",
    "Dropped lines of standard error or output: the reader is gone or too slow (limits.log_queue)",
);
pub(super) const PANICS: Metric =
    counter("tidegate_panics_total", "Panics (bugs) caught at the edge of a task, by place");

pub(super) const PRESENCE_MEMBERS: Metric = gauge(
    "tidegate_presence_members",
    "Users and anonymous connections present on topics of this node (limits.presence_members)",
);
pub(super) const IDEMPOTENT: Metric = counter(
    "tidegate_idempotent_total",
    "Publishes with an idempotency key, by outcome (first; repeated: the first answer again; conflict: another body; released: the publish was refused and the key is free; late: the first took too long; away: the broker was away), and keys forgotten for newer ones (forgotten: limits.idempotency_keys)",
);

/// Every metric there is.
pub(super) const METRICS: &[Metric] = &[
    MEMORY,
    CONNECTIONS,
    CONNECTIONS_OPENED,
    CONNECTIONS_CLOSED,
    CONNECTIONS_REFUSED,
    SESSIONS_UNKNOWN,
    SUBSCRIPTIONS,
    GATE_DECISIONS,
    GATE_SECONDS,
    PLUGIN_CALLS,
    PLUGIN_SECONDS,
    PLUGIN_FAULTS,
    CANNOT_TELL,
    PLUGIN_HOST_CALLS,
    PLUGIN_HOST_SECONDS,
    PLUGIN_HTTP_REQUESTS,
    PLUGIN_LOG_DROPPED,
    PLUGIN_COMPILES,
    PLUGIN_COMPILE_SECONDS,
    PLUGIN_CACHE_REJECTED,
    PLUGIN_SELF_TESTS,
    PLUGIN_RECORDINGS,
    PLUGIN_RECORDED_CALLS,
    PLUGIN_SHADOW_CALLS,
    PLUGIN_SHADOW_DIFFERENCES,
    PLUGIN_ROLLBACKS,
    PLUGIN_BREAKER,
    PLUGIN_INSTANCES,
    PLUGIN_INSTANCES_MAX,
    PLUGIN_INSTANCES_CREATED,
    PLUGIN_INSTANCES_RETIRED,
    PLUGIN_INSTANCES_WANTED,
    PLUGIN_CALLS_WAITING,
    PLUGIN_WAIT_SECONDS,
    PLUGIN_VERSIONS_LINGERING,
    PLUGIN_STATE,
    AUTHORIZER_CACHE,
    PUBLICATIONS,
    DELIVERIES,
    DELIVERIES_FAILED,
    SLOW_CONSUMERS,
    OUTBOUND_BYTES,
    STREAMS,
    CLIENT_LAG_SECONDS,
    INBOUND_WAITS,
    CONNECTIONS_UNANNOUNCED,
    BRIDGED,
    PRESENCE_MEMBERS,
    IDEMPOTENT,
    BUS_QUEUE,
    BUS_REFUSED,
    OWN_EVENTS,
    BUS_UNLISTED,
    BUS_EVENTS,
    BUS_DELAY,
    BUS_REMEMBERED,
    BUS_LAG,
    BUS_SOURCE_UP,
    BUS_MISSED,
    BUS_GAPS,
    DEAD_LETTERS,
    DEAD_LETTERS_KEPT,
    DEAD_LETTERS_DROPPED,
    DEAD_LETTERS_DISCARDED,
    GENERATION,
    RELOADS,
    FILES_WATCHED,
    RELOAD_SECONDS,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    STORE_UP,
    STORE_SWEPT,
    AUTH_UP,
    AUTH_KEYS,
    AUTH_LOOKUPS,
    AUTH_LOOKS,
    AUTH_ACTIVITY,
    AUTH_HTTP_REQUESTS,
    AUTH_WAITING,
    HISTORY_BYTES,
    CONFLATED,
    GROUPS_RELIEVED,
    THINNING_BYTES,
    THINNING_OVERFLOWS,
    RECOVERIES,
    PARKED_SESSIONS,
    PARKED_SESSIONS_DISPLACED,
    RETAINED_VALUES,
    RETAINED_BYTES,
    RETAINED_DISPLACED,
    PUBLICATIONS_STALE,
    BROKER_UP,
    BROKER_PUBLISHED,
    BROKER_SECONDS,
    BROKER_HEARD,
    BROKER_QUEUE,
    BROKER_QUEUE_BYTES,
    BROKER_TOPICS,
    BROKER_GAPS,
    BROKER_RATES,
    REVOCATIONS,
    CREDENTIALS_AHEAD,
    REVOCATIONS_TAKEN,
    REAUTHORIZED,
    TCP_CONNECTIONS,
    TCP_CONNECTIONS_MAX,
    TCP_REFUSED,
    TCP_TIMEOUTS,
    ACCEPT_ERRORS,
    LOG_LINES_DROPPED,
    PANICS,
    TEAM_BUDGET,
    TEAM_USED,
    TEAM_REFUSED,
    SPANS,
    SPANS_WAITING,
    OTLP_REQUESTS,
    OTLP_UP,
];
