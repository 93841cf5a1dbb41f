//! The line with which a channel names a new plugin as its handler. It goes into the channel's manifest; no other line
//! changes. A channel on which clients may send nothing yet also gets a schema for messages, and examples of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::failure::Failure;
use super::entry;
use super::files::{self, Written};
use super::insert::inserted;
use tidegate_core::channels::{self, Sources, Template};
use tidegate_core::config::{Entry, Node, Place, SourceFile, nearest_name, parse_yaml};
use tidegate_core::protocol::{Generation, PluginName};

/// What must be written so that a channel has the plugin as its handler.
#[derive(Debug)]
pub(super) struct Wiring {
    channel: String,
    plugin: String,
    manifest: PathBuf,
    /// The whole manifest; `None` if it names the plugin already.
    text: Option<String>,
    /// The schema of messages and the examples of them, where clients could send nothing before.
    pub(super) new_files: Vec<(PathBuf, String)>,
}

impl Wiring {
    /// Plans the change, and makes it in `sources`. The plugin need not be there.
    ///
    /// # Errors
    /// [`Failure::NoChannel`]; [`Failure::New`] for a channel that has another handler or is a relay, and for a manifest
    /// that cannot be changed; [`Failure::Mistakes`] if the result does not compile.
    pub(super) fn plan(directory: &Path, sources: &mut Sources, plugin: &str, channel: &str) -> Result<Self, Failure> {
        // The channel may name its handler before the handler exists.
        sources.unloadable.push(PluginName::new(plugin));
        let before = channels::compile(sources, Generation(1)).err();
        let (source, declared) = declaration(sources, channel)?;
        let wanted = Wanted::of(&declared, plugin)?;
        let manifest = PathBuf::from(&source.path);
        let mut this = Self {
            channel: channel.to_owned(),
            plugin: plugin.to_owned(),
            manifest,
            text: None,
            new_files: Vec::new(),
        };
        if wanted != Wanted::Nothing {
            this.change(directory, &source, wanted, sources)?;
        }
        // A mistake that was there before would look as if this command had caused it.
        match channels::compile(sources, Generation(1)) {
            Ok(_) => Ok(this),
            Err(after) => Err(Failure::Mistakes(before.unwrap_or(after))),
        }
    }

    fn change(
        &mut self,
        directory: &Path,
        source: &Arc<SourceFile>,
        wanted: Wanted,
        sources: &mut Sources,
    ) -> Result<(), Failure> {
        let template = Template::parse(&self.channel).map_err(|error| Failure::New {
            what: format!("a channel cannot be named `{}`: {error}", self.channel),
            hint: format!("change its name in `{}`", source.path),
        })?;
        let schema = format!("schemas/{}-inbound.json", entry::file_name(&template));
        let (payload, handler) = (format!("payload: {{ $ref: {schema} }}"), format!("handler: {}", self.plugin));
        let (path, block, flow) = match wanted {
            Wanted::Inbound => (
                &["channels", &self.channel][..],
                format!("inbound:\n  {payload}\n  {handler}\n"),
                format!("inbound: {{ {payload}, {handler} }}"),
            ),
            Wanted::PayloadAndHandler => (
                &["channels", &self.channel, "inbound"][..],
                format!("{payload}\n{handler}\n"),
                format!("{payload}, {handler}"),
            ),
            Wanted::Handler | Wanted::Nothing => {
                (&["channels", &self.channel, "inbound"][..], format!("{handler}\n"), handler.clone())
            }
        };
        let text = inserted(source, path, &block, Some(&flow)).ok_or_else(|| self.cannot(wanted))?;
        let changed = Arc::new(SourceFile { path: source.path.clone(), text: text.clone() });
        if let Some(old) = sources.manifests.iter_mut().find(|old| Arc::ptr_eq(old, source)) {
            *old = changed;
        }
        self.text = Some(text);
        if wanted != Wanted::Handler {
            let text = entry::inbound_schema(&template);
            let path = directory.join(&schema);
            let file = SourceFile { path: path.display().to_string(), text: text.clone() };
            sources.schemas.insert(schema, Arc::new(file));
            self.new_files.push((path, text));
            let examples = directory.join(format!("tests/{}-inbound.json", entry::file_name(&template)));
            self.new_files.push((examples, entry::inbound_examples(&template)));
        }
        Ok(())
    }

