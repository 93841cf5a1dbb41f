//! `tidegate plugin clear`: re-admits plugin versions that were rolled back: through the server, or in the quarantine
//! file of the configuration if no server runs.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::ask::{Ask, escaped};
use crate::cli::failure::Failure;
use crate::cli::load::Load;
use crate::cli::{Answer, Format};
use tidegate_wasm::Quarantine;

#[derive(Debug, Args)]
pub(in crate::cli) struct Clear {
    /// The name of a plugin, or at least 12 digits of the digest of a component or version
    #[arg(value_name = "NAME|DIGEST")]
    what: String,
    #[command(flatten)]
    ask: Ask,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

impl Clear {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let Self { what, ask, format, load } = self;
        let path = format!("/v1/plugins/quarantine/{}", escaped(&what));
        let server = ask.server(&load);
        let (cleared, place) = match server.delete(&path, "cleared") {
            Ok(mut answer) => (pairs(&answer["cleared"].take()), format!("the server at {}", server.url)),
            // Whoever cannot be reached may still be there, and would write its own file.
            Err(Failure::NoServer { nobody: true, .. }) => in_file(what, &load, &server.url)?,
            Err(Failure::Refused { status: 404, .. }) => {
                return Err(Failure::NotQuarantined { what, place: server.url });
            }
            // Without a key the way out is another one than with a wrong key.
            Err(Failure::Refused { status: 401, .. }) if server.key().is_err() => return Err(Failure::NoApiKey),
            Err(failure) => return Err(failure),
        };
        Ok(match format {
            Format::Json => {
                let one = |(plugin, digest): &(String, String)| json!({ "plugin": plugin, "digest": digest });
                Answer::json(&json!({ "cleared": cleared.iter().map(one).collect::<Vec<_>>(), "by": place }))
            }
            Format::Text => {
                let line = |(plugin, digest): &(String, String)| {
                    format!("cleared {plugin} {}, by {place}\n", digest.get(..12).unwrap_or(digest))
                };
                Answer::ok(cleared.iter().map(line).collect::<String>())
            }
        })
    }
}

/// Clears the entry in the configuration's quarantine file, because no server runs at this URL.
fn in_file(what: String, load: &Load, url: &str) -> Result<(Vec<(String, String)>, String), Failure> {
    let file = load.places()?.plugin_quarantine;
    let place = file.display().to_string();
    let cleared = Quarantine::at(file).clear(&what);
    let cleared = cleared.map_err(|source| Failure::File { path: place.clone(), source })?;
    if cleared.is_empty() {
        return Err(Failure::NotQuarantined { what, place });
    }
    let names = cleared.iter().map(|entry| entry.names());
    let names = names.map(|(plugin, digest)| (plugin.to_owned(), digest.to_owned())).collect();
    Ok((names, format!("{place} (no server answers at {url})")))
}

fn pairs(cleared: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = cleared.as_array().into_iter().flatten();
    entries.map(|entry| (word(&entry["name"]), word(&entry["digest"]))).collect()
}
