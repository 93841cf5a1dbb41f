//! What the evaluators of CEL and JSON Schema answer where others answer otherwise, so that an update that changes an
//! answer is seen. The manual tells users of them: `channels/README.md`.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_core::channels::{self, Sources};
use tidegate_core::config::SourceFile;
use tidegate_core::protocol::{BusEvent, Generation, Payload};

use crate::patterns::schema;

/// What a rule with this `payload` makes of an event with this data: the payload's text, or `error`.
fn made(expression: &str, data: &str) -> String {
    let file = |value: Value| Arc::new(SourceFile { path: "a.yaml".to_owned(), text: value.to_string() });
    let manifest = json!({ "feature": "a", "channels": { "a": { "scope": "public", "payload": true } } });
    let bridge = json!({ "rules": [{ "on": "t", "to": "a", "payload": expression }] });
    let sources = Sources { manifests: vec![file(manifest)], bridge: Some(file(bridge)), ..Sources::default() };
    let data = Payload::read(data.to_owned()).unwrap();
    let event = BusEvent::new("1".to_owned(), "/a".to_owned(), "t".to_owned(), data);
    let Ok(catalog) = channels::compile(&sources, Generation(1)) else { return "error".to_owned() };
    let applied = catalog.bridge().rules().next().unwrap().apply(&event);
    applied.map_or_else(|_| "error".to_owned(), |made| made.unwrap().1.as_str().to_owned())
}

