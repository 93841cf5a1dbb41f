//! From channels, files and keys to names that are valid in every language.

use std::collections::BTreeSet;

/// Names that a type must not have: words with a meaning in types of any of the languages.
const TAKEN: [&str; 54] = [
    "Any",
    "Array",
    "ArrayBuffer",
    "Bool",
    "Boolean",
    "Box",
    "Channels",
    "Class",
    "Clone",
    "Date",
    "Debug",
    "Default",
    "Dict",
    "Enum",
    "Err",
    "Error",
    "Exclude",
    "False",
    "Float",
    "Function",
    "HashMap",
    "Int",
    "List",
    "Literal",
    "Map",
    "Never",
    "None",
    "NotRequired",
    "Null",
    "Number",
    "Object",
    "Ok",
    "Option",
    "Optional",
    "Partial",
    "PartialEq",
    "Pick",
    "Promise",
    "Readonly",
    "Record",
    "Required",
    "Result",
    "Self",
    "Set",
    "Some",
    "String",
    "Symbol",
    "True",
    "Tuple",
    "TypedDict",
    "Undefined",
    "Union",
    "Unknown",
    "Vec",
];

/// The names given so far.
#[derive(Debug, Default)]
pub(in crate::channels) struct Names(BTreeSet<String>);

impl Names {
    /// A unique name: the wanted one, or with a number after it.
    pub(in crate::channels) fn claim(&mut self, wanted: &str) -> String {
        let wanted = if TAKEN.contains(&wanted) { format!("{wanted}Type") } else { wanted.to_owned() };
        let numbered = (2_u32..).map(|number| format!("{wanted}{number}"));
        let mut candidates = std::iter::once(wanted.clone()).chain(numbered);
        let name = candidates.find(|name| !self.0.contains(name)).unwrap_or(wanted);
        self.0.insert(name.clone());
        name
    }

    /// Returns a name that was not needed.
    pub(super) fn release(&mut self, name: &str) {
        self.0.remove(name);
    }
}

/// `vault.{vaultId}` as `VaultVaultId`, `HTTP-url` as `HTTPUrl`: letters and digits of ASCII, a letter first.
pub(in crate::channels) fn pascal(text: &str) -> String {
    let mut name = String::new();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        name += &first.to_ascii_uppercase();
        name += rest;
    }
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name.insert(0, 'N');
    }
    name
}

/// `publishedAt` as `published_at`: lower-case letters, digits and `_` of ASCII, no digit first.
pub(super) fn snake(text: &str) -> String {
    let mut name = String::new();
    let mut before = '_';
    for c in text.chars() {
        let kept = if c.is_ascii_alphanumeric() { c } else { '_' };
        if kept.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            name.push('_');
        }
        if kept != '_' || !name.ends_with('_') {
            name.push(kept.to_ascii_lowercase());
        }
        before = kept;
    }
    let trimmed = name.trim_end_matches('_');
    let name = if trimmed.is_empty() { "key" } else { trimmed };
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("n{name}") } else { name.to_owned() }
}

/// Whether it is valid in every language, apart from keywords.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_every_language_takes() {
        let named = ["vault.{vaultId}", "realtime-ping", "2nd", "grüße", "", "aB_c"].map(pascal);
        assert_eq!(named, ["VaultVaultId", "RealtimePing", "N2nd", "GrE", "N", "ABC"]);
        let keys = ["publishedAt", "HTTPCode", "a-b", "2nd", "", "ü", "_id", "n1A"].map(snake);
        assert_eq!(keys, ["published_at", "httpcode", "a_b", "n2nd", "key", "key", "_id", "n1_a"]);
    }

    #[test]
    fn a_name_is_given_once_and_never_is_a_word_of_a_language() {
        let mut names = Names::default();
        let given = ["Item", "Item", "Option", "Item"].map(|name| names.claim(name));
        assert_eq!(given, ["Item", "Item2", "OptionType", "Item3"]);
    }
}
