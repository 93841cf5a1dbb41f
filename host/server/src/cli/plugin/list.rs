//! `tidegate plugin list`: the plugins of a running server.

use clap::Args;
use serde_json::Value;

use crate::cli::ask::Ask;
use crate::cli::failure::Failure;
use crate::cli::load::Load;
use crate::cli::{Answer, Format, show};

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    ask: Ask,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

impl List {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let answer = self.ask.server(&self.load).get("/v1/plugins", "plugins")?;
        Ok(match self.format {
            Format::Json => Answer::json(&answer),
            Format::Text => Answer::ok(text(&answer)),
        })
    }
}

/// A table, followed by the reasons why versions were rejected or quarantined, and the latest failures.
fn text(answer: &Value) -> String {
    let plugins = answer["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if plugins.is_empty() {
        return "no plugins\n".to_owned();
    }
    let header =
        ["PLUGIN", "STATE", "VERSION", "COMPONENT", "KINDS", "VECTORS", "INSTANCES", "CALLS", "FAULTS", "FROM"]
            .map(str::to_owned);
    let mut shown = show::table([header].into_iter().chain(plugins.iter().map(row)).collect());
    for plugin in plugins {
        let name = plugin["name"].as_str().unwrap_or_default();
        for reason in plugin["reasons"].as_array().into_iter().flatten() {
            let state = plugin["state"].as_str().unwrap_or_default();
            shown += &format!("{name}: {state}: {}\n", reason.as_str().unwrap_or_default());
        }
        for class in plugin["service"]["paused"].as_array().into_iter().flatten() {
            shown += &format!("{name}: paused after too many faults: {}\n", class.as_str().unwrap_or_default());
        }
        let last = &plugin["service"]["last_fault"];
        if let (Some(kind), Some(detail)) = (last["kind"].as_str(), last["detail"].as_str()) {
            shown += &format!("{name}: last fault: {kind}: {detail}\n");
        }
    }
    shown
}

fn row(plugin: &Value) -> [String; 10] {
    let nothing = || "-".to_owned();
    let word = |value: &Value| value.as_str().map_or_else(nothing, str::to_owned);
    let short = |value: &Value| value.as_str().and_then(|digits| digits.get(..12)).map_or_else(nothing, str::to_owned);
    let number = |value: &Value| value.as_u64().map_or_else(nothing, |number| number.to_string());
    let service = &plugin["service"];
    let kinds: Vec<&str> = service["kinds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    [
        word(&plugin["name"]),
        word(&plugin["state"]),
        short(&plugin["version"]),
        short(&plugin["digest"]),
        if kinds.is_empty() { nothing() } else { kinds.join(", ") },
        number(&service["vectors"]),
        number(&service["instances"]),
        number(&service["calls"]),
        number(&service["faults"]),
        service["cached"].as_bool().map_or_else(nothing, |cached| if cached { "cache" } else { "compiler" }.to_owned()),
    ]
}
