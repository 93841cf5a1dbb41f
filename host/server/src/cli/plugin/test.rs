//! `tidegate plugin test`: runs the golden vectors of each plugin on the real host.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::{self, Failure};
use super::super::{Answer, Format, complain, exit};
use super::build::build_changed;
use super::choose::{self, Choose, Database, PluginDirectory};
use crate::reload;
use tidegate_core::config::Diagnostic;
use tidegate_wasm::{Effort, Plugin, PluginHost, Services, Vector};

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Build plugins first whose component is not of their present source
    #[arg(long)]
    build: bool,
    /// Write the present answers into the vectors
    #[arg(long)]
    update: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    choose: Choose,
}

/// The result of one vector.
struct Ran {
    plugin: String,
    vector: String,
    differences: Vec<String>,
    updated: bool,
}

impl Test {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let host = choose::host(Database::default().look(Services::in_memory())?, self.choose.cache(), Effort::Quick)?;
        let mut ran = Vec::new();
        let mut mistakes = Vec::new();
        let chosen = self.choose.plugins(plugins)?;
        if self.build {
            build_changed(&chosen)?;
        }
        for plugin in chosen {
            match self.test(&host, &plugin, &mut mistakes).await {
                Ok(mut one) => ran.append(&mut one),
                Err(Failure::Mistakes(mut errors)) => mistakes.append(&mut errors),
                Err(failure) => return Err(failure),
            }
        }
        let differ = ran.iter().any(|ran| !ran.differences.is_empty());
        let code = match (mistakes.is_empty(), differ) {
            (false, _) => exit::PLUGIN,
            (true, true) => exit::NO,
            (true, false) => exit::OK,
        };
        let answer = match self.format {
            Format::Text => {
                if !mistakes.is_empty() {
                    complain(&failure::render(&mistakes));
                }
                Answer::ok(text(&ran))
            }
            Format::Json => Answer::json(&json!({
                "ok": code == exit::OK,
                "vectors": ran.iter().map(Ran::to_json).collect::<Vec<_>>(),
                "mistakes": failure::to_json(&mistakes),
            })),
        };
        Ok(Answer { exit: code, ..answer })
    }

    async fn test(
        &self,
        host: &PluginHost,
        directory: &PluginDirectory,
        mistakes: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Ran>, Failure> {
        let files = reload::read_vectors(&directory.path).map_err(Failure::Mistakes)?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let source = reload::read_plugin(&directory.path).map_err(Failure::Mistakes)?;
        // Its vectors are run below, one by one.
        let plugin = host.load(source.without_vectors()).await.map_err(Failure::Mistakes)?;
        // What the server asks before a plugin serves, in the time it gives it: on a busy machine, too.
        let trial = host.trial(&plugin).await.map_err(|error| Failure::Mistakes(vec![Diagnostic::new(error)]))?;
        let mut ran = Vec::new();
        for file in &files {
            match Vector::read(file) {
                Ok(vector) => ran.push(self.ask(&trial, &vector).await?),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        Ok(ran)
    }

    async fn ask(&self, plugin: &Plugin, vector: &Vector) -> Result<Ran, Failure> {
        let asked = vector.ask_and_tell(plugin).await;
        let mut differences = vector.judge(&asked);
        let updated = self.update && !differences.is_empty();
        if updated {
            let written = std::fs::write(vector.path(), vector.updated(&asked.answer));
            written.map_err(|source| Failure::File { path: vector.path().to_owned(), source })?;
            differences.clear();
        }
        Ok(Ran { plugin: plugin.name().to_string(), vector: vector.path().to_owned(), differences, updated })
    }
}

impl Ran {
    fn to_json(&self) -> Value {
        json!({
            "plugin": self.plugin,
            "vector": self.vector,
            "ok": self.differences.is_empty(),
            "updated": self.updated,
            "differences": self.differences,
        })
    }
}

fn text(ran: &[Ran]) -> String {
    let mut text = String::new();
    for Ran { vector, differences, updated, .. } in ran {
        let verdict = match (updated, differences.is_empty()) {
            (true, _) => "written",
            (false, true) => "ok     ",
            (false, false) => "differs",
        };
        text += &format!("{verdict}  {vector}\n");
        for difference in differences {
            text += &format!("           {difference}\n");
        }
    }
    let differ = ran.iter().filter(|ran| !ran.differences.is_empty()).count();
    let vectors = if ran.len() == 1 { "1 vector".to_owned() } else { format!("{} vectors", ran.len()) };
    text += &if differ == 0 { format!("{vectors}\n") } else { format!("{vectors}, {differ} differ\n") };
    text
}
