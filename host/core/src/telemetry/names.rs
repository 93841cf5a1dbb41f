//! The names of every metric and event: the one list that the code, the tests and the manual share.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How long something took, in seconds.
    Seconds,
}

/// One metric: its name, what it is, and its `# HELP`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}

const fn seconds(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Seconds, help }
}

pub(super) const CONNECTIONS: Metric = gauge("tidegate_connections", "Connections open now");
pub(super) const CONNECTIONS_OPENED: Metric = counter("tidegate_connections_opened_total", "Connections let in");
pub(super) const CONNECTIONS_CLOSED: Metric =
    counter("tidegate_connections_closed_total", "Connections ended, by reason");
pub(super) const CONNECTIONS_REFUSED: Metric =
    counter("tidegate_connections_refused_total", "Connections refused, by code");
pub(super) const SESSIONS_UNKNOWN: Metric = counter(
    "tidegate_sessions_unknown_total",
    "Requests of sessions that are not here: ended, or another node's behind a balancer without sticky sessions",
);
pub(super) const SUBSCRIPTIONS: Metric = gauge("tidegate_subscriptions", "Subscriptions held now, by channel template");
pub(super) const GATE_DECISIONS: Metric =
    counter("tidegate_gate_decisions_total", "Decisions, by gate, channel template and outcome (ok or a code)");
pub(super) const GATE_SECONDS: Metric =
    seconds("tidegate_gate_seconds", "Time a gate took to decide, plugins included, by gate and channel template");
pub(super) const PLUGIN_CALLS: Metric =
    counter("tidegate_plugin_calls_total", "Plugin calls, by plugin, kind and outcome");
pub(super) const PLUGIN_SECONDS: Metric =
    seconds("tidegate_plugin_call_seconds", "Time a plugin call took, by plugin and kind");
pub(super) const PLUGIN_FAULTS: Metric =
    counter("tidegate_plugin_faults_total", "Plugin failures, by plugin, kind of fault and channel template");
pub(super) const CANNOT_TELL: Metric = counter(
    "tidegate_plugin_cannot_tell_total",
    "Answers of authorizers that they cannot tell, by plugin, action (connect, subscribe, send) and channel template",
);
pub(super) const PLUGIN_HOST_CALLS: Metric = counter(
    "tidegate_plugin_host_calls_total",
    "Calls of granted imports, by plugin, import (secrets, kv, queries, http) and outcome (ok, the contract's error, or cancelled)",
);
pub(super) const PLUGIN_HOST_SECONDS: Metric =
    seconds("tidegate_plugin_host_call_seconds", "Time a call of a granted import took, by plugin and import");
pub(super) const PLUGIN_HTTP_REQUESTS: Metric =
    gauge("tidegate_plugin_http_requests", "HTTP requests of plugins under way now (limits.plugin_requests)");
pub(super) const PLUGIN_LOG_DROPPED: Metric = counter(
    "tidegate_plugin_log_lines_dropped_total",
    "Log lines of plugins beyond limits.log_lines or limits.log_rate, by plugin",
);
pub(super) const PLUGIN_COMPILES: Metric = counter(
    "tidegate_plugin_compiles_total",
    "Plugins made ready, by where the native code came from (compiler, cache)",
);
pub(super) const PLUGIN_COMPILE_SECONDS: Metric =
    seconds("tidegate_plugin_compile_seconds", "Time it took to have a plugin's native code, by where it came from");
pub(super) const PLUGIN_CACHE_REJECTED: Metric = counter(
    "tidegate_plugin_cache_rejected_total",
    "Compiled plugins in the cache that were not what the server had kept, and were compiled anew",
);
pub(super) const PLUGIN_SELF_TESTS: Metric = counter(
    "tidegate_plugin_self_tests_total",
    "Runs of a plugin's golden vectors before it serves, by plugin and outcome (passed, failed)",
);
pub(super) const PLUGIN_ROLLBACKS: Metric = counter(
    "tidegate_plugin_rollbacks_total",
    "Versions that failed after a swap, by plugin and outcome (rolled_back; kept: the one before does not fit any more)",
);
pub(super) const PLUGIN_BREAKER: Metric = counter(
    "tidegate_plugin_breaker_total",
    "Plugins paused after too many faults and called again, by plugin, class (authorizer, worker) and outcome (paused, resumed)",
);
pub(super) const PLUGIN_INSTANCES: Metric =
    gauge("tidegate_plugin_instances", "Instances alive now, by plugin and state (working, resting)");
