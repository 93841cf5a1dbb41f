//! Everything that an operator sees: the names of all metrics and events in one place. No tokens, no payloads.
//!
//! The tables of metrics and events, with their labels and fields, are in `host/OPERATING.md`.

mod auth;
#[cfg(test)]
mod board;
mod bus;
mod event_names;
mod events;
mod export;
mod files;
mod gathered;
mod logging;
mod metric;
mod metrics;
mod names;
mod operator;
mod output;
mod panics;
mod proof;
mod publications;
mod readings;
mod registry;
mod reloads;
mod retained;
mod tcp;
mod teams;
mod trace;

pub use auth::{
    auth_activity, auth_away, auth_back, auth_http_request, auth_keys, auth_look, auth_lookup, auth_up, auth_waiting,
};
pub use bus::{
    bus_away, bus_back, bus_delay, bus_events, bus_forgotten, bus_gaps, bus_missed, bus_outdated, bus_remembered,
    bus_stands_by, own_event,
};
pub use events::{
    PluginFault, RevocationTaken, Sampler, auth_failed, auth_odd, boundary_violation, broker_away, broker_back,
    broker_refused, cannot_tell, catalog_note, connected, dead_letter, dead_letter_discarded, disconnected, draining,
    given_up, listening, panicked, plugin_cache_rejected, plugin_cache_unusable, plugin_cleared, plugin_compiled,
    plugin_failing, plugin_fault, plugin_kept_out, plugin_lingers, plugin_not_rolled_back, plugin_paused,
    plugin_quarantine_unusable, plugin_resumed, plugin_rolled_back, plugin_tested, revocation, revocation_unkept,
    revocations_loaded, revocations_unloaded, stopped, store_away, store_back,
};
pub use export::{Signal, collector_away, collector_back, collector_rejected, collector_request, spans_over};
pub use files::{files_unwatched, files_watched, files_watched_again};
pub use gathered::{Family, FamilyKind, Labels, Point, Value, gathered};
pub use logging::{LogFormat, LoggingError, check_filter, init_logging};
pub use metrics::{
    Gate, NO_CHANNEL, UnderWay, authorizer_cache, bridged, broker_gap, broker_heard, broker_published, broker_queue,
    broker_rate, broker_topics, broker_up, bus_queue, bus_refused, bus_unlisted, client_lag, conflated,
    connection_closed, connection_opened, connection_refused, connection_unannounced, credentials_ahead,
    dead_letter_dropped, dead_letters, delivered, gate, generation, group_relieved, history_bytes, http_request,
    idempotent, inbound_wait, outbound_bytes, parked_session_displaced, parked_sessions, plugin_call,
    plugin_calls_waiting, plugin_host_call, plugin_http_request, plugin_instance_created, plugin_instance_retired,
    plugin_instances, plugin_instances_max, plugin_instances_wanted, plugin_log_dropped, plugin_state,
    plugin_versions_lingering, plugin_waited, presence_members, reauthorized, recovery, revocations, session_unknown,
    slow_consumer, store_swept, store_up, stream, subscribed, thinning_bytes, thinning_overflow, unsubscribed,
};
pub use operator::{
    operator_asked, operator_cleared, operator_disconnected, operator_retried, operator_revoked, operator_signed_in,
    operator_signed_out, operator_unsubscribed, tail_begun,
};
pub use output::{complain, finish_output, say};
pub use proof::{
    plugin_call_recorded, plugin_recording_begun, plugin_recording_ended, plugin_shadow_begun, plugin_shadow_broken,
    plugin_shadow_call, plugin_shadow_difference,
};
pub use publications::published;
pub use readings::{BridgeReading, SourceReading, bridge_reading};
pub use registry::{count_nothing_here, render};
pub use reloads::{reload_applied, reload_held_up, reload_policy, reload_rejected, reload_reverted};
pub use retained::{publication_stale, retained, retained_displaced};
pub use tcp::{
    accept_failed, accepting_again, descriptors_too_few, tcp_connection, tcp_connection_refused, tcp_connections_max,
    tcp_timeout,
};
pub use teams::{over_budget, team_budget};