    fn cannot(&self, wanted: Wanted) -> Failure {
        let (channel, plugin) = (&self.channel, &self.plugin);
        let line = match wanted {
            Wanted::Inbound => format!("inbound: {{ payload: {{ type: object }}, handler: {plugin} }}"),
            Wanted::PayloadAndHandler => format!("payload: {{ type: object }}\n  handler: {plugin}"),
            Wanted::Handler | Wanted::Nothing => format!("handler: {plugin}"),
        };
        let to = if wanted == Wanted::Inbound { "" } else { "`inbound` of " };
        Failure::New {
            what: format!("the command cannot insert lines into `{}`", self.manifest.display()),
            hint: format!("add this to {to}the channel `{channel}` yourself, and run the command again:\n\n  {line}"),
        }
    }

    /// Writes the new files. Nothing refers to them yet.
    pub(super) fn write_new_files(&self, written: &mut Written) -> Result<(), Failure> {
        self.new_files.iter().try_for_each(|(path, text)| written.create(path, text))
    }

    /// Names the plugin in the manifest.
    pub(super) fn write_manifest(&self) -> Result<(), Failure> {
        let Some(text) = &self.text else { return Ok(()) };
        files::replace(&self.manifest, text)
    }

    /// What happened, in lines.
    pub(super) fn told(&self) -> String {
        let (manifest, channel, plugin) = (self.manifest.display(), &self.channel, &self.plugin);
        let done = if self.text.is_some() { "is" } else { "was already" };
        let mut text = format!("{manifest}: `{plugin}` {done} the handler of `{channel}`\n");
        if let [(schema, _), (examples, _)] = &self.new_files[..] {
            text += &format!("{}: what clients send; write its schema\n", schema.display());
            text += &format!("{}: examples of it\n", examples.display());
        }
        text
    }

    /// The file that names the plugin.
    pub(super) fn manifest(&self) -> &Path {
        &self.manifest
    }
}

/// What the declaration lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Clients may send nothing yet.
    Inbound,
    PayloadAndHandler,
    Handler,
    Nothing,
}

impl Wanted {
    /// # Errors
    /// [`Failure::New`] if messages go elsewhere.
    fn of(declared: &Entry, plugin: &str) -> Result<Self, Failure> {
        let channel = &declared.key;
        let inbound = declared.value.get("inbound").filter(|inbound| !inbound.is_null());
        let Some(inbound) = inbound else { return Ok(Self::Inbound) };
        let line = |place: &Place| format!("`{}`, line {}", place.source.path, place.line);
        if let Some(relay) = inbound.entry("relay") {
            let how = relay.value.as_str().unwrap_or_default();
            return Err(Failure::New {
                what: format!("channel `{channel}` is a relay: its messages go to the subscribers without a plugin"),
                hint: format!("take `relay: {how}` out of {}, and run the command again", line(&relay.key_place)),
            });
        }
        match inbound.get("handler").filter(|handler| !handler.is_null()) {
            Some(handler) if handler.as_str() == Some(plugin) => Ok(Self::Nothing),
            Some(handler) => Err(Failure::New {
                what: format!("channel `{channel}` has a handler already: `{}`", shown(handler)),
                hint: format!(
                    "a channel has one handler; take it out of {}, or give `{plugin}` another channel",
                    line(&handler.place)
                ),
            }),
            None if inbound.entry("payload").is_none() => Ok(Self::PayloadAndHandler),
            None => Ok(Self::Handler),
        }
    }
}

fn shown(node: &Node) -> String {
    node.as_str().map_or_else(|| node.to_json().to_string(), str::to_owned)
}

/// The file and the entry that declare a channel.
fn declaration(sources: &Sources, channel: &str) -> Result<(Arc<SourceFile>, Entry), Failure> {
    let mut known = Vec::new();
    for source in &sources.manifests {
        let tree = parse_yaml(source, &mut Vec::new());
        let entries = tree.as_ref().and_then(|tree| tree.get("channels")).map_or(&[][..], Node::entries);
        if let Some(entry) = entries.iter().find(|entry| entry.key == channel) {
            return Ok((source.clone(), entry.clone()));
        }
        known.extend(entries.iter().map(|entry| entry.key.clone()));
    }
    known.sort();
    let nearest = nearest_name(channel, &known.iter().map(String::as_str).collect::<Vec<_>>()).map(str::to_owned);
    Err(Failure::NoChannel { name: channel.to_owned(), known, nearest })
}
