//! One document with schemas, inside a manifest or as a file: it is checked for things that JSON Schema's meta-schema
//! accepts but that nobody can mean, and rewritten with its patterns in the engine's form.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::pattern::{self, PatternMistake};
use super::schema_keywords::{all, below, escaped, is_known, is_type};
use crate::config::{Diagnostic, Node, Place, nearest_name};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The places of a document's parts.
pub(super) struct Places<'n> {
    /// `None` if the text could not be read as YAML, which is rare for JSON: then `start` is used.
    pub(super) tree: Option<Cow<'n, Node>>,
    /// The beginning.
    pub(super) start: Place,
}

impl Places<'_> {
    /// The place of the part at a JSON Pointer, or of the nearest part around it.
    pub(super) fn of(&self, pointer: &str) -> Place {
        self.tree.as_ref().map_or(&self.start, |tree| &tree.nearest(pointer).place).clone()
    }

    fn of_key(&self, pointer: &str, key: &str) -> Place {
        let entry = self.tree.as_ref().and_then(|tree| tree.nearest(pointer).entry(key));
        entry.map_or_else(|| self.of(pointer), |entry| entry.key_place.clone())
    }
}

/// Schemas, and the place of each part.
pub(super) struct Document<'n> {
    /// Its path below the channels directory.
    pub(super) path: String,
    /// As written.
    pub(super) value: Value,
    pub(super) places: Places<'n>,
    /// The schemas in it that were checked, by JSON Pointer.
    looked_at: HashSet<String>,
}

/// The findings in schemas that had not been checked before.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) mistakes: Vec<Diagnostic>,
    /// Notes on keywords without effect, which are not errors.
    pub(super) notes: Vec<Diagnostic>,
    /// References to other files, and their places.
    pub(super) references: Vec<(String, Place)>,
}

impl<'n> Document<'n> {
    pub(super) fn new(path: &str, value: Value, places: Places<'n>) -> Self {
        Self { path: path.to_owned(), value, places, looked_at: HashSet::new() }
    }

    pub(super) fn has_looked_at(&self, pointer: &str) -> bool {
        self.looked_at.contains(pointer)
    }

    /// Checks the schema at a pointer, the schemas below it and those of this document that they refer to, each once.
    pub(super) fn look(&mut self, pointer: &str) -> Seen {
        let mut seen = Seen::default();
        let mut open = vec![pointer.to_owned()];
        while let Some(pointer) = open.pop() {
            let Some(Value::Object(schema)) = self.value.pointer(&pointer) else { continue };
            if !self.looked_at.insert(pointer.clone()) {
                continue;
            }
            let part = Part { schema, pointer: &pointer, places: &self.places };
            part.dialect(&mut seen.mistakes);
            part.dependencies(&mut seen.mistakes);
            part.patterns(&mut seen.mistakes);
            part.unknown_keywords(&mut seen.notes);
            for keyword in ["$ref", "$dynamicRef"] {
                let Some(reference) = schema.get(keyword).and_then(Value::as_str) else { continue };
                match reference.split_once('#').unwrap_or((reference, "")) {
                    ("", fragment) => open.push(pointer_of(fragment)),
                    _ => seen.references.push((reference.to_owned(), part.place(keyword))),
                }
            }
            open.extend(below(schema).into_iter().map(|(way, _)| format!("{pointer}{way}")));
        }
        seen
    }

    /// The document with every pattern of the checked schemas in the engine's form; `patterns` receives the originals.
    pub(super) fn in_engine_words(&self, patterns: &mut HashMap<String, String>) -> Value {
        self.said(&self.value, &mut String::new(), patterns)
    }

    fn said(&self, value: &Value, pointer: &mut String, patterns: &mut HashMap<String, String>) -> Value {
        let length = pointer.len();
        match value {
            Value::Object(fields) => {
                let is_schema = self.looked_at.contains(pointer.as_str());
                let mut said = Map::new();
                for (key, value) in fields {
                    *pointer += &format!("/{}", escaped(key));
                    let mut value = self.said(value, pointer, patterns);
                    match (key.as_str(), &mut value) {
                        ("pattern", Value::String(pattern)) if is_schema => *pattern = engine_word(pattern, patterns),
                        ("patternProperties", Value::Object(by_pattern)) if is_schema => {
                            *by_pattern = by_engine_word(std::mem::take(by_pattern), patterns);
                        }
                        _ => {}
                    }
                    said.insert(key.clone(), value);
                    pointer.truncate(length);
                }
                Value::Object(said)
            }
            Value::Array(items) => {
                let mut said = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    *pointer += &format!("/{index}");
                    said.push(self.said(item, pointer, patterns));
                    pointer.truncate(length);
                }
                Value::Array(said)
            }
            scalar => scalar.clone(),
        }
    }
}

