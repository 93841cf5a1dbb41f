//! `tidegate new channel`: adds an entry to a feature's manifest, with the schema of its payload, and examples for
//! `tidegate check`. It changes nothing else in existing files, and writes nothing unless the result loads.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::load::Load;
use super::super::{Answer, Format};
use super::entry::{self, Scope};
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

/// The manifest with the entry after its last channel. All other lines stay the same.
fn appended(source: &Arc<SourceFile>, entry: &str) -> Result<String, Failure> {
    let cannot = || Failure::New {
        what: format!("the command cannot insert lines into `{}`", source.path),
        hint: format!("add this to its `channels:` yourself:\n\n{}", entry.trim_end()),
    };
    let before = parse_yaml(source, &mut Vec::new()).ok_or_else(cannot)?;
    let at = before.entry("channels").ok_or_else(cannot)?;
    // Where the next key of the file begins, or the file ends.
    let next = before.entries().iter().map(|entry| entry.key_place.line).filter(|line| *line > at.key_place.line).min();
    let lines: Vec<&str> = source.text.lines().collect();
    let mut end = next.map_or(lines.len(), |line| line - 1);
    // Comments and empty lines before that key belong to the key; at the end of the file they belong to the channels.
    let is_blank = |line: &str| line.trim().is_empty() || (next.is_some() && line.starts_with('#'));
    while end > at.key_place.line && is_blank(lines[end - 1]) {
        end -= 1;
    }
    let indent = at.value.entries().first().map_or(2, |first| first.key_place.column - 1);
    let newline = if source.text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut text = String::new();
    let indented = entry.lines().map(|line| " ".repeat(indent) + line.strip_prefix("  ").unwrap_or(line));
    let all = lines[..end].iter().map(|line| (*line).to_owned()).chain(indented);
    for line in all.chain(lines[end..].iter().map(|line| (*line).to_owned())) {
        text += &line;
        text += newline;
    }
    let made = SourceFile { path: source.path.clone(), text };
    let after = parse_yaml(&Arc::new(made.clone()), &mut Vec::new()).map(|tree| tree.to_json());
    let mut without = after.ok_or_else(cannot)?;
    let channels = without.get_mut("channels").and_then(Value::as_object_mut).ok_or_else(cannot)?;
    let was = before.to_json();
    let names = was.get("channels").and_then(Value::as_object);
    let count = channels.len();
    channels.retain(|name, _| names.is_some_and(|names| names.contains_key(name)));
    let is_same = without == was || (names.is_none() && channels_of(&without) == 0);
    if !is_same || channels_of(&without) + 1 != count {
        return Err(cannot());
    }
    Ok(made.text)
}

fn channels_of(manifest: &Value) -> usize {
    manifest.get("channels").and_then(Value::as_object).map_or(0, serde_json::Map::len)
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
        let mut made = Vec::new();
        let written = self.write_all(&mut made);
        if written.is_err() {
            for path in made {
                // A file that cannot be removed is found by whoever reads the reported error.
                let _ = fs::remove_file(path);
            }
        }
        written
    }

    fn write_all<'a>(&'a self, made: &mut Vec<&'a Path>) -> Result<(), Failure> {
        for (path, text) in [&self.schema, &self.examples] {
            create(path, text)?;
            made.push(path);
        }
        if self.is_new {
            return create(&self.manifest, &self.text);
        }
        // In one step, so that a watching server sees either the old file or the new one.
        let beside = self.manifest.with_extension("yaml.new");
        let replaced = fs::write(&beside, &self.text).and_then(|()| fs::rename(&beside, &self.manifest));
        replaced.map_err(|source| failed(&self.manifest, source))
    }
}

/// Writes a file that does not exist yet.
fn create(path: &Path, text: &str) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> Failure {
    let path = path.display().to_string();
    match source.kind() {
        ErrorKind::AlreadyExists => Failure::Exists { path },
        _ => Failure::File { path, source },
    }
}