#[test]
fn cel_answers_as_the_manual_says() {
    let answers = [
        // Whole numbers and doubles.
        ("3", "event.data / 2", "1"),
        ("3", "event.data % 2", "1"),
        ("3", "event.data == 3.0", "true"),
        ("3", "event.data < 3.5", "true"),
        ("7.0", "event.data * 1.5", "error"),
        ("7.0", "double(event.data) * 1.5", "10.5"),
        ("7.5", "double(event.data) * 2.0", "15.0"),
        ("9223372036854775807", "event.data + 1", "error"),
        ("9223372036854775808", "event.data + 1", "error"),
        ("9223372036854775808", "event.data > 0", "true"),
        ("9007199254740993", "event.data == 9007199254740993", "true"),
        ("0", "-9223372036854775808", "-9223372036854775808"),
        ("0", "-(-9223372036854775808)", "error"),
        ("0", "-5 / 2", "-2"),
        ("0", "-5 % 2", "-1"),
        ("0", "5.5 % 2.0", "error"),
        ("0", "1.0 / 0.0", "error"),
        ("0", "(0.0 / 0.0) == (0.0 / 0.0)", "false"),
        ("0", "[1 in [1.0], 1.0 in [1], 1 == 1u, [1] == [1.0], 1 == '1']", "[true,true,true,true,false]"),
        ("0", "{1: 'a'}[1u]", r#""a""#),
        // Texts of numbers and times.
        ("0", "string(1.0) + ' ' + string(1e21) + ' ' + string(-0.0)", r#""1 1000000000000000000000 -0""#),
        ("0", "string(duration('90m')) + ' ' + string(duration('1.5s'))", r#""5400s 1.5s""#),
        ("0", "string(timestamp('2024-01-01T02:00:00.120+02:00'))", r#""2024-01-01T00:00:00.12Z""#),
        ("0", "[int(1.9), int(-1.9), int('+5')]", "[1,-1,5]"),
        ("0", "int('0x10')", "error"),
        ("0", "int(1e19)", "error"),
        ("0", "uint(-1)", "error"),
        ("0", "double('1_0')", "error"),
        // What is not there.
        (r#"{"x":null}"#, "has(event.data.x)", "true"),
        (r#"{"x":null}"#, "has(event.data.x.y)", "error"),
        ("{}", "has(event.data.x)", "false"),
        ("{}", "has(event.data.x.y)", "error"),
        ("{}", "event.data.?x.orValue(0)", "0"),
        (r#"{"x":5}"#, "event.data.?x.orValue(0)", "5"),
        ("{}", "event.data.missing == 1 || true", "true"),
        ("0", "[(1 / 0 > 0) || true, false && (1 / 0 > 0), [0, 1].exists(x, 1 / x > 0)]", "[true,false,true]"),
        ("[10,20]", "event.data[1.0]", "20"),
        ("[10,20]", "event.data[-1]", "error"),
        ("[10,20]", "event.data[2]", "error"),
        // Names.
        (r#"{"type":2,"package":3}"#, "[event.data.type, event.data.package]", "[2,3]"),
        (r#"{"in":1}"#, "event.data.in", "error"),
        (r#"{"in":1}"#, "['in' in event.data, event.data['in'] == 1]", "[true,true]"),
        (r#"{"content-type":4}"#, "event.data['content-type']", "4"),
        (r#"{"content-type":4}"#, "event.data.`content-type`", "error"),
        (r#"{"content-type":4}"#, "has(event.data['content-type'])", "error"),
        // Texts and macros.
        (r#""٣""#, r"event.data.matches('^\\d$')", "true"),
        (r#""a\nb""#, "[event.data.matches('a.b'), event.data.matches('b')]", "[false,true]"),
        (r#""ab""#, "event.data.matches('a(?=b)')", "error"),
        ("[1,2,3]", "event.data.map(x, x > 1, x * 2)", "[4,6]"),
        (r#"{"a":1}"#, "event.data.map(k, k)", r#"["a"]"#),
        ("0", "['a'].join(',')", "error"),
        ("0", "'A'.lowerAscii()", "error"),
        ("0", "cel.bind(a, 1, a + 1)", "error"),
        ("0", "math.greatest(1, 2)", "error"),
    ];
    let wrong: Vec<String> = answers
        .into_iter()
        .map(|(data, expression, expected)| (data, expression, expected, made(expression, data)))
        .filter(|(_, _, expected, found)| expected != found)
        .map(|(data, expression, expected, found)| format!("{expression} of {data}: {found}, not {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Schemas, payloads that each takes, and payloads that it refuses.
const SCHEMAS: [(&str, &[&str], &[&str]); 22] = [
    (r#"{"multipleOf":0.01}"#, &["4.35", "19.99", "0.07", "1.15", "1e20"], &["4.355"]),
    (r#"{"type":"integer"}"#, &["1.0", "1e2", "1e20", "100000000000000000000.0"], &["1.5"]),
    (r#"{"maximum":9007199254740992}"#, &["9007199254740992"], &["9007199254740993"]),
    (r#"{"const":9007199254740993}"#, &["9007199254740993"], &["9007199254740992"]),
    (r#"{"const":1}"#, &["1.0"], &["true"]),
    (r#"{"enum":[false]}"#, &["false"], &["0"]),
    (r#"{"uniqueItems":true}"#, &["[1,true]", "[0,false]", r#"["1",1]"#], &["[1,1.0]", r#"[{"a":1},{"a":1.0}]"#]),
    (r#"{"type":"string","nullable":true}"#, &[r#""a""#], &["null"]),
    (r#"{"required":["constructor"]}"#, &[], &["{}"]),
    (
        r#"{"properties":{"constructor":{"type":"string"},"__proto__":{"type":"number"}}}"#,
        &["{}"],
        &[r#"{"__proto__":"x"}"#],
    ),
    (r#"{"dependentRequired":{"toString":["a"]}}"#, &["{}"], &[r#"{"toString":1}"#]),
    (
        r#"{"prefixItems":[true],"contains":{"type":"string"},"minContains":0,"unevaluatedItems":false}"#,
        &[r#"[1,"a"]"#, "[]", "[1]"],
        &[r#"[1,"a",2]"#],
    ),
    (
        r#"{"properties":{"foo":true},"if":{"properties":{"bar":{"const":1}},"required":["bar"]},"unevaluatedProperties":false}"#,
        &[r#"{"foo":1,"bar":1}"#],
        &[r#"{"foo":1,"bar":2}"#],
    ),
    (
        r#"{"contentMediaType":"application/json","contentSchema":{"type":"number"},"type":"string"}"#,
        &[r#""not json""#],
        &[],
    ),
    (
        r#"{"format":"date-time"}"#,
        &[r#""2024-01-01t00:00:00z""#, r#""2016-12-31T23:59:60Z""#],
        &[
            r#""2024-01-01 00:00:00Z""#,
            r#""2024-01-01T00:00:60Z""#,
            r#""2024-01-01T24:00:00Z""#,
            r#""2024-02-30T00:00:00Z""#,
            r#""2024-01-01T00:00:00+0000""#,
        ],
    ),
    (r#"{"format":"time"}"#, &[r#""12:00:00Z""#], &[r#""12:00:00""#, r#""12:00:00+02""#]),
    (r#"{"format":"duration"}"#, &[r#""P1Y2M""#], &[r#""P1Y1D""#, r#""P1Y2W""#, r#""PT1.5S""#, r#""P""#]),
    (
        r#"{"format":"uuid"}"#,
        &[r#""F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6""#],
        &[r#""urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6""#, r#""f81d4fae7dec11d0a76500a0c91e6bf6""#],
    ),
    (r#"{"format":"email"}"#, &[r#""a@localhost""#, r#""\"a b\"@c.de""#], &[r#""a@b@c.de""#]),
    (r#"{"format":"hostname"}"#, &[r#""a.de""#], &[r#""a_b.de""#, r#""a.de.""#, r#""-a.de""#]),
    (
        r#"{"format":"uri"}"#,
        &[r#""urn:x""#, r#""http://a:99999/""#],
        &[r#""//host/x""#, r#""http://ex ample.com""#, r#""http://[::1""#, r#""http://ä.de""#],
    ),
    (
        r#"{"anyOf":[{"format":"ipv4"},{"format":"ipv6"}]}"#,
        &[r#""1.2.3.4""#, r#""fe80::1""#],
        &[r#""01.2.3.4""#, r#""fe80::1%eth0""#],
    ),
];

#[test]
fn json_schema_answers_as_the_manual_says() {
    let mut wrong = Vec::new();
    for (text, taken, refused) in SCHEMAS {
        let schema = schema(&serde_json::from_str(text).unwrap()).unwrap();
        let takes = |payload: &&&str| schema.check(&serde_json::from_str(payload).unwrap()).is_ok();
        wrong.extend(taken.iter().filter(|payload| !takes(payload)).map(|payload| format!("{text} refuses {payload}")));
        wrong.extend(refused.iter().filter(takes).map(|payload| format!("{text} takes {payload}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
