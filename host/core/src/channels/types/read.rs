//! From JSON Schema to types. A type accepts everything that the schema accepts; the gates check what the schema says
//! beyond a type (`minimum`, `pattern`, `if`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::model::{Body, Declaration, Field, Record, Rest, Tuple, Type};
use super::names::{Names, pascal};
use super::objects::{Objects, Others};
use super::parts::{Document, Placed, alternatives, description, label, literals, parts, says_more_than_its_type};
use crate::channels::schema_files::{INLINE, resolve};
use crate::config::SourceFile;

/// The type of a schema: one that can be written at its use, or one that needs a name.
struct Shape {
    of: Of,
    is_nullable: bool,
}

enum Of {
    Type(Type),
    Body(Body),
}

/// Reads schemas, and declares the types that need a name.
pub(super) struct Reader<'a> {
    files: &'a BTreeMap<String, Arc<SourceFile>>,
    documents: HashMap<String, Arc<Document>>,
    /// The name of each referenced schema, by the name of its document and its pointer.
    referred: HashMap<(String, String), String>,
    pub(super) names: Names,
    pub(super) declarations: Vec<Declaration>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a BTreeMap<String, Arc<SourceFile>>, names: Names) -> Self {
        Self { files, documents: HashMap::new(), referred: HashMap::new(), names, declarations: Vec::new() }
    }

    /// Declares the type of a schema inside a manifest, with a reserved name.
    pub(super) fn declare_root(&mut self, schema: Value, name: &str, doc: Vec<String>) {
        let document = Document { path: INLINE.to_owned(), name: name.to_owned(), root: schema.clone() };
        self.referred.insert((name.to_owned(), String::new()), name.to_owned());
        self.declare(&Placed { schema, document: Arc::new(document) }, name, doc);
    }

    /// Declares a second name for a type.
    pub(super) fn declare_alias(&mut self, name: &str, of: &str, doc: Vec<String>) {
        let body = Body::Alias(Type::Named(of.to_owned()));
        self.declarations.push(Declaration { name: name.to_owned(), doc, body });
    }

    /// Declares a schema with a reserved name.
    fn declare(&mut self, placed: &Placed, name: &str, mut doc: Vec<String>) {
        let described = description(&placed.schema);
        doc.extend(described.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>());
        doc.dedup();
        let at = self.declarations.len();
        let Shape { of, is_nullable } = self.shape(placed, name);
        let body = match of {
            Of::Type(of) => Body::Alias(nullable(of, is_nullable)),
            Of::Body(body) if !is_nullable => body,
            Of::Body(body) => {
                let inner = self.names.claim(&format!("{name}Value"));
                self.declarations.insert(at, Declaration { name: inner.clone(), doc: Vec::new(), body });
                Body::Alias(nullable(Type::Named(inner), true))
            }
        };
        // Before its parts, because people read the whole first.
        self.declarations.insert(at, Declaration { name: name.to_owned(), doc, body });
    }

    /// The type of a schema at its use. A type that needs a name is declared, as `name` if that is free.
    pub(super) fn type_of(&mut self, placed: &Placed, name: &str) -> Type {
        let claimed = self.names.claim(name);
        let at = self.declarations.len();
        let Shape { of, is_nullable } = self.shape(placed, &claimed);
        let of = match of {
            Of::Type(of) => {
                self.names.release(&claimed);
                of
            }
            Of::Body(body) => {
                self.declarations.insert(at, Declaration { name: claimed.clone(), doc: Vec::new(), body });
                Type::Named(claimed)
            }
        };
        nullable(of, is_nullable)
    }

    fn shape(&mut self, placed: &Placed, name: &str) -> Shape {
        let parts = parts(&placed.schema);
        if let [only] = &parts[..]
            && *only != placed.schema
        {
            return self.shape(&placed.with(only.clone()), name);
        }
        if let Some(values) = literals(&placed.schema) {
            return literals_shape(values);
        }
        if let Some(objects) = Objects::gather(self, placed) {
            return self.objects(&objects, name);
        }
        if parts.len() > 1 {
            return plain(self.all_of(placed, &parts, name));
        }
        if let Some(alternatives) = alternatives(&placed.schema) {
            return self.union(placed, &alternatives, name);
        }
        match &placed.schema {
            Value::Object(schema) => match schema.get("$ref").and_then(Value::as_str) {
                Some(reference) => plain(self.named(reference, placed)),
                None => self.typed(schema, placed, name),
            },
            _ => plain(Type::Unknown(None)),
        }
    }

    /// For several schemas that are not objects, the first one that says something: a value that matches all of them
    /// also matches it.
    fn all_of(&mut self, placed: &Placed, parts: &[Value], name: &str) -> Type {
        let mut known = Type::Unknown(None);
        for part in parts {
            known = self.type_of(&placed.with(part.clone()), name);
            if !matches!(known, Type::Unknown(_)) {
                break;
            }
        }
        known
    }

    fn union(&mut self, placed: &Placed, alternatives: &[Value], name: &str) -> Shape {
        let all: Option<Vec<Vec<Value>>> = alternatives.iter().map(literals).collect();
        if let Some(all) = all {
            return literals_shape(all.concat());
        }
        let mut base = placed.schema.clone();
        if let Value::Object(keys) = &mut base {
            keys.retain(|key, _| key != "oneOf" && key != "anyOf");
        }
        let says_more = parts(&base).iter().any(says_more_than_its_type);
        let (mut types, mut is_nullable) = (Vec::new(), false);
        for (number, alternative) in (1..).zip(alternatives) {
            let whole = if says_more { json!({ "allOf": [base, alternative] }) } else { alternative.clone() };
            let itself = Type::Named(name.to_owned());
            let name = format!("{name}{}", label(alternative).unwrap_or_else(|| format!("{number}")));
            let of = match self.type_of(&placed.with(whole), &name) {
                Type::Null => {
                    is_nullable = true;
                    continue;
                }
                Type::Nullable(of) => {
                    is_nullable = true;
                    *of
                }
                of => of,
            };
            if of != itself && !types.contains(&of) {
                types.push(of);
            }
        }
        let is_whole = |of: &Type| matches!(of, Type::Integer { .. });
        if types.contains(&Type::Number) {
            types.retain(|of| !is_whole(of));
        } else if types.iter().filter(|of| is_whole(of)).count() > 1 {
            types.retain(|of| *of != Type::Integer { unsigned: true });
        }
        let of = if types.iter().any(|of| matches!(of, Type::Unknown(_))) {
            Of::Type(Type::Unknown(None))
        } else if types.len() > 1 {
            Of::Body(Body::Union(types))
        } else {
            Of::Type(types.pop().unwrap_or(Type::Null))
        };
        Shape { of, is_nullable }
    }

    fn typed(&mut self, schema: &Map<String, Value>, placed: &Placed, name: &str) -> Shape {
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(of)) => vec![of],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ if schema.contains_key("items") || schema.contains_key("prefixItems") => vec!["array"],
            _ => return plain(Type::Unknown(None)),
        };
        if let [only] = types[..] {
            return plain(match only {
                "null" => Type::Null,
                "boolean" => Type::Boolean,
                "integer" => Type::Integer { unsigned: at_least_zero(schema) },
                "number" => Type::Number,
                "string" => Type::Text,
                "array" => self.list(schema, placed, name),
                _ => Type::Map(Box::new(Type::Unknown(None))),
            });
        }
        let each = types.iter().map(|of| {
            let mut one = schema.clone();
            one.insert("type".to_owned(), Value::from(*of));
            Value::Object(one)
        });
        self.union(&placed.with(json!({})), &each.collect::<Vec<_>>(), name)
    }

    fn list(&mut self, schema: &Map<String, Value>, placed: &Placed, name: &str) -> Type {
        let part = |schema: &Value| placed.with(schema.clone());
        let items = schema.get("items");
        let Some(Value::Array(first)) = schema.get("prefixItems").filter(|first| **first != json!([])) else {
            let of = items.map_or(Type::Unknown(None), |items| self.type_of(&part(items), &format!("{name}Item")));
            return Type::List(Box::new(of));
        };
        let numbered = (1..).zip(first).map(|(number, item)| (format!("{name}{number}"), part(item)));
        let types: Vec<Type> = numbered.map(|(name, item)| self.type_of(&item, &name)).collect();
        let most = schema.get("maxItems").and_then(Value::as_u64);
        let is_closed = items == Some(&Value::Bool(false)) || most.is_some_and(|most| most <= types.len() as u64);
        let rest = (!is_closed).then(|| match items {
            Some(items) => self.type_of(&part(items), &format!("{name}Item")),
            None => Type::Unknown(None),
        });
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let required = types.len().min(usize::try_from(least).unwrap_or(usize::MAX));
        Type::Tuple(Tuple { items: types, required, rest: rest.map(Box::new) })
    }

    fn objects(&mut self, objects: &Objects, name: &str) -> Shape {
        let rest = match &objects.others {
            Others::Any => Rest::Open,
            Others::None => Rest::Closed,
            Others::Of(placed) => Rest::Of(self.type_of(placed, &format!("{name}Value"))),
        };
        if objects.properties.is_empty() && !matches!(rest, Rest::Closed) {
            return plain(Type::Map(Box::new(match rest {
                Rest::Of(of) => of,
                Rest::Open | Rest::Closed => Type::Unknown(None),
            })));
        }
        let mut fields = Vec::new();
        for (key, all) in &objects.properties {
            let mut of = Type::Unknown(None);
            for one in all {
                of = self.type_of(one, &format!("{name}{}", pascal(key)));
                if !matches!(of, Type::Unknown(_)) {
                    break;
                }
            }
            let mut doc: Vec<String> = all.iter().flat_map(|one| description(&one.schema)).collect();
            doc.extend(all.iter().find_map(|one| Some(format!("Format: {}.", one.schema.get("format")?.as_str()?))));
            fields.push(Field { name: key.clone(), doc, of, required: objects.required.contains(key) });
        }
        Shape { of: Of::Body(Body::Record(Record { fields, rest })), is_nullable: false }
    }

    /// The type of a reference's target, declared at its first use.
    fn named(&mut self, reference: &str, from: &Placed) -> Type {
        let Some((target, pointer)) = self.follow(reference, from) else {
            return unknown(&format!("`$ref` {reference}"));
        };
        // Only references that lead back to their beginning: they say nothing about a value.
        if self.leads_to_itself(&target) {
            return unknown("`$ref` of itself");
        }
        let key = (target.document.name.clone(), pointer);
        if let Some(name) = self.referred.get(&key) {
            return Type::Named(name.clone());
        }
        let name = match key.1.rsplit('/').next().filter(|last| !last.is_empty()) {
            Some(last) => self.names.claim(&format!("{}{}", key.0, pascal(last))),
            None => key.0.clone(),
        };
        self.referred.insert(key, name.clone());
        self.declare(&target, &name, Vec::new());
        Type::Named(name)
    }

    /// Whether a schema is a reference to a reference and so on, back to one of them.
    fn leads_to_itself(&mut self, from: &Placed) -> bool {
        let (mut at, mut met) = (from.clone(), Vec::new());
        while let Some(reference) = only_reference(&at.schema) {
            let Some((target, pointer)) = self.follow(&reference, &at) else { return false };
            let key = (target.document.name.clone(), pointer);
            if met.contains(&key) {
                return true;
            }
            met.push(key);
            at = target;
        }
        false
    }

    /// The target of a reference, with the pointer into its document; `None` if it is not a pointer.
    pub(super) fn follow(&mut self, reference: &str, from: &Placed) -> Option<(Placed, String)> {
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let document =
            if file.is_empty() { from.document.clone() } else { self.document(&resolve(&from.document.path, file)?)? };
        let schema = document.root.pointer(pointer)?.clone();
        Some((Placed { schema, document }, pointer.to_owned()))
    }

    fn document(&mut self, path: &str) -> Option<Arc<Document>> {
        if let Some(document) = self.documents.get(path) {
            return Some(document.clone());
        }
        let root: Value = serde_json::from_str(&self.files.get(path)?.text).ok()?;
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".json");
        // Reserved here, so that the names of its parts distinguish one file from another.
        let name = self.names.claim(&pascal(stem));
        let document = Arc::new(Document { path: path.to_owned(), name, root });
        self.documents.insert(path.to_owned(), document.clone());
        Some(document)
    }
}

