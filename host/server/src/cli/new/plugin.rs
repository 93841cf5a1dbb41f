//! `tidegate new plugin`: creates a project in the plugins directory, for a language and a kind.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::failure::Failure;
use super::super::load::Load;
use super::super::{Answer, Format};
use super::project::{self, Kind, Language};
use super::typed::Typed;

/// The length of a name, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Names that the project's own parts use, or that are crates for cargo.
const TAKEN: [&str; 12] = [
    "alloc",
    "core",
    "proc-macro",
    "sdk",
    "serde",
    "serde-json",
    "std",
    "target",
    "templates",
    "test",
    "tidegate",
    "tidegate-plugin",
];
/// Where to name the plugin in a manifest.
const CHANNEL: &str = "use it in a channel's manifest";
/// The command writes this file last: a directory is a plugin once it has one, and a running server watches for it.
const MANIFEST: &str = "plugin.yaml";

#[derive(Debug, Args)]
pub(super) struct Plugin {
    /// The name of the plugin and of its directory
    name: String,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
    /// The kind
    #[arg(long, value_enum)]
    kind: Kind,
    /// For a handler in Rust, TypeScript or Python: the channel whose messages it handles; the project gets types for
    /// its payloads
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

impl Plugin {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        if !is_name(&self.name) {
            return Err(Failure::NewName { name: self.name });
        }
        let typed = match &self.channel {
            Some(channel) => Some(Typed::of(&self.load, plugins, self.lang, self.kind, &self.name, channel)?),
            None => None,
        };
        let directory = plugins.insert(self.load.places()?.plugins).join(&self.name);
        let files = project::files(self.lang, self.kind, &self.name, typed.as_ref());
        write(&directory, &files)?;
        Ok(match self.format {
            Format::Text => Answer::ok(self.next(&directory)),
            Format::Json => {
                let files: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
                Answer::json(&json!({ "plugin": self.name, "directory": directory, "files": files }))
            }
        })
    }

    fn next(&self, directory: &Path) -> String {
        let Self { name, lang, kind, .. } = self;
        let (put, key) = match kind {
            Kind::Handler => (CHANNEL, format!("inbound: {{ handler: {name}, payload: {{ type: object }} }}")),
            Kind::Authorizer => (CHANNEL, format!("authorizer: {name}")),
            Kind::Snapshot => (CHANNEL, format!("snapshot: {{ plugin: {name} }}")),
            Kind::Transform => ("use it in a rule of the bridge table", format!("transform: {name}")),
            Kind::Connection => (
                "bring the events that it publishes to a channel, with a rule of the bridge table",
                "on: visitor.*".to_owned(),
            ),
        };
        format!(
            "{directory}: a plugin in {language}\n\nWrite {source}. Then:\n\n  tidegate plugin build {name}    \
             # needs {needs}\n  tidegate plugin test {name}\n\nand {put}:\n\n  {key}\n",
            directory = directory.display(),
            language = lang.title(),
            source = lang.source(),
            needs = lang.needs(),
        )
    }
}

/// Whether the name is possible for a directory, a cargo package and an npm package, and free.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !TAKEN.contains(&name)
}

fn write(directory: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| Failure::File { path, source }
    };
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(failed(parent))?;
    }
    fs::create_dir(directory).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => Failure::Exists { path: directory.display().to_string() },
        _ => failed(directory)(source),
    })?;
    let (manifest, others): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| path == MANIFEST);
    for (path, text) in others.into_iter().chain(manifest) {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_letters_digits_and_dashes() {
        assert!(["hello", "a", "vault-members", "v2"].into_iter().all(is_name));
        assert!(
            !["", "Hello", "2nd", "a_b", "a-", "-a", "../a", "a/b", "grüße", "sdk", "serde"].into_iter().any(is_name)
        );
        assert!(!is_name(&"a".repeat(NAME_CHARS_MAX + 1)));
    }
}
