//! `tidegate plugin check`: loads plugins in the same way as the server, but serves nothing.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::{self, Failure};
use super::super::show;
use super::super::{Answer, Format, complain, exit};
use super::choose::{self, Choose, Database};
use crate::reload;
use tidegate_core::channels::PluginKind;
use tidegate_core::config::Diagnostic;
use tidegate_wasm::{Effort, Plugin, Services};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    choose: Choose,
}

/// A plugin that loads.
struct Loaded {
    name: String,
    kinds: Vec<&'static str>,
    version: String,
    component: String,
    bytes: usize,
}

impl Check {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let chosen = self.choose.plugins(plugins)?;
        let host = choose::host(self.database.look(Services::in_memory())?, self.choose.cache(), Effort::Full)?;
        let host = host.refusing(Arc::new(self.choose.quarantine()?));
        let mut loaded = Vec::new();
        let mut mistakes: Vec<Diagnostic> = Vec::new();
        for plugin in &chosen {
            match reload::read_plugin(&plugin.path) {
                Ok(source) => {
                    let bytes = source.component.len();
                    match host.load(source).await {
                        Ok(plugin) => loaded.push(Loaded::new(&plugin, bytes)),
                        Err(mut errors) => mistakes.append(&mut errors),
                    }
                }
                Err(mut errors) => mistakes.append(&mut errors),
            }
        }
        let is_ok = mistakes.is_empty();
        let answer = match self.format {
            Format::Text => {
                if !is_ok {
                    complain(&failure::render(&mistakes));
                }
                Answer::ok(show::table(loaded.iter().map(Loaded::row).collect()))
            }
            Format::Json => Answer::json(&json!({
                "ok": is_ok,
                "plugins": loaded.iter().map(Loaded::to_json).collect::<Vec<_>>(),
                "mistakes": failure::to_json(&mistakes),
            })),
        };
        Ok(if is_ok { answer } else { Answer { exit: exit::PLUGIN, ..answer } })
    }
}

impl Loaded {
    fn new(plugin: &Plugin, bytes: usize) -> Self {
        let kinds = plugin.kinds().iter().map(PluginKind::as_str).collect();
        let (version, component) = (plugin.version().to_owned(), plugin.digest().short().to_owned());
        Self { name: plugin.name().to_string(), kinds, version, component, bytes }
    }

    fn row(&self) -> [String; 6] {
        let size = show::bytes(u64::try_from(self.bytes).unwrap_or(u64::MAX));
        let (version, component) = (format!("version {}", self.version), format!("component {}", self.component));
        ["ok".to_owned(), self.name.clone(), self.kinds.join(", "), version, component, size]
    }

    fn to_json(&self) -> Value {
        json!({
            "plugin": self.name,
            "kinds": self.kinds,
            "version": self.version,
            "component": self.component,
            "bytes": self.bytes,
        })
    }
}
