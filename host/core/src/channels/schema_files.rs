//! The schemas of manifests: inline or in files. Every reference is followed, and every error has its place.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use super::schema::{self, Documents, Schema};
use super::schema_document::{Document, Places, pointer_of};
use super::schema_keywords::{has_reference, is_type};
use super::schema_written;
use crate::config::{Diagnostic, Node, Place, SourceFile, nearest_name, parse_yaml, tell_nothing};

/// The path of a schema inside a manifest: its references start from the channels directory.
pub(super) const INLINE: &str = "-";

/// The schema files, each read and checked once, and the schemas compiled so far.
pub(super) struct SchemaFiles<'a> {
    sources: &'a BTreeMap<String, Arc<SourceFile>>,
    /// Files that exist but could not be read, which was reported.
    unread: &'a BTreeSet<String>,
    documents: Documents,
    /// The files checked so far.
    files: HashMap<String, File>,
    /// By the schema's text, because many channels often share one schema.
    compiled: HashMap<String, Schema>,
    /// Notes that are not errors.
    notes: Vec<Diagnostic>,
}

/// A part of a schema file: its path, and the JSON Pointer in it.
type Target = (String, String);

/// A schema file that something refers to.
struct File {
    /// `None` when it is not JSON.
    document: Option<Document<'static>>,
    is_good: bool,
    /// The targets of its references.
    targets: Vec<Target>,
}

