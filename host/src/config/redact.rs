//! Keeps secrets out of errors: a mistake shows the line it is on, and a secret may stand on the same line.

use std::sync::Arc;

use super::{Diagnostic, Node, Place, Shape, SourceFile};

/// The keys whose texts are secrets; `api_keys` and `providers` where a text stands in the place of the list.
const SECRET_KEYS: [&str; 4] = ["secret", "key", "api_keys", "providers"];

/// Shorter texts are not looked for: they would blank half of the message and were no secret to begin with.
const SECRET_CHARS_MIN: usize = 4;

/// Every secret of a tree, as it stands in the file or the environment.
pub(super) fn secrets(root: &Node) -> Vec<String> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<String>) {
    match &node.shape {
        Shape::Scalar(_) => {}
        Shape::List(items) => items.iter().for_each(|item| collect(item, found)),
        Shape::Map(entries) => {
            for entry in entries {
                match &entry.value.shape {
                    Shape::Scalar(value) if SECRET_KEYS.contains(&entry.key.as_str()) => {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        if text.chars().count() >= SECRET_CHARS_MIN {
                            found.push(text);
                        }
                    }
                    _ => collect(&entry.value, found),
                }
            }
        }
    }
}

/// The mistake with a star for each character of a secret.
pub(super) fn redact(mut diagnostic: Diagnostic, secrets: &[String]) -> Diagnostic {
    diagnostic.message = blank(&diagnostic.message, secrets);
    diagnostic.hint = diagnostic.hint.map(|hint| blank(&hint, secrets));
    let places = diagnostic.place.iter_mut().chain(diagnostic.related.iter_mut().map(|(_, place)| place));
    for place in places {
        *place = blank_line(place, secrets);
    }
    diagnostic
}

fn blank_line(place: &Place, secrets: &[String]) -> Place {
    let text = blank(&place.source.text, secrets);
    let source = SourceFile { path: place.source.path.clone(), text };
    Place { source: Arc::new(source), ..place.clone() }
}

fn blank(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, &"*".repeat(secret.chars().count())))
}
