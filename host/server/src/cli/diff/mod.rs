//! `tidegate diff`: what a change means for people, before it goes live.

mod git;
mod markdown;
mod side;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::failure::Failure;
use super::{Answer, Format, exit};
use side::Side;
use tidegate_core::channels::{Change, ChangeKind, Subject, diff};

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// What was: a directory, or a revision of git
    old: String,
    /// What is to be: a directory, or a revision of git
    new: String,
    /// The configuration file in each of them [default: config/tidegate.yaml, or else tidegate.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The output format: Markdown for people, JSON for scripts
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// End with exit code 1 if a change is of one of these kinds, separated by commas
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',')]
    fail_on: Vec<Asked>,
}

/// A kind that a gate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked(ChangeKind);

impl ValueEnum for Asked {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<[Asked; ChangeKind::ALL.len()]> = LazyLock::new(|| ChangeKind::ALL.map(Asked));
        &*ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()).help(self.0.explained()))
    }
}

impl Diff {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let config = self.config.as_deref();
        let (old, new) = both(Side::read(&self.old, config), Side::read(&self.new, config))?;
        let changes = diff(&old.policy, &new.policy);
        let asked = |kind: ChangeKind| self.fail_on.iter().any(|asked| kind.counts_as(asked.0));
        let failing = changes.iter().filter(|change| asked(change.kind)).count();
        let text = match self.format {
            Format::Json => format!("{:#}\n", self.to_json(&changes)),
            Format::Text => {
                let mut text = markdown::page(&self.old, &self.new, &changes);
                if !self.fail_on.is_empty() {
                    let names: Vec<&str> = self.fail_on.iter().map(|asked| asked.0.as_str()).collect();
                    text += &format!("\n`--fail-on {}`: {}.\n", names.join(","), counted(failing));
                }
                text
            }
        };
        Ok(Answer { text, exit: if failing > 0 { exit::NO } else { exit::OK } })
    }

    fn to_json(&self, changes: &[Change]) -> Value {
        let asked = |kind: ChangeKind| self.fail_on.iter().any(|asked| kind.counts_as(asked.0));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for change in changes {
            *counts.entry(change.kind.as_str()).or_default() += 1;
        }
        let failed_on = self.fail_on.iter().map(|asked| asked.0);
        let failed_on = failed_on.filter(|asked| changes.iter().any(|change| change.kind.counts_as(*asked)));
        let failed_on: Vec<&str> = failed_on.map(ChangeKind::as_str).collect();
        let told = changes.iter().map(|change| {
            let mut told = json!({
                "kind": change.kind,
                "counts_as": change.kind.also(),
                "fails": asked(change.kind),
                "subject": subject(&change.subject),
                "key": change.key,
                "from": change.from,
                "to": change.to,
                "what": change.what,
                "means": change.means,
            });
            if let Some(shown) = &change.shown {
                told["shown"] = serde_json::to_value(shown).unwrap_or_default();
            }
            told
        });
        let told: Vec<Value> = told.collect();
        json!({ "old": self.old, "new": self.new, "changes": told, "counts": counts, "failed_on": failed_on })
    }
}

fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Channel(channel) => json!({ "channel": channel }),
        Subject::Rule(on, to) => json!({ "rule": { "on": on, "to": to } }),
        Subject::Plugin(plugin) => json!({ "plugin": plugin }),
        Subject::Configuration(part) => json!({ "configuration": part }),
    }
}

fn counted(changes: usize) -> String {
    match changes {
        0 => "no change".to_owned(),
        1 => "1 change".to_owned(),
        many => format!("{many} changes"),
    }
}

/// Both, or the mistakes of both.
fn both(old: Result<Side, Failure>, new: Result<Side, Failure>) -> Result<(Side, Side), Failure> {
    match (old, new) {
        (Ok(old), Ok(new)) => Ok((old, new)),
        (Err(Failure::Mistakes(old)), Err(Failure::Mistakes(mut new))) => {
            new.retain(|mistake| !old.contains(mistake));
            Err(Failure::Mistakes([old, new].concat()))
        }
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
    }
}
