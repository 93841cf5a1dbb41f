//! Payloads made of others: a part replaced, or as much left out as possible.

use serde_json::{Map, Value, json};

/// Most parts of a payload that are tried to be left out.
const LEFT_OUT_MAX: usize = 200;
/// Most scalars that are put in the place of others.
const ATOMS_MAX: usize = 200;

/// Numbers that are the same in every run.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Dice {
    /// A number below this one, which is above 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        // xorshift64*: no secret depends on it.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap_or_default() % end.max(1)
    }
}

/// Scalars and small values of payloads, and some of each type.
pub(super) fn atoms(payloads: &[Value]) -> Vec<Value> {
    let mut atoms = any();
    let mut open: Vec<&Value> = payloads.iter().rev().collect();
    while let Some(value) = open.pop().filter(|_| atoms.len() < ATOMS_MAX) {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            scalar if !atoms.contains(scalar) => atoms.push(scalar.clone()),
            _ => {}
        }
    }
    atoms
}

/// A value of each type, and a few that are often at an edge.
pub(super) fn any() -> Vec<Value> {
    vec![
        json!("x"),
        json!(1),
        json!({}),
        json!([]),
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(0.5),
        json!(""),
        json!({ "x": 1 }),
        json!([1]),
    ]
}

/// A payload with one part of it replaced, left out or added.
pub(super) fn mutated(payload: &Value, atoms: &[Value], dice: &mut Dice) -> Value {
    let mut payload = payload.clone();
    mutate(&mut payload, atoms, dice);
    payload
}

fn mutate(value: &mut Value, atoms: &[Value], dice: &mut Dice) {
    let goes_down = dice.below(3) > 0;
    let atom = |dice: &mut Dice| atoms[dice.below(atoms.len())].clone();
    match value {
        Value::Object(fields) if !fields.is_empty() && goes_down => {
            let place = dice.below(fields.len());
            if let Some(name) = fields.keys().nth(place).cloned().filter(|_| dice.below(8) == 0) {
                fields.shift_remove(&name);
            } else if let Some(below) = fields.values_mut().nth(place) {
                mutate(below, atoms, dice);
            }
        }
        Value::Array(items) if !items.is_empty() && goes_down => {
            let place = dice.below(items.len());
            mutate(&mut items[place], atoms, dice);
        }
        Value::Array(items) if dice.below(2) == 0 => items.push(atom(dice)),
        other => *other = atom(dice),
    }
}

/// A payload with everything left out without which it still is what it is.
pub(super) fn smallest(payload: &Value, is: &dyn Fn(&Value) -> bool) -> Value {
    let mut smallest = payload.clone();
    let mut left = LEFT_OUT_MAX;
    let mut place = 0;
    while left > 0 {
        left -= 1;
        let mut tried = smallest.clone();
        let mut count = place;
        if !without(&mut tried, &mut count) {
            break;
        }
        if is(&tried) {
            smallest = tried;
        } else {
            place += 1;
        }
    }
    smallest
}

/// Leaves the part with this number out, counted through the whole payload; whether there is one.
fn without(value: &mut Value, number: &mut usize) -> bool {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.keys().nth(*number).cloned() {
                fields.shift_remove(&name);
                return true;
            }
            *number -= fields.len();
            fields.values_mut().any(|below| without(below, number))
        }
        Value::Array(items) => {
            if *number < items.len() {
                items.remove(*number);
                return true;
            }
            *number -= items.len();
            items.iter_mut().any(|below| without(below, number))
        }
        _ => false,
    }
}

/// About how long a payload is as JSON text.
pub(super) fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| bytes(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + bytes(value) + 4).sum::<usize>() + 2,
        _ => 8,
    }
}

/// An object with one more field.
pub(super) fn with(fields: &Map<String, Value>, name: &str, value: Value) -> Map<String, Value> {
    let mut fields = fields.clone();
    fields.insert(name.to_owned(), value);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_gets_as_small_as_it_may() {
        let payload = json!({ "a": [1, { "b": "x", "c": 2 }, 3], "d": { "e": null } });
        let has_b = |payload: &Value| payload.to_string().contains("\"b\"");
        assert_eq!(smallest(&payload, &has_b), json!({ "a": [{ "b": "x" }] }));
    }

    #[test]
    fn the_same_payloads_come_in_every_run() {
        let numbers = || {
            let mut dice = Dice::default();
            (0..20).map(|_| mutated(&json!({ "a": [1], "b": 2 }), &any(), &mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(), numbers());
    }
}
