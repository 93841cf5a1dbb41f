//! Whether no payload can meet two schemas at once.

use serde_json::{Map, Value};

use super::objects::{of_field, required};
use super::types::{self, values};
use super::{DEPTH_MAX, Proof, parts_of};

impl Proof {
    /// Whether nothing that meets the parts meets the schema.
    pub(super) fn excludes(&mut self, parts: &[&Map<String, Value>], schema: &Value, depth: usize) -> bool {
        let Some(left) = self.steps_left.checked_sub(1).filter(|_| depth < DEPTH_MAX) else { return false };
        self.steps_left = left;
        let Some(others) = parts_of(&[schema]) else { return true };
        let both = types::of(parts) & types::of(&others);
        both == types::NONE
            || values_differ(parts, &others)
            || both == types::OBJECT && self.a_field_excludes(parts, &others, depth)
    }

    /// A field that one of both needs, and that cannot be what the other one wants of it.
    fn a_field_excludes(
        &mut self,
        parts: &[&Map<String, Value>],
        others: &[&Map<String, Value>],
        depth: usize,
    ) -> bool {
        let names: Vec<&str> = required(parts).union(&required(others)).copied().collect();
        names.into_iter().any(|name| {
            let (known, wanted) = (of_field(parts, name), of_field(others, name));
            let Some(known) = parts_of(&known) else { return true };
            parts_of(&wanted).is_none() || wanted.iter().any(|wanted| self.excludes(&known, wanted, depth + 1))
        })
    }
}

/// Whether both list values, and none of them is in both lists.
fn values_differ(parts: &[&Map<String, Value>], others: &[&Map<String, Value>]) -> bool {
    let lists = |parts: &[&Map<String, Value>]| {
        parts
            .iter()
            .filter_map(|part| values(part).map(|all| all.into_iter().cloned().collect()))
            .collect::<Vec<Vec<Value>>>()
    };
    let (ours, theirs) = (lists(parts), lists(others));
    ours.iter().any(|ours| {
        theirs.iter().any(|theirs| !ours.iter().any(|one| theirs.iter().any(|other| may_equal(one, other))))
    })
}

/// Whether two values may be the same for JSON Schema: `1` and `1.0` are.
fn may_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        // Numbers may stand in them.
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => true,
        (one, other) => one == other,
    }
}
