//! The additional files of a plugin for one channel: the types of the channel's payloads where its language has them,
//! and a golden vector from the first example of a client's message.

use std::path::Path;

use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::types::{self, Language as TypesLanguage};
use super::project::Language;
use crate::reload;
use tidegate_core::channels::{self, Catalog, Sources};
use tidegate_core::protocol::Generation;

/// Where the vector is, in the project.
pub(super) const VECTOR: &str = "tests/answers.json";

/// The files for one channel, and the values for its templates.
#[derive(Debug)]
pub(super) struct Typed {
    channel: String,
    /// The names of the types; empty where the language has none.
    payload: String,
    inbound: String,
    /// Path and text.
    pub(super) files: Vec<(String, String)>,
    /// The topic and the message of the vector; `None` if the channel has no example of a message.
    pub(super) example: Option<(String, Value)>,
}

impl Typed {
    /// `examples` are texts of examples that are not in the directory yet.
    ///
    /// # Errors
    /// [`Failure::Mistakes`] of the manifests and of files that cannot be read.
    pub(super) fn of(
        directory: &Path,
        sources: &Sources,
        examples: Vec<String>,
        language: Language,
        channel: &str,
    ) -> Result<Self, Failure> {
        let mut this = Self {
            channel: channel.to_owned(),
            payload: String::new(),
            inbound: String::new(),
            files: Vec::new(),
            example: None,
        };
        let types = match language {
            Language::Rust => Some((TypesLanguage::Rust, "src/types.rs")),
            Language::TypeScript => Some((TypesLanguage::TypeScript, "types.ts")),
            Language::Python => Some((TypesLanguage::Python, "channel_types.py")),
            Language::JavaScript | Language::Go | Language::C => None,
        };
        if let Some((types, path)) = types {
            let written = types::written(sources, types, &[channel.to_owned()])?;
            this.files.push((path.to_owned(), written.text));
            if let Some(named) = written.channels.into_iter().next() {
                (this.payload, this.inbound) = (named.payload, named.inbound.unwrap_or_default());
            }
        }
        let catalog = channels::compile(sources, Generation(1)).map_err(Failure::Mistakes)?;
        let kept = reload::read_channel_examples(directory).map_err(Failure::Mistakes)?;
        let all = kept.iter().map(|file| file.text.clone()).chain(examples);
        this.example = all.filter_map(|text| message(&text, &catalog, channel)).next();
        if let Some((topic, message)) = &this.example {
            // What the template answers: the message itself.
            let vector = json!({
                "kind": "handler",
                "context": { "topic": topic, "channel": channel },
                "payload": message,
                "expect": { "reply": message },
            });
            this.files.push((VECTOR.to_owned(), format!("{vector:#}\n")));
        }
        Ok(this)
    }

    /// The text of a template with the channel's values.
    pub(super) fn fill(&self, text: &str) -> String {
        let text = text.replace("{{channel}}", &self.channel);
        text.replace("{{payload}}", &self.payload).replace("{{inbound}}", &self.inbound)
    }
}

/// The first message in a file of examples, and its topic, if they are the channel's.
fn message(examples: &str, catalog: &Catalog, channel: &str) -> Option<(String, Value)> {
    // `check` reports errors in examples.
    let examples: Value = serde_json::from_str(examples).ok()?;
    let topic = examples["topic"].as_str()?;
    let is_of_channel = catalog.resolve(topic)?.channel.template.as_str() == channel;
    let message = examples.pointer("/inbound/accepts/0").filter(|_| is_of_channel)?;
    Some((topic.to_owned(), message.clone()))
}
