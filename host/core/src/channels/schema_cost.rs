//! Limits how much work a payload can cause for a schema.
//!
//! If a schema refers back to itself in two ways that check the same part of a payload (for example `anyOf` with two
//! branches that recurse), it checks each level twice, and so the innermost of 60 levels 2^60 times. Such a schema is
//! called *branching*; [`Branching::admits`] limits the payloads that it checks.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::schema_keywords::escaped;

/// Most checks for one payload.
const JUDGEMENTS_MAX: u64 = 1_000_000;
/// Beyond this number of checks a payload is refused without a list of violations, because the list costs memory for
/// each.
const JUDGEMENTS_LISTED_MAX: u64 = 10_000;
/// Most parts of a schema that are analysed, including those behind references.
const PARTS_MAX: usize = 100_000;

/// How often one level of a payload is checked for each check of the level around it: 1 except for branching schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Branching(u64);

/// Whether a payload may be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judging {
    /// Yes, with a list of violations.
    Listed,
    /// Yes, without a list.
    Unlisted,
    /// No.
    TooMuch,
}

impl Branching {
    /// Analyses a schema and the targets of its references; `resolve` finds a document by its path, and `""` is the
    /// schema itself. `None` if it is too large.
    pub(super) fn of(schema: &Value, resolve: &dyn Fn(&str) -> Option<Value>) -> Option<Self> {
        let graph = Graph::of(schema, resolve)?;
        Some(Self(graph.branching()))
    }

    /// Judges the shape of a payload: counts its parts, each as often as the schema may check it.
    pub(super) fn admits(self, payload: &Value) -> Judging {
        if self.0 <= 1 {
            return Judging::Listed;
        }
        match judgements(payload, 1, self.0) {
            few if few <= JUDGEMENTS_LISTED_MAX => Judging::Listed,
            many if many <= JUDGEMENTS_MAX => Judging::Unlisted,
            _ => Judging::TooMuch,
        }
    }
}

/// The parser limits how deep this recurses.
fn judgements(value: &Value, times: u64, branching: u64) -> u64 {
    let inner = times.saturating_mul(branching);
    let children = |sum: u64, child: &Value| {
        if sum > JUDGEMENTS_MAX { sum } else { sum.saturating_add(judgements(child, inner, branching)) }
    };
    match value {
        Value::Array(items) => items.iter().fold(times, children),
        Value::Object(fields) => fields.values().fold(times, children),
        _ => times,
    }
}

/// A part of a schema: its document and the JSON Pointer in it.
type Part = (String, String);

/// The parts of a schema, and which of them check together with or below others.
#[derive(Default)]
struct Graph {
    numbers: HashMap<Part, usize>,
    /// For each part, groups of parts that see the same data: at most one member of a group checks any part of a
    /// payload.
    groups: Vec<Vec<Vec<usize>>>,
    /// Whether a part checks the parts below it a second time, to find out what is left (`unevaluated…`).
    repeats: Vec<bool>,
}

impl Graph {
    fn of(schema: &Value, resolve: &dyn Fn(&str) -> Option<Value>) -> Option<Self> {
        let mut documents = HashMap::from([(String::new(), Some(schema.clone()))]);
        let mut graph = Self::default();
        let mut open = vec![(String::new(), String::new())];
        graph.number(&open[0].clone());
        let mut at = 0;
        while at < open.len() {
            if open.len() > PARTS_MAX {
                return None;
            }
            let part = open[at].clone();
            let document = documents.entry(part.0.clone()).or_insert_with(|| resolve(&part.0));
            let found = document.as_ref().and_then(|document| document.pointer(&part.1));
            let (groups, repeats) = match found {
                Some(Value::Object(fields)) => (exclusive_groups(&part, fields, document.as_ref()), repeats(fields)),
                _ => (Vec::new(), false),
            };
            let mut numbered = Vec::with_capacity(groups.len());
            for group in groups {
                let mut members = Vec::with_capacity(group.len());
                for part in group {
                    let (number, is_new) = graph.number(&part);
                    if is_new {
                        open.push(part);
                    }
                    members.push(number);
                }
                numbered.push(members);
            }
            graph.groups.push(numbered);
            graph.repeats.push(repeats);
            at += 1;
        }
        Some(graph)
    }

