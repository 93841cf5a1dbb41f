//! Schemas as manifests give them: inline or in files, every reference followed, every mistake with its place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::schema::{self, Documents, Schema};
use crate::config::{Diagnostic, Node, Place, SourceFile, nearest_name, parse_yaml};

/// The path of a schema that stands inside a manifest: references in it start from the channels directory.
pub(super) const INLINE: &str = "-";
/// Keywords whose values are data, not schemas: a `$ref` in there is none.
const DATA_KEYWORDS: [&str; 5] = ["const", "enum", "default", "example", "examples"];

/// The schema files, each read and judged once, and the schemas compiled so far.
pub(super) struct SchemaFiles<'a> {
    sources: &'a BTreeMap<String, Arc<SourceFile>>,
    documents: Documents,
    /// Whether each file looked at so far is any good.
    judged: HashMap<String, bool>,
    /// By the schema's text: many channels often share one.
    compiled: HashMap<String, Schema>,
}

impl<'a> SchemaFiles<'a> {
    pub(super) fn new(sources: &'a BTreeMap<String, Arc<SourceFile>>) -> Self {
        Self { sources, documents: Documents::default(), judged: HashMap::new(), compiled: HashMap::new() }
    }

    /// Compiles the schema that a manifest gives at `node`; `None` with its mistakes told.
    pub(super) fn compile(&mut self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Schema> {
        let mut schema = node.to_json();
        strip_id(&mut schema);
        let text = schema.to_string();
        if let Some(compiled) = self.compiled.get(&text) {
            return Some(compiled.clone());
        }
        let place_of = |pointer: &str| node.nearest(pointer).place.clone();
        if !self.judge(&schema, INLINE, &place_of, Some(node), diagnostics) {
            return None;
        }
        match Schema::compile(&schema, INLINE, &self.documents) {
            Ok(compiled) => {
                self.compiled.insert(text, compiled.clone());
                Some(compiled)
            }
            Err(mistake) => {
                diagnostics.push(broken(place_of(&mistake.pointer), &mistake.message));
                None
            }
        }
    }

    /// Whether a document is a schema and all its references lead somewhere good.
    fn judge(
        &mut self,
        schema: &Value,
        path: &str,
        place_of: &dyn Fn(&str) -> Place,
        tree: Option<&Node>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
            let found = tree.map_or("something else", Node::kind);
            let message = format!("a schema is a mapping or a boolean, found {found}");
            diagnostics.push(Diagnostic::at(place_of(""), message));
            return false;
        }
        let mistakes = schema::mistakes(schema);
        let mut good = mistakes.is_empty();
        diagnostics.extend(mistakes.iter().map(|mistake| broken(place_of(&mistake.pointer), &mistake.message)));
        if let Some(dialect) = schema.get("$schema").and_then(Value::as_str)
            && dialect.trim_end_matches('#') != "https://json-schema.org/draft/2020-12/schema"
        {
            diagnostics.push(
                Diagnostic::at(place_of("/$schema"), format!("schemas are JSON Schema 2020-12, found `{dialect}`"))
                    .hint("write `https://json-schema.org/draft/2020-12/schema`, or leave `$schema` out"),
            );
            good = false;
        }
        let mut references = Vec::new();
        collect_references(schema, &mut String::new(), &mut references);
        for (pointer, reference) in references {
            good &= self.follow(&reference, path, place_of(&pointer), diagnostics);
        }
        good
    }