/// The reference of a schema that has no other keyword about its type.
fn only_reference(schema: &Value) -> Option<String> {
    match &parts(schema)[..] {
        [Value::Object(only)] if only.keys().all(|key| key == "$ref" || key == "$defs") => {
            Some(only.get("$ref")?.as_str()?.to_owned())
        }
        _ => None,
    }
}

fn plain(of: Type) -> Shape {
    Shape { of: Of::Type(of), is_nullable: false }
}

fn unknown(reason: &str) -> Type {
    Type::Unknown(Some(reason.to_owned()))
}

fn nullable(of: Type, is_nullable: bool) -> Type {
    match of {
        Type::Null | Type::Nullable(_) | Type::Unknown(_) => of,
        of if is_nullable => Type::Nullable(Box::new(of)),
        of => of,
    }
}

fn literals_shape(values: Vec<Value>) -> Shape {
    let is_nullable = values.contains(&Value::Null);
    let mut scalars: Vec<Value> = Vec::new();
    for value in values.into_iter().filter(|value| !value.is_null()) {
        if !scalars.contains(&value) {
            scalars.push(value);
        }
    }
    let of = match &scalars[..] {
        [] => Of::Type(Type::Null),
        all if all.iter().any(|value| value.is_array() || value.is_object()) => {
            Of::Type(unknown("one of some values that are no scalars"))
        }
        all if all.contains(&Value::Bool(true)) && all.contains(&Value::Bool(false)) && all.len() == 2 => {
            Of::Type(Type::Boolean)
        }
        _ => Of::Body(Body::Literals(scalars)),
    };
    Shape { of, is_nullable }
}

fn at_least_zero(schema: &Map<String, Value>) -> bool {
    let least = |key: &str, least: f64| schema.get(key).and_then(Value::as_f64).is_some_and(|value| value >= least);
    least("minimum", 0.0) || least("exclusiveMinimum", -1.0)
}
