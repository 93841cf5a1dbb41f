//! Types for the payloads of channels, in the languages of their senders and receivers: from schemas through one model
//! to a printer for each language.

mod model;
mod names;
mod objects;
mod parts;
mod python;
mod read;
mod rust;
mod typescript;

use serde_json::Value;

use super::Sources;
use crate::config::{Node, parse_yaml};
use model::Model;
use names::{Names, pascal};
use read::Reader;

/// A language for types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypesLanguage {
    /// TypeScript.
    TypeScript,
    /// Rust, for serde.
    Rust,
    /// Python 3.11, TypedDicts.
    Python,
}

/// Generated types.
#[derive(Debug, Clone)]
pub struct Types {
    /// A module of the language.
    pub text: String,
    /// The channels with types in it, by name.
    pub channels: Vec<ChannelTypes>,
}

/// A channel and the names of its types.
#[derive(Debug, Clone)]
pub struct ChannelTypes {
    /// Its name template.
    pub channel: String,
    /// The type of what subscribers receive.
    pub payload: String,
    /// The type of what clients may send, if anything.
    pub inbound: Option<String>,
}

/// A channel as its manifest writes it.
struct Written {
    channel: String,
    description: Option<String>,
    payload: Value,
    /// The schema of what clients may send, if they may send; the inner `None` for a relay without its own schema.
    inbound: Option<Option<Value>>,
}

/// The types of the channels of `sources`, which must compile; only of those named in `channels`, if any.
///
/// A channel `vault.{vaultId}` gives `VaultVaultIdPayload`, and `VaultVaultIdInbound` if clients may send. A type
/// accepts every payload that its schema accepts; it may accept more, because a schema can say more than types.
///
/// # Errors
/// The name of the first of `channels` that no manifest declares, and the existing channels.
pub fn types(
    sources: &Sources,
    language: TypesLanguage,
    channels: &[String],
    command: &str,
) -> Result<Types, (String, Vec<String>)> {
    let written = written(sources);
    let known = || written.iter().map(|written| written.channel.clone()).collect::<Vec<_>>();
    if let Some(unknown) = channels.iter().find(|channel| !written.iter().any(|written| written.channel == **channel)) {
        return Err((unknown.clone(), known()));
    }
    let model = model(sources, &written, channels);
    let header =
        format!("Made by `{command}` from the schemas of the channels. Change those: what is changed here is lost.");
    let text = match language {
        TypesLanguage::TypeScript => typescript::print(&model, &header),
        TypesLanguage::Rust => rust::print(&model, &header),
        TypesLanguage::Python => python::print(&model, &header),
    };
    Ok(Types { text, channels: model.channels })
}

/// All channels get their names, whichever are printed, so that a name means the same everywhere.
fn model(sources: &Sources, written: &[Written], channels: &[String]) -> Model {
    let mut names = Names::default();
    let mut named = Vec::new();
    for written in written {
        let stem = pascal(&written.channel);
        let payload = names.claim(&format!("{stem}Payload"));
        let inbound = written.inbound.as_ref().map(|_| names.claim(&format!("{stem}Inbound")));
        named.push(ChannelTypes { channel: written.channel.clone(), payload, inbound });
    }
    let mut reader = Reader::new(&sources.schemas, names);
    let mut model = Model::default();
    for (types, written) in named.into_iter().zip(written) {
        if !channels.is_empty() && !channels.contains(&types.channel) {
            continue;
        }
        let mut doc = parts::lines(written.description.as_deref().unwrap_or_default());
        doc.push(format!("What subscribers of `{}` receive.", types.channel));
        reader.declare_root(written.payload.clone(), &types.payload, doc);
        if let (Some(name), Some(schema)) = (&types.inbound, &written.inbound) {
            let doc = vec![format!("What clients may send on `{}`.", types.channel)];
            match schema {
                Some(schema) => reader.declare_root(schema.clone(), name, doc),
                None => reader.declare_alias(name, &types.payload, doc),
            }
        }
        model.channels.push(types);
    }
    model.declarations = reader.declarations;
    model
}

