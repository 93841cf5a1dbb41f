//! The examples of a channel: users that it admits and payloads that it accepts, checked against the declarations. One
//! or more JSON files for each channel, in `channels/tests/`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{Catalog, Resolved, Schema};
use crate::config::{Diagnostic, Node, OrNull, SourceFile, decode, parse_yaml};
use crate::protocol::User;

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    topic: String,
    scope: Option<Scoped>,
    payload: Option<Taken>,
    inbound: Option<Taken>,
}

/// Users that the scope admits or refuses; `null` is a connection without a user.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scoped {
    admits: Vec<OrNull<UserExample>>,
    refuses: Vec<OrNull<UserExample>>,
}

/// Payloads that match a schema.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Taken {
    accepts: Vec<Value>,
    refuses: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserExample {
    id: String,
    #[serde(default)]
    roles: Vec<String>,
}

/// Checks a file of examples. Plugins are not asked: an authorizer may refuse a user that the scope admits.
///
/// Returns how many examples are right.
///
/// # Errors
/// An error for everything that is wrong with the file, and for every example with another result.
pub fn judge_examples(source: &Arc<SourceFile>, catalog: &Catalog) -> Result<usize, Vec<Diagnostic>> {
    let (tree, file) = read(source)?;
    let Some(resolved) = catalog.resolve(&file.topic) else {
        let place = tree.nearest("/topic").place.clone();
        let message = format!("no channel declares the topic `{}`", file.topic);
        return Err(vec![Diagnostic::at(place, message).hint("`tidegate channels` lists the declared channels")]);
    };
    let mut judge = Judge { tree: &tree, resolved: &resolved, held: 0, mistakes: Vec::new() };
    judge.scope(&file.scope.unwrap_or_default());
    if let Some(taken) = &file.payload {
        judge.taken("payload", &resolved.channel.payload, taken);
    }
    if let Some(taken) = &file.inbound {
        judge.inbound(taken);
    }
    if judge.mistakes.is_empty() { Ok(judge.held) } else { Err(judge.mistakes) }
}

/// The errors in a file of examples itself, whatever is declared.
///
/// # Errors
/// All errors.
pub fn read_examples(source: &Arc<SourceFile>) -> Result<(), Vec<Diagnostic>> {
    read(source).map(drop)
}

fn read(source: &Arc<SourceFile>) -> Result<(Node, File), Vec<Diagnostic>> {
    let mut mistakes = Vec::new();
    // JSON is also YAML, whose parser knows the places.
    let tree = parse_yaml(source, &mut mistakes);
    let file = tree.as_ref().and_then(|tree| decode(tree, &mut mistakes));
    match (tree, file) {
        (Some(tree), Some(file)) if mistakes.is_empty() => Ok((tree, file)),
        _ => Err(mistakes),
    }
}

struct Judge<'a> {
    tree: &'a Node,
    resolved: &'a Resolved,
    held: usize,
    mistakes: Vec<Diagnostic>,
}

impl Judge<'_> {
    fn scope(&mut self, scoped: &Scoped) {
        let Resolved { channel, params, .. } = self.resolved;
        for (key, users, admitted) in [("admits", &scoped.admits, true), ("refuses", &scoped.refuses, false)] {
            for (index, OrNull(user)) in users.iter().enumerate() {
                let who = user.as_ref().map_or_else(|| "nobody".to_owned(), |user| format!("`{}`", user.id));
                let user = user.as_ref().map(UserExample::user);
                let judged = channel.scope.admit(user.as_ref(), params);
                let message = match judged {
                    Ok(()) => format!("the scope of `{}` admits {who}", channel.template),
                    Err(code) => format!("the scope of `{}` refuses {who}: {}", channel.template, code.as_str()),
                };
                self.note(&format!("/scope/{key}/{index}"), judged.is_ok() == admitted, message);
            }
        }
    }

    fn inbound(&mut self, taken: &Taken) {
        let channel = &self.resolved.channel;
        let Some(inbound) = &channel.inbound else {
            let message = format!("clients may send nothing on `{}`: it has no `inbound`", channel.template);
            return self.note("/inbound", false, message);
        };
        // A relay without its own schema uses the channel's.
        let schema = inbound.payload.as_ref().unwrap_or(&channel.payload).clone();
        self.taken("inbound", &schema, taken);
    }

    fn taken(&mut self, what: &str, schema: &Schema, taken: &Taken) {
        for (key, payloads, accepted) in [("accepts", &taken.accepts, true), ("refuses", &taken.refuses, false)] {
            for (index, payload) in payloads.iter().enumerate() {
                let judged = schema.check(payload);
                let message = match &judged {
                    Ok(()) => "the schema accepts it".to_owned(),
                    Err(violations) => {
                        let told: Vec<String> = violations
                            .iter()
                            .map(|violation| format!("{} {}", violation.path, violation.message).trim().to_owned())
                            .collect();
                        format!("the schema refuses it: {}", told.join("; "))
                    }
                };
                self.note(&format!("/{what}/{key}/{index}"), judged.is_ok() == accepted, message);
            }
        }
    }

    fn note(&mut self, pointer: &str, held: bool, message: String) {
        if held {
            self.held += 1;
        } else {
            let place = self.tree.nearest(pointer).place.clone();
            let example = pointer.trim_start_matches('/').replace('/', ".");
            self.mistakes.push(Diagnostic::at(place, format!("`{example}`: {message}")));
        }
    }
}

impl UserExample {
    fn user(&self) -> User {
        User::new(self.id.as_str(), self.roles.clone(), None)
    }
}
