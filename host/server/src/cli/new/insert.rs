//! Adds keys to a mapping in the text of a YAML file. Every other line stays as it is, comments included.

use std::sync::Arc;

use serde_json::Value;

use tidegate_core::config::{Node, Shape, SourceFile, parse_yaml};

/// The deeper lines of a mapping that has no key yet.
const INDENT: usize = 2;

/// The text with the keys of `block` at the end of the mapping at `path`, or, where the mapping is in braces and `flow`
/// is given, with `flow` at the beginning of the braces. Both must say the same.
///
/// `None` if there is no such mapping, or if the result would say anything else than that.
pub(super) fn inserted(source: &Arc<SourceFile>, path: &[&str], block: &str, flow: Option<&str>) -> Option<String> {
    let tree = parse(source)?;
    let place = find(&tree, path)?;
    let text = match (place.braces(), flow) {
        (Some(at), Some(flow)) => {
            let comma = if place.map.entries().is_empty() { " " } else { "," };
            let (before, after) = source.text.split_at_checked(at)?;
            format!("{before} {flow}{comma}{after}")
        }
        (Some(_), None) => return None,
        (None, _) => place.in_block(block),
    };
    let mut wanted = tree.to_json();
    let map = path.iter().try_fold(&mut wanted, |value, step| value.get_mut(*step))?;
    let added = parse(&Arc::new(SourceFile { path: source.path.clone(), text: block.to_owned() }))?.to_json();
    if map.is_null() {
        *map = Value::Object(serde_json::Map::new());
    }
    map.as_object_mut()?.extend(added.as_object()?.clone());
    let made = parse(&Arc::new(SourceFile { path: source.path.clone(), text: text.clone() }))?;
    (made.to_json() == wanted).then_some(text)
}

/// The tree of a text without mistakes.
fn parse(source: &Arc<SourceFile>) -> Option<Node> {
    let mut mistakes = Vec::new();
    parse_yaml(source, &mut mistakes).filter(|_| mistakes.is_empty())
}

/// A mapping in a text.
struct Found<'a> {
    map: &'a Node,
    /// The column of its keys, from 0.
    indent: usize,
    /// The line of its key, from 1; 0 for the whole file.
    begins: usize,
    /// The line of the next key that is no part of it, from 1.
    next: Option<usize>,
}

fn find<'a>(tree: &'a Node, path: &[&str]) -> Option<Found<'a>> {
    let mut found = Found { map: tree, indent: 0, begins: 0, next: None };
    for step in path {
        let entry = found.map.entry(step)?;
        let begins = entry.key_place.line;
        let siblings = found.map.entries().iter().map(|sibling| sibling.key_place.line);
        let next = siblings.filter(|line| *line > begins).min().or(found.next);
        let first = entry.value.entries().first().map(|first| first.key_place.column - 1);
        let indent = first.unwrap_or(entry.key_place.column - 1 + INDENT);
        found = Found { map: &entry.value, indent, begins, next };
    }
    matches!(found.map.shape, Shape::Map(_) | Shape::Nothing).then_some(found)
}

impl Found<'_> {
    /// Where the braces of the mapping have been opened, in bytes of the text; `None` if it has none.
    fn braces(&self) -> Option<usize> {
        let place = &self.map.place;
        let mut lines = place.source.text.split_inclusive('\n');
        let before: usize = lines.by_ref().take(place.line - 1).map(str::len).sum();
        let (at, brace) = lines.next()?.char_indices().nth(place.column - 1)?;
        (brace == '{').then_some(before + at + 1)
    }

    /// The text with lines behind the last line of the mapping.
    fn in_block(&self, block: &str) -> String {
        let text = &self.map.place.source.text;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let mut end = self.next.map_or(lines.len(), |line| line - 1);
        // Empty lines, and comments that are further left, belong to what follows.
        let belongs_to_next = |line: &str| {
            let content = line.trim_start();
            content.is_empty() || (content.starts_with('#') && line.len() - content.len() < self.indent)
        };
        while end > self.begins && belongs_to_next(lines[end - 1]) {
            end -= 1;
        }
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut made = lines[..end].concat();
        if !made.is_empty() && !made.ends_with('\n') {
            made += newline;
        }
        for line in block.lines() {
            made += &format!("{}{line}{newline}", " ".repeat(self.indent));
        }
        made + &lines[end..].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, path: &[&str], block: &str, flow: Option<&str>) -> Option<String> {
        inserted(&Arc::new(SourceFile { path: "a.yaml".to_owned(), text: text.to_owned() }), path, block, flow)
    }

    #[test]
    fn keys_come_at_the_end_of_their_mapping_and_comments_stay_with_what_they_are_about() {
        let text = "# All.\na:\n  b:   # One.\n    c: 1\n    # Of b.\n\n  # Of d.\n  d: {}\n\n# Of e.\ne: 2\n";
        let made = after(text, &["a", "b"], "x: 3\ny:\n  z: 4\n", None);
        let wanted = "    # Of b.\n    x: 3\n    y:\n      z: 4\n\n  # Of d.\n";
        assert_eq!(made, Some(text.replace("    # Of b.\n\n  # Of d.\n", wanted)));
        assert_eq!(after("a:\n  b: 1", &["a"], "c: 2\n", None).as_deref(), Some("a:\n  b: 1\n  c: 2\n"));
        assert_eq!(after("a:\r\n\r\nb: 1", &["a"], "c: 2\n", None).as_deref(), Some("a:\r\n  c: 2\r\n\r\nb: 1"));
    }

    #[test]
    fn keys_come_first_in_braces() {
        let made = after("a: { b: { c: 1 } }   # Why.\n", &["a", "b"], "x: 3\n", Some("x: 3"));
        assert_eq!(made.as_deref(), Some("a: { b: { x: 3, c: 1 } }   # Why.\n"));
        assert_eq!(after("ä: {}\n", &["ä"], "x: 3\n", Some("x: 3")).as_deref(), Some("ä: { x: 3 }\n"));
        assert_eq!(after("a: {}\n", &["a"], "x: 3\n", None), None);
    }

    #[test]
    fn nothing_is_made_that_would_say_something_else() {
        for text in ["a: 1\n", "b: {}\n", "a: *x\n", "a:\n  x: 1\n", "a: &a\n  b: 1\nc: *a\n"] {
            assert_eq!(after(text, &["a"], "x: 3\n", Some("x: 3")), None, "{text}");
        }
    }
}
