//! What is said of two schemas, held against random ones and random payloads.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Map, Value, json};

use super::payloads::{Comparer, Difference, Found};
use crate::channels::Schema;
use crate::channels::schema::Documents;

fn compiled(schema: &Value) -> Schema {
    Schema::compile(schema, "-", &Documents::default()).unwrap_or_else(|mistake| unreachable!("{schema}: {mistake:?}"))
}

/// How two schemas differ that are not the same.
fn differ(old: &Value, new: &Value) -> Difference {
    let difference = Comparer::default().compare(&compiled(old), &compiled(new));
    difference.unwrap_or_else(|| unreachable!("{old} and {new} are the same"))
}

/// A map of those that are there.
fn map(keys: Vec<Option<(&str, Value)>>) -> Value {
    let given = keys.into_iter().flatten();
    given.map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>().into()
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.0), Just(-2.5)].prop_map(Value::from),
        "[ab]{0,3}".prop_map(Value::from),
    ]
}

fn payloads() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(2, 12, 4, |below| {
        prop_oneof![
            prop::collection::vec(below.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abx]", below, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn types() -> impl Strategy<Value = Value> {
    const NAMES: &[&str] = &["null", "boolean", "object", "array", "number", "string", "integer"];
    prop_oneof![
        4 => prop::sample::select(NAMES).prop_map(Value::from),
        1 => prop::sample::subsequence(NAMES, 1..4).prop_map(Value::from),
    ]
}

fn of_scalars() -> impl Strategy<Value = Value> {
    let number = -2_i64..4;
    let length = 0_u64..4;
    let option = |share| prop::option::weighted(share, number.clone());
    let optional_length = || prop::option::weighted(0.2, length.clone());
    (
        prop::option::weighted(0.6, types()),
        prop::option::weighted(0.15, prop::collection::btree_set((0_i64..4).prop_map(|n| n), 1..4)),
        prop::option::weighted(0.08, scalars()),
        (option(0.2), option(0.2), option(0.1), option(0.1)),
        (optional_length(), optional_length(), optional_length(), optional_length()),
        prop::option::weighted(0.1, 1_u64..4),
        prop::option::weighted(0.1, prop::sample::select(&["^a", "^[ab]+$", "b$", "^(a|bb)$"][..])),
        prop::option::weighted(0.1, any::<bool>()),
    )
        .prop_map(|(types, values, constant, bounds, lengths, step, pattern, unique)| {
            map(vec![
                types.map(|types| ("type", types)),
                values.map(|values| ("enum", values.into_iter().collect())),
                constant.map(|value| ("const", value)),
                bounds.0.map(|bound| ("minimum", bound.into())),
                bounds.1.map(|bound| ("maximum", bound.into())),
                bounds.2.map(|bound| ("exclusiveMinimum", bound.into())),
                bounds.3.map(|bound| ("exclusiveMaximum", bound.into())),
                lengths.0.map(|bound| ("minLength", bound.into())),
                lengths.1.map(|bound| ("maxLength", bound.into())),
                lengths.2.map(|bound| ("minItems", bound.into())),
                lengths.3.map(|bound| ("maxItems", bound.into())),
                step.map(|step| ("multipleOf", step.into())),
                pattern.map(|pattern| ("pattern", pattern.into())),
                unique.map(|unique| ("uniqueItems", unique.into())),
            ])
        })
}

fn joined(below: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let maybe = |share| prop::option::weighted(share, below.clone());
    let fields = |share| prop::option::weighted(share, prop::collection::btree_map("[abx]", below.clone(), 1..3));
    let some = |share| prop::option::weighted(share, prop::collection::vec(below.clone(), 1..3));
    (
        of_scalars(),
        (fields(0.5), fields(0.1)),
        prop::option::weighted(0.4, prop::collection::btree_set("[abx]", 1..3)),
        (maybe(0.2), maybe(0.2), maybe(0.1), maybe(0.1), maybe(0.1)),
        (some(0.1), some(0.1), some(0.1), some(0.1)),
        (
            prop::option::weighted(0.1, 0_u64..3),
            prop::option::weighted(0.1, 0_u64..3),
            prop::option::weighted(0.05, any::<bool>()),
        ),
    )
        .prop_map(|(scalar, (properties, patterns), required, one, many, (least, most, unevaluated))| {
            let object =
                |fields: std::collections::BTreeMap<String, Value>| Value::Object(fields.into_iter().collect());
            let mut schema = map(vec![
                properties.map(|fields| ("properties", object(fields))),
                patterns.map(|fields| ("patternProperties", object(fields))),
                required.map(|names| ("required", names.into_iter().collect())),
                one.0.map(|schema| ("additionalProperties", schema)),
                one.1.map(|schema| ("items", schema)),
                one.2.map(|schema| ("not", schema)),
                one.3.map(|schema| ("contains", schema)),
                one.4.map(|schema| ("propertyNames", schema)),
                many.0.map(|all| ("allOf", all.into())),
                many.1.map(|all| ("anyOf", all.into())),
                many.2.map(|all| ("oneOf", all.into())),
                many.3.map(|all| ("prefixItems", all.into())),
                least.map(|count| ("minProperties", count.into())),
                most.map(|count| ("maxProperties", count.into())),
                unevaluated.map(|allowed| ("unevaluatedProperties", allowed.into())),
            ]);
            if let (Value::Object(schema), Value::Object(scalar)) = (&mut schema, scalar) {
                schema.extend(scalar);
            }
            schema
        })
}

fn schemas() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![8 => of_scalars(), 1 => any::<bool>().prop_map(Value::from)].boxed();
    let one = joined(leaf.clone()).boxed();
    let two = joined(prop_oneof![2 => leaf, 1 => one.clone()].boxed());
    prop_oneof![one, two].boxed()
}

/// A schema and another one that differs little or much.
fn pairs() -> impl Strategy<Value = (Value, Value)> {
    (schemas(), schemas(), any::<prop::sample::Index>(), 0..4).prop_map(|(one, other, place, how)| {
        let changed = match (&one, &other, how) {
            (Value::Object(fields), _, 0) if !fields.is_empty() => {
                let mut fields = fields.clone();
                let name = fields.keys().nth(place.index(fields.len())).cloned().unwrap_or_default();
                fields.shift_remove(&name);
                fields.into()
            }
            (Value::Object(fields), Value::Object(others), 1) if !others.is_empty() => {
                let mut fields = fields.clone();
                let (name, value) = others
                    .iter()
                    .nth(place.index(others.len()))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .unwrap_or_default();
                fields.insert(name, value);
                fields.into()
            }
            (_, _, 2) => json!({ "anyOf": [one.clone(), other] }),
            _ => other,
        };
        (one, changed)
    })
}

fn holds(found: &Found, accepts: &Schema, refuses: &Schema, tried: &[Value]) -> Result<(), TestCaseError> {
    match found {
        Found::Refused(refused) => {
            prop_assert!(accepts.check(&refused.payload).is_ok(), "{}", refused.payload);
            prop_assert!(refuses.check(&refused.payload).is_err(), "{}", refused.payload);
            prop_assert!(!refused.violations.is_empty());
        }
        Found::Nothing => {
            for payload in tried {
                let is_shown = accepts.check(payload).is_ok() && refuses.check(payload).is_err();
                prop_assert!(!is_shown, "nothing was to be refused, but {payload} is");
            }
        }
        Found::Unknown => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_payload_that_is_told_is_taken_by_one_schema_and_refused_by_the_other_and_none_breaks_what_is_compatible(
        (old, new) in pairs(),
        tried in prop::collection::vec(payloads(), 40),
    ) {
        let [one, other] = [&old, &new].map(compiled);
        let Some(Difference { stricter, looser }) = Comparer::judging(200).compare(&one, &other) else {
            prop_assert_eq!(old, new);
            return Ok(());
        };
        holds(&stricter, &one, &other, &tried)?;
        holds(&looser, &other, &one, &tried)?;
    }
}

#[test]
fn most_differences_are_decided() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut unknown, mut all) = (0, 0);
    for _ in 0..60 {
        let (old, new) = pairs().new_tree(&mut runner).map(|tree| tree.current()).unwrap_or_default();
        let difference = Comparer::judging(300).compare(&compiled(&old), &compiled(&new));
        for found in difference.into_iter().flat_map(|difference| [difference.stricter, difference.looser]) {
            all += 1;
            unknown += usize::from(found == Found::Unknown);
        }
    }
    assert!(unknown * 6 < all, "{unknown} of {all} are unknown");
}

