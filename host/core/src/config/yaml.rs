//! From YAML text to a tree that knows the place of every part. The home of `granit_parser`; `quoting.rs` explains the
//! parser's errors to people who forgot quotes.
//!
//! It uses a parser of events and not a serde one, because an error needs all its places (for a duplicate key two), and
//! because a file is read to its end to find all errors. Scalars are typed by the YAML 1.2 core schema, so `on` and
//! `no` are texts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::Value;

use super::node::{Entry, Node, Shape};
use super::{Diagnostic, Place, SourceFile, quoting};

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 64;
/// Most nodes of one file; each use of an alias counts again.
pub const NODES_MAX: usize = 500_000;

/// Reads a YAML text. Every mistake is added to `diagnostics`; of a duplicate key the first value stands.
///
/// `None` when the text is no YAML at all or breaks a bound. A file without content reads as an empty mapping.
///
/// ```
/// use std::sync::Arc;
/// use tidegate_core::config::{SourceFile, parse_yaml};
///
/// let source = Arc::new(SourceFile { path: "a.yaml".into(), text: "name: x\nname: y\n".into() });
/// let mut diagnostics = Vec::new();
/// let node = parse_yaml(&source, &mut diagnostics).unwrap();
/// assert_eq!(node.get("name").unwrap().as_str(), Some("x"));
/// assert_eq!(diagnostics[0].message, "key `name` is given twice");
/// assert_eq!(diagnostics[0].place.as_ref().unwrap().line, 2);
/// ```
pub fn parse_yaml(source: &Arc<SourceFile>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let root = parse_value(source, diagnostics)?;
    let is_empty = matches!(root.shape, Shape::Nothing);
    Some(if is_empty { Node::new(root.place, Shape::Map(Vec::new())) } else { root })
}

/// Like [`parse_yaml`], for a text that is one value of a file: without content it is missing.
pub(super) fn parse_value(source: &Arc<SourceFile>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    let start = Place { source: source.clone(), line: 1, column: 1, width: 1 };
    if source.text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {FILE_BYTES_MAX} are allowed", source.text.len());
        diagnostics.push(Diagnostic { place: Some(start), ..Diagnostic::new(message) });
        return None;
    }
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mut builder = Builder {
        source,
        diagnostics,
        open: Vec::new(),
        anchors: HashMap::new(),
        names: BTreeMap::new(),
        nodes: 0,
        root: None,
    };
    let options = granit_parser::options! { emit_anchor_events: true, emit_unresolved_aliases: true };
    let mut parser = Parser::new_from_str_with_options(text, options);
    while let Some(event) = parser.next_event() {
        match event {
            Ok((event, span)) => {
                if let Err(stop) = builder.take(event, span) {
                    builder.diagnostics.push(stop);
                    return None;
                }
            }
            Err(error) => {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                let place = Place { source: source.clone(), line, column, width: 1 };
                builder.diagnostics.push(syntax_error(place, &error));
                return None;
            }
        }
    }
    builder.refuse_anchors();
    let root = builder.root.take();
    Some(root.unwrap_or_else(|| Node::new(start, Shape::Nothing)))
}

fn syntax_error(place: Place, error: &ScanError) -> Diagnostic {
    let is_tab = place.line_text().chars().take(place.column).any(|c| c == '\t');
    let diagnostic = Diagnostic::at(place.clone(), format!("not YAML: {}", error.info()));
    if is_tab {
        return diagnostic.hint("YAML indents with spaces, never with tabs");
    }
    quoting::unquoted(&place, error.kind()).unwrap_or(diagnostic)
}

/// Builds the tree from the parser's events, with its own stack instead of recursion.
struct Builder<'a> {
    source: &'a Arc<SourceFile>,
    diagnostics: &'a mut Vec<Diagnostic>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    names: BTreeMap<usize, AnchorName>,
    nodes: usize,
    root: Option<Node>,
}

/// The name of an anchor, as written.
struct AnchorName {
    name: String,
    place: Place,
    is_used: bool,
}

