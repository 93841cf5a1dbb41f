//! The schemas of channels as components of a document: every schema that something refers to is one, because a
//! reference leads from the top of the document.
//!
//! Tools read the schemas of AsyncAPI as draft-07. A schema that draft-07 cannot say, and all that it refers to, is kept
//! in 2020-12 and says so. What a document cannot hold at all is a text in it that says why.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::draft07::{self, Untold};
use crate::channels::schema_document::pointer_of;
use crate::channels::schema_files::{INLINE, resolve};
use crate::channels::schema_keywords::{below, is_data, map_below};
use crate::channels::types::names::{Names, pascal};
use crate::config::SourceFile;

/// How AsyncAPI names the dialect of Tidegate.
const DRAFT_2020: &str = "application/schema+json;version=draft-2020-12";

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// As AsyncAPI reads schemas.
    Draft07,
    /// As it is, with its dialect named.
    Draft2020,
}

/// A schema: the document that it is in, and where.
type Target = (String, String);

/// Why a schema is not written as AsyncAPI reads schemas.
enum Obstacle {
    /// Draft-07 cannot say it.
    Untold(Untold),
    /// No reference from the top of a document means the same.
    Unplaced(String),
}

/// The components made so far.
pub(super) struct Schemas<'a> {
    files: &'a BTreeMap<String, Arc<SourceFile>>,
    documents: HashMap<String, Arc<Value>>,
    named: HashMap<(Target, Form), String>,
    pub(super) names: Names,
    pub(super) components: Map<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(files: &'a BTreeMap<String, Arc<SourceFile>>) -> Self {
        Self {
            files,
            documents: HashMap::new(),
            named: HashMap::new(),
            names: Names::default(),
            components: Map::new(),
        }
    }

    /// What a message says of its payload: a reference to the component of this schema of a manifest. `name` is taken.
    pub(super) fn payload(&mut self, schema: &Value, name: &str) -> Value {
        // Not the name of a file: those have an ending.
        self.documents.insert(name.to_owned(), Arc::new(schema.clone()));
        let whole = (name.to_owned(), String::new());
        // A schema that is nothing but a file has the name of the file.
        let root = only_reference(schema).and_then(|reference| self.follow(reference, &whole)).unwrap_or(whole.clone());
        let (form, reason) = match self.obstacle(&root) {
            None => (Form::Draft07, None),
            Some(Obstacle::Untold(Untold(what))) => {
                (Form::Draft2020, Some(format!("{what}: draft-07, as which tools read AsyncAPI, cannot say it")))
            }
            Some(Obstacle::Unplaced(what)) => return self.text(schema, &what),
        };
        if root == whole {
            self.named.insert((root.clone(), form), name.to_owned());
        }
        let name = self.name_of(&root, form);
        self.reach(&root, form, &name);
        if let (Some(reason), Some(Value::Object(component))) = (reason, self.components.get_mut(&name)) {
            component.insert("x-reason".to_owned(), reason.into());
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Writes the component of a target, if it is the first time, and those that it refers to. Returns the way there.
    fn reach(&mut self, target: &Target, form: Form, name: &str) -> String {
        if !self.components.contains_key(name) {
            // Its place, before it may refer to itself.
            self.components.insert(name.to_owned(), Value::Null);
            let schema = self.schema_at(target).unwrap_or(Value::Bool(true));
            let mut refer = |reference: &str| self.refer(reference, target, form);
            let written = match form {
                Form::Draft07 => draft07::translate(&schema, &mut refer).unwrap_or_else(|_untold| json!({})),
                Form::Draft2020 => json!({ "schemaFormat": DRAFT_2020, "schema": placed(&schema, &mut refer) }),
            };
            self.components.insert(name.to_owned(), written);
        }
        match form {
            Form::Draft07 => format!("#/components/schemas/{name}"),
            Form::Draft2020 => format!("#/components/schemas/{name}/schema"),
        }
    }

    fn refer(&mut self, reference: &str, from: &Target, form: Form) -> String {
        let Some(target) = self.follow(reference, from) else { return reference.to_owned() };
        let name = self.name_of(&target, form);
        self.reach(&target, form, &name)
    }

    fn name_of(&mut self, target: &Target, form: Form) -> String {
        let key = (target.clone(), form);
        if let Some(name) = self.named.get(&key) {
            return name.clone();
        }
        let name = self.names.claim(&wanted_name(target));
        self.named.insert(key, name.clone());
        name
    }

    /// The first thing in a schema, and in all that it refers to, that keeps it from being written; what keeps it out of
    /// the document altogether before what keeps it out of draft-07.
    fn obstacle(&mut self, root: &Target) -> Option<Obstacle> {
        let (mut untold, mut met, mut open) = (None, HashSet::from([root.clone()]), vec![root.clone()]);
        while let Some(target) = open.pop() {
            let Some(schema) = self.schema_at(&target) else {
                return Some(Obstacle::Unplaced(format!("nothing is at `{}`", target.1)));
            };
            let mut references = Vec::new();
            if let Some(what) = self.moved(&target).or_else(|| unplaced(&schema, target.1.is_empty())) {
                return Some(Obstacle::Unplaced(what));
            }
            let translated = draft07::translate(&schema, &mut |reference| {
                references.push(reference.to_owned());
                String::new()
            });
            if let Err(why) = translated {
                untold.get_or_insert(why);
            }
            // Each of them: the translation stops at what it cannot say.
            references.clear();
            let _ = placed(&schema, &mut |reference| {
                references.push(reference.to_owned());
                String::new()
            });
            for reference in references {
                let Some(next) = self.follow(&reference, &target) else {
                    return Some(Obstacle::Unplaced(format!("`$ref` {reference}")));
                };
                if met.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        untold.map(Obstacle::Untold)
    }

    /// Whether the target is below an `$id`, which moves the beginning of its references.
    fn moved(&mut self, (document, pointer): &Target) -> Option<String> {
        let document = self.document(document)?;
        let ends = pointer.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
        let is_moved =
            |end| document.pointer(&pointer[..end]).is_some_and(|above| above.get("$id").is_some_and(Value::is_string));
        ends.into_iter().any(is_moved).then(|| "an `$id` inside".to_owned())
    }

    fn schema_at(&mut self, (document, pointer): &Target) -> Option<Value> {
        self.document(document)?.pointer(pointer).cloned()
    }

    /// Where a reference leads.
    fn follow(&mut self, reference: &str, from: &Target) -> Option<Target> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let path = if file.is_empty() {
            from.0.clone()
        } else {
            let of_file = if self.files.contains_key(&from.0) { from.0.as_str() } else { INLINE };
            resolve(of_file, file)?
        };
        let document = self.document(&path)?;
        let is_pointer = fragment.is_empty() || fragment.starts_with('/') || fragment.starts_with('%');
        let pointer = if is_pointer { pointer_of(fragment) } else { anchored(&document, fragment)? };
        document.pointer(&pointer)?;
        Some((path, pointer))
    }

    fn document(&mut self, path: &str) -> Option<Arc<Value>> {
        if let Some(document) = self.documents.get(path) {
            return Some(document.clone());
        }
        let document: Arc<Value> = Arc::new(serde_json::from_str(&self.files.get(path)?.text).ok()?);
        self.documents.insert(path.to_owned(), document.clone());
        Some(document)
    }

    /// The schema and its files as texts, in the place of a schema that says nothing.
    fn text(&self, schema: &Value, what: &str) -> Value {
        let files: Map<String, Value> =
            self.files.iter().map(|(path, file)| (path.clone(), file.text.clone().into())).collect();
        json!({
            "description": format!(
                "The schema has {what}, which no AsyncAPI document can hold. It is in `x-json-schema` as the text of a \
                 JSON Schema 2020-12, with the files of the channels directory. What stands here accepts every payload."
            ),
            "x-json-schema": { "schema": schema.to_string(), "files": files },
        })
    }
}

fn only_reference(schema: &Value) -> Option<&str> {
    let fields = schema.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("$ref")?.as_str()
}

/// Adds a reference to a schema: tools drop what stands beside one.
pub(super) fn insert_reference(schema: &mut Map<String, Value>, reference: Option<String>) {
    let Some(reference) = reference else { return };
    let reference = json!({ "$ref": reference });
    if let Some(Value::Array(all)) = schema.get_mut("allOf") {
        all.push(reference);
    } else if schema.is_empty() {
        schema.insert("$ref".to_owned(), reference["$ref"].clone());
    } else {
        schema.insert("allOf".to_owned(), json!([reference]));
    }
}

/// The schema as it is, with its references from the top of the document.
fn placed(schema: &Value, refer: &mut impl FnMut(&str) -> String) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut said = map_below(&draft07::without_definitions(fields), |schema| placed(schema, refer));
            let reference = said.shift_remove("$ref").and_then(|reference| Some(refer(reference.as_str()?)));
            insert_reference(&mut said, reference);
            Value::Object(said)
        }
        Value::Bool(true) => json!({}),
        _ => json!({ "not": {} }),
    }
}