pub use trace::{Attribute, FinishedSpan, RecordedSpans, Span, SpanKind, current_trace, record_spans, with_trace};

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn record_of_traces() {
        spans_over("exported", 1);
        trace::waiting(0);
        collector_request(Signal::Traces, "taken");
        collector_away(Signal::Traces, "http://collector", "why");
        collector_back(Signal::Traces, "http://collector");
        collector_rejected(Signal::Metrics, "http://collector", "why");
    }

    fn record_of_proof() {
        plugin_recording_begun("p", "version", "operator", 10);
        plugin_call_recorded("p");
        plugin_recording_ended("p", "version", "operator", "calls", 10, 1000);
        plugin_shadow_begun("p", "version", "component", "5%");
        plugin_shadow_broken("p", "version", "file", "why");
        plugin_shadow_call("p", "same");
        plugin_shadow_difference("p", "reply");
    }

    fn record_of_plugins(time: Duration) {
        plugin_call("p", "handler", "ok", time);
        plugin_host_call("p", "kv", "ok", time);
        drop(plugin_http_request());
        record_providers();
        plugin_log_dropped("p", 3);
        plugin_fault(&PluginFault {
            plugin: "p",
            version: None,
            kind: "trap",
            channel: "a",
            user: None,
            detail: "detail",
            input: None,
        });
        plugin_state("p", "active", true);
        plugin_paused("p", "worker", time);
        plugin_resumed("p", "worker");
        plugin_compiled("p", "digest", true, time);
        plugin_cache_rejected("digest", "why");
        plugin_tested("p", "digest", 2, 1, time);
        plugin_instance_created("p");
        plugin_instance_retired("p", "idle");
        plugin_instances("p", 1, 2);
        plugin_instances_max("all", 256);
        plugin_instances_wanted(1);
        plugin_calls_waiting("p", "worker", 1);
        plugin_waited("p", "turn", time);
        plugin_versions_lingering("p", 1);
        plugin_rolled_back("p", "from", "to", 2, "reason");
    }

    fn record_of_state(time: Duration) {
        store_up(true);
        session_unknown();
        broker_up(true);
        broker_published(true, time);
        broker_heard();
        broker_queue(1, 1);
        broker_topics(1);
        broker_gap();
        broker_rate("ok");
        history_bytes(1);
        recovery("since", Some("expired"));
        parked_sessions(1);
        parked_session_displaced();
        group_relieved();
        retained(1, 2);
        retained_displaced("keys");
        publication_stale("a");
        store_swept(3);
        revocations(2);
        credentials_ahead(1);
        revocation(&RevocationTaken {
            id: "id",
            user: None,
            topic: None,
            reason: None,
            from: "http",
            sessions: 1,
            subscriptions: 0,
        });
        reauthorized("a", "kept");
        given_up("a", "a", None, time);
        cannot_tell("p", "a", "subscribe", None, "why");
    }

    fn record_connections() {
        connection_opened();
        connection_closed("test");
        connection_refused("unavailable");
        drop(stream());
        drop(tcp_connection());
        tcp_connections_max(3);
        tcp_connection_refused(3);
        tcp_timeout("head");
        accept_failed("why");
    }

    fn record_providers() {
        auth_away("jwt", "s", "why");
        auth_back("jwt", "s");
        auth_up("jwt", "s", true);
        auth_keys("s", 2);
        auth_lookup("session", "user");
        auth_look("same");
        auth_odd("introspect", "s", "why");
        auth_activity("written", 1);
        drop(auth_http_request());
        drop(auth_waiting());
    }

    /// Every metric, with every label.
    pub(super) fn record_everything() {
        let time = Duration::from_micros(30);
        record_connections();
        files_watched();
        subscribed("a");
        unsubscribed("a");
        gate(Gate::Inbound, "a", "ok", time);
        authorizer_cache("p", "hit");
        published("a");
        delivered("a", 1, 1);
        conflated("a", "queue", 1);
        thinning_bytes(1);
        thinning_overflow("a");
        slow_consumer();
        inbound_wait();
        outbound_bytes(1);
        client_lag("a", time);
        connection_unannounced();
        bridged("x", "a", "dead");
        presence_members(1);
        idempotent("first", 1);
        bus_queue(3);
        bus_refused(2);
        own_event("tidegate.node.joined", "queued");
        bus_unlisted(1);
        bus_events("redis:a", "taken", 1);
        bus_delay("redis:a", time);
        bus_remembered(1);
        bus_back("redis:a", "the start");
        bus_missed("redis:a", 3, "why");
        bus_gaps("redis:a", 1);
        dead_letters(1);
        dead_letter("id", "x", "a", "reason");
        dead_letter_dropped();
        dead_letter_discarded("id", "x", "a", "operator", None);
        reload_applied(1, time);
        reload_rejected(2, "first");
        http_request("/v1/events", 202, time);
        record_of_plugins(time);
        record_of_proof();
        record_of_state(time);
        panicked("test", "detail");
        registry::measure_memory();
        metrics::log_lines_dropped(1);
        team_budget("t", "cpu", 1.0, 25.0, 1);
        over_budget("t", "cpu", 25.0, 0);
        record_of_traces();
    }

    #[test]
    fn every_metric_is_rendered_with_its_help_once_it_was_recorded() {
        record_everything();
        let text = render();
        for metric in names::METRICS {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{} in {text}", metric.name);
        }
        let described = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(described, names::METRICS.len(), "nothing is recorded that is not in the list");
    }

    #[test]
    fn the_table_of_metrics_in_the_manual_is_the_list() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../OPERATING.md");
        let kept = std::fs::read_to_string(&page).unwrap();
        let (before, rest) = kept.split_once("<!-- generated: metrics -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        let mut made = format!("{before}<!-- generated: metrics -->\n| metric | type | |\n|---|---|---|\n");
        for metric in names::METRICS {
            let kind = match metric.kind {
                metric::Kind::Counter => "counter",
                metric::Kind::Gauge => "gauge",
                metric::Kind::Seconds => "histogram",
            };
            made += &format!("| `{}` | {kind} | {} |\n", metric.name, metric.help);
        }
        made += &format!("<!-- end -->{after}");
        if std::env::var_os("TIDEGATE_UPDATE").is_some() {
            std::fs::write(&page, &made).unwrap();
        } else {
            assert!(
                made == kept,
                "`TIDEGATE_UPDATE=1 cargo test --workspace` writes the table of metrics in OPERATING.md:\n{made}"
            );
        }
    }

    #[test]
    fn a_gate_is_counted_by_channel_and_outcome_and_timed_by_channel() {
        for _ in 0..3 {
            gate(Gate::Subscribe, "counted.{id}", "ok", Duration::from_micros(7));
        }
        gate(Gate::Subscribe, "counted.{id}", "forbidden", Duration::from_millis(1));
        let text = render();
        let line = |outcome| {
            format!(r#"tidegate_gate_decisions_total{{gate="subscribe",channel="counted.{{id}}",outcome="{outcome}"}}"#)
        };
        assert!(text.contains(&format!("{} 3", line("ok"))), "{text}");
        assert!(text.contains(&format!("{} 1", line("forbidden"))), "{text}");
        let seconds = r#"tidegate_gate_seconds_bucket{gate="subscribe",channel="counted.{id}",le="0.00001"} 3"#;
        assert!(text.contains(seconds), "{text}");
    }

    #[test]
    fn a_label_seen_by_two_threads_is_one_series() {
        let count = || gate(Gate::Broadcast, "two-threads", "ok", Duration::ZERO);
        count();
        std::thread::spawn(count).join().unwrap();
        let line = r#"tidegate_gate_decisions_total{gate="broadcast",channel="two-threads",outcome="ok"} 2"#;
        assert!(render().contains(line));
    }
}
