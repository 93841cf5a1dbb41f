//! The additional files of a plugin for one channel: the types of the channel's payloads, and a golden vector from the
//! first example of a client's message.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::load::Load;
use super::super::types::{self, Language as TypesLanguage};
use super::project::{Kind, Language};
use crate::reload;
use tidegate_core::channels::{self, Catalog};
use tidegate_core::protocol::{Generation, PluginName};

/// The files for one channel, and the values for its templates.
#[derive(Debug)]
pub(super) struct Typed {
    channel: String,
    payload: String,
    inbound: String,
    /// Path and text.
    pub(super) files: Vec<(String, String)>,
}

impl Typed {
    /// # Errors
    /// [`Failure::New`] for a language without types, a kind that clients send nothing to, and a channel on which they
    /// may send nothing; [`Failure::NoChannel`]; [`Failure::Mistakes`] of the manifests.
    pub(super) fn of(
        load: &Load,
        plugins: &mut Option<PathBuf>,
        language: Language,
        kind: Kind,
        plugin: &str,
        channel: &str,
    ) -> Result<Self, Failure> {
        let (types, path) = match (language, kind) {
            (Language::Rust, Kind::Handler) => (TypesLanguage::Rust, "src/types.rs"),
            (Language::TypeScript, Kind::Handler) => (TypesLanguage::TypeScript, "types.ts"),
            (Language::Python, Kind::Handler) => (TypesLanguage::Python, "channel_types.py"),
            _ => {
                let what = "`--channel` works only for handlers in Rust, TypeScript and Python".to_owned();
                let hint = "leave it out; `tidegate types` generates the types of any channel".to_owned();
                return Err(Failure::New { what, hint });
            }
        };
        let (directory, mut sources) = load.channel_sources(plugins)?;
        // The channel may name its handler before the handler exists.
        sources.unloadable.push(PluginName::new(plugin));
        let written = types::written(&sources, types, &[channel.to_owned()])?;
        let named = written.channels.into_iter().find_map(|types| Some((types.payload, types.inbound?)));
        let Some((payload, inbound)) = named else {
            let what = format!("clients may send nothing on `{channel}`");
            let hint = format!("give the channel an `inbound: {{ handler: {plugin}, payload: … }}` first");
            return Err(Failure::New { what, hint });
        };
        let catalog = channels::compile(&sources, Generation(1)).map_err(Failure::Mistakes)?;
        let mut files = vec![(path.to_owned(), written.text)];
        if let Some(vector) = vector(&directory, &catalog, channel)? {
            files.push(("tests/answers.json".to_owned(), vector));
        }
        Ok(Self { channel: channel.to_owned(), payload, inbound, files })
    }

    /// The text of a template with the channel's values.
    pub(super) fn fill(&self, text: &str) -> String {
        let text = text.replace("{{channel}}", &self.channel);
        text.replace("{{payload}}", &self.payload).replace("{{inbound}}", &self.inbound)
    }
}

/// A vector with the first example of a message on the channel as question, and the answer of the template, which is
/// the message itself.
fn vector(directory: &Path, catalog: &Catalog, channel: &str) -> Result<Option<String>, Failure> {
    for file in reload::read_channel_examples(directory).map_err(Failure::Mistakes)? {
        // `check` reports errors in examples.
        let Ok(examples) = serde_json::from_str::<Value>(&file.text) else { continue };
        let topic = examples["topic"].as_str().unwrap_or_default();
        let is_of_channel = catalog.resolve(topic).is_some_and(|found| found.channel.template.as_str() == channel);
        if let Some(message) = examples.pointer("/inbound/accepts/0").filter(|_| is_of_channel) {
            let vector = json!({
                "kind": "handler",
                "context": { "topic": topic, "channel": channel },
                "payload": message,
                "expect": { "reply": message },
            });
            return Ok(Some(format!("{vector:#}\n")));
        }
    }
    Ok(None)
}
