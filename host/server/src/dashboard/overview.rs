//! One sample of `overview`: how the server is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::change::{Change, Reading};
use super::sampler::Application;
use tidegate_core::telemetry::Gate;

const GATES: [Gate; 4] = [Gate::Connect, Gate::Subscribe, Gate::Inbound, Gate::Broadcast];
const DECISIONS: &str = "tidegate_gate_decisions_total";
/// Each is 1 while what its label names is there, and 0 while it is away.
const UP: [(&str, &str); 2] = [("tidegate_bus_source_up", "source"), ("tidegate_auth_up", "source")];

/// Since when something is away, by its name.
#[derive(Default)]
pub(super) struct Away(BTreeMap<String, u64>);

/// A sample.
pub(super) fn sample(change: &Change<'_>, application: &Application, away: &mut Away, now_ms: u64) -> Value {
    let now = change.now;
    let lag = change.times("tidegate_client_lag_seconds", &[]);
    json!({
        "at_ms": now_ms,
        "connections": now.sum("tidegate_connections", &[]),
        "opened_per_s": change.per_s("tidegate_connections_opened_total", &[]),
        "refused": refused(change),
        "publications_per_s": change.per_s("tidegate_publications_total", &[]),
        "deliveries_per_s": change.per_s("tidegate_deliveries_total", &[]),
        "lag_ms": { "p50": lag.quantile_ms(0.5), "p99": lag.quantile_ms(0.99), "slowest": lag.quantile_ms(1.0) },
        "gates": gates(change),
        "memory_bytes": now.sum("tidegate_memory_bytes", &[]),
        "outbound_bytes": now.sum("tidegate_outbound_bytes", &[]),
        "topics": application.clients.topics_count(),
        "teams": application.gates.budgets().standing(),
        "nodes": nodes(now, application),
        "away": away.tell(now, application, now_ms),
    })
}

/// Refused connections, and refusals of the other gates, by code.
fn refused(change: &Change<'_>) -> BTreeMap<String, f64> {
    let mut refused: BTreeMap<String, f64> = BTreeMap::new();
    let connections = change.rates("tidegate_connections_refused_total", "code", &[]);
    let later = GATES.iter().filter(|gate| **gate != Gate::Connect);
    let at_gates = later.flat_map(|gate| change.rates(DECISIONS, "outcome", &[("gate", gate.as_str())]));
    for (code, per_s) in connections.into_iter().chain(at_gates).filter(|(code, _)| *code != "ok") {
        *refused.entry(code.to_owned()).or_default() += per_s;
    }
    refused
}

fn gates(change: &Change<'_>) -> Map<String, Value> {
    let gate = |gate: &Gate| {
        let labels = [("gate", gate.as_str())];
        let times = change.times("tidegate_gate_seconds", &labels);
        let (p50_ms, p99_ms) = (times.quantile_ms(0.5), times.quantile_ms(0.99));
        let said = json!({ "per_s": change.per_s(DECISIONS, &labels), "p50_ms": p50_ms, "p99_ms": p99_ms });
        (gate.as_str().to_owned(), said)
    };
    GATES.iter().map(gate).collect()
}

/// This node and its link to the others; none if it is the only one.
fn nodes(now: &Reading, application: &Application) -> Value {
    if !now.has("tidegate_broker_up") {
        return json!([]);
    }
    json!([{ "node": application.node, "up": now.sum("tidegate_broker_up", &[]) > 0.0 }])
}

impl Away {
    fn tell(&mut self, now: &Reading, application: &Application, now_ms: u64) -> Vec<Value> {
        let mut away: BTreeSet<String> = (application.away)().into_iter().collect();
        for (metric, label) in UP {
            let down = now.sums(metric, label, &[]).into_iter().filter(|(_, up)| *up == 0.0);
            away.extend(down.map(|(source, _)| source.to_owned()));
        }
        self.0.retain(|what, _| away.contains(what));
        for what in away {
            self.0.entry(what).or_insert(now_ms);
        }
        self.0.iter().map(|(what, since_ms)| json!({ "what": what, "since_ms": since_ms })).collect()
    }
}