impl<'a> SchemaFiles<'a> {
    pub(super) fn new(sources: &'a BTreeMap<String, Arc<SourceFile>>, unread: &'a BTreeSet<String>) -> Self {
        Self {
            sources,
            unread,
            documents: Documents::default(),
            files: HashMap::new(),
            compiled: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// The notes, once for each schema.
    pub(super) fn into_notes(self) -> Vec<Diagnostic> {
        self.notes
    }

    /// Compiles the schema of a manifest at `node`; `None` after reporting its errors.
    pub(super) fn compile(&mut self, node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<Schema> {
        let mut schema = node.to_json();
        strip_id(&mut schema);
        let text = schema.to_string();
        // A key without a value has the text of a `null`, but is not one.
        if let Some(compiled) = self.compiled.get(&text).filter(|_| !node.has_nothing()) {
            return Some(compiled.clone());
        }
        let places = Places { tree: Some(Cow::Borrowed(node)), start: node.place.clone() };
        let mut document = Document::new(INLINE, schema, places);
        let (is_good, targets) = self.look(&mut document, "", diagnostics);
        if !self.reach(targets.clone(), diagnostics) || !is_good {
            return None;
        }
        let written = schema_written::written(&document.value, &|path| {
            self.files.get(path)?.document.as_ref().map(|file| &file.value)
        });
        let reach = if has_reference(&written) { self.reach_of(&document.value, &targets) } else { 0 };
        let compiled = self.build(&document, diagnostics)?.written_as(written, reach);
        self.compiled.insert(text, compiled.clone());
        Some(compiled)
    }

    /// What tells a schema and every file that it leads to from others.
    fn reach_of(&self, schema: &Value, targets: &[Target]) -> u64 {
        let mut paths: BTreeSet<&str> = targets.iter().map(|(path, _)| path.as_str()).collect();
        let mut open: Vec<&str> = paths.iter().copied().collect();
        while let Some(file) = open.pop().and_then(|path| self.files.get(path)) {
            open.extend(file.targets.iter().map(|(path, _)| path.as_str()).filter(|path| paths.insert(path)));
        }
        let mut hasher = DefaultHasher::new();
        schema.to_string().hash(&mut hasher);
        for path in paths {
            let document = self.files.get(path).and_then(|file| file.document.as_ref());
            (path, document.map(|document| document.value.to_string())).hash(&mut hasher);
        }
        // 0 is for schemas without references.
        hasher.finish().max(1)
    }

    fn build(&self, document: &Document<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Schema> {
        let schema = document.in_engine_words(&mut self.documents.patterns());
        let compiled = Schema::compile(&schema, &document.path, &self.documents);
        compiled
            .map_err(|mistake| diagnostics.push(broken(document.places.of(&mistake.pointer), &mistake.message)))
            .ok()
    }

    /// Whether the schema at a pointer and everything in it is valid, and its references to other files.
    fn look(
        &mut self,
        document: &mut Document<'_>,
        pointer: &str,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> (bool, Vec<Target>) {
        // If a pointer leads nowhere, the compiler reports it.
        let Some(schema) = document.value.pointer(pointer) else { return (true, Vec::new()) };
        if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
            let found = document.places.tree.as_ref().map_or("something else", |tree| tree.nearest(pointer).kind());
            let message = format!("a schema must be a mapping or a boolean, found {found}");
            let diagnostic = Diagnostic::at(document.places.of(pointer), message);
            diagnostics.push(match schema.as_str() {
                Some(text) if is_type(text) => diagnostic.hint(format!("write `{{ type: {text} }}`")),
                _ => diagnostic.hint("`true` accepts any value"),
            });
            return (false, Vec::new());
        }
        let told = diagnostics.len();
        let mistakes = schema::mistakes(schema);
        let refused = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
        let tree = document.places.tree.as_ref().map(|tree| tree.nearest(pointer));
        let nothing = tree.map(|tree| tell_nothing(tree, &refused, diagnostics)).unwrap_or_default();
        for mistake in mistakes.iter().filter(|mistake| !nothing.contains(&mistake.pointer)) {
            let place = document.places.of(&format!("{pointer}{}", mistake.pointer));
            diagnostics.push(broken(place, &mistake.message));
        }
        let mut seen = document.look(pointer);
        diagnostics.append(&mut seen.mistakes);
        self.notes.append(&mut seen.notes);
        let (mut targets, mut is_read) = (Vec::new(), true);
        for (reference, place) in seen.references {
            // The file could not be read, which was reported.
            if self.is_unread(&reference, &document.path) {
                is_read = false;
            } else {
                targets.extend(self.target(&reference, &document.path, place, diagnostics));
            }
        }
        (is_read && diagnostics.len() == told, targets)
    }

    fn is_unread(&self, reference: &str, from: &str) -> bool {
        let file = reference.split_once('#').map_or(reference, |(file, _)| file);
        resolve(from, file).is_some_and(|path| self.unread.contains(&path))
    }

    /// The target of a reference to another file; `None` after reporting its error.
    fn target(&self, reference: &str, from: &str, place: Place, diagnostics: &mut Vec<Diagnostic>) -> Option<Target> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let Some(path) = resolve(from, file) else {
            let message = format!("`$ref` `{reference}` leads outside the channels directory");
            let diagnostic = Diagnostic::at(place, message);
            diagnostics.push(diagnostic.hint("name a schema file by its relative path; the server fetches nothing"));
            return None;
        };
        if self.sources.contains_key(&path) {
            return Some((path, pointer_of(fragment)));
        }
        let known: Vec<&String> = self.sources.keys().collect();
        let diagnostic = Diagnostic::at(place, format!("`$ref`: there is no file `{path}` in the channels directory"));
        diagnostics.push(match nearest_name(&path, &known) {
            Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
            None => diagnostic.hint("schema files end in `.json`"),
        });
        None
    }

    /// Checks the targets of references, and from there on; returns whether all of them are valid.
    fn reach(&mut self, targets: Vec<Target>, diagnostics: &mut Vec<Diagnostic>) -> bool {
        let mut fresh = Vec::new();
        let mut met: HashSet<Target> = targets.iter().cloned().collect();
        let mut open = targets;
        while let Some((path, pointer)) = open.pop() {
            let mut file = self.files.remove(&path).unwrap_or_else(|| {
                fresh.push(path.clone());
                self.read(&path, diagnostics)
            });
            if let Some(document) = &mut file.document {
                for pointer in ["", pointer.as_str()] {
                    if !document.has_looked_at(pointer) {
                        let (is_good, targets) = self.look(document, pointer, diagnostics);
                        file.is_good &= is_good;
                        file.targets.extend(targets);
                    }
                }
                let schema = document.in_engine_words(&mut self.documents.patterns());
                self.documents.insert(&path, schema);
            }
            open.extend(file.targets.iter().filter(|target| met.insert((*target).clone())).cloned());
            self.files.insert(path, file);
        }
        for path in fresh {
            if self.is_good(&path) {
                let document = self.files[&path].document.as_ref();
                let is_good = document.is_some_and(|document| self.build(document, diagnostics).is_some());
                self.files.entry(path).and_modify(|file| file.is_good = is_good);
            }
        }
        met.iter().all(|(path, _)| self.files[path].is_good)
    }

    /// Whether a file and everything that it refers to is valid.
    fn is_good(&self, path: &str) -> bool {
        let mut met = HashSet::from([path]);
        let mut open = vec![path];
        while let Some(file) = open.pop().map(|path| &self.files[path]) {
            if !file.is_good {
                return false;
            }
            open.extend(file.targets.iter().map(|(path, _)| path.as_str()).filter(|path| met.insert(*path)));
        }
        true
    }

    fn read(&self, path: &str, diagnostics: &mut Vec<Diagnostic>) -> File {
        let source = self.sources[path].clone();
        let mut value: Value = match serde_json::from_str(&source.text) {
            Ok(value) => value,
            Err(error) => {
                let (line, column) = (error.line().max(1), error.column().max(1));
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                let place = Place { source, line, column, width: 1 };
                diagnostics.push(Diagnostic::at(place, format!("not JSON: {text}")));
                return File { document: None, is_good: false, targets: Vec::new() };
            }
        };
        strip_id(&mut value);
        // JSON is almost always YAML: then the YAML parser knows the places.
        let tree = parse_yaml(&source, &mut Vec::new()).map(Cow::Owned);
        let places = Places { tree, start: Place { source, line: 1, column: 1, width: 1 } };
        File { document: Some(Document::new(path, value, places)), is_good: true, targets: Vec::new() }
    }
}

fn broken(place: Place, message: &str) -> Diagnostic {
    Diagnostic::at(place, format!("the schema does not compile: {message}"))
}

/// A file is known by its path: an `$id` would move the base of its references.
fn strip_id(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        fields.shift_remove("$id");
    }
}

/// The path below the channels directory that `file` means in the file `from`; `None` if it leads outside.
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
