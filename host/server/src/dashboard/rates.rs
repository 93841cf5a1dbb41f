//! What is published while an operator looks at it: the rates of channels, plugins and bridge rules.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::change::Change;
use super::sampler::Application;
use tidegate_core::flow::ports::PluginStatus;

const DECISIONS: &str = "tidegate_gate_decisions_total";
const BRIDGED: &str = "tidegate_bridge_events_total";
/// What a bridge rule did with an event.
const OUTCOMES: [&str; 5] = ["crossed", "removed", "revoked", "skipped", "dead"];
const BUS_EVENTS: &str = "tidegate_bus_events_total";
const SOURCE_UP: &str = "tidegate_bus_source_up";
const CALLS: &str = "tidegate_plugin_calls_total";

/// Every declared channel.
pub(super) fn channels(change: &Change<'_>, application: &Application, now_ms: u64) -> Value {
    let by = |labels| change.rates(DECISIONS, "channel", labels);
    let (all, passed) = (by(&[]), by(&[("outcome", "ok")]));
    let published = change.rates("tidegate_publications_total", "channel", &[]);
    let delivered = change.rates("tidegate_deliveries_total", "channel", &[]);
    let subscriptions = change.now.sums("tidegate_subscriptions", "channel", &[]);
    let of = |rates: &std::collections::BTreeMap<&str, f64>, name: &str| rates.get(name).copied().unwrap_or_default();
    let serving = application.gates.serving();
    let channels: Map<String, Value> = serving
        .catalog
        .channels()
        .map(|channel| {
            let name = channel.template.as_str();
            let rates = json!({
                "subscriptions": of(&subscriptions, name),
                "publications_per_s": of(&published, name),
                "deliveries_per_s": of(&delivered, name),
                "refused_per_s": (of(&all, name) - of(&passed, name)).max(0.0),
            });
            (name.to_owned(), rates)
        })
        .collect();
    json!({ "at_ms": now_ms, "channels": channels })
}

/// Every version of every plugin, as `GET /v1/plugins` has them; the active one with its rates.
pub(super) fn plugins(change: &Change<'_>, application: &Application, now_ms: u64) -> Value {
    let version = |status: PluginStatus| {
        let mut shown = serde_json::to_value(status).unwrap_or_default();
        // They may show payloads: `GET /v1/plugins` knows who may read them.
        shown.as_object_mut().and_then(|shown| shown.remove("last_faults"));
        let name = shown["name"].as_str().unwrap_or_default().to_owned();
        if shown["state"] == "active" {
            let labels = [("plugin", name.as_str())];
            let times = change.times("tidegate_plugin_call_seconds", &labels);
            shown["calls_per_s"] = change.per_s(CALLS, &labels).into();
            shown["faults_per_s"] = change.per_s("tidegate_plugin_faults_total", &labels).into();
            shown["p50_ms"] = times.quantile_ms(0.5);
            shown["p99_ms"] = times.quantile_ms(0.99);
            shown["instances"] = shown["service"]["instances"].clone();
            let is_open = shown["service"]["paused"].as_array().is_some_and(|paused| !paused.is_empty());
            shown["breaker"] = if is_open { "open" } else { "closed" }.into();
        }
        shown
    };
    let versions: Vec<Value> = application.plugins.list().into_iter().map(version).collect();
    json!({ "at_ms": now_ms, "plugins": versions })
}

/// Every rule with its counts since the start, and every source.
pub(super) fn bridge(change: &Change<'_>, application: &Application, now_ms: u64) -> Value {
    let now = change.now;
    let serving = application.gates.serving();
    let rule = |rule: &std::sync::Arc<tidegate_core::channels::BridgeRule>| {
        let (on, to) = (rule.id().on.as_str(), rule.id().to.as_str());
        let mut shown = json!({ "on": on, "to": to, "per_s": change.per_s(BRIDGED, &[("on", on), ("to", to)]) });
        for outcome in OUTCOMES {
            shown[outcome] = now.sum(BRIDGED, &[("on", on), ("to", to), ("outcome", outcome)]).into();
        }
        shown
    };
    let rules: Vec<Value> = serving.catalog.bridge().rules().map(rule).collect();
    let events = now.sums(BUS_EVENTS, "source", &[]);
    let up = now.sums(SOURCE_UP, "source", &[]);
    let names: BTreeSet<&str> = events.keys().chain(up.keys()).copied().collect();
    let source = |name: &str| {
        let lag = change.times("tidegate_bus_delay_seconds", &[("source", name)]);
        json!({
            "source": name,
            "up": up.get(name).is_none_or(|up| *up > 0.0),
            "lag_ms": lag.quantile_ms(0.99),
            "events": events.get(name).copied().unwrap_or_default(),
        })
    };
    let sources: Vec<Value> = names.into_iter().map(source).collect();
    json!({ "at_ms": now_ms, "rules": rules, "sources": sources, "dead_letters": now.sum("tidegate_dead_letters", &[]) })
}
