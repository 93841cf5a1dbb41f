//! Keeps secrets out of errors: an error shows its line, and a secret may be on the same line.

use std::sync::Arc;

use super::{Diagnostic, Entry, Node, Place, Shape, SourceFile};

/// The keys with secrets below them, in addition to those with one of [`SECRET_WORDS`].
const SECRET_KEYS: [&str; 4] = ["key", "keys", "api_key", "api_keys"];
/// Parts of keys whose values are secrets, also of misspelt keys.
const SECRET_WORDS: [&str; 2] = ["secret", "password"];
/// Keys next to secrets that are not secrets.
const PLAIN_KEYS: [&str; 2] = ["name", "may"];
/// Words in a line after which secrets may follow, in a text that could not be read.
const TELLING_WORDS: [&str; 4] = ["secret", "password", "key", "token"];

/// Shorter texts are ignored: replacing them would blank half of the message, and they were never real secrets.
const SECRET_CHARS_MIN: usize = 4;

/// Every secret of a tree, as in the file or the environment; also all passwords in addresses.
pub(super) fn secrets(root: &Node) -> Vec<String> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<String>) {
    match &node.shape {
        Shape::Nothing => {}
        Shape::Scalar(value) => {
            found.extend(
                value.as_str().and_then(password).filter(|password| is_looked_for(password)).map(str::to_owned),
            );
        }
        Shape::List(items) => items.iter().for_each(|item| collect(item, found)),
        Shape::Map(entries) => {
            for entry in entries {
                // A text that ends with a colon is read as a key.
                found.extend(password(&entry.key).filter(|password| is_looked_for(password)).map(str::to_owned));
                // A text in place of the providers may be the secret of one.
                let is_misplaced = || entry.key == "providers" && matches!(entry.value.shape, Shape::Scalar(_));
                if sounds_secret(&entry.key) || is_misplaced() {
                    found.extend(behind(entry));
                    everything(&entry.value, found);
                } else {
                    collect(&entry.value, found);
                }
            }
        }
    }
}

/// The words after a key whose value is at most one word: YAML may have read them as an anchor, a tag or a comment.
fn behind(entry: &Entry) -> Vec<String> {
    if !matches!(entry.value.shape, Shape::Scalar(_) | Shape::Nothing) {
        return Vec::new();
    }
    let line = entry.key_place.behind();
    let words = line.split([',', '}', ']']).next().unwrap_or_default().split_whitespace();
    let words = words.map(|word| word.trim_matches([':', '&', '*', '!', '#', '"', '\'']).to_owned());
    words.filter(|word| is_looked_for(word)).collect()
}

fn sounds_secret(key: &str) -> bool {
    SECRET_KEYS.contains(&key) || SECRET_WORDS.iter().any(|word| key.to_ascii_lowercase().contains(word))
}

fn everything(node: &Node, found: &mut Vec<String>) {
    match &node.shape {
        Shape::Nothing => {}
        Shape::Scalar(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // A number may be written differently from how it is shown.
            found.extend([text, written(&node.place)].into_iter().filter(|text| is_looked_for(text)));
        }
        Shape::List(items) => items.iter().for_each(|item| everything(item, found)),
        Shape::Map(entries) => {
            for entry in entries.iter().filter(|entry| !PLAIN_KEYS.contains(&entry.key.as_str())) {
                // A text that ends with a colon is read as a key without a value.
                let is_text = matches!(entry.value.shape, Shape::Nothing) && is_looked_for(&entry.key);
                found.extend(is_text.then(|| entry.key.clone()));
                everything(&entry.value, found);
            }
        }
    }
}

/// The text at a place, up to the next space or comma.
fn written(place: &Place) -> String {
    let line = place.source.text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
    let from = line.chars().skip(place.column.saturating_sub(1));
    let text: String = from.take_while(|char| !char.is_whitespace() && !",}]".contains(*char)).collect();
    text.trim_matches(['"', '\'']).to_owned()
}