pub(super) const PLUGIN_INSTANCES_MAX: Metric = gauge(
    "tidegate_plugin_instances_max",
    "Instances there may be, for all (limits.plugin_instances), and of those for authorizers only (limits.plugin_authorizer_instances)",
);
pub(super) const PLUGIN_INSTANCES_CREATED: Metric =
    counter("tidegate_plugin_instances_created_total", "Instances made, by plugin");
pub(super) const PLUGIN_INSTANCES_RETIRED: Metric = counter(
    "tidegate_plugin_instances_retired_total",
    "Instances gone, by plugin and reason (failed, calls, memory, idle, per_call, wanted, replaced, trial)",
);
pub(super) const PLUGIN_INSTANCES_WANTED: Metric = gauge(
    "tidegate_plugin_instances_wanted",
    "Calls of all plugins that wait for an instance (limits.plugin_instances)",
);
pub(super) const PLUGIN_CALLS_WAITING: Metric = gauge(
    "tidegate_plugin_calls_waiting",
    "Calls that wait for their turn (limits.concurrency of the plugin), by plugin and class (authorizer, worker)",
);
pub(super) const PLUGIN_WAIT_SECONDS: Metric = seconds(
    "tidegate_plugin_wait_seconds",
    "Time calls waited that could not begin at once, by plugin and what for (turn, instance)",
);
pub(super) const PLUGIN_VERSIONS_LINGERING: Metric = gauge(
    "tidegate_plugin_versions_lingering",
    "Versions replaced longer than limits.plugin_drain ago whose calls still run, by plugin",
);
pub(super) const PLUGIN_STATE: Metric = gauge(
    "tidegate_plugin_state",
    "1 when a version of the plugin is in the state (active, rejected, quarantined), else 0",
);
pub(super) const AUTHORIZER_CACHE: Metric = counter(
    "tidegate_authorizer_cache_total",
    "Granted answers looked up and given way (limits.authorizer_cache), by plugin and outcome (hit, miss, evicted)",
);
pub(super) const DELIVERIES: Metric =
    counter("tidegate_deliveries_total", "Publications queued for a subscriber, by channel template");
pub(super) const DELIVERIES_FAILED: Metric = counter(
    "tidegate_deliveries_failed_total",
    "Publications that a subscriber's queue did not take, by channel template",
);
pub(super) const OUTBOUND_OVERFLOWS: Metric = counter(
    "tidegate_outbound_overflows_total",
    "Connections closed because they did not read (limits.outbound_queue)",
);
pub(super) const INBOUND_OVERFLOWS: Metric = counter(
    "tidegate_inbound_overflows_total",
    "Client events refused because too many were waiting (limits.inbound_queue)",
);
pub(super) const CONNECTIONS_UNANNOUNCED: Metric = counter(
    "tidegate_connections_unannounced_total",
    "Connections that plugins do not hear of because too many were waiting (limits.connection_events)",
);
pub(super) const BRIDGED: Metric = counter(
    "tidegate_bridge_events_total",
    "Bus events a bridge rule matched, by rule (on, to) and outcome (crossed, revoked, skipped, dead)",
);
pub(super) const BUS_QUEUE: Metric = gauge("tidegate_bus_queue_events", "Bus events waiting for the bridge");
pub(super) const BUS_REFUSED: Metric =
    counter("tidegate_bus_refused_total", "Bus events refused because the queue was full (limits.bus_queue)");
pub(super) const BUS_UNLISTED: Metric =
    counter("tidegate_bus_unlisted_total", "Bus events that no bridge rule lists; they go nowhere");