/// Every channel of every manifest, by name.
fn written(sources: &Sources) -> Vec<Written> {
    let mut all = Vec::new();
    for manifest in &sources.manifests {
        let Some(tree) = parse_yaml(manifest, &mut Vec::new()) else { continue };
        for entry in tree.get("channels").map(Node::entries).unwrap_or_default() {
            let inbound = entry.value.get("inbound").map(|inbound| inbound.get("payload").map(Node::to_json));
            all.push(Written {
                channel: entry.key.clone(),
                description: entry.value.get("description").and_then(Node::as_str).map(str::to_owned),
                payload: entry.value.get("payload").map_or(Value::Bool(true), Node::to_json),
                inbound,
            });
        }
    }
    all.sort_by(|one, other| one.channel.cmp(&other.channel));
    all
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::SourceFile;

    /// What TypeScript has for a channel `t` with this schema, a line a declaration.
    fn typescript(schema: &str) -> Vec<String> {
        let text = format!("feature: t\nchannels:\n  t:\n    scope: public\n    payload: {schema}\n");
        let manifest = SourceFile { path: "t.yaml".to_owned(), text };
        let sources = Sources { manifests: vec![Arc::new(manifest)], ..Sources::default() };
        let written = types(&sources, TypesLanguage::TypeScript, &[], "t").unwrap();
        let declarations = written.text.split("export ").skip(1);
        let lines = declarations.map(|one| one.split("\n/*").next().unwrap_or_default().replace('\n', " "));
        lines.map(|one| one.trim().to_owned()).filter(|one| !one.starts_with("interface Channels")).collect()
    }

    #[test]
    fn alternatives_have_what_stands_beside_them() {
        let schema = "{ type: object, required: [id], properties: { id: { type: string } }, \
            oneOf: [{ title: A b, required: [a], properties: { a: { const: 1 } } }, { properties: { b: { type: 'null' } } }] }";
        let expected = [
            "type TPayload = TPayloadAB | TPayload2;",
            "interface TPayloadAB {   id: string;   a: TPayloadABA; }",
            "type TPayloadABA = 1;",
            "interface TPayload2 {   id: string;   b?: null; }",
        ];
        assert_eq!(typescript(schema), expected);
    }

    #[test]
    fn alternatives_that_are_only_conditions_make_no_union() {
        let schema = "{ type: object, properties: { a: {}, b: {} }, anyOf: [{ required: [a] }, { required: [b] }] }";
        assert_eq!(typescript(schema), ["interface TPayload {   a?: unknown;   b?: unknown; }"]);
    }

    #[test]
    fn what_stands_beside_a_reference_holds_too() {
        let schema =
            "{ $ref: '#/$defs/a', required: [x], $defs: { a: { type: object, properties: { x: { type: number } } } } }";
        assert_eq!(typescript(schema), ["interface TPayload {   x: number; }"]);
        let schema = "{ $ref: '#/$defs/a', minLength: 2, $defs: { a: { type: string } } }";
        assert_eq!(typescript(schema), ["type TPayload = TPayloadA;", "type TPayloadA = string;"]);
    }

    #[test]
    fn a_reference_that_leads_to_itself_says_nothing() {
        for schema in [
            "{ $ref: '#' }",
            "{ description: round, $ref: '#' }",
            "{ $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }",
        ] {
            assert_eq!(typescript(schema), ["type TPayload = unknown;"], "{schema}");
        }
        assert_eq!(typescript("{ oneOf: [{ $ref: '#' }, { type: string }] }"), ["type TPayload = string;"]);
        // One that says something on the way round is a list of lists.
        assert_eq!(typescript("{ type: array, items: { $ref: '#' } }"), ["type TPayload = TPayload[];"]);
    }

    #[test]
    fn values_and_types_that_are_several_are_one_union_without_doubles() {
        assert_eq!(
            typescript("{ oneOf: [{ const: a }, { enum: [b, a, null] }] }"),
            ["type TPayload = TPayloadValue | null;", "type TPayloadValue = \"a\" | \"b\";"]
        );
        assert_eq!(typescript("{ type: [integer, number] }"), ["type TPayload = number;"]);
        assert_eq!(typescript("{ enum: [true, false] }"), ["type TPayload = boolean;"]);
        assert_eq!(typescript("{ anyOf: [{ type: string }, true] }"), ["type TPayload = unknown;"]);
    }

    #[test]
    fn objects_that_double_with_every_reference_are_given_up_in_time() {
        let doubled =
            |n: u32| format!("d{n}: {{ allOf: [{{ $ref: '#/$defs/d{0}' }}, {{ $ref: '#/$defs/d{0}' }}] }}", n + 1);
        let defs: Vec<String> = (0..20).map(doubled).collect();
        let schema = format!("{{ $ref: '#/$defs/d0', $defs: {{ {}, d20: {{ type: object }} }} }}", defs.join(", "));
        assert!(typescript(&schema).len() > 1);
    }
}
