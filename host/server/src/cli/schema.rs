//! `tidegate schema`: the JSON Schemas with which editors complete and check the YAML files, and the SQL of an outbox.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Answer;
use super::failure::Failure;
use tidegate_backends::bus::{OutboxRoles, outbox_sql};
use tidegate_core::config::TableName;
use tidegate_core::{channels, config};

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The file to describe, or `outbox` for the SQL that creates an outbox in PostgreSQL
    #[arg(value_enum, required_unless_present = "write")]
    of: Option<Of>,
    /// Write every schema next to the files that it describes, below this directory
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".", conflicts_with = "of")]
    write: Option<PathBuf>,
    /// The table of the outbox, as `outbox` in the configuration names it
    #[arg(long, value_name = "TABLE", default_value = "tidegate_outbox")]
    table: TableName,
    /// Grant this role what the server needs for the outbox
    #[arg(long, value_name = "ROLE")]
    server: Option<String>,
    /// Grant this role what an application needs for publishing
    #[arg(long, value_name = "ROLE")]
    application: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// channels/*.yaml
    Channel,
    /// config/bridge.yaml
    Bridge,
    /// config/tidegate.yaml
    Tidegate,
    /// plugins/*/plugin.yaml
    Plugin,
    /// The tables and functions of an outbox, as SQL
    Outbox,
}

impl Of {
    /// The schema of a YAML file, and the path where it is kept.
    fn schema(self) -> Option<(&'static str, Value)> {
        match self {
            Self::Channel => Some(("channels/channel.schema.json", channels::manifest_schema())),
            Self::Bridge => Some(("config/bridge.schema.json", channels::bridge_schema())),
            Self::Tidegate => Some(("config/tidegate.schema.json", config::schema())),
            Self::Plugin => Some(("plugins/plugin.schema.json", tidegate_wasm::manifest_schema())),
            Self::Outbox => None,
        }
    }
}

/// The schema of each YAML file, and the path where it is kept.
pub(super) fn for_editors() -> Vec<(&'static str, Value)> {
    Of::value_variants().iter().filter_map(|of| of.schema()).collect()
}

impl Schema {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        if let Some(of) = self.of {
            return Ok(match of.schema() {
                Some((_, schema)) => Answer::json(&schema),
                None => Answer::ok(self.outbox()),
            });
        }
        let root = self.write.unwrap_or_default();
        let mut text = String::new();
        for (path, schema) in for_editors() {
            let path = root.join(path);
            write(&path, &schema)?;
            text += &format!("wrote {}\n", path.strip_prefix(".").unwrap_or(&path).display());
        }
        Ok(Answer::ok(text))
    }

    fn outbox(&self) -> String {
        let roles = OutboxRoles { server: self.server.as_deref(), application: self.application.as_deref() };
        outbox_sql(&self.table, roles)
    }
}

fn write(path: &Path, schema: &Value) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(path, format!("{schema:#}\n")));
    written.map_err(|source| Failure::File { path: path.display().to_string(), source })
}
