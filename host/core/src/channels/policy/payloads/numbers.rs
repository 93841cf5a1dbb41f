//! Numbers at the edges of a schema.

use serde_json::{Map, Value, json};

use super::make::Pair;

/// Numbers around the bounds of both schemas; the first one meets those of its own, if that is easy.
pub(super) fn numbers(pair: Pair<'_>, whole: bool) -> Vec<Value> {
    let Pair { own, other } = pair;
    let mut numbers = vec![1.0, 0.0, -1.0, 2.0, 7.0, 10.0, 100.0, 1e6, -1e6];
    if !whole {
        numbers.extend([0.5, 1.5, -0.5]);
    }
    for fields in [own, other] {
        for bound in
            ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].iter().filter_map(|key| of(fields, key))
        {
            numbers.extend([bound, bound + 1.0, bound - 1.0, bound + 0.5, bound - 0.5, bound / 2.0]);
        }
        if let Some(step) = of(fields, "multipleOf") {
            let from = of(own, "minimum").or(of(own, "exclusiveMinimum")).unwrap_or(0.0);
            let first = (from / step).ceil() * step;
            numbers.extend((0..8).map(|times| first + f64::from(times) * step));
            numbers.extend([step / 2.0, first + step / 2.0]);
        }
    }
    let mut made: Vec<Value> = Vec::new();
    // Those that meet the own bounds first.
    for good in [true, false] {
        for number in numbers.iter().filter(|number| !whole || number.fract() == 0.0) {
            let value = written(*number);
            if is_right(own, *number) == good && !made.contains(&value) {
                made.push(value);
            }
        }
    }
    made
}

fn of(fields: &Map<String, Value>, key: &str) -> Option<f64> {
    fields.get(key).and_then(Value::as_f64)
}

fn is_right(own: &Map<String, Value>, number: f64) -> bool {
    let holds = |key: &str, is: &dyn Fn(f64) -> bool| of(own, key).is_none_or(is);
    holds("minimum", &|bound| number >= bound)
        && holds("maximum", &|bound| number <= bound)
        && holds("exclusiveMinimum", &|bound| number > bound)
        && holds("exclusiveMaximum", &|bound| number < bound)
        && holds("multipleOf", &|step| number % step == 0.0)
}

/// A number as people write it: whole ones without a point.
fn written(number: f64) -> Value {
    const DOUBLES_COUNT_TO: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() >= DOUBLES_COUNT_TO {
        return json!(number);
    }
    // The text of a whole double has no point, and is an integer's.
    format!("{number:.0}").parse::<i64>().map_or_else(|_| json!(number), |whole| json!(whole))
}
