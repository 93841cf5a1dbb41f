//! Whether every payload that one schema accepts is accepted by another, shown by their texts alone. A yes is certain;
//! a no only means that nothing here shows it.

mod arrays;
mod bounds;
mod disjoint;
mod objects;
mod types;

use serde_json::{Map, Value};

use super::super::schema_keywords::{has_reference, is_annotation, is_known, map_below};

/// Most schemas that one proof compares.
const STEPS_MAX: usize = 20_000;
/// The deepest level of schemas inside schemas that a proof looks at.
const DEPTH_MAX: usize = 48;

/// A schema without what is only for people. `$defs` go, too, where nothing refers to them.
pub(super) fn plain(schema: &Value) -> Value {
    let mut plain = without_annotations(schema);
    if let Value::Object(fields) = &mut plain
        && !has_reference(schema)
    {
        fields.retain(|key, _| !["$defs", "definitions", "$anchor", "$dynamicAnchor"].contains(&key.as_str()));
    }
    plain
}

fn without_annotations(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut fields = map_below(fields, without_annotations);
    fields.retain(|key, _| is_known(key) && !is_annotation(key));
    // No keyword at all accepts whatever comes.
    if fields.is_empty() { Value::Bool(true) } else { fields.into() }
}

/// Proofs about two plain schemas.
pub(super) struct Proof {
    steps_left: usize,
    /// Whether equal references lead to equal schemas.
    references_agree: bool,
}

/// What a payload is known to meet: all of these schemas.
type Known<'s> = [&'s Value];

impl Proof {
    pub(super) fn new(references_agree: bool) -> Self {
        Self { steps_left: STEPS_MAX, references_agree }
    }

    /// Whether every payload that meets `narrow` meets `wide`.
    pub(super) fn includes(&mut self, wide: &Value, narrow: &Value) -> bool {
        self.implies(&[narrow], wide, 0)
    }

    fn implies(&mut self, known: &Known<'_>, wide: &Value, depth: usize) -> bool {
        let Some(left) = self.steps_left.checked_sub(1).filter(|_| depth < DEPTH_MAX) else { return false };
        self.steps_left = left;
        if *wide == Value::Bool(true) {
            return true;
        }
        let Some(parts) = parts_of(known) else { return true };
        let Value::Object(fields) = wide else { return types::of(&parts) == types::NONE };
        let equal = known.contains(&wide) && (self.references_agree || !has_reference(wide));
        equal
            || types::of(&parts) == types::NONE
            || fields.keys().all(|keyword| self.keyword(keyword, fields, &parts, depth))
            || self.each_alternative(&parts, wide, depth)
    }

    /// Whether what is known implies one keyword of a schema.
    fn keyword(
        &mut self,
        keyword: &str,
        wide: &Map<String, Value>,
        parts: &[&Map<String, Value>],
        depth: usize,
    ) -> bool {
        let value = &wide[keyword];
        if types::of(parts) & types::judged_by(keyword) == types::NONE {
            return true;
        }
        let same = |keywords: &[&str]| {
            parts.iter().any(|part| keywords.iter().all(|keyword| part.get(*keyword) == wide.get(*keyword)))
        };
        match keyword {
            "$defs" | "definitions" | "$anchor" | "$dynamicAnchor" => true,
            "type" => types::is_within(types::of(parts), types::written(value)),
            "enum" | "const" => types::is_one_of(parts, keyword, value),
            "required" | "dependentRequired" => objects::requires(parts, keyword, value),
            "properties" | "patternProperties" | "additionalProperties" => self.fields(wide, parts, depth),
            "items" | "prefixItems" => self.elements(wide, parts, depth),
            "contains" | "minContains" | "maxContains" => same(&["contains", "minContains", "maxContains"]),
            "if" | "then" | "else" => same(&["if", "then", "else"]),
            "$ref" | "$dynamicRef" => self.references_agree && same(&[keyword]),
            "not" => self.not(value, parts, depth),
            "allOf" => list(value).all(|one| self.implied(parts, one, depth)),
            "anyOf" => list(value).any(|one| self.implied(parts, one, depth)),
            "oneOf" => same(&[keyword]) && !has_reference(value) || self.one_of(value, parts, depth),
            "unevaluatedProperties" | "unevaluatedItems" => *value == Value::Bool(true),
            _ => bounds::implies(parts, keyword, value) || same(&[keyword]) && !has_reference(value),
        }
    }

    fn implied(&mut self, parts: &[&Map<String, Value>], wide: &Value, depth: usize) -> bool {
        let known: Vec<Value> = parts.iter().map(|part| Value::Object((*part).clone())).collect();
        self.implies(&known.iter().collect::<Vec<_>>(), wide, depth + 1)
    }

    /// What does not meet a schema that takes more does not meet one that takes less.
    fn not(&mut self, refused: &Value, parts: &[&Map<String, Value>], depth: usize) -> bool {
        let refuses = |part: &&Map<String, Value>| part.get("not").cloned();
        let known: Vec<Value> = parts.iter().filter_map(refuses).collect();
        known.iter().any(|not| self.implies(&[refused], not, depth + 1)) || self.excludes(parts, refused, depth)
    }

    /// One alternative is met, and no other one can be.
    fn one_of(&mut self, alternatives: &Value, parts: &[&Map<String, Value>], depth: usize) -> bool {
        let all: Vec<&Value> = list(alternatives).collect();
        (0..all.len()).any(|at| {
            self.implied(parts, all[at], depth)
                && (0..all.len()).all(|other| other == at || self.excludes(parts, all[other], depth))
        })
    }

    /// What is known has alternatives, and each of them implies the schema.
    fn each_alternative(&mut self, parts: &[&Map<String, Value>], wide: &Value, depth: usize) -> bool {
        let found = parts.iter().enumerate().find_map(|(at, part)| {
            let keyword = ["anyOf", "oneOf"].into_iter().find(|keyword| part.contains_key(*keyword))?;
            Some((at, keyword))
        });
        let Some((at, keyword)) = found else { return false };
        let mut rest = parts[at].clone();
        let Some(alternatives) = rest.shift_remove(keyword) else { return false };
        // Without the alternatives beside them they would say more than they do.
        rest.retain(|keyword, _| !keyword.starts_with("unevaluated"));
        list(&alternatives).all(|one| {
            let mut known: Vec<Value> = parts.iter().map(|part| Value::Object((*part).clone())).collect();
            known[at] = rest.clone().into();
            known.push(one.clone());
            self.implies(&known.iter().collect::<Vec<_>>(), wide, depth + 1)
        })
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The schemas and those of their `allOf`, as far as they say something; `None` if nothing can meet them.
fn parts_of<'s>(known: &Known<'s>) -> Option<Vec<&'s Map<String, Value>>> {
    let (mut parts, mut open) = (Vec::new(), known.to_vec());
    while let Some(schema) = open.pop() {
        match schema {
            Value::Bool(false) => return None,
            Value::Object(fields) => {
                parts.push(fields);
                open.extend(fields.get("allOf").into_iter().flat_map(list));
            }
            _ => {}
        }
    }
    Some(parts)
}
