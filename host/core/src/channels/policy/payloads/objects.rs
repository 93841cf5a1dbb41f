//! Objects at the edges of a schema: each field as it may be, left out, and more of them than there may be.

use serde_json::{Map, Value};

use super::make::{ANYTHING, Maker, Pair};
use super::mutate::with;
use super::texts;

/// Most fields that are added to reach a count.
const FIELDS_MAX: u64 = 1_000;

impl Maker<'_> {
    pub(super) fn objects(&mut self, pair: Pair<'_>, depth: usize) -> Vec<Value> {
        let Pair { own, other } = pair;
        let mut least = Map::new();
        for name in required(own) {
            let value = self.field(pair, name, depth).into_iter().next();
            least.insert(name.to_owned(), value.unwrap_or(Value::Null));
        }
        if self.needs_one_object(pair) {
            return vec![least.into()];
        }
        let mut whole = least.clone();
        let mut by_name: Vec<(String, Vec<Value>)> = Vec::new();
        for name in names(pair) {
            let values = self.field(pair, &name, depth);
            if fields_of(own).any(|(known, _)| *known == name)
                && !whole.contains_key(&name)
                && let Some(first) = values.first()
            {
                whole.insert(name.clone(), first.clone());
            }
            if !self.needs_one(of_field(own, &name), of_field(other, &name)) {
                by_name.push((name, values));
            }
        }
        let mut made = vec![least.clone(), whole.clone()];
        made.extend(counted(pair, &least, &whole));
        for name in required(other).chain(whole.keys().map(String::as_str)) {
            let mut left_out = whole.clone();
            left_out.shift_remove(name);
            made.push(left_out);
        }
        // One value of each field, then the next one.
        let most = by_name.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        for at in 0..most {
            for (name, value) in by_name.iter().filter_map(|(name, values)| Some((name, values.get(at)?))) {
                made.extend([&least, &whole].map(|fields| with(fields, name, value.clone())));
            }
        }
        made.into_iter().map(Value::Object).collect()
    }

    fn needs_one_object(&self, Pair { own, other }: Pair<'_>) -> bool {
        own == other && self.needs_one(&ANYTHING, &ANYTHING)
    }

    /// Values of a field.
    fn field(&mut self, pair: Pair<'_>, name: &str, depth: usize) -> Vec<Value> {
        let [own, other] = [pair.own, pair.other].map(|fields| of_field(fields, name).clone());
        self.values(&own, &other, depth + 1)
    }
}

fn fields_of(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    fields.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn of_field<'f>(fields: &'f Map<String, Value>, name: &str) -> &'f Value {
    let own = fields.get("properties").and_then(|fields| fields.get(name));
    let by_pattern = || {
        let patterns = fields.get("patternProperties")?.as_object()?;
        // Whether the name meets it, the validator says.
        patterns
            .iter()
            .find(|(pattern, _)| texts::of_pattern(pattern).iter().any(|text| text == name))
            .map(|(_, value)| value)
    };
    own.or_else(by_pattern).or_else(|| fields.get("additionalProperties")).unwrap_or(&ANYTHING)
}

fn required(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    fields.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Every name that is worth a try: those of both schemas, some that meet their patterns, and others.
fn names(pair: Pair<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for fields in [pair.own, pair.other] {
        fields_of(fields).for_each(|(name, _)| add(name.clone()));
        required(fields).for_each(|name| add(name.to_owned()));
        for keyword in ["dependentRequired", "dependentSchemas"] {
            let named = fields.get(keyword).and_then(Value::as_object).into_iter().flatten();
            named.for_each(|(name, _)| add(name.clone()));
        }
    }
    for fields in [pair.own, pair.other] {
        let patterns = fields.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        patterns.flat_map(|(pattern, _)| texts::of_pattern(pattern)).for_each(&mut add);
        if let Some(Value::Object(of_names)) = fields.get("propertyNames") {
            let pair = Pair { own: of_names, other: of_names };
            texts::texts(pair).iter().filter_map(Value::as_str).for_each(|text| add(text.to_owned()));
        }
    }
    ["more", "x", ""].into_iter().for_each(|name| add(name.to_owned()));
    names
}

/// Objects with as many fields as there may be, and one more or fewer.
fn counted(pair: Pair<'_>, least: &Map<String, Value>, whole: &Map<String, Value>) -> Vec<Map<String, Value>> {
    let mut made = Vec::new();
    for bound in
        [pair.own, pair.other].iter().flat_map(|fields| ["minProperties", "maxProperties"].map(|key| fields.get(key)))
    {
        let Some(bound) = bound.and_then(Value::as_u64).filter(|bound| *bound < FIELDS_MAX) else { continue };
        for count in [bound.saturating_sub(1), bound, bound + 1] {
            for from in [least, whole] {
                let mut fields = from.clone();
                let more = (1..=count).map(|number| format!("x{number}"));
                for name in more {
                    if fields.len() as u64 >= count {
                        break;
                    }
                    fields.insert(name, 1.into());
                }
                made.push(fields);
            }
        }
    }
    made
}
