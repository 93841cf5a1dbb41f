//! `tidegate schema`: the JSON Schemas that editors complete and check the YAML files with.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Answer;
use super::failure::Failure;
use crate::{channels, config, plugins};

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// Which file's
    #[arg(value_enum, required_unless_present = "write")]
    of: Option<File>,
    /// Write every schema beside the files it describes, below this directory
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".", conflicts_with = "of")]
    write: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum File {
    /// channels/*.yaml
    Channel,
    /// config/bridge.yaml
    Bridge,
    /// config/tidegate.yaml
    Tidegate,
    /// plugins/*/plugin.yaml
    Plugin,
}

impl File {
    fn schema(self) -> Value {
        match self {
            Self::Channel => channels::manifest_schema(),
            Self::Bridge => channels::bridge_schema(),
            Self::Tidegate => config::schema(),
            Self::Plugin => plugins::manifest_schema(),
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Channel => "channels/channel.schema.json",
            Self::Bridge => "config/bridge.schema.json",
            Self::Tidegate => "config/tidegate.schema.json",
            Self::Plugin => "plugins/plugin.schema.json",
        }
    }
}

impl Schema {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        if let Some(of) = self.of {
            return Ok(Answer::json(&of.schema()));
        }
        let root = self.write.unwrap_or_default();
        let mut text = String::new();
        for file in File::value_variants() {
            let path = root.join(file.path());
            write(&path, &file.schema())?;
            text += &format!("wrote {}\n", path.strip_prefix(".").unwrap_or(&path).display());
        }
        Ok(Answer::ok(text))
    }
}

fn write(path: &Path, schema: &Value) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(path);
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(path, format!("{schema:#}\n")));
    written.map_err(|source| Failure::File { path: path.display().to_string(), source })
}