/// What in a schema means something else, or nothing, in another document.
fn unplaced(schema: &Value, is_root: bool) -> Option<String> {
    let Value::Object(fields) = schema else { return None };
    if fields.contains_key("$dynamicRef") {
        return Some("`$dynamicRef`".to_owned());
    }
    if !is_root && fields.contains_key("$id") {
        return Some("an `$id` inside".to_owned());
    }
    if fields.iter().any(|(key, value)| key != "$ref" && is_data(key) && has_reference(value)) {
        return Some("a `$ref` that is a value".to_owned());
    }
    let inside = draft07::without_definitions(fields);
    below(&inside).into_iter().find_map(|(_, schema)| unplaced(schema, false))
}

/// Tools follow a `$ref` wherever it stands.
fn has_reference(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.get("$ref").is_some_and(Value::is_string) || fields.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// The pointer to the schema with this anchor.
fn anchored(document: &Value, anchor: &str) -> Option<String> {
    let mut open = vec![(String::new(), document)];
    while let Some((pointer, schema)) = open.pop() {
        let Value::Object(fields) = schema else { continue };
        let is_named = |keyword: &str| fields.get(keyword).and_then(Value::as_str) == Some(anchor);
        if is_named("$anchor") || is_named("$dynamicAnchor") {
            return Some(pointer);
        }
        open.extend(below(fields).into_iter().map(|(way, schema)| (format!("{pointer}{way}"), schema)));
    }
    None
}

/// `schemas/vault-event.json#/$defs/part` is `VaultEventPart`, as in generated types.
fn wanted_name((document, pointer): &Target) -> String {
    let stem = document.rsplit('/').next().unwrap_or(document).trim_end_matches(".json");
    let stem = pascal(stem);
    match pointer.rsplit('/').next().filter(|last| !last.is_empty()) {
        Some(last) => format!("{stem}{}", pascal(&last.replace("~1", "/").replace("~0", "~"))),
        None => stem,
    }
}