pub(super) const BUS_EVENTS: Metric = counter(
    "tidegate_bus_events_total",
    "Bus events from outside, by source and outcome (taken, duplicate, unlisted, unreadable)",
);
pub(super) const BUS_DELAY: Metric =
    seconds("tidegate_bus_delay_seconds", "Time from when a bus event was written until it had crossed, by source");
pub(super) const BUS_REMEMBERED: Metric =
    gauge("tidegate_bus_remembered_events", "Bus events remembered, so that none is taken twice (limits.duplicates)");
pub(super) const BUS_SOURCE_UP: Metric =
    gauge("tidegate_bus_source_up", "1 while a source of bus events is read, 0 while it is away, by source");
pub(super) const BUS_MISSED: Metric =
    counter("tidegate_bus_missed_total", "Bus events that were gone before this node read them, at least, by source");
pub(super) const BUS_GAPS: Metric = counter(
    "tidegate_bus_gaps_total",
    "Topics whose subscribers here were told that they may have missed bus events, by source",
);
pub(super) const DEAD_LETTERS: Metric = gauge("tidegate_dead_letters", "Dead letters kept now");
pub(super) const DEAD_LETTERS_KEPT: Metric =
    counter("tidegate_dead_letters_kept_total", "Bus events that a rule matched and that could not cross");
pub(super) const DEAD_LETTERS_DROPPED: Metric =
    counter("tidegate_dead_letters_dropped_total", "Dead letters pushed out by newer ones (limits.dead_letters)");
pub(super) const DEAD_LETTERS_DISCARDED: Metric =
    counter("tidegate_dead_letters_discarded_total", "Dead letters that an operator discarded");
pub(super) const GENERATION: Metric = gauge("tidegate_generation", "The number of the catalog in force");
pub(super) const RELOADS: Metric = counter("tidegate_reloads_total", "Reloads, by outcome (applied, rejected)");
pub(super) const FILES_WATCHED: Metric = gauge(
    "tidegate_files_watched",
    "1 while the system tells of changed files, 0 while they are looked at every few seconds",
);
pub(super) const RELOAD_SECONDS: Metric =
    seconds("tidegate_reload_seconds", "Time from the start of an applied reload to the swap");
pub(super) const HTTP_REQUESTS: Metric = counter("tidegate_http_requests_total", "HTTP requests, by route and status");
pub(super) const HTTP_SECONDS: Metric = seconds("tidegate_http_request_seconds", "Time an HTTP answer took, by route");

pub(super) const STORE_UP: Metric =
    gauge("tidegate_store_up", "1 while the store works, 0 while it is away; not there before it is first needed");
pub(super) const STORE_SWEPT: Metric =
    counter("tidegate_store_swept_total", "Keys of plugins taken out of the store because their time was over");
pub(super) const AUTH_UP: Metric = gauge(
    "tidegate_auth_up",
    "1 while what a provider asks answers, 0 while it is away, by provider and source; not there before it was asked",
);
pub(super) const AUTH_KEYS: Metric = gauge("tidegate_auth_keys", "Keys that tokens are checked with, by source");
pub(super) const AUTH_LOOKUPS: Metric = counter(
    "tidegate_auth_lookups_total",
    "Credentials looked for, by provider (introspect, session; jwt where the key was not known) and outcome (user, cached, refused, over, odd, unavailable)",
);
pub(super) const AUTH_LOOKS: Metric = counter(
    "tidegate_auth_looks_total",
    "Credentials of open sessions looked at again, by outcome (same, renewed, over, unavailable)",
);
pub(super) const AUTH_ACTIVITY: Metric = counter(
    "tidegate_auth_activity_total",
    "Sessions whose use was to be written back, by outcome (written; failed: tried again; dropped: too many sessions)",
);
pub(super) const AUTH_HTTP_REQUESTS: Metric =
    gauge("tidegate_auth_http_requests", "HTTP requests of providers under way now (limits.auth_requests)");
