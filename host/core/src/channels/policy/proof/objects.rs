//! Objects: what is known of their fields, and what a schema wants of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Proof, list};

/// Whether what is known implies `required` or `dependentRequired`.
pub(super) fn requires(parts: &[&Map<String, Value>], keyword: &str, value: &Value) -> bool {
    let known = required(parts);
    let are_known = |names: &Value| list(names).filter_map(Value::as_str).all(|name| known.contains(name));
    match value {
        Value::Object(by_name) => {
            parts.iter().any(|part| part.get(keyword) == Some(value)) || by_name.values().all(are_known)
        }
        names => are_known(names),
    }
}

/// The names that every object has which meets the parts.
pub(super) fn required<'s>(parts: &[&'s Map<String, Value>]) -> BTreeSet<&'s str> {
    parts.iter().flat_map(|part| part.get("required").into_iter().flat_map(list)).filter_map(Value::as_str).collect()
}

fn named<'s>(part: &'s Map<String, Value>, keyword: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    part.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

/// What is known of a field with this name. A pattern that might match it is left out: less is known then.
pub(super) fn of_field<'s>(parts: &[&'s Map<String, Value>], name: &str) -> Vec<&'s Value> {
    let of_part = |part: &&'s Map<String, Value>| {
        let own = part.get("properties").and_then(|fields| fields.get(name));
        own.or_else(|| part.get("additionalProperties").filter(|_| !part.contains_key("patternProperties")))
    };
    parts.iter().filter_map(of_part).collect()
}

impl Proof {
    /// Whether what is known implies `properties`, `patternProperties` and `additionalProperties`.
    pub(super) fn fields(&mut self, wide: &Map<String, Value>, parts: &[&Map<String, Value>], depth: usize) -> bool {
        let patterns_hold = named(wide, "patternProperties").all(|(pattern, schema)| {
            let same = parts.iter().filter_map(|part| part.get("patternProperties")?.get(pattern));
            let known: Vec<&Value> = same.collect();
            self.implies(&known, schema, depth + 1)
        });
        patterns_hold && self.named_fields(wide, parts, depth) && self.other_fields(wide, parts, depth)
    }

    fn named_fields(&mut self, wide: &Map<String, Value>, parts: &[&Map<String, Value>], depth: usize) -> bool {
        let other = wide.get("additionalProperties").unwrap_or(&Value::Bool(true));
        let of_parts = parts.iter().flat_map(|part| named(part, "properties"));
        let names: BTreeSet<&String> = named(wide, "properties").chain(of_parts).map(|(name, _)| name).collect();
        names.into_iter().all(|name| {
            let wanted = wide.get("properties").and_then(|fields| fields.get(name)).unwrap_or(other);
            self.implies(&of_field(parts, name), wanted, depth + 1)
        })
    }

    /// The fields that nobody names.
    fn other_fields(&mut self, wide: &Map<String, Value>, parts: &[&Map<String, Value>], depth: usize) -> bool {
        let Some(wanted) = wide.get("additionalProperties") else { return true };
        // Where a name meets no pattern of the wide schema, it meets none of a part that has no other patterns.
        let has_no_other = |part: &&&Map<String, Value>| {
            named(part, "patternProperties").all(|(pattern, _)| {
                wide.get("patternProperties").is_some_and(|patterns| patterns.get(pattern).is_some())
            })
        };
        let known = parts.iter().filter(has_no_other).filter_map(|part| part.get("additionalProperties"));
        self.implies(&known.collect::<Vec<_>>(), wanted, depth + 1)
    }
}
