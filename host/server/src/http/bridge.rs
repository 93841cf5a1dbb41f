//! `GET /v1/bridge`: what becomes of bus events, by rule, and whether their sources are read.

use std::collections::BTreeMap;

use axum::extract;
use axum::http::HeaderMap;
use serde::Serialize;

use super::State;
use super::answer::{Fresh, Problem, fresh};
use super::openapi::{Answers, Caller, Operation, Verb};
use tidegate_core::config::Permission;
use tidegate_core::telemetry::{self, BridgeReading, SourceReading};

pub(super) const SHOW: Operation = Operation {
    method: Verb::Get,
    path: "/v1/bridge",
    id: "bridge",
    summary: "See what became of bus events, by rule and by source",
    caller: Caller::Key(Permission::Operate),
    parameters: &[],
    body: &[],
    answers: Answers {
        status: 200,
        says: "Counts since the start of this process.",
        contents: &[("application/json", "Bridge")],
    },
    refuses: &[],
};

#[derive(Serialize)]
pub(super) struct Shown {
    rules: Vec<Rule>,
    sources: Vec<Source>,
    dead_letters: u64,
    unlisted: u64,
}

#[derive(Serialize)]
struct Rule {
    on: String,
    to: String,
    does: &'static str,
    crossed: u64,
    removed: u64,
    revoked: u64,
    skipped: u64,
    dead: u64,
}

#[derive(Serialize)]
struct Source {
    source: String,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<f64>,
    events: u64,
}

/// `{ rules, sources, dead_letters, unlisted }`: the rules in the order of the table, with the counts of this node. Rules
/// with the same `on` and `to` share their `skipped` and `dead`.
pub(super) async fn show(
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
) -> Result<Fresh<Shown>, Problem> {
    state.admit(&headers, Permission::Operate)?;
    let BridgeReading { rules: counts, mut sources, dead_letters, unlisted } = telemetry::bridge_reading();
    for source in state.bus_sources.unread() {
        sources.entry(source).or_default().up = Some(false);
    }
    let serving = state.gates.serving();
    let rules = serving.catalog.bridge().rules().map(|rule| {
        let id = rule.id();
        let count = |outcome: &str| {
            counts.get(&(id.on.clone(), id.to.clone(), outcome.to_owned())).copied().unwrap_or_default()
        };
        Rule {
            on: id.on.clone(),
            to: id.to.clone(),
            does: match (id.revokes, id.ends_sessions, id.removes) {
                (true, ..) => "revoke",
                (_, true, _) => "end_sessions",
                (.., true) => "remove",
                _ => "publish",
            },
            crossed: count("crossed"),
            removed: count("removed"),
            revoked: count("revoked"),
            skipped: count("skipped"),
            dead: count("dead"),
        }
    });
    Ok(fresh(Shown { rules: rules.collect(), sources: of(sources), dead_letters, unlisted }))
}

fn of(sources: BTreeMap<String, SourceReading>) -> Vec<Source> {
    let source = |(source, reading): (String, SourceReading)| Source {
        source,
        // What has no link is always there.
        up: reading.up.unwrap_or(true),
        lag_ms: reading.lag_s.map(|lag_s| lag_s * 1000.0),
        events: reading.events,
    };
    sources.into_iter().map(source).collect()
}
