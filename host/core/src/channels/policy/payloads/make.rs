//! Payloads at the edges of a schema, and at the places where another one differs from it.

use serde_json::{Map, Value};

use super::mutate::any;
use super::{numbers, texts};

/// The deepest level of schemas inside schemas for which values are made.
const DEPTH_MAX: usize = 12;
/// Most payloads that are made of one schema.
const PAYLOADS_MAX: usize = 400;
/// Most values that are made for one place in them.
const VALUES_MAX: usize = 60;
/// Most values that are made for a place where both schemas are the same, by a maker that looks around.
const VALUES_OF_EQUALS_MAX: usize = 6;
/// Most values that are made in all.
const MADE_MAX: usize = 4_000;
/// Longest list that is made.
const ITEMS_MAX: usize = 2_000;

/// A schema without any keyword.
pub(super) const ANYTHING: Value = Value::Bool(true);

/// Makes values for the places of one schema.
pub(super) struct Maker<'s> {
    /// What references lead back to.
    root: &'s Value,
    left: usize,
    /// Most values for a place where both schemas are the same.
    of_equals_max: usize,
}

/// A schema and the one to compare with at the same place, without what joins several of them.
#[derive(Clone, Copy)]
pub(super) struct Pair<'p> {
    pub(super) own: &'p Map<String, Value>,
    pub(super) other: &'p Map<String, Value>,
}

impl<'s> Maker<'s> {
    /// A maker that varies only what differs.
    pub(super) fn of_differences(root: &'s Value) -> Self {
        Self { root, left: MADE_MAX, of_equals_max: 1 }
    }

    /// A maker that varies what is the same, too: it may matter for what differs.
    pub(super) fn of_all(root: &'s Value) -> Self {
        Self { root, left: MADE_MAX, of_equals_max: VALUES_OF_EQUALS_MAX }
    }

    /// Whether a place with these schemas needs no more than one value.
    pub(super) fn needs_one(&self, own: &Value, other: &Value) -> bool {
        self.of_equals_max == 1 && own == other
    }

    /// Payloads of a schema, most of which it accepts, and another one often does not.
    pub(super) fn payloads(&mut self, schema: &Value, other: &Value) -> Vec<Value> {
        self.values(schema, other, 0)
    }

    /// Values at a place. The first one is plain, and right if that is easy.
    pub(super) fn values(&mut self, own: &Value, other: &Value, depth: usize) -> Vec<Value> {
        if depth > DEPTH_MAX || self.left == 0 {
            return any().into_iter().take(2).collect();
        }
        let most = match depth {
            _ if own == other && depth > 0 => self.of_equals_max,
            0 => PAYLOADS_MAX,
            _ => VALUES_MAX,
        };
        let mut values = Vec::new();
        let (owns, others) = (self.alternatives(own), self.alternatives(other));
        // Each alternative has its share.
        let share = (most / owns.len().max(1)).max(1);
        for (at, own) in owns.iter().enumerate() {
            let same = others.iter().find(|other| *other == own);
            let Some(other) = same.or(others.get(at)).or(others.first()) else { continue };
            let share = if own == other && owns.len() > 1 { share.min(self.of_equals_max) } else { share };
            let before = values.len();
            for value in self.of_one(Pair { own, other }, depth) {
                // Objects and lists are seldom the same, and long to compare.
                let is_long = value.is_object() || value.is_array();
                if values.len() - before < share && (is_long || !values.contains(&value)) {
                    values.push(value);
                }
            }
        }
        // What the other one lists for itself.
        for other in others.iter().skip(1) {
            let listed = listed(other).into_iter().cloned();
            values.extend(listed.take(VALUES_MAX / 2));
        }
        self.left = self.left.saturating_sub(values.len());
        values
    }