    fn number(&mut self, part: &Part) -> (usize, bool) {
        let next = self.numbers.len();
        let number = *self.numbers.entry(part.clone()).or_insert(next);
        (number, number == next)
    }

    /// The product over all parts of the number of their groups that lead back to them.
    fn branching(&self) -> u64 {
        let cycles = self.cycles();
        let mut product: u64 = 1;
        for (part, groups) in self.groups.iter().enumerate() {
            let back = |group: &&Vec<usize>| group.iter().any(|member| cycles[*member] == cycles[part]);
            let mut factor = groups.iter().filter(back).count() as u64;
            if factor > 0 && self.repeats[part] {
                factor *= 2;
            }
            product = product.saturating_mul(factor.max(1));
        }
        product
    }

    /// The number of each part's strongly connected component (Tarjan, without recursion).
    fn cycles(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let parts = self.groups.len();
        let edges: Vec<Vec<usize>> = self.groups.iter().map(|groups| groups.concat()).collect();
        let (mut index, mut low) = (vec![UNSEEN; parts], vec![0; parts]);
        let (mut component, mut stack) = (vec![UNSEEN; parts], Vec::new());
        let (mut seen, mut components) = (0, 0);
        for root in 0..parts {
            let mut calls = if index[root] == UNSEEN { vec![(root, 0)] } else { Vec::new() };
            while let Some((part, edge)) = calls.pop() {
                if edge == 0 {
                    (index[part], low[part]) = (seen, seen);
                    seen += 1;
                    stack.push(part);
                } else if let Some(child) = edges[part].get(edge - 1).filter(|child| component[**child] == UNSEEN) {
                    low[part] = low[part].min(low[*child]);
                }
                match edges[part].get(edge) {
                    Some(child) => {
                        calls.push((part, edge + 1));
                        if index[*child] == UNSEEN {
                            calls.push((*child, 0));
                        } else if component[*child] == UNSEEN {
                            low[part] = low[part].min(index[*child]);
                        }
                    }
                    None if low[part] == index[part] => {
                        while let Some(member) = stack.pop() {
                            component[member] = components;
                            if member == part {
                                break;
                            }
                        }
                        components += 1;
                    }
                    None => {}
                }
            }
        }
        component
    }
}

fn repeats(fields: &Map<String, Value>) -> bool {
    fields.contains_key("unevaluatedProperties") || fields.contains_key("unevaluatedItems")
}

/// The parts below a part in groups: two groups may check the same part of a payload, two members of one group never
/// do.
fn exclusive_groups(part: &Part, fields: &Map<String, Value>, document: Option<&Value>) -> Vec<Vec<Part>> {
    let below = |path: &str| (part.0.clone(), format!("{}/{path}", part.1));
    let mut groups = Vec::new();
    let (mut properties, mut items) = (Vec::new(), Vec::new());
    for (keyword, value) in fields {
        let keys = || value.as_object().into_iter().flatten().map(|(key, _)| format!("{keyword}/{}", escaped(key)));
        let indices = || (0..value.as_array().map_or(0, Vec::len)).map(|index| format!("{keyword}/{index}"));
        match keyword.as_str() {
            "allOf" | "anyOf" | "oneOf" => groups.extend(indices().map(|path| vec![below(&path)])),
            "dependentSchemas" | "patternProperties" => groups.extend(keys().map(|path| vec![below(&path)])),
            "not" | "if" | "contains" | "propertyNames" | "unevaluatedProperties" | "unevaluatedItems" => {
                groups.push(vec![below(keyword)]);
            }
            // Only one of the two is checked.
            "then" => groups.push(vec![below("then"), below("else")]),
            "else" if !fields.contains_key("then") => groups.push(vec![below("else")]),
            "properties" => properties.extend(keys().map(|path| below(&path))),
            "additionalProperties" => properties.push(below(keyword)),
            "prefixItems" => items.extend(indices().map(|path| below(&path))),
            "items" => items.push(below(keyword)),
            "$ref" | "$dynamicRef" => groups.extend(value.as_str().map(|to| vec![referred(part, to, document)])),
            _ => {}
        }
    }
    groups.extend([properties, items].into_iter().filter(|group| !group.is_empty()));
    groups
}