/// A fragment as a JSON Pointer; an anchor leads nowhere new, because its schema is checked anyway.
pub(super) fn pointer_of(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    let pointer = String::from_utf8_lossy(&bytes).into_owned();
    if pointer.starts_with('/') { pointer } else { String::new() }
}

/// An invalid pattern stays unchanged: it was reported, and no schema with it compiles.
fn engine_word(pattern: &str, patterns: &mut HashMap<String, String>) -> String {
    match pattern::translate(pattern) {
        Ok(said) if said != pattern => {
            patterns.insert(said.clone(), pattern.to_owned());
            said
        }
        _ => pattern.to_owned(),
    }
}

fn by_engine_word(by_pattern: Map<String, Value>, patterns: &mut HashMap<String, String>) -> Map<String, Value> {
    let mut said = Map::new();
    for (pattern, value) in by_pattern {
        let mut word = engine_word(&pattern, patterns);
        // Two patterns that are equal for the engine check with both schemas.
        while said.contains_key(&word) {
            word += "(?:)";
        }
        said.insert(word, value);
    }
    said
}

/// One schema of a document.
struct Part<'a> {
    schema: &'a Map<String, Value>,
    pointer: &'a str,
    places: &'a Places<'a>,
}

impl Part<'_> {
    fn place(&self, keyword: &str) -> Place {
        self.places.of(&format!("{}/{}", self.pointer, escaped(keyword)))
    }

    /// The engine would check a part by the draft that it names.
    fn dialect(&self, mistakes: &mut Vec<Diagnostic>) {
        let Some(dialect) = self.schema.get("$schema").and_then(Value::as_str) else { return };
        if dialect.trim_end_matches('#') != DIALECT {
            let message = format!("schemas must be JSON Schema 2020-12, found `{dialect}`");
            let hint = format!("write `{DIALECT}`, or leave out `$schema`");
            mistakes.push(Diagnostic::at(self.place("$schema"), message).hint(hint));
        }
    }

    /// A keyword that the engine applies but 2020-12 does not have.
    fn dependencies(&self, mistakes: &mut Vec<Diagnostic>) {
        if self.schema.contains_key("dependencies") {
            let message = "JSON Schema 2020-12 has no `dependencies`: some tools apply it and others do not";
            let hint = "use `dependentSchemas` for schemas, and `dependentRequired` for lists of names";
            let place = self.places.of_key(self.pointer, "dependencies");
            mistakes.push(Diagnostic::at(place, message).hint(hint));
        }
    }

    fn patterns(&self, mistakes: &mut Vec<Diagnostic>) {
        let mut judge = |text: &str, place: Place| {
            if let Err(PatternMistake { message, hint }) = pattern::translate(text) {
                let diagnostic = Diagnostic::at(place, format!("the pattern does not compile: {message}"));
                mistakes.push(match hint {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                });
            }
        };
        if let Some(pattern) = self.schema.get("pattern").and_then(Value::as_str) {
            judge(pattern, self.place("pattern"));
        }
        for pattern in self.schema.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            judge(pattern, self.places.of_key(&format!("{}/patternProperties", self.pointer), pattern));
        }
    }

    fn unknown_keywords(&self, notes: &mut Vec<Diagnostic>) {
        for keyword in self.schema.keys().filter(|keyword| !is_known(keyword)) {
            let message = format!("`{keyword}` is not a keyword of JSON Schema 2020-12, so it has no effect");
            let note = Diagnostic::at(self.places.of_key(self.pointer, keyword), message);
            notes.push(note.hint(way_out(keyword, self.schema.get(keyword))));
        }
    }
}

/// Whether a value of an unknown keyword may be meant as the schema of a field.
fn is_schema(value: &Value) -> bool {
    value.get("type").is_some() || value.get("$ref").is_some() || value.as_str().is_some_and(is_type)
}

/// `value` is what the schema has there.
fn way_out(keyword: &str, value: Option<&Value>) -> String {
    if let Some((known, value)) = keyword.split_once(':').filter(|(known, _)| is_known(known)) {
        return format!("did you mean `{known}: {value}`, with a space?");
    }
    let of_field = format!("a field of an object is written `properties: {{ {keyword}: … }}`");
    match (keyword, nearest_name(keyword, &all())) {
        ("nullable", _) => "for a value that may be null write, for example, `type: [string, \"null\"]`".to_owned(),
        ("additionalItems", _) => "`items` checks the items after those of `prefixItems`".to_owned(),
        (_, Some(nearest)) if value.is_some_and(is_schema) => format!("did you mean `{nearest}`? {of_field}"),
        (_, Some(nearest)) => format!("did you mean `{nearest}`?"),
        (_, None) if value.is_some_and(is_schema) => format!("{of_field}; begin your own keywords with `x-`"),
        (_, None) => "begin your own keywords with `x-`".to_owned(),
    }
}
