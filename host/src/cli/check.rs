//! `tidegate check`: the same path as a start, and nothing is served.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failure::{self, Failure};
use super::load::Load;
use super::{Answer, Format, complain};
use crate::app::{self, Checked};
use crate::channels::{Catalog, InboundAction};

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
            Ok(counts) if format == Format::Json => Ok(Answer::json(&json!({
                "ok": true, "channels": counts[0], "plugins": counts[1], "bridge_rules": counts[2],
            }))),
            Ok([channels, plugins, rules]) => Ok(Answer::ok(format!(
                "ok: {}, {}, {}\n",
                counted(channels, "channel"),
                counted(plugins, "plugin"),
                counted(rules, "bridge rule")
            ))),
            Err(Failure::Mistakes(mistakes)) if format == Format::Json => {
                let answer = Answer::json(&json!({ "ok": false, "mistakes": failure::to_json(&mistakes) }));
                Ok(Answer { exit: Failure::Mistakes(mistakes).exit_code(plugins.as_deref()), ..answer })
            }
            Err(failure) => Err(failure),
        }
    }

    async fn check(self, plugins: &mut Option<PathBuf>) -> Result<[usize; 3], Failure> {
        let config = self.load.config_to_look_at()?;
        *plugins = Some(config.plugins.clone());
        let Checked { serving, secrets_missing, store_missing } = app::check(&config).await?;
        for name in secrets_missing {
            complain(&format!("note: `{name}` is not set; `tidegate serve` will need it, a plugin is granted it\n"));
        }
        if let Some(file) = store_missing {
            let file = file.display();
            complain(&format!(
                "note: `{file}` is not there, so the queries that plugins are granted were not prepared\n"
            ));
        }
        let catalog = &serving.catalog;
        Ok([catalog.channels().len(), plugins_in_use(catalog), catalog.bridge().rules().len()])
    }
}

fn plugins_in_use(catalog: &Catalog) -> usize {
    let mut names = BTreeSet::new();
    for channel in catalog.channels() {
        names.extend(channel.authorizer.clone());
        if let Some(InboundAction::Handler(plugin)) = channel.inbound.as_ref().map(|inbound| &inbound.action) {
            names.insert(plugin.clone());
        }
    }
    names.len()
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