/// Everything that may be a secret in a text that could not be read: the words after a key that sounds like one, to the
/// end of the line, and the passwords in addresses.
pub(super) fn secrets_of_text(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        found.extend(password(line).map(str::to_owned));
        let lower = line.to_ascii_lowercase();
        let told = TELLING_WORDS.iter().filter_map(|word| lower.find(word)).min();
        let behind = told.and_then(|at| line.get(at..)).and_then(|rest| rest.split_once([':', '=']));
        if let Some((_, behind)) = behind {
            let words = behind.split([' ', ',', '{', '}', '[', ']', '"', '\'']);
            found.extend(words.filter(|word| !word.ends_with(':')).map(str::to_owned));
        }
    }
    found.retain(|word| is_looked_for(word));
    found
}

fn is_looked_for(text: &str) -> bool {
    // `${NAME}` stands for a secret, but is not one.
    text.chars().count() >= SECRET_CHARS_MIN && !text.starts_with("${")
}

/// The part between the user's name and the host of an address. It is a secret even if somebody forgot to escape an `@`
/// or a `/` in it.
fn password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let (credential, _) = rest.rsplit_once('@')?;
    credential.split_once(':').map(|(_, password)| password)
}

/// The error with a star for each character of a secret.
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

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const SECRET: &str = "S3CRET-of-thirty-two-bytes-or-more";

    #[test]
    fn no_mistake_around_a_secret_shows_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tidegate.yaml");
        for file in [
            format!("auth:\n  providers:\n    - jwt: {{ algorithm: HS256, secret: \"{SECRET}"),
            format!("auth:\n  providers:\n    - jwt: {{ secret: @{SECRET} }}\n"),
            format!("auth:\n  providers:\n    - jwt:\n        secret: SECRET: {SECRET}\n"),
            format!("auth: {{ providers: [jwt: {{ secret: [{SECRET}] }}] }}"),
            format!("auth: {{ providers: [jwt: {{ secret: *{SECRET} }}] }}"),
            format!("auth: {{ providers: [jwt: {{ secret: &{SECRET} x }}] }}"),
            format!("auth:\n  providers:\n  - jwt:\n      secret: !{SECRET}\n"),
            format!("auth:\n  providers:\n  - jwt:\n      secret: #{SECRET}\n"),
            format!("auth: {{ providers: [jwt: {{ secret: {{ a: {SECRET} }} }}] }}"),
            format!("auth: {{ providers: [jwt: {{ secrett: {SECRET} }}] }}"),
            format!("auth: {{ providers: [jwt: {{ Secrets: '{SECRET}' }}] }}"),
            format!("api_keys: [{{ name: a, keys: {SECRET} }}]"),
            format!("api_keys: {{ backend: {SECRET} }}"),
            format!("api_keys: ['{SECRET}']"),
            format!("store: postgres://a:{SECRET}\"@h: x/d"),
            format!("nonsense: {{ password: {SECRET} }}"),
        ] {
            std::fs::write(&path, &file).unwrap();
            shows_none(&path, &[], SECRET, &file);
        }
        let digits = "12345678901234567890123";
        std::fs::write(&path, format!("auth: {{ providers: [jwt: {{ secret: {digits} }}] }}")).unwrap();
        shows_none(&path, &[], digits, "digits");
        std::fs::write(&path, "listen: 127.0.0.1:0").unwrap();
        let keys = [("TIDEGATE__API_KEYS".to_owned(), format!("[{{name: a, key: {SECRET}"))];
        shows_none(&path, &keys, SECRET, "a variable");
    }

    fn shows_none(path: &std::path::Path, env: &[(String, String)], secret: &str, what: &str) {
        let told = Config::load(Some(path), env.to_vec(), &[]).unwrap_err();
        // The text of the file goes along with each place, so that all of it counts.
        let shown: String = told.iter().map(|told| format!("{told:?}\n{}", told.render())).collect();
        assert!(!shown.contains(secret), "{what}\n{shown}");
    }
}
