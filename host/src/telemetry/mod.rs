//! What an operator sees: every metric and event name in one place. No tokens, no payloads.
//!
//! | metric | labels | |
//! |---|---|---|
//! | `tidegate_connections` | | open now |
//! | `tidegate_connections_opened_total` `…_closed_total` `…_refused_total` | `reason` of a close, `code` of a refusal | |
//! | `tidegate_subscriptions` | `channel` | held now |
//! | `tidegate_gate_decisions_total` | `gate` `channel` `outcome` | `outcome` is `ok` or a code |
//! | `tidegate_gate_seconds` | `gate` `channel` | time to decide, plugins included |
//! | `tidegate_plugin_calls_total` | `plugin` `kind` `outcome` | `kind` is `handler` or `authorizer` |
//! | `tidegate_plugin_call_seconds` | `plugin` `kind` | |
//! | `tidegate_plugin_faults_total` | `plugin` `kind` `channel` | `kind` is `trap`, `timeout`, `memory`, … |
//! | `tidegate_plugin_host_calls_total` | `plugin` `import` `outcome` | `import` is `secrets`, `kv`, `queries` or `http`; `outcome` is `ok`, the error of the contract or `cancelled` |
//! | `tidegate_plugin_host_call_seconds` | `plugin` `import` | |
//! | `tidegate_plugin_log_lines_dropped_total` | `plugin` | `limits.log_lines`, `limits.log_rate` |
//! | `tidegate_plugin_compiles_total` `tidegate_plugin_compile_seconds` | `from` | `compiler`, `cache` |
//! | `tidegate_plugin_cache_rejected_total` | | entries that were not what was kept |
//! | `tidegate_authorizer_cache_total` | `plugin` `outcome` | `hit`, `miss`, `evicted`; `limits.authorizer_cache` |
//! | `tidegate_deliveries_total` `tidegate_deliveries_failed_total` | `channel` | per subscriber |
//! | `tidegate_outbound_overflows_total` `tidegate_inbound_overflows_total` | | `limits.outbound_queue`, `limits.inbound_queue` |
//! | `tidegate_bridge_events_total` | `on` `to` `outcome` | `crossed`, `skipped`, `dead` |
//! | `tidegate_bus_queue_events` `tidegate_bus_refused_total` | | `limits.bus_queue` |
//! | `tidegate_bus_unlisted_total` | | events that no bridge rule lists |
//! | `tidegate_dead_letters` `…_kept_total` `…_dropped_total` | | `limits.dead_letters` |
//! | `tidegate_generation` `tidegate_reloads_total` `tidegate_reload_seconds` | `outcome` | `applied`, `rejected` |
//! | `tidegate_http_requests_total` `tidegate_http_request_seconds` | `route` `status` | |
//! | `tidegate_panics_total` | `place` | bugs, caught |
//!
//! `channel` is always the template, `-` when no channel declares the topic.
//!
//! | event | level | fields |
//! |---|---|---|
//! | `realtime.connect` `realtime.disconnect` | info | `connection` `user` `transport` / `reason` |
//! | `realtime.auth_failed` | warn | `connection` `code` `origin` |
//! | `realtime.boundary_violation` | warn | `gate` `connection` `user` `channel` `code` |
//! | `plugin.fault` | error | `plugin` `kind` `channel` `detail` |
//! | `plugin.compiled` | info | `plugin` `component` `cached` `elapsed_ms` |
//! | `plugin.cache` | warn | `component` / `directory`, `why` |
//! | `bridge.dead_letter` | warn | `id` `on` `to` `reason` |
//! | `reload.applied` `reload.rejected` | info, error | `generation` `elapsed_ms` / `mistakes` `first` |
//! | `server.panic` | error | `place` `detail` |
//! | `server.listening` `server.draining` `server.stopped` | info | `address` / `connections` / `connections_cut` |
//!
//! The name is the field `event`. Of the events that clients or plugins can cause at will, ten a second and name are
//! logged at their level with the number of those that were not (`suppressed`); the others are logged at `debug`.

mod events;
mod logging;
mod metrics;
mod names;
mod registry;

pub use events::{
    auth_failed, boundary_violation, connected, dead_letter, disconnected, draining, listening, panicked,
    plugin_cache_rejected, plugin_cache_unusable, plugin_compiled, plugin_fault, reload_applied, reload_rejected,
    stopped,
};
pub use logging::{LogFormat, LoggingError, check_filter, init_logging};
pub use metrics::{
    Gate, NO_CHANNEL, authorizer_cache, bridged, bus_queue, bus_refused, bus_unlisted, connection_closed,
    connection_opened, connection_refused, dead_letter_dropped, dead_letters, delivered, gate, generation,
    http_request, inbound_overflow, outbound_overflow, plugin_call, plugin_host_call, plugin_log_dropped, subscribed,
    unsubscribed,
};
pub use registry::render;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_metric_is_rendered_with_its_help_once_it_was_recorded() {
        let time = Duration::from_micros(30);
        connection_opened();
        connection_closed("test");
        connection_refused("unavailable");
        subscribed("a");
        unsubscribed("a");
        gate(Gate::Inbound, "a", "ok", time);
        plugin_call("p", "handler", "ok", time);
        plugin_host_call("p", "kv", "ok", time);
        plugin_log_dropped("p", 3);
        plugin_fault("p", "trap", "a", "detail");
        plugin_compiled("p", "digest", true, time);
        plugin_cache_rejected("digest", "why");
        authorizer_cache("p", "hit");
        delivered("a", 1, 1);
        outbound_overflow();
        inbound_overflow();
        bridged("x", "a", "dead");
        bus_queue(3);
        bus_refused(2);
        bus_unlisted(1);
        dead_letters(1);
        dead_letter("id", "x", "a", "reason");
        dead_letter_dropped();
        reload_applied(1, time);
        reload_rejected(2, "first");
        http_request("/v1/events", 202, time);
        panicked("test", "detail");
        let text = render();
        for metric in names::METRICS {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{} in {text}", metric.name);
        }
        let described = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(described, names::METRICS.len(), "nothing is recorded that is not in the list");
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
