//! A key without a value, and an empty item of a list: an error in every file, because the meaning is lost.

use std::collections::HashSet;

use serde::Deserialize;

use super::{Diagnostic, Node, Place, Shape};

/// The beginning of the hint for a key that may be left out.
const TAKE_OUT: &str = "remove it, or ";
/// Serde's words for a value of any kind.
const ANYTHING: &str = "any valid JSON value";
/// The expected form of a name without a value, such as `public`.
pub(super) const NOTHING_BEHIND: &str = "the name alone";

/// A value that may also be `null`: `[null, { id: u1 }]`. For an `Option` a `null` is an error.
#[derive(Debug, Deserialize)]
pub struct OrNull<T>(pub Option<T>);

impl<T> OrNull<T> {
    /// The name by which serde knows it.
    pub(super) const NAME: &str = "OrNull";
}

/// The error about a key without a value; `expected` is what serde expects there.
pub(super) fn no_value(key_place: Place, key: &str, expected: &str) -> Diagnostic {
    let is_comment = key_place.behind().trim_start_matches([':', ' ', '\t', '"', '\'']).starts_with('#');
    let mistake = Diagnostic::at(key_place, format!("`{key}` has no value"));
    let instead = match expected {
        NOTHING_BEHIND => return mistake.hint(format!("write `{key}` alone")),
        "a sequence" => format!("write `{key}: []`"),
        "a map" => format!("write `{key}: {{}}`"),
        of if of.starts_with("struct ") => "give it its keys".to_owned(),
        ANYTHING if is_comment => "write `null`, or quote a value that begins with `#`".to_owned(),
        ANYTHING => "write `null`".to_owned(),
        _ if is_comment => "quote a value that begins with `#`".to_owned(),
        _ => "give it a value".to_owned(),
    };
    mistake.hint(format!("{TAKE_OUT}{instead}"))
}

/// The error about an empty item: `- ` and the end of the line.
pub(super) fn no_item(place: &Place, index: &str, list: Option<&String>) -> Diagnostic {
    let line = place.line_text();
    let text = line.trim_start_matches([' ', '-']);
    let (before, is_comment) = (&line[..line.len() - text.len()], text.starts_with('#'));
    // A comment after the `-` is not a part of it.
    let dash = before.rfind('-').filter(|_| is_comment || text.is_empty());
    let column = dash.map_or(place.column, |dash| dash + 1);
    let place = Place { column, width: 1, ..place.clone() };
    let instead = if is_comment { "quote a value that begins with `#`" } else { "give it a value" };
    Diagnostic::at(place, format!("{} has no value", item(index, list))).hint(format!("{TAKE_OUT}{instead}"))
}

/// The name of an item of a list for people.
pub(super) fn item(index: &str, list: Option<&String>) -> String {
    let number = index.parse::<usize>().map_or(0, |index| index + 1);
    let of = list.map(|list| format!(" of `{list}`")).unwrap_or_default();
    format!("item {number}{of}")
}

/// A required key must not be removed, so the hint must not say that.
pub fn must_stay(told: &mut Diagnostic) {
    if let Some(instead) = told.hint.as_ref().and_then(|hint| hint.strip_prefix(TAKE_OUT)) {
        told.hint = Some(instead.to_owned());
    }
}

/// Reports missing values in a tree that no type reads: a JSON Schema. Returns the pointers of the reported values.
///
/// `refused` holds the pointers where a written `null` is an error as well; elsewhere it may be one of the values.
pub fn tell_nothing(tree: &Node, refused: &HashSet<&str>, diagnostics: &mut Vec<Diagnostic>) -> HashSet<String> {
    let mut walk = Walk { refused, diagnostics, told: HashSet::new() };
    walk.below(tree, "");
    walk.told
}

struct Walk<'a> {
    refused: &'a HashSet<&'a str>,
    diagnostics: &'a mut Vec<Diagnostic>,
    told: HashSet<String>,
}

impl Walk<'_> {
    fn below(&mut self, node: &Node, pointer: &str) {
        for (index, item) in node.items().iter().enumerate() {
            let at = format!("{pointer}/{index}");
            let list = pointer.rsplit('/').next().filter(|list| !list.is_empty()).map(str::to_owned);
            self.visit(item, at, |_| no_item(&item.place, &index.to_string(), list.as_ref()));
        }
        for entry in node.entries() {
            let at = format!("{pointer}/{}", entry.key.replace('~', "~0").replace('/', "~1"));
            self.visit(&entry.value, at, |is_refused| {
                let expected = if is_refused { "something" } else { ANYTHING };
                no_value(entry.key_place.clone(), &entry.key, expected)
            });
        }
    }

    fn visit(&mut self, node: &Node, at: String, mistake: impl FnOnce(bool) -> Diagnostic) {
        let is_refused = self.refused.contains(at.as_str());
        match &node.shape {
            Shape::Nothing => {}
            Shape::Scalar(value) if value.is_null() && is_refused => {}
            _ => return self.below(node, &at),
        }
        // A value with an error of the parser is missing, too.
        if !self.diagnostics.iter().any(|told| told.place.as_ref() == Some(&node.place)) {
            self.diagnostics.push(mistake(is_refused));
        }
        self.told.insert(at);
    }
}