    /// The schemas of which a value meets one, without `allOf`, `anyOf`, `oneOf`, `if` and references.
    fn alternatives(&self, schema: &Value) -> Vec<Map<String, Value>> {
        let mut open = vec![(schema.clone(), 0)];
        let mut flat = Vec::new();
        while let Some((schema, steps)) = open.pop().filter(|_| flat.len() < 24) {
            let Value::Object(mut fields) = schema else {
                if schema == ANYTHING {
                    flat.push(Map::new());
                }
                continue;
            };
            let joined =
                ["$ref", "allOf", "anyOf", "oneOf", "if"].into_iter().find(|keyword| fields.contains_key(*keyword));
            let Some((keyword, value)) = joined.and_then(|keyword| fields.shift_remove_entry(keyword)) else {
                flat.push(fields);
                continue;
            };
            if steps > 40 {
                continue;
            }
            let rest = Value::Object(fields.clone());
            let all: Vec<Value> = value.as_array().into_iter().flatten().rev().map(|one| both(&rest, one)).collect();
            match keyword.as_str() {
                "$ref" => {
                    let target = value.as_str().and_then(|to| self.root.pointer(to.strip_prefix('#')?));
                    open.push((both(&rest, target.unwrap_or(&ANYTHING)), steps + 8));
                }
                "allOf" => {
                    let joined = value.as_array().into_iter().flatten().fold(rest, |all, one| both(&all, one));
                    open.push((joined, steps + 1));
                }
                "if" => {
                    let branch = |name: &str| fields.get(name).unwrap_or(&ANYTHING).clone();
                    open.push((both(&rest, &branch("else")), steps + 1));
                    open.push((both(&both(&rest, &value), &branch("then")), steps + 1));
                }
                _ => open.extend(all.into_iter().map(|one| (one, steps + 1))),
            }
        }
        flat
    }

    fn of_one(&mut self, pair: Pair<'_>, depth: usize) -> Vec<Value> {
        let Pair { own, other } = pair;
        let mut values: Vec<Value> = listed(own).into_iter().cloned().collect();
        let is_listed = !values.is_empty();
        values.extend(["examples", "default", "example"].into_iter().filter_map(|key| own.get(key)).flat_map(
            |value| match value {
                Value::Array(items) => items.clone(),
                value => vec![value.clone()],
            },
        ));
        if !is_listed {
            let names = types(own);
            let all = ["object", "string", "integer", "number", "boolean", "array", "null"];
            let wanted: Vec<&str> = all.into_iter().filter(|name| names.is_empty() || names.contains(name)).collect();
            // A type that the other one names comes first: there they differ.
            let mut wanted = wanted;
            if names.is_empty() {
                wanted
                    .sort_by_key(|name| !is_about(own, name) && !types(other).contains(name) && !is_about(other, name));
            }
            for name in wanted {
                values.extend(self.of_type(name, pair, depth));
            }
        }
        values.extend(listed(other).into_iter().cloned());
        values
    }

    fn of_type(&mut self, name: &str, pair: Pair<'_>, depth: usize) -> Vec<Value> {
        match name {
            "object" => self.objects(pair, depth),
            "array" => self.lists(pair, depth),
            "string" => texts::texts(pair),
            "integer" => numbers::numbers(pair, true),
            "number" => numbers::numbers(pair, false),
            "boolean" => vec![true.into(), false.into()],
            _ => vec![Value::Null],
        }
    }

