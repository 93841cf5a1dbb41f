//! `tidegate plugin list`: what a running server says of its plugins.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::{Answer, Format, show};

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Where the server is; plain HTTP, as it serves it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3000")]
    url: String,
    /// An API key that may `operate`
    #[arg(long, value_name = "KEY", env = "TIDEGATE_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let answer = self.ask()?;
        Ok(match self.format {
            Format::Json => Answer::json(&answer),
            Format::Text => Answer::ok(text(&answer)),
        })
    }

    fn ask(&self) -> Result<Value, Failure> {
        let key = self.key.as_deref().filter(|key| !key.is_empty()).ok_or(Failure::NoApiKey)?;
        // No proxy: it is asked beside the server, where a proxy would not know the way.
        let config =
            ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.build().into();
        let url = format!("{}/v1/plugins", self.url.trim_end_matches('/'));
        let unreachable = |error: ureq::Error| Failure::NoServer { url: self.url.clone(), why: error.to_string() };
        let asked = agent.get(&url).header("authorization", format!("Bearer {key}")).call();
        let mut response = asked.map_err(unreachable)?;
        let status = response.status().as_u16();
        let answer: Option<Value> = response.body_mut().read_json().ok();
        match answer {
            Some(answer) if status == 200 && answer["plugins"].is_array() => Ok(answer),
            answer => {
                let said = answer.and_then(|answer| Some(answer["error"]["message"].as_str()?.to_owned()));
                Err(Failure::Refused {
                    url,
                    status,
                    said: said.unwrap_or_else(|| "no answer of a tidegate".to_owned()),
                })
            }
        }
    }
}

/// A table, and below it why versions were rejected and what failed last.
fn text(answer: &Value) -> String {
    let plugins = answer["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if plugins.is_empty() {
        return "no plugins\n".to_owned();
    }
    let header =
        ["PLUGIN", "STATE", "VERSION", "COMPONENT", "KINDS", "VECTORS", "CALLS", "FAULTS", "FROM"].map(str::to_owned);
    let mut shown = show::table([header].into_iter().chain(plugins.iter().map(row)).collect());
    for plugin in plugins {
        let name = plugin["name"].as_str().unwrap_or_default();
        for reason in plugin["reasons"].as_array().into_iter().flatten() {
            shown += &format!("{name}: rejected: {}\n", reason.as_str().unwrap_or_default());
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

fn row(plugin: &Value) -> [String; 9] {
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
        number(&service["calls"]),
        number(&service["faults"]),
        service["cached"].as_bool().map_or_else(nothing, |cached| if cached { "cache" } else { "compiler" }.to_owned()),
    ]
}
