//! The types in Rust, for serde.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Body, Declaration, Field, Model, Record, Rest, Tuple, Type};
use super::names::{is_identifier, pascal, snake};

const DERIVE: &str = "#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]\n";
const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move",
    "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof",
    "union", "unsafe", "unsized", "use", "virtual", "where", "while",
];
/// Keywords that are not valid names even with `r#`.
const PATH_WORDS: [&str; 4] = ["self", "super", "crate", "_"];

/// Prints a module.
pub(super) fn print(model: &Model, header: &str) -> String {
    let mut text = format!("//! {header}\n");
    for declaration in &model.declarations {
        let printer = Printer { model, declaration };
        text.push('\n');
        text += &comment("", &declaration.doc, &declaration.reasons());
        text += &match &declaration.body {
            Body::Record(record) => printer.structure(record),
            Body::Union(types) => printer.union(types),
            Body::Literals(values) => printer.literals(values),
            Body::Alias(of) => printer.alias(of),
        };
    }
    text
}

struct Printer<'a> {
    model: &'a Model,
    declaration: &'a Declaration,
}

impl Printer<'_> {
    fn structure(&self, record: &Record) -> String {
        let mut text = DERIVE.to_owned();
        if matches!(record.rest, Rest::Closed) {
            text += "#[serde(deny_unknown_fields)]\n";
        }
        let _ = writeln!(text, "pub struct {} {{", self.declaration.name);
        let mut names = BTreeSet::new();
        for field in &record.fields {
            text += &self.field(field, &mut names);
        }
        if let Rest::Of(of) = &record.rest {
            let name = unique("other_keys", &mut names);
            text += &comment("    ", &["Every other key.".to_owned()], &of.reasons());
            let of = self.of(of, false);
            let _ = writeln!(text, "    #[serde(flatten)]\n    pub {name}: std::collections::BTreeMap<String, {of}>,");
        }
        text + "}\n"
    }

    fn field(&self, field: &Field, names: &mut BTreeSet<String>) -> String {
        let mut text = comment("    ", &field.doc, &field.of.reasons());
        let name = unique(&snake(&field.name), names);
        let mut serde = Vec::new();
        let written = match &*name {
            word if PATH_WORDS.contains(&word) => format!("{word}_"),
            word if KEYWORDS.contains(&word) => format!("r#{word}"),
            word => word.to_owned(),
        };
        if written.trim_start_matches("r#") != field.name {
            serde.push(format!("rename = {}", text_literal(&field.name)));
        }
        let of = self.of(&field.of, true);
        let of = if field.required || matches!(field.of, Type::Nullable(_)) { of } else { format!("Option<{of}>") };
        if !field.required {
            serde.push("default".to_owned());
            serde.push("skip_serializing_if = \"Option::is_none\"".to_owned());
        }
        if !serde.is_empty() {
            let _ = writeln!(text, "    #[serde({})]", serde.join(", "));
        }
        let _ = writeln!(text, "    pub {written}: {of},");
        text
    }

    /// Tried in order: types with more keys come first, the type that accepts anything last.
    fn union(&self, types: &[Type]) -> String {
        let mut types: Vec<&Type> = types.iter().collect();
        types.sort_by_key(|of| std::cmp::Reverse(self.keys_asked_for(of)));
        let mut text = format!("{DERIVE}#[serde(untagged)]\npub enum {} {{\n", self.declaration.name);
        let mut names = BTreeSet::new();
        for of in types {
            let whole = variant(of);
            // The union's name need not be repeated in it.
            let own = whole.strip_prefix(self.declaration.name.as_str()).map(pascal);
            let name = unique(&own.filter(|own| own != "N").unwrap_or(whole), &mut names);
            let _ = writeln!(text, "    {name}({}),", self.of(of, true));
        }
        text + "}\n"
    }

    fn keys_asked_for(&self, of: &Type) -> usize {
        let Type::Named(name) = of else { return 0 };
        match self.model.find(name).map(|declaration| &declaration.body) {
            Some(Body::Record(record)) => record.fields.iter().filter(|field| field.required).count(),
            Some(Body::Alias(of)) if of != &Type::Named(name.clone()) => self.keys_asked_for(of),
            _ => 0,
        }
    }

    fn literals(&self, values: &[Value]) -> String {
        let name = &self.declaration.name;
        let said = values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        if values.iter().all(Value::is_string) {
            let mut text = format!(
                "{}pub enum {name} {{\n",
                DERIVE.replace("Clone,", "Clone, Copy,").replace("PartialEq,", "PartialEq, Eq,")
            );
            let mut names = BTreeSet::new();
            for value in values.iter().filter_map(Value::as_str) {
                let variant = unique(&pascal(value), &mut names);
                if variant != value {
                    let _ = writeln!(text, "    #[serde(rename = {})]", text_literal(value));
                }
                let _ = writeln!(text, "    {variant},");
            }
            return text + "}\n";
        }
        let of = match values {
            all if all.iter().all(Value::is_u64) => "u64",
            all if all.iter().all(|value| value.is_i64() || value.is_u64()) => "i64",
            all if all.iter().all(Value::is_number) => "f64",
            all if all.iter().all(Value::is_boolean) => "bool",
            _ => "serde_json::Value",
        };
        format!("/// One of {said}: Rust has no type of so few.\npub type {name} = {of};\n")
    }

    fn alias(&self, of: &Type) -> String {
        let name = &self.declaration.name;
        // A `type` cannot contain itself.
        if self.model.reaches(name, name, false) {
            return format!("{DERIVE}#[serde(transparent)]\npub struct {name}(pub {});\n", self.of(of, true));
        }
        format!("pub type {name} = {};\n", self.of(of, false))
    }

    /// `in_place`: whether it is stored inside the declared type, so that it must box that type.
    fn of(&self, of: &Type, in_place: bool) -> String {
        match of {
            Type::Unknown(_) => "serde_json::Value".to_owned(),
            Type::Null => "()".to_owned(),
            Type::Boolean => "bool".to_owned(),
            Type::Integer { unsigned: true } => "u64".to_owned(),
            Type::Integer { unsigned: false } => "i64".to_owned(),
            Type::Number => "f64".to_owned(),
            Type::Text => "String".to_owned(),
            Type::List(item) => format!("Vec<{}>", self.of(item, false)),
            Type::Tuple(tuple) => self.tuple(tuple, in_place),
            Type::Map(value) => format!("std::collections::BTreeMap<String, {}>", self.of(value, false)),
            Type::Nullable(value) => format!("Option<{}>", self.of(value, in_place)),
            Type::Named(name) => {
                let own = &self.declaration.name;
                let recurs = in_place && (name == own || self.model.reaches(name, own, true));
                if recurs { format!("Box<{name}>") } else { name.clone() }
            }
        }
    }

    fn tuple(&self, tuple: &Tuple, in_place: bool) -> String {
        if tuple.rest.is_some() || tuple.required < tuple.items.len() {
            return "Vec<serde_json::Value>".to_owned();
        }
        let items: Vec<String> = tuple.items.iter().map(|item| self.of(item, in_place)).collect();
        if let [only] = &items[..] { format!("({only},)") } else { format!("({})", items.join(", ")) }
    }
}

