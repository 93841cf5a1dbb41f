//! Golden vectors: a question to a plugin and the expected answer, each in a JSON file in the plugin's `tests/`.
//!
//! `tidegate plugin test` runs them, and so does the server before a plugin serves.

mod answer;
mod compare;
mod http;
mod read;
mod stage;
mod update;

use std::sync::Arc;

use serde_json::Value;

use super::Plugin;
use super::imports::{Canned, Stage, answering, staged};
use tidegate_core::channels::PluginKind;
use tidegate_core::config::{Diagnostic, Place, SourceFile};
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Action, Phase};
use tidegate_core::protocol::{BusEvent, ConnectionId, Payload, User};

pub use read::{ContextFile, UserFile};

/// A question to a plugin, and the expected answer.
#[derive(Clone)]
pub struct Vector {
    /// The file it came from, for messages.
    source: Arc<SourceFile>,
    question: Question,
    /// The answers to its HTTP requests; `None` if the file has none.
    http: Option<Vec<Canned>>,
    /// The answers to its other requests to the host.
    stage: Stage,
    /// The expected answer as in the file; `None` if there is none yet.
    expect: Option<Value>,
}

/// The result of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The answer, in the form of `expect`.
    pub answer: Value,
    /// Its requests to the host without an answer, a sentence for each.
    missed: Vec<String>,
}

/// The question to a plugin.
#[derive(Debug, Clone)]
enum Question {
    /// Handle a message.
    Handler { context: CallContext, payload: Payload },
    /// Decide about a user's action.
    Authorizer { context: CallContext, action: Action, payload: Option<Payload> },
    /// Identify the user of a credential.
    Identity { connection: ConnectionId, credential: Payload },
    /// Return the state of a topic.
    Snapshot { context: CallContext },
    /// Make the payload of a bus event for a topic.
    Transform { context: CallContext, event: Box<BusEvent>, payload: Payload },
    /// Learn of a connection.
    Connection { connection: ConnectionId, user: Option<User>, phase: Phase },
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
    /// What is wrong with it, and where.
    pub fn read(source: &Arc<SourceFile>) -> Result<Self, Diagnostic> {
        read::read(source)
    }

    /// The question of an input: a whole vector, or otherwise only a payload (for a transform: an event) with this kind
    /// and context.
    ///
    /// # Errors
    /// What is wrong with the input, and where.
    pub fn of_input(source: &Arc<SourceFile>, kind: PluginKind, context: ContextFile) -> Result<Self, Diagnostic> {
        read::of_input(source, kind, context)
    }

    /// A question without an input: for an authorizer whether this user may subscribe, for a snapshot the topic's
    /// state, for a connection that it was opened or closed.
    ///
    /// # Errors
    /// What is wrong with the context.
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
        match self.question {
            Question::Handler { .. } => PluginKind::Handler,
            Question::Authorizer { .. } | Question::Identity { .. } => PluginKind::Authorizer,
            Question::Snapshot { .. } => PluginKind::Snapshot,
            Question::Transform { .. } => PluginKind::Transform,
            Question::Connection { .. } => PluginKind::Connection,
        }
    }

    /// Whether the file has an expected answer.
    #[must_use]
    pub const fn expects(&self) -> bool {
        self.expect.is_some()
    }

    /// The place of the expected answer in the file.
    fn expect_place(&self) -> Place {
        let before = self.source.text.find("\"expect\"").map_or("", |at| &self.source.text[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place { source: self.source.clone(), line, column, width: 1 }
    }

    /// Asks the plugin. Returns its answer in the form of `expect`.
    pub async fn ask(&self, plugin: &Plugin) -> Value {
        self.ask_and_tell(plugin).await.answer
    }

    /// Asks the plugin, and keeps what may explain the answer.
    pub async fn ask_and_tell(&self, plugin: &Plugin) -> Asked {
        let stage = Stage { kv: self.stage.kv.as_ref().map(|keys| Arc::new(keys.copied())), ..self.stage.clone() };
        let asked = async {
            match &self.http {
                Some(canned) => answering(canned.clone(), answer::ask(plugin, &self.question)).await,
                None => answer::ask(plugin, &self.question).await,
            }
        };
        let (answer, missed) = staged(stage, asked).await;
        Asked { answer, missed }
    }

    /// How an answer differs from the expected one, one line for each difference, and possible reasons; empty if it
    /// does not differ.
    #[must_use]
    pub fn judge(&self, asked: &Asked) -> Vec<String> {
        let mut told = self.differences(&asked.answer);
        if !told.is_empty() {
            let said = self.expect.as_ref().and_then(|expect| compare::said(expect, &asked.answer));
            told.extend(said.into_iter().chain(asked.missed.iter().cloned()));
        }
        told
    }

    /// How an answer differs from the expected one, one line for each difference; empty if it does not differ.
    #[must_use]
    pub fn differences(&self, answer: &Value) -> Vec<String> {
        match &self.expect {
            Some(expect) => compare::expected(expect, answer),
            None => vec!["the vector has no `expect`".to_owned()],
        }
    }

    /// The text of its file with this answer as the expected one; everything else stays unchanged.
    #[must_use]
    pub fn updated(&self, answer: &Value) -> String {
        update::updated(&self.source.text, answer)
    }
}

/// The errors in the files themselves, whatever a plugin would answer.
pub(super) fn mistakes(files: &[Arc<SourceFile>]) -> Vec<Diagnostic> {
    files.iter().filter_map(|file| Vector::read(file).err()).collect()
}

/// Runs all vectors, and does not stop at a failed one.
///
/// # Errors
/// An error for every invalid file and for every different answer, at its place.
pub(super) async fn self_test(plugin: &Plugin, files: &[Arc<SourceFile>]) -> Result<(), Vec<Diagnostic>> {
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

/// How two answers to one question differ, one line for each difference.
#[must_use]
pub fn differences(one: &Value, other: &Value) -> Vec<String> {
    compare::differences(one, other)
}

fn mismatch(plugin: &Plugin, vector: &Vector, differences: &[String]) -> Diagnostic {
    let message = format!("is answered differently: {}", differences.join("; "));
    Diagnostic::at(vector.expect_place(), message)
        .hint(format!("`tidegate plugin test {} --update` writes the present answer into the file", plugin.name()))
}
