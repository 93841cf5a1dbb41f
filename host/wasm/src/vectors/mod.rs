//! Golden vectors: a question to a plugin and the answer it owes, one JSON file each in the plugin's `tests/`.
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

/// A question to a plugin, and the answer it owes.
#[derive(Clone)]
pub struct Vector {
    /// The file it came from, for messages.
    source: Arc<SourceFile>,
    question: Question,
    /// What its HTTP requests are answered; `None` where the file does not say.
    http: Option<Vec<Canned>>,
    /// What it finds where it asks the host for anything else.
    stage: Stage,
    /// What the file expects, as it stands there; `None` when nobody said yet.
    expect: Option<Value>,
}

/// What a plugin answered to a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The answer, in the words of `expect`.
    pub answer: Value,
    /// What it asked the host for that had no answer, a sentence each.
    missed: Vec<String>,
}

/// What a plugin is asked.
#[derive(Debug, Clone)]
enum Question {
    /// To answer a message.
    Handler { context: CallContext, payload: Payload },
    /// To decide.
    Authorizer { context: CallContext, action: Action, payload: Option<Payload> },
    /// To say whose a credential is.
    Identity { connection: ConnectionId, credential: Payload },
    /// To give the state of a topic.
    Snapshot { context: CallContext },
    /// To make the payload of an event that crosses to a topic.
    Transform { context: CallContext, event: Box<BusEvent>, payload: Payload },
    /// To hear of a connection.
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

    /// The question of an input that is a whole vector, or, where it is none, of a payload alone (of a transform: an
    /// event), of this kind and in this context.
    ///
    /// # Errors
    /// What is wrong with the input, and where.
    pub fn of_input(source: &Arc<SourceFile>, kind: PluginKind, context: ContextFile) -> Result<Self, Diagnostic> {
        read::of_input(source, kind, context)
    }

    /// The question that needs no input: of an authorizer whether this user may subscribe, of a snapshot for the topic's
    /// state, of a connection that it came or went.
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

    /// Whether the file says what it expects.
    #[must_use]
    pub const fn expects(&self) -> bool {
        self.expect.is_some()
    }

    /// Where the file says what it expects.
    fn expect_place(&self) -> Place {
        let before = self.source.text.find("\"expect\"").map_or("", |at| &self.source.text[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place { source: self.source.clone(), line, column, width: 1 }
    }

    /// Asks the plugin. What it answers is in the words of `expect`.
    pub async fn ask(&self, plugin: &Plugin) -> Value {
        self.ask_and_tell(plugin).await.answer
    }

    /// Asks the plugin, and keeps why it may have answered so.
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

    /// How an answer differs from what is expected, a line each, and why it may; none when it does not.
    #[must_use]
    pub fn judge(&self, asked: &Asked) -> Vec<String> {
        let mut told = self.differences(&asked.answer);
        if !told.is_empty() {
            let said = self.expect.as_ref().and_then(|expect| compare::said(expect, &asked.answer));
            told.extend(said.into_iter().chain(asked.missed.iter().cloned()));
        }
        told
    }

    /// How an answer differs from what is expected, a line each; none when it does not.
    #[must_use]
    pub fn differences(&self, answer: &Value) -> Vec<String> {
        match &self.expect {
            Some(expect) => compare::expected(expect, answer),
            None => vec!["the vector has no `expect`".to_owned()],
        }
    }

    /// The text of its file with this answer as what is expected; all else in it stays as it is.
    #[must_use]
    pub fn updated(&self, answer: &Value) -> String {
        update::updated(&self.source.text, answer)
    }
}

/// What is wrong with the files themselves, whatever a plugin would answer.
pub(super) fn mistakes(files: &[Arc<SourceFile>]) -> Vec<Diagnostic> {
    files.iter().filter_map(|file| Vector::read(file).err()).collect()
}

/// Runs every vector, and stops at none.
///
/// # Errors
/// A mistake for every file that is no vector and for every answer that differs, at its place.
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

/// How two answers to one question differ, a line each.
#[must_use]
pub fn differences(one: &Value, other: &Value) -> Vec<String> {
    compare::differences(one, other)
}

fn mismatch(plugin: &Plugin, vector: &Vector, differences: &[String]) -> Diagnostic {
    let message = format!("is answered otherwise: {}", differences.join("; "));
    Diagnostic::at(vector.expect_place(), message)
        .hint(format!("`tidegate plugin test {} --update` writes what is answered now into the file", plugin.name()))
}