#[test]
fn each_keyword_that_differs_has_a_payload_that_shows_it() {
    for (loose, strict) in [
        (json!({}), json!({ "type": "string" })),
        (json!({ "type": ["string", "null"] }), json!({ "type": "string" })),
        (json!({ "type": "number" }), json!({ "type": "integer" })),
        (json!({ "enum": ["a", "b"] }), json!({ "enum": ["a"] })),
        (json!({ "enum": ["a", "b"] }), json!({ "const": "b" })),
        (json!({ "type": "string" }), json!({ "enum": ["only", "these"] })),
        (json!({ "type": "integer" }), json!({ "type": "integer", "minimum": 100 })),
        (json!({ "type": "integer", "maximum": 5000 }), json!({ "type": "integer", "maximum": 4999 })),
        (json!({ "type": "number", "minimum": 3 }), json!({ "type": "number", "exclusiveMinimum": 3 })),
        (json!({ "type": "number", "maximum": 3 }), json!({ "type": "number", "exclusiveMaximum": 3 })),
        (json!({ "type": "integer", "multipleOf": 3 }), json!({ "type": "integer", "multipleOf": 6 })),
        (json!({ "type": "string" }), json!({ "type": "string", "minLength": 12 })),
        (json!({ "type": "string", "maxLength": 300 }), json!({ "type": "string", "maxLength": 200 })),
        (json!({ "type": "string", "pattern": "^[a-z]+$" }), json!({ "type": "string", "pattern": "^[a-z]$" })),
        (json!({ "type": "string" }), json!({ "type": "string", "format": "date-time" })),
        (
            json!({ "type": "string", "format": "date-time" }),
            json!({ "type": "string", "format": "date-time", "maxLength": 10 }),
        ),
        (
            json!({ "type": "array", "items": { "type": "number" } }),
            json!({ "type": "array", "items": { "type": "integer" } }),
        ),
        (json!({ "type": "array" }), json!({ "type": "array", "minItems": 3 })),
        (json!({ "type": "array", "maxItems": 40 }), json!({ "type": "array", "maxItems": 30 })),
        (json!({ "type": "array" }), json!({ "type": "array", "uniqueItems": true })),
        (json!({ "type": "array" }), json!({ "type": "array", "contains": { "const": "x" } })),
        (json!({ "prefixItems": [{}, {}] }), json!({ "prefixItems": [{}, { "type": "string" }] })),
        (json!({ "type": "object" }), json!({ "type": "object", "required": ["a"] })),
        (json!({ "type": "object" }), json!({ "type": "object", "additionalProperties": false })),
        (json!({ "type": "object" }), json!({ "type": "object", "additionalProperties": { "type": "string" } })),
        (json!({ "type": "object" }), json!({ "type": "object", "maxProperties": 2 })),
        (json!({ "type": "object" }), json!({ "type": "object", "minProperties": 2 })),
        (json!({ "type": "object" }), json!({ "type": "object", "propertyNames": { "pattern": "^[a-z]+$" } })),
        (
            json!({ "type": "object" }),
            json!({ "type": "object", "patternProperties": { "^x-": { "type": "integer" } } }),
        ),
        (json!({ "type": "object" }), json!({ "type": "object", "dependentRequired": { "a": ["b"] } })),
        (
            json!({ "properties": { "a": { "properties": { "b": {} } } } }),
            json!({ "properties": { "a": { "properties": { "b": { "type": "string" } } } } }),
        ),
        (json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }), json!({ "anyOf": [{ "type": "string" }] })),
        (json!({ "type": "integer" }), json!({ "type": "integer", "not": { "const": 7 } })),
        (
            json!({ "type": "object", "required": ["a"] }),
            json!({ "type": "object", "required": ["a"], "if": { "properties": { "a": { "const": 1 } } }, "then": { "required": ["b"] } }),
        ),
    ] {
        let Difference { stricter, looser } = differ(&loose, &strict);
        assert!(matches!(stricter, Found::Refused(_)), "{loose} → {strict}: {stricter:?}");
        let is_within = loose.get("pattern").is_none() && strict.get("const").is_none();
        assert!(!is_within || looser == Found::Nothing, "{loose} → {strict}: {looser:?}");
    }
}

#[test]
fn one_more_form_of_a_union_is_known_to_break_no_sender() {
    let form = |name: &str| json!({ "type": "object", "properties": { "kind": { "const": name }, "n": { "type": "integer" } }, "required": ["kind"] });
    for keyword in ["oneOf", "anyOf"] {
        let old = json!({ keyword: [form("a"), form("b")] });
        let new = json!({ keyword: [form("a"), form("b"), form("c")] });
        let Difference { stricter, looser } = differ(&old, &new);
        assert_eq!(stricter, Found::Nothing, "{keyword}");
        assert!(matches!(&looser, Found::Refused(refused) if refused.payload == json!({ "kind": "c" })), "{looser:?}");
    }
}

#[test]
fn a_schema_that_leads_back_to_itself_is_compared_by_payloads_and_never_without_end() {
    let tree = |of: &str| json!({ "type": "object", "properties": { "value": { "type": of }, "below": { "type": "array", "items": { "$ref": "#" } } } });
    let difference = differ(&tree("integer"), &tree("string"));
    assert!(
        matches!(difference, Difference { stricter: Found::Refused(_), looser: Found::Refused(_) }),
        "{difference:?}"
    );
}