    fn lists(&mut self, pair: Pair<'_>, depth: usize) -> Vec<Value> {
        let Pair { own, other } = pair;
        let count = |fields: &Map<String, Value>, key: &str| fields.get(key).and_then(Value::as_u64);
        let item = |fields: &Map<String, Value>, place: usize| {
            let first = fields.get("prefixItems").and_then(|items| items.get(place));
            first.or_else(|| fields.get("items")).unwrap_or(&ANYTHING).clone()
        };
        let values_at =
            |maker: &mut Self, place: usize| maker.values(&item(own, place), &item(other, place), depth + 1);
        let least = count(own, "minItems").unwrap_or(0);
        let prefix = [own, other]
            .iter()
            .filter_map(|fields| fields.get("prefixItems")?.as_array())
            .map(Vec::len)
            .max()
            .unwrap_or(0);
        let mut lengths = vec![least, 0, 1, prefix as u64, prefix as u64 + 1, 2];
        for fields in [own, other] {
            let bounds = [
                count(fields, "minItems"),
                count(fields, "maxItems"),
                count(fields, "minContains"),
                count(fields, "maxContains"),
            ];
            lengths.extend(bounds.into_iter().flatten().flat_map(|bound| [bound.saturating_sub(1), bound, bound + 1]));
        }
        let all: Vec<Vec<Value>> = (0..=prefix.min(16)).map(|place| values_at(self, place)).collect();
        let at = |place: usize| &all[place.min(all.len() - 1)];
        let list = |length: u64| -> Vec<Value> {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(ITEMS_MAX);
            // Different ones, as far as there are some.
            (0..length)
                .filter_map(|place| at(place).get(place % at(place).len().max(1)).or(at(place).first()).cloned())
                .collect()
        };
        let same = |length: u64| -> Vec<Value> {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(ITEMS_MAX);
            (0..length).filter_map(|place| at(place).first().cloned()).collect()
        };
        if self.of_equals_max == 1 && own == other {
            return vec![same(least).into()];
        }
        let mut made: Vec<Value> = Vec::new();
        for length in lengths {
            made.extend([same(length).into(), list(length).into()]);
        }
        for (place, values) in all.iter().enumerate() {
            for value in values {
                let mut list = same(least.max(place as u64 + 1));
                if let Some(at) = list.get_mut(place) {
                    *at = value.clone();
                }
                made.push(list.into());
            }
        }
        let contained = [own, other].map(|fields| fields.get("contains").unwrap_or(&ANYTHING));
        if contained.iter().any(|schema| **schema != ANYTHING) {
            for value in self.values(contained[0], contained[1], depth + 1) {
                made.extend([vec![value.clone()].into(), [same(least), vec![value]].concat().into()]);
            }
        }
        made
    }
}

/// The values that a schema lists.
fn listed(fields: &Map<String, Value>) -> Vec<&Value> {
    let one = fields.get("const").map(|value| vec![value]);
    one.or_else(|| Some(fields.get("enum")?.as_array()?.iter().collect())).unwrap_or_default()
}

fn types(fields: &Map<String, Value>) -> Vec<&str> {
    match fields.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a schema says something of values with this type.
fn is_about(fields: &Map<String, Value>, name: &str) -> bool {
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| fields.contains_key(*keyword));
    match name {
        "object" => has(&[
            "properties",
            "required",
            "additionalProperties",
            "patternProperties",
            "minProperties",
            "maxProperties",
        ]),
        "array" => has(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]),
        "string" => has(&["minLength", "maxLength", "pattern", "format"]),
        "integer" | "number" => has(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
        _ => false,
    }
}

/// About what meets both: a value of it is judged before anything is said of it.
pub(super) fn both(one: &Value, other: &Value) -> Value {
    let (Value::Object(ours), Value::Object(theirs)) = (one, other) else {
        return if *one == ANYTHING || *other == Value::Bool(false) { other.clone() } else { one.clone() };
    };
    let mut joined = ours.clone();
    for (keyword, value) in theirs {
        let merged = match (joined.get(keyword), keyword.as_str()) {
            (None, _) => value.clone(),
            (Some(ours), "properties" | "patternProperties") => joined_fields(ours, value),
            (Some(Value::Array(ours)), "required") => {
                let more = value.as_array().into_iter().flatten().filter(|name| !ours.contains(name));
                ours.iter().chain(more).cloned().collect()
            }
            (Some(Value::Array(ours)), "enum") => {
                ours.iter().filter(|one| value.as_array().is_some_and(|theirs| theirs.contains(one))).cloned().collect()
            }
            (Some(Value::Array(ours)), "allOf") => {
                ours.iter().chain(value.as_array().into_iter().flatten()).cloned().collect()
            }
            (Some(ours), "items" | "additionalProperties") => both(ours, value),
            (Some(_), _) => value.clone(),
        };
        joined.insert(keyword.clone(), merged);
    }
    joined.into()
}

fn joined_fields(ours: &Value, theirs: &Value) -> Value {
    let mut fields = ours.as_object().cloned().unwrap_or_default();
    for (name, value) in theirs.as_object().into_iter().flatten() {
        let merged = fields.get(name).map_or_else(|| value.clone(), |ours| both(ours, value));
        fields.insert(name.clone(), merged);
    }
    fields.into()
}
