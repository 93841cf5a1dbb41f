//! The types in Python 3.11: values from `json.loads` already have them.

use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Body, Declaration, Field, Model, Record, Rest, Type};
use super::names::is_identifier;

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Prints a module: first the TypedDicts, which may use later names, then the other types, each after the types in it.
/// So only TypedDicts contain names in quotes, which only this module can resolve.
pub(super) fn print(model: &Model, header: &str) -> String {
    let mut text = format!("# {header}\n\nfrom typing import Any, Literal, NotRequired, Optional, TypedDict, Union\n");
    let is_record = |declaration: &&Declaration| matches!(declaration.body, Body::Record(_));
    for declaration in model.declarations.iter().filter(is_record) {
        if let Body::Record(record) = &declaration.body {
            text += "\n\n";
            text += &comment("", &declaration.doc, &[]);
            text += &if is_class(record) { class(&declaration.name, record) } else { call(&declaration.name, record) };
        }
    }
    let mut printed: Vec<&str> = model.declarations.iter().filter(is_record).map(|one| &*one.name).collect();
    for declaration in model.declarations.iter().filter(|declaration| !is_record(declaration)) {
        print_alias(model, declaration, &mut Vec::new(), &mut printed, &mut text);
    }
    text
}

/// Prints the type of a name, after the types in it. `begun` holds the names on the way here.
fn print_alias<'a>(
    model: &'a Model,
    declaration: &'a Declaration,
    begun: &mut Vec<&'a str>,
    printed: &mut Vec<&'a str>,
    text: &mut String,
) {
    let name = &*declaration.name;
    if printed.contains(&name) || begun.contains(&name) {
        return;
    }
    begun.push(name);
    let mut needed = Vec::new();
    declaration.body.types().into_iter().for_each(|of| of.names(true, &mut |name, _| needed.push(name)));
    for needed in needed.iter().filter_map(|name| model.find(name)) {
        print_alias(model, needed, begun, printed, text);
    }
    let mut reasons: Vec<String> = declaration.body.types().into_iter().flat_map(Type::reasons).collect();
    let again = needed.iter().filter(|name| !printed.contains(name));
    reasons.extend(again.map(|name| format!("`{name}` again, and a name cannot hold itself")));
    let place = Place::Alias { printed };
    *text += "\n\n";
    *text += &comment("", &declaration.doc, &reasons);
    *text += &match &declaration.body {
        Body::Literals(values) => literals(name, values),
        Body::Alias(alias) => format!("{name} = {}\n", of(alias, &place)),
        body => {
            let types: Vec<String> = body.types().into_iter().map(|kind| of(kind, &place)).collect();
            format!("{name} = Union[{}]\n", types.join(", "))
        }
    };
    printed.push(name);
}

/// Where a type is written.
enum Place<'a> {
    /// In a TypedDict, where names in quotes are resolved when they are needed.
    TypedDict,
    /// After a `=`, where a name must exist already.
    Alias { printed: &'a [&'a str] },
}

/// Whether every key can be a name in a class: not a keyword, and not a private name that Python would change.
fn is_class(record: &Record) -> bool {
    record
        .fields
        .iter()
        .all(|field| is_identifier(&field.name) && !KEYWORDS.contains(&&*field.name) && !field.name.starts_with("__"))
}

fn class(name: &str, record: &Record) -> String {
    let mut text = format!("class {name}(TypedDict):\n");
    for field in &record.fields {
        text += &comment("    ", &field.doc, &field.of.reasons());
        let _ = writeln!(text, "    {}: {}", field.name, of_field(field));
    }
    text += &rest(record, "    ");
    if record.fields.is_empty() {
        text += "    pass\n";
    }
    text
}

fn call(name: &str, record: &Record) -> String {
    let mut text = format!("{name} = TypedDict(\n    \"{name}\",\n    {{\n");
    for field in &record.fields {
        text += &comment("        ", &field.doc, &field.of.reasons());
        let _ = writeln!(text, "        {}: {},", Value::from(&*field.name), of_field(field));
    }
    text += &rest(record, "        ");
    text + "    },\n)\n"
}

fn rest(record: &Record, indent: &str) -> String {
    match &record.rest {
        Rest::Of(kind) => {
            format!("{indent}# Every other key holds {}: a TypedDict cannot say it.\n", of(kind, &Place::TypedDict))
        }
        Rest::Closed | Rest::Open => String::new(),
    }
}

fn of_field(field: &Field) -> String {
    let kind = of(&field.of, &Place::TypedDict);
    if field.required { kind } else { format!("NotRequired[{kind}]") }
}

fn literals(name: &str, values: &[Value]) -> String {
    let said = values.iter().map(literal).collect::<Vec<_>>().join(", ");
    if values.iter().any(Value::is_f64) {
        return format!("# One of {said}: Python has no literals of these.\n{name} = float\n");
    }
    format!("{name} = Literal[{said}]\n")
}

fn literal(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        value => value.to_string(),
    }
}

fn of(kind: &Type, place: &Place<'_>) -> String {
    match kind {
        Type::Unknown(_) => "Any".to_owned(),
        Type::Null => "None".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Integer { .. } => "int".to_owned(),
        Type::Number => "float".to_owned(),
        Type::Text => "str".to_owned(),
        Type::List(item) => format!("list[{}]", of(item, place)),
        Type::Tuple(tuple) if tuple.rest.is_some() || tuple.required < tuple.items.len() => "list[Any]".to_owned(),
        Type::Tuple(tuple) => {
            format!("tuple[{}]", tuple.items.iter().map(|item| of(item, place)).collect::<Vec<_>>().join(", "))
        }
        Type::Map(value) => format!("dict[str, {}]", of(value, place)),
        Type::Nullable(value) => format!("Optional[{}]", of(value, place)),
        Type::Named(name) => match place {
            Place::TypedDict => format!("\"{name}\""),
            Place::Alias { printed } if printed.contains(&name.as_str()) => name.clone(),
            Place::Alias { .. } => "Any".to_owned(),
        },
    }
}

fn comment(indent: &str, doc: &[String], reasons: &[String]) -> String {
    let reasons = reasons.iter().map(|reason| format!("`Any` is {reason}: Python cannot say it."));
    let lines = doc.iter().cloned().chain(reasons);
    lines.map(|line| format!("{indent}# {line}").trim_end().to_owned() + "\n").collect()
}
