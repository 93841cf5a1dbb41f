//! The types in TypeScript.

use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Body, Field, Model, Record, Rest, Tuple, Type};
use super::names::is_identifier;

/// Prints a module.
pub(super) fn print(model: &Model, header: &str) -> String {
    let mut text = format!("// {header}\n");
    for declaration in &model.declarations {
        let name = &declaration.name;
        text.push('\n');
        text += &comment("", &declaration.doc, &declaration.reasons());
        text += &match &declaration.body {
            Body::Record(record) => interface(name, record),
            Body::Union(types) => {
                format!("export type {name} = {};\n", types.iter().map(of).collect::<Vec<_>>().join(" | "))
            }
            Body::Literals(values) => {
                format!(
                    "export type {name} = {};\n",
                    values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ")
                )
            }
            Body::Alias(alias) => format!("export type {name} = {};\n", of(alias)),
        };
    }
    text += "\n/** Every channel by its name: what subscribers receive, and what clients may send. */\nexport interface Channels {\n";
    for channel in &model.channels {
        let inbound = channel.inbound.as_ref().map_or_else(String::new, |inbound| format!("; inbound: {inbound}"));
        let _ = writeln!(text, "  {}: {{ payload: {}{inbound} }};", Value::from(&*channel.channel), channel.payload);
    }
    text + "}\n"
}

fn interface(name: &str, record: &Record) -> String {
    let mut text = format!("export interface {name} {{\n");
    for Field { name, doc, of: kind, required } in &record.fields {
        text += &comment("  ", doc, &kind.reasons());
        let mark = if *required { "" } else { "?" };
        let _ = writeln!(text, "  {}{mark}: {};", key(name), of(kind));
    }
    if let Rest::Of(rest) = &record.rest {
        // A look-up by any key may find one of the named keys.
        let mut all = vec![of(rest)];
        for field in &record.fields {
            let kinds = [Some(of(&field.of)), (!field.required).then(|| "undefined".to_owned())];
            all.extend(kinds.into_iter().flatten());
        }
        let mut unique: Vec<String> = Vec::new();
        all.into_iter().for_each(|one| {
            if !unique.contains(&one) {
                unique.push(one)
            }
        });
        text += &comment("  ", &[format!("Other keys hold {}.", of(rest))], &rest.reasons());
        let _ = writeln!(text, "  [key: string]: {};", unique.join(" | "));
    }
    text + "}\n"
}

fn of(kind: &Type) -> String {
    match kind {
        Type::Unknown(_) => "unknown".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Integer { .. } | Type::Number => "number".to_owned(),
        Type::Text => "string".to_owned(),
        Type::List(item) => match **item {
            Type::Nullable(_) => format!("({})[]", of(item)),
            _ => format!("{}[]", of(item)),
        },
        Type::Tuple(tuple) => tuple_of(tuple),
        Type::Map(value) => format!("{{ [key: string]: {} }}", of(value)),
        Type::Nullable(value) => format!("{} | null", of(value)),
        Type::Named(name) => name.clone(),
    }
}

fn tuple_of(tuple: &Tuple) -> String {
    let bracketed = |kind: &Type| match kind {
        Type::Nullable(_) => format!("({})", of(kind)),
        _ => of(kind),
    };
    let mut items: Vec<String> = tuple.items.iter().take(tuple.required).map(of).collect();
    items.extend(tuple.items.iter().skip(tuple.required).map(|item| format!("{}?", bracketed(item))));
    items.extend(tuple.rest.iter().map(|rest| format!("...{}[]", bracketed(rest))));
    format!("[{}]", items.join(", "))
}

fn key(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { Value::from(name).to_string() }
}

fn comment(indent: &str, doc: &[String], reasons: &[String]) -> String {
    let reasons = reasons.iter().map(|reason| format!("`unknown` is {reason}: TypeScript cannot say it."));
    let lines: Vec<String> = doc.iter().cloned().chain(reasons).map(|line| line.replace("*/", "* /")).collect();
    match &lines[..] {
        [] => String::new(),
        [only] => format!("{indent}/** {only} */\n"),
        lines => {
            let body: String =
                lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n").collect();
            format!("{indent}/**\n{body}{indent} */\n")
        }
    }
}
