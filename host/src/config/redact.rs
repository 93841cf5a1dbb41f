//! Keeps secrets out of errors: a mistake shows the line it is on, and a secret may stand on the same line.

use std::sync::Arc;

use super::{Diagnostic, Node, Place, Shape, SourceFile};

/// The keys whose texts are secrets; `api_keys` and `providers` where a text stands in the place of the list.
const SECRET_KEYS: [&str; 4] = ["secret", "key", "api_keys", "providers"];

/// Shorter texts are not looked for: they would blank half of the message and were no secret to begin with.
const SECRET_CHARS_MIN: usize = 4;

/// Every secret of a tree, as it stands in the file or the environment; the passwords of addresses wherever they stand.
pub(super) fn secrets(root: &Node) -> Vec<String> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<String>) {
    match &node.shape {
        Shape::Scalar(value) => {
            found.extend(
                value.as_str().and_then(password).filter(|password| is_looked_for(password)).map(str::to_owned),
            );
        }
        Shape::List(items) => items.iter().for_each(|item| collect(item, found)),
        Shape::Map(entries) => {
            for entry in entries {
                match &entry.value.shape {
                    Shape::Scalar(value) if SECRET_KEYS.contains(&entry.key.as_str()) => {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        if is_looked_for(&text) {
                            found.push(text);
                        }
                    }
                    _ => collect(&entry.value, found),
                }
            }
        }
    }
}

fn is_looked_for(text: &str) -> bool {
    // `${NAME}` is where a secret is, not one.
    text.chars().count() >= SECRET_CHARS_MIN && !text.starts_with("${")
}

/// What stands between the user's name and the host of an address. Whoever forgot to escape an `@` or a `/` in it has no
/// less of a secret.
fn password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let (credential, _) = rest.rsplit_once('@')?;
    credential.split_once(':').map(|(_, password)| password)
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
