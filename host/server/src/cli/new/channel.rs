//! `tidegate new channel`: adds an entry to a feature's manifest, with the schema of its payload, and examples for
//! `tidegate check`. It changes nothing else in existing files, and writes nothing unless the result loads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::super::failure::Failure;
use super::super::load::Load;
use super::super::{Answer, Format};
use super::entry::{self, Scope};
use super::files::{self, Written};
use super::insert::inserted;
use tidegate_core::channels::{self, Sources, Template, judge_examples};
use tidegate_core::config::{SourceFile, parse_yaml};
use tidegate_core::protocol::Generation;

/// The longest name of a feature, in characters, because it becomes the name of a file.
const FEATURE_CHARS_MAX: usize = 64;

#[derive(Debug, Args)]
pub(super) struct Channel {
    /// The feature; its manifest is created if there is none
    feature: String,
    /// The channel's name: vault.{vaultId}
    name: String,
    /// Who may join: public, authenticated, role:editor, roles:editor,admin, user:userId
    scope: String,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

/// What the command writes.
struct Plan {
    manifest: PathBuf,
    /// The whole manifest, including the new entry.
    text: String,
    is_new: bool,
    schema: (PathBuf, String),
    examples: (PathBuf, String),
}

impl Channel {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let template = self.template()?;
        let scope = Scope::parse(&self.scope, &template)?;
        let (directory, sources) = self.load.channel_sources(plugins)?;
        // Existing errors would look as if this command had caused them.
        let catalog = channels::compile(&sources, Generation(1)).map_err(Failure::Mistakes)?;
        if let Some(declared) = catalog.channels().find(|channel| channel.template == template) {
            let what = format!("channel `{template}` exists already, in feature `{}`", declared.feature);
            return Err(Failure::New { what, hint: "choose another name, or change the existing channel".to_owned() });
        }
        let plan = self.plan(&directory, &sources, &template, &scope)?;
        plan.check(&directory, sources)?;
        plan.write()?;
        let shown = |path: &Path| path.display().to_string();
        let written = [&plan.manifest, &plan.schema.0, &plan.examples.0].map(|path| shown(path));
        Ok(match self.format {
            Format::Json => Answer::json(&json!({
                "channel": self.name,
                "manifest": written[0],
                "schema": written[1],
                "examples": written[2],
            })),
            Format::Text => {
                let [manifest, schema, examples] = written;
                let done = if plan.is_new { "created" } else { "one channel added" };
                Answer::ok(format!(
                    "{manifest}: {done}\n{schema}: the payload that subscribers receive; write its schema\n{examples}: examples of \
                     users and payloads\n\nThen:\n\n  tidegate check    # checks the examples, too\n"
                ))
            }
        })
    }

    fn template(&self) -> Result<Template, Failure> {
        let feature = &self.feature;
        let is_name = feature.chars().count() <= FEATURE_CHARS_MAX
            && feature.starts_with(|first: char| first.is_ascii_alphanumeric())
            && feature.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !is_name {
            let hint =
                format!("use letters, digits, `-` and `_`, at most {FEATURE_CHARS_MAX}: it becomes the name of a file");
            return Err(Failure::New { what: format!("a feature cannot be named `{feature}`"), hint });
        }
        Template::parse(&self.name).map_err(|error| Failure::New {
            what: format!("a channel cannot be named `{}`: {error}", self.name),
            hint: "write segments separated by dots; each is letters, digits, `_` and `-`, or one `{param}`: `vault.{vaultId}`"
                .to_owned(),
        })
    }

    fn plan(&self, directory: &Path, sources: &Sources, template: &Template, scope: &Scope) -> Result<Plan, Failure> {
        let file = entry::file_name(template);
        let schema = format!("schemas/{file}.json");
        let entry = entry::manifest_entry(template, scope, &schema);
        let (manifest, text, is_new) = match sources.manifests.iter().find(|source| feature(source) == self.feature) {
            Some(source) => (PathBuf::from(&source.path), appended(source, &entry)?, false),
            None => {
                let path = directory.join(format!("{}.yaml", self.feature));
                let has_schema = directory.join("channel.schema.json").exists();
                let comment = if has_schema { entry::EDITORS } else { "" };
                (path, format!("{comment}feature: {}\nchannels:\n{entry}", self.feature), true)
            }
        };
        Ok(Plan {
            manifest,
            text,
            is_new,
            schema: (directory.join(&schema), entry::schema(template)),
            examples: (directory.join(format!("tests/{file}.json")), entry::examples(template, scope)),
        })
    }
}

fn feature(source: &Arc<SourceFile>) -> String {
    let tree = parse_yaml(source, &mut Vec::new());
    tree.and_then(|tree| tree.get("feature")?.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The manifest with the entry after its last channel.
fn appended(source: &Arc<SourceFile>, entry: &str) -> Result<String, Failure> {
    let block: String = entry.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    inserted(source, &["channels"], &block, None).ok_or_else(|| Failure::New {
        what: format!("the command cannot insert lines into `{}`", source.path),
        hint: format!("add this to its `channels:` yourself:\n\n{}", entry.trim_end()),
    })
}

impl Plan {
    /// Checks that everything loads, and that the examples match their schemas.
    fn check(&self, directory: &Path, mut sources: Sources) -> Result<(), Failure> {
        let shown = self.manifest.display().to_string();
        let manifest = Arc::new(SourceFile { path: shown.clone(), text: self.text.clone() });
        match sources.manifests.iter_mut().find(|source| source.path == shown) {
            Some(source) if !self.is_new => *source = manifest,
            _ => sources.manifests.push(manifest),
        }
        let (path, text) = &self.schema;
        let below = path.strip_prefix(directory).unwrap_or(path).display().to_string();
        let schema = SourceFile { path: path.display().to_string(), text: text.clone() };
        sources.schemas.insert(below, Arc::new(schema));
        let catalog = channels::compile(&sources, Generation(1)).map_err(Failure::Mistakes)?;
        let (path, text) = &self.examples;
        let examples = SourceFile { path: path.display().to_string(), text: text.clone() };
        judge_examples(&Arc::new(examples), &catalog).map(|_| ()).map_err(Failure::Mistakes)
    }

    /// Writes the files; the manifest last, because it names the others.
    fn write(&self) -> Result<(), Failure> {
        let mut written = Written::default();
        for (path, text) in [&self.schema, &self.examples] {
            written.create(path, text)?;
        }
        if self.is_new {
            written.create(&self.manifest, &self.text)?;
        } else {
            files::replace(&self.manifest, &self.text)?;
        }
        written.keep();
        Ok(())
    }
}