/// A collection whose end was not seen yet.
struct Open {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, by_key: HashMap<String, usize>, key: Option<Node>, merged: Vec<Node> },
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let place = self.place(span.tag_span().unwrap_or(span));
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err(
                    Diagnostic::at(place, "a second document begins here").hint("a file may hold only one document")
                );
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(&place, tag.is_some());
                let is_nothing = style == ScalarStyle::Plain && span.is_empty();
                let shape = if is_nothing { Shape::Nothing } else { Shape::Scalar(self.scalar(&place, &text, style)) };
                self.add(Node::new(place, shape), anchor, 1)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(&place, tag.is_some());
                self.open(place, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(&place, tag.is_some());
                let content =
                    Content::Map { entries: Vec::new(), by_key: HashMap::new(), key: None, merged: Vec::new() };
                self.open(place, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Anchor(id, name) => {
                self.names.insert(id, AnchorName { name: name.into_owned(), place, is_used: false });
            }
            Event::UnresolvedAlias(name) => {
                self.diagnostics.push(quoting::unknown_alias(&place, &name));
                self.add(Node::new(place, Shape::Nothing), 0, 1)?;
            }
            Event::Alias(id) => {
                if let Some(name) = self.names.get_mut(&id) {
                    name.is_used = true;
                }
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Diagnostic::at(place, "an alias is inside the node that it names"));
                };
                // Counted before it is copied, which stops an alias bomb here.
                let (size, depth) = (node.size(), node.depth());
                self.count(size, &place)?;
                if depth + self.open.len() > DEPTH_MAX {
                    return Err(Diagnostic::at(place, format!("nested deeper than {DEPTH_MAX} levels")));
                }
                let node = self.anchors[&id].clone();
                self.add(node, 0, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        let (line, column) = (span.start.line().max(1), span.start.col() + 1);
        let width =
            if span.end.line() == span.start.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        Place { source: self.source.clone(), line, column, width: width.max(1) }
    }

    fn refuse_tag(&mut self, place: &Place, tagged: bool) {
        if tagged {
            self.diagnostics.push(quoting::tag(place));
        }
    }

    /// Reports every anchor that was probably not meant: its name is not a word, or nothing refers to it.
    fn refuse_anchors(&mut self) {
        for AnchorName { name, place, is_used } in self.names.values() {
            let is_word = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !is_used || !is_word {
                self.diagnostics.push(quoting::anchor(place, name));
            }
        }
    }

    fn count(&mut self, nodes: usize, place: &Place) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(Diagnostic::at(place.clone(), format!("the file has more than {NODES_MAX} values"))
                .hint("each use of an alias counts as if it were written out"));
        }
        Ok(())
    }

    fn open(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), Diagnostic> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Diagnostic::at(place, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Open { place, anchor, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(Open { place, anchor, content }) = self.open.pop() else { return Ok(()) };
        let shape = match content {
            Content::List(items) => Shape::List(items),
            Content::Map { mut entries, by_key, merged, .. } => {
                let inherited = merged.iter().flat_map(Node::entries).filter(|entry| !by_key.contains_key(&entry.key));
                let mut seen = std::collections::HashSet::new();
                entries.extend(inherited.filter(|entry| seen.insert(entry.key.clone())).cloned());
                Shape::Map(entries)
            }
        };
        self.add(Node::new(place, shape), anchor, 1)
    }

    /// Adds a finished node to the open collection, or at the root.
    fn add(&mut self, node: Node, anchor: usize, count: usize) -> Result<(), Diagnostic> {
        self.count(count, &node.place)?;
        if anchor != 0 {
            self.count(node.size(), &node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { key: key @ None, .. } => *key = Some(node),
            Content::Map { entries, by_key, key, merged } => {
                let Some(key) = key.take() else { return Ok(()) };
                match key.as_str() {
                    Some("<<") => merged.extend(merge_sources(node, self.diagnostics)),
                    Some(name) => match by_key.get(name) {
                        Some(&first) => self.diagnostics.push(
                            Diagnostic::at(key.place.clone(), format!("key `{name}` is given twice"))
                                .also("first given here", entries[first].key_place.clone()),
                        ),
                        None => {
                            by_key.insert(name.to_owned(), entries.len());
                            entries.push(Entry { key: name.to_owned(), key_place: key.place.clone(), value: node });
                        }
                    },
                    None => {
                        let message = format!("a key must be a text, found {}", key.kind());
                        let is_number = matches!(key.shape, Shape::Scalar(Value::Number(_)));
                        let hint = if is_number {
                            "quote it; if it is a part of a number, write the number without commas"
                        } else {
                            "quote it"
                        };
                        self.diagnostics.push(Diagnostic::at(key.place, message).hint(hint));
                    }
                }
            }
        }
        Ok(())
    }

    /// Types a scalar by the YAML 1.2 core schema, <https://yaml.org/spec/1.2.2/#103-core-schema>.
    fn scalar(&mut self, place: &Place, text: &str, style: ScalarStyle) -> Value {
        if style != ScalarStyle::Plain {
            return Value::String(text.to_owned());
        }
        match text {
            "~" | "null" | "Null" | "NULL" => return Value::Null,
            "true" | "True" | "TRUE" => return Value::Bool(true),
            "false" | "False" | "FALSE" => return Value::Bool(false),
            _ => {}
        }
        match number(text) {
            Some(Ok(number)) => Value::Number(number),
            Some(Err(())) => {
                let message = format!("number `{text}` is out of range");
                self.diagnostics.push(Diagnostic::at(place.clone(), message).hint("quote it if you mean a text"));
                Value::Null
            }
            None => Value::String(text.to_owned()),
        }
    }
}

fn merge_sources(node: Node, diagnostics: &mut Vec<Diagnostic>) -> Vec<Node> {
    let sources = match node.shape {
        Shape::List(items) => items,
        _ => vec![node],
    };
    let (maps, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(|node| matches!(node.shape, Shape::Map(_)));
    diagnostics.extend(others.into_iter().map(|node| Diagnostic::at(node.place, "`<<` can merge only mappings")));
    maps
}

/// `None` if the text is not a number, `Some(Err)` if JSON cannot hold the number.
fn number(text: &str) -> Option<Result<serde_json::Number, ()>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(Err(()));
    }
    if let Some(hex) =
        text.strip_prefix("0x").filter(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Some(u64::from_str_radix(hex, 16).map(Into::into).map_err(|_| ()));
    }
    if let Some(octal) =
        text.strip_prefix("0o").filter(|oct| !oct.is_empty() && oct.bytes().all(|b| (b'0'..b'8').contains(&b)))
    {
        return Some(u64::from_str_radix(octal, 8).map(Into::into).map_err(|_| ()));
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let whole = unsigned.parse::<u64>().map(Into::into).or_else(|_| unsigned.parse::<i64>().map(Into::into));
        return Some(whole.map_err(|_| ()));
    }
    // Rust's grammar of floats is that of the core schema; `inf` and `nan` were excluded by the first character.
    let float = unsigned.parse::<f64>().ok()?;
    Some(serde_json::Number::from_f64(float).ok_or(()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let source = Arc::new(SourceFile { path: "a.yaml".to_owned(), text: text.to_owned() });
        let mut diagnostics = Vec::new();
        let node = parse_yaml(&source, &mut diagnostics);
        let shown = |d: &Diagnostic| match &d.place {
            Some(place) => format!("{}:{} {}", place.line, place.column, d.message),
            None => d.message.clone(),
        };
        (node, diagnostics.iter().map(shown).collect())
    }

    fn json_of(text: &str) -> Value {
        let (node, errors) = read(text);
        assert_eq!(errors, Vec::<String>::new());
        node.unwrap().to_json()
    }

    #[test]
    fn scalars_are_typed_by_the_core_schema() {
        let text = "[1, -2, +3, 0x1F, 0o17, 1.5, 1e3, true, no, on, ~, '1', 1.2.3, -, 2024-01-01]";
        let expected = json!([1, -2, 3, 31, 15, 1.5, 1000.0, true, "no", "on", null, "1", "1.2.3", "-", "2024-01-01"]);
        assert_eq!(json_of(&text.replace("-, ", "'-', ")), expected);
        assert_eq!(
            read("a: 99999999999999999999\nb: .nan").1,
            ["1:4 number `99999999999999999999` is out of range", "2:4 number `.nan` is out of range"]
        );
    }

    #[test]
    fn anchors_and_merge_keys_are_written_out() {
        let text = "base: &b { x: 1, y: 2 }\nuse: { <<: *b, y: 3 }\nsame: *b";
        assert_eq!(
            json_of(text),
            json!({ "base": { "x": 1, "y": 2 }, "use": { "y": 3, "x": 1 }, "same": { "x": 1, "y": 2 } })
        );
    }

    #[test]
    fn every_duplicate_key_is_told_in_one_run_and_the_first_value_stands() {
        let (node, errors) = read("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n");
        assert_eq!(node.unwrap().to_json(), json!({ "a": 1, "b": { "c": 1 } }));
        assert_eq!(errors, ["2:1 key `a` is given twice", "5:3 key `c` is given twice"]);
    }

    #[test]
    fn what_is_not_one_plain_document_is_refused_with_its_place() {
        assert_eq!(read("a: 1\n---\nb: 2\n").1, ["2:1 a second document begins here"]);
        assert_eq!(
            read("1: x\n[a]: y\n").1,
            ["1:1 a key must be a text, found a number", "2:1 a key must be a text, found a list"]
        );
        assert_eq!(read("a: !!str 5").1.len(), 1);
        assert_eq!(read("a: *nowhere").1.len(), 1);
        assert_eq!(read("a: &a [*a]").1, ["1:8 an alias is inside the node that it names"]);
        assert!(read("a:\n\t- b").1[0].starts_with("2:"), "{:?}", read("a:\n\t- b").1);
    }

    #[test]
    fn bombs_stop_at_a_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let uses = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{uses}]\n");
        }
        assert!(read(&text).1[0].ends_with("the file has more than 500000 values"), "{:?}", read(&text).1);
        assert_eq!(read(&" ".repeat(FILE_BYTES_MAX + 1)).1.len(), 1);
        assert!(read(&"[".repeat(100_000)).0.is_none());
        assert!(read(&"- ".repeat(1000)).0.is_none());
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_a_file_without_content_is_an_empty_mapping() {
        assert_eq!(json_of("\u{feff}a: 1"), json!({ "a": 1 }));
        for nothing in ["", "# nothing\n", "---\n"] {
            assert_eq!(json_of(nothing), json!({}));
        }
    }
}
