//! `tidegate new plugin`: creates a project in the plugins directory, for a language and a kind.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::failure::Failure;
use super::super::load::Load;
use super::super::{Answer, Format};
use super::files::Written;
use super::project::{self, Kind, Language, MANIFEST};
use super::typed::{Typed, VECTOR};
use super::wire::Wiring;

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

/// The schema for editors, in the plugins' directory.
const EDITOR_SCHEMA: &str = "plugin.schema.json";

#[derive(Debug, Args)]
pub(super) struct Plugin {
    /// The name of the plugin and of its directory
    name: String,
    /// The language
    #[arg(long, value_enum)]
    lang: Language,
    /// The kind; with `--handler` it is a handler
    #[arg(long, value_enum, required_unless_present = "handler")]
    kind: Option<Kind>,
    /// Make the plugin the handler of this channel, by its name in the manifest: vault.{vaultId}
    ///
    /// The channel's manifest names the plugin; no other line of it changes. The plugin answers each message with the
    /// message. It has the types of the channel's payloads, in Rust, TypeScript and Python, and the first example of a
    /// message as a golden vector.
    #[arg(long, value_name = "CHANNEL")]
    handler: Option<String>,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

/// A plugin that is the handler of a channel.
struct Wired {
    wiring: Wiring,
    typed: Typed,
}

impl Plugin {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let kind = self.kind()?;
        if !is_name(&self.name) {
            return Err(Failure::NewName { name: self.name });
        }
        let directory = plugins.insert(self.load.places()?.plugins).join(&self.name);
        // Before anything is written for a plugin that cannot be.
        if directory.symlink_metadata().is_ok() {
            return Err(Failure::Exists { path: directory.display().to_string() });
        }
        let wired = self.handler.as_deref().map(|channel| self.wired(plugins, channel)).transpose()?;
        let mut files = project::files(self.lang, kind, &self.name, wired.as_ref().map(|wired| &wired.typed));
        if directory.with_file_name(EDITOR_SCHEMA).exists() {
            project::complete_in_editors(&mut files);
        }
        // The command writes it last: a directory is a plugin once it has one, and a running server watches for it.
        files.sort_by_key(|(path, _)| path == MANIFEST);
        let mut written = Written::default();
        if let Some(Wired { wiring, .. }) = &wired {
            wiring.write_new_files(&mut written)?;
        }
        for (path, text) in &files {
            written.create(&directory.join(path), text)?;
        }
        if let Some(Wired { wiring, .. }) = &wired {
            wiring.write_manifest()?;
        }
        written.keep();
        Ok(match self.format {
            Format::Text => Answer::ok(self.next(&directory, kind, wired.as_ref())),
            Format::Json => {
                let mut paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
                paths.sort_unstable();
                let mut answer = json!({ "plugin": self.name, "directory": directory, "files": paths });
                if let Some(Wired { wiring, .. }) = &wired {
                    let new_files: Vec<&PathBuf> = wiring.new_files.iter().map(|(path, _)| path).collect();
                    answer["handler"] =
                        json!({ "channel": self.handler, "manifest": wiring.manifest(), "files": new_files });
                }
                Answer::json(&answer)
            }
        })
    }

    fn kind(&self) -> Result<Kind, Failure> {
        match (self.kind, &self.handler) {
            (None | Some(Kind::Handler), _) => Ok(Kind::Handler),
            (Some(kind), None) => Ok(kind),
            (Some(kind), Some(_)) => Err(Failure::New {
                what: format!("`--handler` makes a handler, and `--kind` says `{}`", kind.as_str()),
                hint: "leave one of them out".to_owned(),
            }),
        }
    }

    fn wired(&self, plugins: &mut Option<PathBuf>, channel: &str) -> Result<Wired, Failure> {
        let (channels, mut sources) = self.load.channel_sources(plugins)?;
        let wiring = Wiring::plan(&channels, &mut sources, &self.name, channel)?;
        let new_texts = wiring.new_files.iter().map(|(_, text)| text.clone()).collect();
        let typed = Typed::of(&channels, &sources, new_texts, self.lang, channel)?;
        Ok(Wired { wiring, typed })
    }

    fn next(&self, directory: &Path, kind: Kind, wired: Option<&Wired>) -> String {
        let Self { name, lang, .. } = self;
        let mut text = format!("{}: a plugin in {}\n", directory.display(), lang.title());
        if let Some(wired) = wired {
            text += &wired.wiring.told();
        }
        text += &format!(
            "\nWrite {}. Then build it, and ask it the questions of its golden vectors:\n\n  \
             tidegate plugin test {name} --build    # needs {}\n",
            lang.source(),
            lang.needs(),
        );
        text + &wired.map_or_else(|| put(kind, name), Wired::next)
    }
}

impl Wired {
    /// What a client does.
    fn next(&self) -> String {
        let Some((topic, message)) = &self.typed.example else {
            return format!(
                "\nThe channel has no example of a message, so the plugin has no golden vector yet: write both, \
                 channels/tests/*.json and {VECTOR}.\n"
            );
        };
        format!(
            "\n`tidegate dev` serves it. A client says:\n\n  socket.emit(\"subscribe\", {{ channel: \"{topic}\" }})\n  \
             socket.emit(\"{topic}\", {message}, console.log)\n"
        )
    }
}

/// Where to name the plugin.
fn put(kind: Kind, name: &str) -> String {
    const CHANNEL: &str = "use it in a channel's manifest";
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
    format!("\nand {put}:\n\n  {key}\n")
}

/// Whether the name is possible for a directory, a cargo package and an npm package, and free.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !TAKEN.contains(&name)
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
