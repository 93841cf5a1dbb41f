//! Golden vectors: a question to a plugin and the expected answer, each in a JSON file of the plugin's `tests/`.
//!
//! `tidegate plugin test` runs them, and so does the server before a plugin serves.

mod ask;
mod compare;
mod http;
mod read;
mod stage;
mod update;
mod words;

use std::sync::Arc;

use serde_json::Value;

use crate::Plugin;
use crate::tape::{Canned, Stage, answering, staged};
use tidegate_core::channels::PluginKind;
use tidegate_core::config::{Diagnostic, Place, SourceFile};
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Action, Phase};
use tidegate_core::protocol::{BusEvent, ConnectionId, Payload, User};

pub(crate) use ask::ask;
pub(crate) use read::catalog_of;
pub use read::{ContextFile, UserFile};
pub(crate) use words::{InWords, fault_in_words};

/// A question to a plugin, and the expected answer.
#[derive(Clone)]
pub struct Vector {
    /// The file it came from, for messages.
    source: Arc<SourceFile>,
    question: Question,
    /// The answers to its HTTP requests; `None` if the file has none.
    http: Option<Vec<Canned>>,
    /// The other services of the host.
    stage: Stage,
    /// The `expect` of the file, if it has one.
    expect: Option<Value>,
}

/// The answer of a plugin to a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The answer, in the words of `expect`.
    pub answer: Value,
    /// What it asked the host for in vain, a sentence each.
    missed: Vec<String>,
}

/// A question to a plugin.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// To answer a message.
    Handler { context: CallContext, payload: Payload },
    /// To decide.
    Authorizer { context: CallContext, action: Action, payload: Option<Payload> },
    /// To say whose a credential is.
    Identity { connection: ConnectionId, credential: Payload },
    /// To give the state of a topic.
    Snapshot { context: CallContext },
    /// To make the payload of an event that crosses to a topic.
    Transform { channel: String, topic: String, event: Box<BusEvent>, payload: Payload },
    /// To learn of a connection.
    Connection { connection: ConnectionId, user: Option<User>, phase: Phase },
}

impl Question {
    /// The kind of plugin that it asks.
    pub(crate) const fn kind(&self) -> PluginKind {
        match self {
            Self::Handler { .. } => PluginKind::Handler,
            Self::Authorizer { .. } | Self::Identity { .. } => PluginKind::Authorizer,
            Self::Snapshot { .. } => PluginKind::Snapshot,
            Self::Transform { .. } => PluginKind::Transform,
            Self::Connection { .. } => PluginKind::Connection,
        }
    }
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vector").field("path", &self.path()).field("question", &self.question).finish_non_exhaustive()
    }
}

impl Vector {
    /// Reads a vector file.
    ///
    /// # Errors
    /// The first mistake of the file, at its place.
    pub fn read(source: &Arc<SourceFile>) -> Result<Self, Diagnostic> {
        read::read(source)
    }

    /// Reads an input: a whole vector, or only a payload (for a transform: an event) of this kind and in this context.
    ///
    /// # Errors
    /// The first mistake of the input, at its place.
    pub fn of_input(source: &Arc<SourceFile>, kind: PluginKind, context: ContextFile) -> Result<Self, Diagnostic> {
        read::of_input(source, kind, context)
    }

    /// A question without input: whether this user may subscribe (authorizer), the state of the topic (snapshot), or
    /// that a connection opened or closed.
    ///
    /// # Errors
    /// The first mistake of the context.
    pub fn without_input(kind: PluginKind, context: ContextFile, phase: Phase) -> Result<Self, Diagnostic> {
        read::without_input(kind, context, phase)
    }

    /// The path of its file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.source.path
    }

    /// The kind of plugin it asks.
    #[must_use]
    pub const fn kind(&self) -> PluginKind {
        self.question.kind()
    }

    /// Whether the file has an `expect`.
    #[must_use]
    pub const fn expects(&self) -> bool {
        self.expect.is_some()
    }

    /// The place of `expect` in the file.
    fn expect_place(&self) -> Place {
        let before = self.source.text.find("\"expect\"").map_or("", |at| &self.source.text[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place { source: self.source.clone(), line, column, width: 1 }
    }

    /// Asks the plugin. The answer is in the words of `expect`.
    pub async fn ask(&self, plugin: &Plugin) -> Value {
        self.ask_and_tell(plugin).await.answer
    }

    /// Asks the plugin, and keeps what may explain its answer.
    pub async fn ask_and_tell(&self, plugin: &Plugin) -> Asked {
        let stage = Stage { kv: self.stage.kv.as_ref().map(|keys| Arc::new(keys.copied())), ..self.stage.clone() };
        let asked = async {
            match &self.http {
                Some(canned) => answering(canned.clone(), ask(plugin, &self.question)).await,
                None => ask(plugin, &self.question).await,
            }
        };
        let (answer, missed) = staged(stage, asked).await;
        Asked { answer, missed }
    }

    /// How an answer differs from `expect`, and possible reasons, a line each. Empty if it does not differ.
    #[must_use]
    pub fn judge(&self, asked: &Asked) -> Vec<String> {
        let mut told = self.differences(&asked.answer);
        if !told.is_empty() {
            let said = self.expect.as_ref().and_then(|expect| compare::said(expect, &asked.answer));
            told.extend(said.into_iter().chain(asked.missed.iter().cloned()));
        }
        told
    }

    /// How an answer differs from `expect`, a line each. Empty if it does not differ.
    #[must_use]
    pub fn differences(&self, answer: &Value) -> Vec<String> {
        match &self.expect {
            Some(expect) => compare::expected(expect, answer),
            None => vec!["the vector has no `expect`".to_owned()],
        }
    }

    /// The text of its file with this answer as `expect`. Everything else stays.
    #[must_use]
    pub fn updated(&self, answer: &Value) -> String {
        update::updated(&self.source.text, answer)
    }
}

/// The mistakes of the files themselves.
pub(crate) fn mistakes(files: &[Arc<SourceFile>]) -> Vec<Diagnostic> {
    files.iter().filter_map(|file| Vector::read(file).err()).collect()
}

/// Asks every vector, whatever the answers.
///
/// # Errors
/// Every file that is not a valid vector, and every answer that differs, at its place.
pub(crate) async fn judge_all(plugin: &Plugin, files: &[Arc<SourceFile>]) -> Result<(), Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    for file in files {
        match Vector::read(file) {
            Ok(vector) => {
                let differences = vector.judge(&vector.ask_and_tell(plugin).await);
                if !differences.is_empty() {
                    mistakes.push(mismatch(plugin, &vector, &differences));
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// How two answers to one question differ, a line each.
#[must_use]
pub fn differences(one: &Value, other: &Value) -> Vec<String> {
    compare::differences(one, other)
}

fn mismatch(plugin: &Plugin, vector: &Vector, differences: &[String]) -> Diagnostic {
    let message = format!("is answered differently: {}", differences.join("; "));
    Diagnostic::at(vector.expect_place(), message)
        .hint(format!("`tidegate plugin test {} --update` writes the present answer into the file", plugin.name()))
}
