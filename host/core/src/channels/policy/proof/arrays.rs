//! Lists: what is known of their elements, and what a schema wants of them.

use serde_json::{Map, Value};

use super::Proof;

/// What a schema says of the element at a place.
fn at(part: &Map<String, Value>, place: usize) -> Option<&Value> {
    part.get("prefixItems").and_then(|items| items.get(place)).or_else(|| part.get("items"))
}

impl Proof {
    /// Whether what is known implies `items` and `prefixItems`.
    pub(super) fn elements(&mut self, wide: &Map<String, Value>, parts: &[&Map<String, Value>], depth: usize) -> bool {
        let places = |part: &Map<String, Value>| part.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
        let most = parts.iter().filter_map(|part| part.get("maxItems")?.as_u64()).min().unwrap_or(u64::MAX);
        let places = parts.iter().map(|part| places(part)).chain([places(wide)]).max().unwrap_or(0);
        // The last one stands for all that follow.
        (0..=places).filter(|place| (*place as u64) < most).all(|place| {
            let Some(wanted) = at(wide, place) else { return true };
            let known: Vec<&Value> = parts.iter().filter_map(|part| at(part, place)).collect();
            self.implies(&known, wanted, depth + 1)
        })
    }
}