    /// Whether a `$ref` leads to a good schema file; the ones inside the same document are the compiler's.
    fn follow(&mut self, reference: &str, from: &str, place: Place, diagnostics: &mut Vec<Diagnostic>) -> bool {
        let file = reference.split_once('#').map_or(reference, |(file, _)| file);
        if file.is_empty() {
            return true;
        }
        let Some(path) = resolve(from, file) else {
            let message = format!("`$ref` `{reference}` leads outside the channels directory");
            let diagnostic = Diagnostic::at(place, message);
            diagnostics.push(diagnostic.hint("a schema file is named by its relative path, nothing is fetched"));
            return false;
        };
        if let Some(&good) = self.judged.get(&path) {
            return good;
        }
        let Some(source) = self.sources.get(&path).cloned() else {
            let known: Vec<&String> = self.sources.keys().collect();
            let diagnostic = Diagnostic::at(place, format!("`$ref`: no file `{path}` in the channels directory"));
            diagnostics.push(match nearest_name(&path, &known) {
                Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
                None => diagnostic.hint("schema files end in `.json`"),
            });
            return false;
        };
        // Set before its own references are followed: files may refer to each other in a circle.
        self.judged.insert(path.clone(), true);
        let good = self.load(&path, &source, diagnostics);
        self.judged.insert(path, good);
        good
    }

    fn load(&mut self, path: &str, source: &Arc<SourceFile>, diagnostics: &mut Vec<Diagnostic>) -> bool {
        let mut document: Value = match serde_json::from_str(&source.text) {
            Ok(document) => document,
            Err(error) => {
                let place = Place {
                    source: source.clone(),
                    line: error.line().max(1),
                    column: error.column().max(1),
                    width: 1,
                };
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                diagnostics.push(Diagnostic::at(place, format!("not JSON: {text}")));
                return false;
            }
        };
        strip_id(&mut document);
        // JSON is YAML, nearly: where it reads as such it tells the places. Where not, the file's beginning must do.
        let tree = parse_yaml(source, &mut Vec::new());
        let start = Place { source: source.clone(), line: 1, column: 1, width: 1 };
        let place_of = |pointer: &str| tree.as_ref().map_or(start.clone(), |tree| tree.nearest(pointer).place.clone());
        self.documents.insert(path, document.clone());
        if !self.judge(&document, path, &place_of, tree.as_ref(), diagnostics) {
            return false;
        }
        match Schema::compile(&document, path, &self.documents) {
            Ok(_) => true,
            Err(mistake) => {
                diagnostics.push(broken(place_of(&mistake.pointer), &mistake.message));
                false
            }
        }
    }
}

fn broken(place: Place, message: &str) -> Diagnostic {
    Diagnostic::at(place, format!("the schema does not compile: {message}"))
}

/// A file is known by its path: an `$id` would make its references start from somewhere else.
fn strip_id(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        fields.shift_remove("$id");
    }
}

/// Every `$ref` with its JSON Pointer.
fn collect_references(schema: &Value, pointer: &mut String, found: &mut Vec<(String, String)>) {
    let length = pointer.len();
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                match value {
                    Value::String(reference) if key == "$ref" || key == "$dynamicRef" => {
                        found.push((pointer.clone(), reference.clone()));
                    }
                    _ if DATA_KEYWORDS.contains(&key.as_str()) => {}
                    _ => collect_references(value, pointer, found),
                }
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                *pointer += &format!("/{index}");
                collect_references(value, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// The path below the channels directory that `file` means when it stands in `from`; `None` when it leads outside.
pub(super) fn resolve(from: &str, file: &str) -> Option<String> {
    if file.starts_with('/') || file.contains([':', '\\', '?', '%']) {
        return None;
    }
    let mut steps: Vec<&str> = from.split('/').collect();
    steps.pop();
    for step in file.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop()?;
            }
            _ => steps.push(step),
        }
    }
    Some(steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_stays_inside_the_channels_directory() {
        assert_eq!(resolve("-", "schemas/a.json").as_deref(), Some("schemas/a.json"));
        assert_eq!(resolve("-", "./schemas/../a.json").as_deref(), Some("a.json"));
        assert_eq!(resolve("schemas/a.json", "b.json").as_deref(), Some("schemas/b.json"));
        assert_eq!(resolve("schemas/a.json", "../c.json").as_deref(), Some("c.json"));
        for outside in ["../a.json", "a/../../b.json", "/etc/a.json", "https://example.com/a", "file:a", "%2e%2e/a"] {
            assert_eq!(resolve("-", outside), None, "{outside}");
        }
    }
}
