//! `tidegate check`: the same path as a start, and nothing is served.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::failure::{self, Failure};
use super::load::Load;
use super::{Answer, Format, complain};
use crate::app::{self, Checked};
use crate::channels::{Catalog, judge_examples};
use crate::config::Diagnostic;
use crate::plugins::KeptOut;
use crate::reload;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

impl Check {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let format = self.format;
        match self.check(plugins).await {
            Ok((counts, notes)) if format == Format::Json => Ok(Answer::json(&json!({
                "ok": true, "channels": counts[0], "plugins": counts[1], "bridge_rules": counts[2], "examples": counts[3],
                "notes": failure::to_json(&notes),
            }))),
            Ok(([channels, plugins, rules, examples], notes)) => {
                notes.iter().for_each(|note| complain(&format!("{}\n", note.render_as("note"))));
                Ok(Answer::ok(format!(
                    "ok: {}, {}, {}, {}\n",
                    counted(channels, "channel"),
                    counted(plugins, "plugin"),
                    counted(rules, "bridge rule"),
                    counted(examples, "example")
                )))
            }
            Err(Failure::Mistakes(mistakes)) if format == Format::Json => {
                let answer = Answer::json(&json!({ "ok": false, "mistakes": failure::to_json(&mistakes) }));
                Ok(Answer { exit: Failure::Mistakes(mistakes).exit_code(plugins.as_deref()), ..answer })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn check(self, plugins: &mut Option<PathBuf>) -> Result<([usize; 4], Vec<Diagnostic>), Failure> {
        let config = self.load.config_to_look_at()?;
        *plugins = Some(config.plugins.clone());
        let Checked { serving, secrets_missing, store_missing, plugins: count, kept_out } = app::check(&config).await?;
        for name in secrets_missing {
            complain(&format!("note: `{name}` is not set; `tidegate serve` will need it, a plugin is granted it\n"));
        }
        if let Some(file) = store_missing {
            let file = file.display();
            complain(&format!(
                "note: `{file}` is not there, so the queries that plugins are granted were not prepared\n"
            ));
        }
        for KeptOut { plugin, reason, .. } in kept_out {
            complain(&format!(
                "note: plugin `{plugin}` is quarantined: {reason}; `tidegate serve` would start without it and refuse what \
                 needs it, until another file lies there or `tidegate plugin clear {plugin}` lets it in\n"
            ));
        }
        let catalog = &serving.catalog;
        let examples = examples(&config.channels, catalog)?;
        let counts = [catalog.channels().len(), count, catalog.bridge().rules().len(), examples];
        Ok((counts, catalog.notes().to_vec()))
    }
}

/// Judges every example of every channel, and counts those that hold.
fn examples(channels: &Path, catalog: &Catalog) -> Result<usize, Failure> {
    let (mut held, mut mistakes) = (0, Vec::new());
    for file in reload::read_channel_examples(channels).map_err(Failure::Mistakes)? {
        match judge_examples(&file, catalog) {
            Ok(count) => held += count,
            Err(mut others) => mistakes.append(&mut others),
        }
    }
    if mistakes.is_empty() { Ok(held) } else { Err(Failure::Mistakes(mistakes)) }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
