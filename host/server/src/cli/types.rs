//! `tidegate types`: types for the payloads of the channels.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Answer;
use super::failure::Failure;
use super::load::Load;
use tidegate_core::channels::{self, Sources, Types as Written, TypesLanguage};
use tidegate_core::config::nearest_name;
use tidegate_core::protocol::Generation;

#[derive(Debug, Args)]
pub(super) struct Types {
    /// The language of the types
    #[arg(long, value_enum)]
    lang: Language,
    /// The file to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only this channel, by its name in the manifest: vault.{vaultId}; repeat the option for more
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<String>,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    #[value(name = "ts", alias = "typescript")]
    TypeScript,
    /// For serde
    Rust,
    /// TypedDicts, of Python 3.11
    #[value(alias = "py")]
    Python,
}

impl Types {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let (_, sources) = self.load.channel_sources(plugins)?;
        let text = written(&sources, self.lang, &self.channel)?.text;
        let Some(out) = self.out else { return Ok(Answer::ok(text)) };
        let failed = |source| Failure::File { path: out.display().to_string(), source };
        std::fs::write(&out, text).map_err(failed)?;
        Ok(Answer::ok(format!("wrote {}\n", out.display())))
    }
}

/// The types of the manifests' payloads; of all channels if none is named.
///
/// # Errors
/// [`Failure::Mistakes`] if the manifests do not compile, [`Failure::NoChannel`].
pub(super) fn written(sources: &Sources, language: Language, channels: &[String]) -> Result<Written, Failure> {
    channels::compile(sources, Generation(1)).map_err(Failure::Mistakes)?;
    let (language, word) = match language {
        Language::TypeScript => (TypesLanguage::TypeScript, "ts"),
        Language::Rust => (TypesLanguage::Rust, "rust"),
        Language::Python => (TypesLanguage::Python, "python"),
    };
    let of: String = channels.iter().map(|channel| format!(" --channel '{channel}'")).collect();
    let command = format!("tidegate types --lang {word}{of}");
    channels::types(sources, language, channels, &command).map_err(no_channel)
}

/// No manifest declares the channel.
pub(super) fn no_channel((name, known): (String, Vec<String>)) -> Failure {
    let nearest = nearest_name(&name, &known.iter().map(String::as_str).collect::<Vec<_>>()).map(str::to_owned);
    Failure::NoChannel { name, known, nearest }
}
