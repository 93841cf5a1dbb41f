//! `tidegate asyncapi`: the channels as an AsyncAPI document.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Answer;
use super::failure::Failure;
use super::load::Load;
use super::types::no_channel;
use tidegate_core::channels::{self, Addressed};
use tidegate_core::protocol::Generation;

#[derive(Debug, Args)]
pub(super) struct AsyncApi {
    /// The format of the document
    #[arg(long, value_enum, default_value_t)]
    format: DocumentFormat,
    /// The file to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only this channel, by its name in the manifest: vault.{vaultId}; repeat the option for more
    #[arg(long, value_name = "CHANNEL")]
    channel: Vec<String>,
    /// The server's address for clients, like <https://rt.example.com> [default: `listen` of the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<PublicUrl>,
    #[command(flatten)]
    load: Load,
}

/// How the document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum DocumentFormat {
    #[default]
    Json,
    Yaml,
}

/// Where clients find the server.
#[derive(Debug, Clone)]
struct PublicUrl {
    host: String,
    is_secure: bool,
}

impl std::str::FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected http://HOST or https://HOST, with a port if it needs one, and no path".to_owned();
        let (scheme, host) = text.trim_end_matches('/').split_once("://").ok_or_else(wrong)?;
        let is_secure = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(wrong()),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), is_secure })
    }
}

impl AsyncApi {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let (_, sources) = self.load.channel_sources(plugins)?;
        channels::compile(&sources, Generation(1)).map_err(Failure::Mistakes)?;
        let config = self.load.config_to_look_at()?;
        let url = self.url.unwrap_or_else(|| PublicUrl { host: config.listen.to_string(), is_secure: false });
        let server =
            Addressed { host: &url.host, is_secure: url.is_secure, transport: &config.transport, auth: &config.auth };
        let document = channels::asyncapi(&sources, &self.channel, &server, env!("CARGO_PKG_VERSION"));
        let document = document.map_err(no_channel)?;
        let text = match self.format {
            DocumentFormat::Json => format!("{document:#}\n"),
            DocumentFormat::Yaml => yaml(&document),
        };
        let Some(out) = self.out else { return Ok(Answer::ok(text)) };
        let failed = |source| Failure::File { path: out.display().to_string(), source };
        std::fs::write(&out, text).map_err(failed)?;
        Ok(Answer::ok(format!("wrote {}\n", out.display())))
    }
}

/// A document as YAML: blocks of keys and items, and every scalar as JSON, which YAML reads alike.
fn yaml(document: &Value) -> String {
    let mut text = String::new();
    block(document, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                *text += &format!("{indent}{}:", Value::from(key.as_str()));
                below(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                *text += &format!("{indent}-");
                below(item, depth, text);
            }
        }
        other => *text += &format!("{indent}{other}\n"),
    }
}

fn below(value: &Value, depth: usize, text: &mut String) {
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_block {
        text.push('\n');
        block(value, depth + 1, text);
    } else {
        *text += &format!(" {value}\n");
    }
}
