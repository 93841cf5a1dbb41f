//! `tidegate check`: runs the same steps as a start, but serves nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::failure::{self, Failure};
use super::load::Load;
use super::plugin::{all_plugins, build_changed};
use super::{Answer, Format, complain};
use crate::app::{self, AppError, Checked};
use crate::reload;
use tidegate_core::channels::{Catalog, judge_examples, read_examples};
use tidegate_core::config::{Diagnostic, Failed};
use tidegate_wasm::KeptOut;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Build plugins first whose component is not of their present source
    #[arg(long)]
    build: bool,
    /// The output format
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

    /// Reports the errors of every file, even if other files have errors, too.
    async fn check(self, plugins: &mut Option<PathBuf>) -> Result<([usize; 4], Vec<Diagnostic>), Failure> {
        let (config, mut mistakes) = match self.load.config_despite() {
            Ok(config) => (config, Vec::new()),
            Err(Failed { mistakes, rest: Some(rest) }) => (*rest, mistakes),
            Err(Failed { mistakes, rest: None }) => return Err(Failure::Mistakes(mistakes)),
        };
        *plugins = Some(config.plugins.clone());
        if self.build {
            // A directory that cannot be read is told below.
            build_changed(&all_plugins(&config.plugins).unwrap_or_default())?;
        }
        let checked = match app::check(&config).await {
            Ok(checked) => Some(checked),
            Err(AppError::Diagnostics(mut others)) => {
                mistakes.append(&mut others);
                None
            }
            Err(failure) if mistakes.is_empty() => return Err(failure.into()),
            Err(_) => None,
        };
        let catalog = match &checked {
            Some(checked) => Some(checked.serving.catalog.clone()),
            // Whatever the plugins are.
            None => Load::channels_alone(&config).map(Arc::new),
        };
        let examples = examples(&config.channels, catalog.as_deref(), &mut mistakes);
        let Some(checked) = checked.filter(|_| mistakes.is_empty()) else { return Err(Failure::Mistakes(mistakes)) };
        note(&checked);
        let catalog = &checked.serving.catalog;
        let counts = [catalog.channels().len(), checked.plugins, catalog.bridge().rules().len(), examples];
        Ok((counts, catalog.notes().to_vec()))
    }
}

/// What is not an error here, but would be one where the server runs.
fn note(checked: &Checked) {
    for name in &checked.secrets_missing {
        complain(&format!(
            "note: `{name}` is not set; `tidegate serve` will need it for a plugin that is granted it\n"
        ));
    }
    if let Some(file) = &checked.store_missing {
        let file = file.display();
        complain(&format!("note: `{file}` does not exist, so the queries of plugins were not checked\n"));
    }
    for KeptOut { plugin, reason, .. } in &checked.kept_out {
        complain(&format!(
            "note: plugin `{plugin}` is quarantined: {reason}; `tidegate serve` would start without it and refuse \
             requests that need it, until you replace the component or run `tidegate plugin clear {plugin}`\n"
        ));
    }
}

/// Checks every example of every channel, and counts the valid ones. If the channels are not known, it checks only the
/// form of the files.
fn examples(channels: &Path, catalog: Option<&Catalog>, mistakes: &mut Vec<Diagnostic>) -> usize {
    let mut held = 0;
    let files = reload::read_channel_examples(channels).unwrap_or_else(|mut unreadable| {
        mistakes.append(&mut unreadable);
        Vec::new()
    });
    for file in files {
        let judged = match catalog {
            Some(catalog) => judge_examples(&file, catalog),
            None => read_examples(&file).map(|()| 0),
        };
        match judged {
            Ok(count) => held += count,
            Err(mut others) => mistakes.append(&mut others),
        }
    }
    held
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