pub(super) const AUTH_WAITING: Metric = gauge(
    "tidegate_auth_waiting",
    "Tokens with an unknown key that wait for the issuer's keys to be read again (limits.auth_waiting)",
);
pub(super) const BROKER_UP: Metric = gauge(
    "tidegate_broker_up",
    "1 while both links to the broker's Redis work and it takes what is published, else 0; not there with one node",
);
pub(super) const BROKER_PUBLISHED: Metric = counter(
    "tidegate_broker_published_total",
    "Publications for other nodes, by outcome (taken; refused: the broker was away, its queue full or its time over)",
);
pub(super) const BROKER_SECONDS: Metric =
    seconds("tidegate_broker_publish_seconds", "Time until the broker took a publication for other nodes");
pub(super) const BROKER_HEARD: Metric = counter("tidegate_broker_heard_total", "Messages heard from other nodes");
pub(super) const BROKER_QUEUE: Metric =
    gauge("tidegate_broker_queue", "Words waiting for the broker's Redis (limits.broker_queue)");
pub(super) const BROKER_QUEUE_BYTES: Metric = gauge(
    "tidegate_broker_queue_bytes",
    "Bytes waiting for the broker's Redis or on their way to it (limits.broker_queue_bytes)",
);
pub(super) const BROKER_TOPICS: Metric = gauge("tidegate_broker_topics", "Topics this node listens to now");
pub(super) const BROKER_GAPS: Metric = counter(
    "tidegate_broker_gaps_total",
    "Topics whose subscribers here were told that they may have missed something",
);
pub(super) const BROKER_RATES: Metric = counter(
    "tidegate_broker_rates_total",
    "Messages of users looked up in windows that all nodes share, by outcome (ok, limited; unasked: the broker was away)",
);
pub(super) const REVOCATIONS: Metric =
    gauge("tidegate_revocations", "Revocations that still matter (limits.revocations)");
pub(super) const CREDENTIALS_AHEAD: Metric = gauge(
    "tidegate_credentials_ahead",
    "Credentials remembered because they were issued ahead of this server's clock: an issuer's clock is not in step (limits.revocations)",
);
pub(super) const REVOCATIONS_TAKEN: Metric = counter(
    "tidegate_revocations_total",
    "Revocations put in force, by where they came from (http, bridge, store, broker, start)",
);
pub(super) const REAUTHORIZED: Metric = counter(
    "tidegate_reauthorized_total",
    "Subscriptions asked about again, by channel template and outcome (kept; lost; doubted: the authorizer could not tell, kept; given_up: it could not for auth.recheck_grace)",
);
pub(super) const TCP_CONNECTIONS: Metric =
    gauge("tidegate_tcp_connections", "TCP connections open now, those of websockets included");
pub(super) const TCP_CONNECTIONS_MAX: Metric = gauge(
    "tidegate_tcp_connections_max",
    "TCP connections there may be (limits.tcp_connections, or what the descriptors are enough for)",
);
pub(super) const TCP_REFUSED: Metric =
    counter("tidegate_tcp_refused_total", "TCP connections beyond the limit, answered 503 (limits.tcp_connections)");
pub(super) const TCP_TIMEOUTS: Metric =
    counter("tidegate_tcp_timeouts_total", "Waits for a peer that were given up, by phase (head, body, idle, write)");
pub(super) const ACCEPT_ERRORS: Metric = counter(
    "tidegate_accept_errors_total",
    "Times the system refused a new TCP connection, most often for want of descriptors",
);
pub(super) const LOG_LINES_DROPPED: Metric = counter(
    "tidegate_log_lines_dropped_total",
    "Lines that standard error or output did not take: nobody reads, or too slowly (limits.log_queue)",
);
pub(super) const PANICS: Metric = counter("tidegate_panics_total", "Bugs caught at a task's edge, by place");

/// Every metric there is.
pub(super) const METRICS: &[Metric] = &[
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
    DELIVERIES,
    DELIVERIES_FAILED,
    OUTBOUND_OVERFLOWS,
    INBOUND_OVERFLOWS,
    CONNECTIONS_UNANNOUNCED,
    BRIDGED,
    BUS_QUEUE,
    BUS_REFUSED,
    BUS_UNLISTED,
    BUS_EVENTS,
    BUS_DELAY,
    BUS_REMEMBERED,
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
];

