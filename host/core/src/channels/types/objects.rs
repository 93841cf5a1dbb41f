//! The schemas of objects, merged from `properties`, `$ref` and `allOf`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::parts::{Placed, alternatives};
use super::read::Reader;

/// Deepest nesting of `allOf` and `$ref` that is merged; a deeper schema stays as it is.
const DEPTH_MAX: usize = 32;
/// Most schemas that are merged into one object, because `allOf` of references to `allOf`s could grow almost without
/// end.
const SCHEMAS_MAX: usize = 1024;
/// Keywords of schemas that are not objects.
const OF_OTHERS: [&str; 5] = ["enum", "const", "items", "prefixItems", "$dynamicRef"];

/// Several schemas of one object, merged.
#[derive(Debug)]
pub(super) struct Objects {
    /// The schemas of each key, in their original order.
    pub(super) properties: Vec<(String, Vec<Placed>)>,
    pub(super) required: BTreeSet<String>,
    pub(super) others: Others,
    schemas: usize,
}

/// The content of keys without their own schema.
#[derive(Debug)]
pub(super) enum Others {
    Any,
    None,
    Of(Placed),
}

impl Objects {
    /// Merges the schema of an object; `None` if it also is of another type, or if it is a single reference and so has
    /// its own name.
    pub(super) fn gather(reader: &mut Reader<'_>, placed: &Placed) -> Option<Self> {
        let keys = placed.schema.as_object()?;
        if keys.contains_key("$ref") && !keys.contains_key("allOf") && super::parts::parts(&placed.schema).len() == 1 {
            return None;
        }
        let mut objects = Self { properties: Vec::new(), required: BTreeSet::new(), others: Others::Any, schemas: 0 };
        let mut is_object = false;
        objects.add(reader, placed, 0, &mut is_object).filter(|()| is_object)?;
        Some(objects)
    }

    fn add(&mut self, reader: &mut Reader<'_>, placed: &Placed, depth: usize, is_object: &mut bool) -> Option<()> {
        let keys = match &placed.schema {
            Value::Bool(true) => return Some(()),
            Value::Object(keys) if depth < DEPTH_MAX && self.schemas < SCHEMAS_MAX => keys,
            _ => return None,
        };
        self.schemas += 1;
        let of_others = OF_OTHERS.iter().any(|key| keys.contains_key(*key));
        if of_others || alternatives(&placed.schema).is_some() {
            return None;
        }
        match keys.get("type") {
            Some(Value::String(of)) if of == "object" => *is_object = true,
            Some(_) => return None,
            None => {}
        }
        if let Some(reference) = keys.get("$ref").and_then(Value::as_str) {
            let (target, _) = reader.follow(reference, placed)?;
            self.add(reader, &target, depth + 1, is_object)?;
        }
        for part in keys.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.add(reader, &placed.with(part.clone()), depth + 1, is_object)?;
        }
        self.add_keys(keys, placed, is_object);
        Some(())
    }

    fn add_keys(&mut self, keys: &Map<String, Value>, placed: &Placed, is_object: &mut bool) {
        for (key, schema) in keys.get("properties").and_then(Value::as_object).into_iter().flatten() {
            *is_object = true;
            // A key for which no value is valid never exists.
            if *schema == Value::Bool(false) {
                continue;
            }
            let schema = placed.with(schema.clone());
            match self.properties.iter_mut().find(|(known, _)| known == key) {
                Some((_, schemas)) => schemas.push(schema),
                None => self.properties.push((key.clone(), vec![schema])),
            }
        }
        let required = keys.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str) {
            *is_object = true;
            self.required.insert(key.to_owned());
            if !self.properties.iter().any(|(known, _)| known == key) {
                self.properties.push((key.to_owned(), Vec::new()));
            }
        }
        let patterns = keys.get("patternProperties").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
        *is_object |= patterns;
        match keys.get("additionalProperties").or_else(|| keys.get("unevaluatedProperties")) {
            None => {}
            Some(Value::Bool(true)) => *is_object = true,
            Some(_) if patterns => {}
            Some(Value::Bool(false)) => {
                *is_object = true;
                self.others = Others::None;
            }
            Some(schema) => {
                *is_object = true;
                self.others = Others::Of(placed.with(schema.clone()));
            }
        }
    }
}