/// Where a reference leads: `#/a`, `file.json#/a`, or `#anchor`.
fn referred(part: &Part, reference: &str, document: Option<&Value>) -> Part {
    let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    let path = match path {
        "" => part.0.clone(),
        path => joined(&part.0, path),
    };
    if fragment.is_empty() || fragment.starts_with('/') {
        return (path, fragment.replace("%25", "%"));
    }
    let anchored = document.filter(|_| path == part.0).and_then(|document| anchor(document, fragment, String::new()));
    (path, anchored.unwrap_or_default())
}

/// The pointer of the part with this `$anchor` or `$dynamicAnchor`.
fn anchor(value: &Value, name: &str, pointer: String) -> Option<String> {
    match value {
        Value::Object(fields) => {
            let is_named = |keyword| fields.get(keyword).and_then(Value::as_str) == Some(name);
            if is_named("$anchor") || is_named("$dynamicAnchor") {
                return Some(pointer);
            }
            fields.iter().find_map(|(key, value)| anchor(value, name, format!("{pointer}/{}", escaped(key))))
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, value)| anchor(value, name, format!("{pointer}/{index}")))
        }
        _ => None,
    }
}

/// A path relative to its file, or to the channels directory if it begins with a slash.
fn joined(from: &str, path: &str) -> String {
    let folder = from.rsplit_once('/').filter(|_| !path.starts_with('/')).map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn branching(schema: &Value) -> u64 {
        let tree = json!({ "anyOf": [{ "items": { "$ref": "/deep/tree.json" } }, { "items": { "$ref": "#" } }] });
        Branching::of(schema, &|path| (path == "deep/tree.json").then(|| tree.clone())).unwrap().0
    }

    #[test]
    fn a_schema_that_recurses_one_way_does_not_branch() {
        assert_eq!(branching(&json!({ "type": "integer" })), 1);
        assert_eq!(branching(&json!({ "items": { "$ref": "#" } })), 1);
        let tree = json!({ "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
        assert_eq!(branching(&tree), 1, "left is never right");
        let list = json!({ "anyOf": [{ "type": "null" }, { "properties": { "next": { "$ref": "#" } } }] });
        assert_eq!(branching(&list), 1);
    }

    #[test]
    fn a_schema_that_recurses_two_ways_at_once_branches() {
        let two =
            json!({ "anyOf": [{ "items": { "$ref": "#" } }, { "items": { "$ref": "#" } }, { "type": "integer" }] });
        assert_eq!(branching(&two), 2);
        let named = json!({ "$ref": "#n", "$defs": { "a": { "$anchor": "n", "allOf": [
            { "items": { "$ref": "#n" } }, { "contains": { "$ref": "#/$defs/a" } }, { "not": { "$ref": "#n" } } ] } } });
        assert_eq!(branching(&named), 3);
        assert_eq!(branching(&json!({ "items": { "$ref": "#" }, "contains": { "$ref": "#" } })), 2);
        assert_eq!(branching(&json!({ "unevaluatedProperties": { "$ref": "#" } })), 2);
        assert_eq!(branching(&json!({ "$ref": "deep/tree.json" })), 2, "in another file");
    }

    #[test]
    fn a_payload_that_a_branching_schema_would_judge_too_often_is_not_judged() {
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(Branching(1).admits(&nested(100)), Judging::Listed);
        assert_eq!(Branching(2).admits(&nested(5)), Judging::Listed);
        assert_eq!(Branching(2).admits(&nested(15)), Judging::Unlisted);
        assert_eq!(Branching(2).admits(&nested(60)), Judging::TooMuch);
        assert_eq!(Branching(u64::MAX).admits(&json!(vec![1; 3])), Judging::TooMuch);
        assert_eq!(Branching(2).admits(&json!(vec![1; 1000])), Judging::Listed);
    }
}