fn variant(of: &Type) -> String {
    match of {
        Type::Named(name) => name.clone(),
        Type::Unknown(_) => "Other".to_owned(),
        Type::Null => "Null".to_owned(),
        Type::Boolean => "Boolean".to_owned(),
        Type::Integer { .. } => "Integer".to_owned(),
        Type::Number => "Number".to_owned(),
        Type::Text => "Text".to_owned(),
        Type::List(_) => "List".to_owned(),
        Type::Tuple(_) => "Tuple".to_owned(),
        Type::Map(_) => "Map".to_owned(),
        Type::Nullable(of) => variant(of),
    }
}

/// A unique name within the struct or enum.
fn unique(wanted: &str, names: &mut BTreeSet<String>) -> String {
    let wanted = if wanted == "Self" { "SelfValue" } else { wanted };
    let mut candidates = std::iter::once(wanted.to_owned()).chain((2_u32..).map(|number| format!("{wanted}{number}")));
    let name = candidates.find(|name| !names.contains(name)).unwrap_or_default();
    names.insert(name.clone());
    name
}

/// A Rust string literal.
fn text_literal(text: &str) -> String {
    if is_identifier(text) { format!("\"{text}\"") } else { format!("{text:?}") }
}

fn comment(indent: &str, doc: &[String], reasons: &[String]) -> String {
    let reasons = reasons.iter().map(|reason| format!("`Value` is {reason}: Rust cannot say it."));
    let lines = doc.iter().cloned().chain(reasons);
    lines.map(|line| format!("{indent}/// {line}").trim_end().to_owned() + "\n").collect()
}