pub(super) const CONNECT: &str = "realtime.connect";
pub(super) const DISCONNECT: &str = "realtime.disconnect";
pub(super) const AUTH_FAILED: &str = "realtime.auth_failed";
pub(super) const AUTH_AWAY: &str = "auth.away";
pub(super) const AUTH_ODD: &str = "auth.odd";
pub(super) const AUTH_BACK: &str = "auth.back";
pub(super) const AUTH_KEYS_READ: &str = "auth.keys";
pub(super) const BOUNDARY_VIOLATION: &str = "realtime.boundary_violation";
pub(super) const PLUGIN_FAULT: &str = "plugin.fault";
pub(super) const PLUGIN_CANNOT_TELL: &str = "plugin.cannot_tell";
pub(super) const GIVEN_UP: &str = "realtime.given_up";
pub(super) const PLUGIN_COMPILED: &str = "plugin.compiled";
pub(super) const PLUGIN_TESTED: &str = "plugin.tested";
pub(super) const PLUGIN_ROLLED_BACK: &str = "plugin.rolled_back";
pub(super) const PLUGIN_FAILING: &str = "plugin.failing";
pub(super) const PLUGIN_LINGERS: &str = "plugin.lingers";
pub(super) const PLUGIN_CLEARED: &str = "plugin.cleared";
pub(super) const PLUGIN_KEPT_OUT: &str = "plugin.kept_out";
pub(super) const PLUGIN_QUARANTINE: &str = "plugin.quarantine";
pub(super) const PLUGIN_PAUSED: &str = "plugin.paused";
pub(super) const PLUGIN_RESUMED: &str = "plugin.resumed";
pub(super) const PLUGIN_CACHE: &str = "plugin.cache";
pub(super) const CATALOG_NOTE: &str = "catalog.note";
pub(super) const RELOAD_APPLIED: &str = "reload.applied";
pub(super) const RELOAD_REJECTED: &str = "reload.rejected";
pub(super) const RELOAD_HELD_UP: &str = "reload.held_up";
pub(super) const RELOAD_REVERTED: &str = "reload.reverted";
pub(super) const RELOAD_UNWATCHED: &str = "reload.unwatched";
pub(super) const RELOAD_WATCHED: &str = "reload.watched";
pub(super) const DEAD_LETTER: &str = "bridge.dead_letter";
pub(super) const DEAD_LETTER_DISCARDED: &str = "bridge.discarded";
pub(super) const BUS_AWAY: &str = "bus.away";
pub(super) const BUS_BACK: &str = "bus.back";
pub(super) const BUS_MISSED_EVENT: &str = "bus.missed";
pub(super) const BUS_OUTDATED: &str = "bus.outdated";
pub(super) const BUS_FORGOTTEN: &str = "bus.forgotten";
pub(super) const STORE_AWAY: &str = "store.away";
pub(super) const STORE_BACK: &str = "store.back";
pub(super) const BROKER_AWAY: &str = "broker.away";
pub(super) const BROKER_BACK: &str = "broker.back";
pub(super) const BROKER_REFUSED: &str = "broker.refused";
pub(super) const REVOCATION_TAKEN: &str = "revocation.taken";
pub(super) const REVOCATION_UNKEPT: &str = "revocation.unkept";
pub(super) const REVOCATION_UNLOADED: &str = "revocation.unloaded";
pub(super) const REVOCATION_LOADED: &str = "revocation.loaded";
pub(super) const LISTENING: &str = "server.listening";
pub(super) const SERVER_DRAINING: &str = "server.draining";
pub(super) const STOPPED: &str = "server.stopped";
pub(super) const SERVER_FULL: &str = "server.full";
pub(super) const ACCEPT_FAILED: &str = "server.accept_failed";
pub(super) const ACCEPTING: &str = "server.accepting";
pub(super) const DESCRIPTORS: &str = "server.descriptors";
pub(super) const LOG_DROPPED: &str = "log.lines_dropped";
pub(super) const PANIC: &str = "server.panic";
