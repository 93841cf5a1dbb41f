//! Compiled CEL expressions over a bus event. With `cel_json.rs` the only home of `cel`.
//!
//! The limits of an expression: its text (1 KiB, brackets nested 32 deep, operators 48, because parser and interpreter
//! recurse with it). It has no loops except the macros over lists and maps, so it always ends; nested macros multiply
//! their work, which the author of the rule must keep small. `matches` runs in a time that grows with its text. A panic
//! inside the interpreter counts as a failure.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Program};
use serde_json::Value;

use super::cel_json::{self, Json};
use crate::protocol::{BusEvent, Payload};

/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1024;
/// Deepest nesting of brackets.
const BRACKETS_MAX: usize = 32;
/// Deepest nesting of operators, calls, lists and maps, as the interpreter meets it.
const DEPTH_MAX: usize = 48;
/// Longest part of a number that an error shows, in characters.
const NUMBER_CHARS_MAX: usize = 48;
/// The names that an expression may use in addition to `event` and the variables of its own macros.
const TYPE_NAMES: [&str; 10] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];
/// The stack for parsing an expression: the parser needs some 20 KiB for each level.
const PARSER_STACK_BYTES: usize = 16 * 1024 * 1024;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled expression of one variable, `event`.
#[derive(Debug)]
pub(super) struct Expression {
    program: Program,
    /// The fields from `event` on, if the expression is nothing but a path, such as `event.data.region`.
    path: Option<Vec<String>>,
}

/// What is wrong with an expression's text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExpressionMistake {
    /// Line and column in the expression, from 1; `None` for the whole.
    pub(super) at: Option<(usize, usize)>,
    pub(super) message: String,
    /// The hint, if there is one.
    pub(super) hint: Option<&'static str>,
}

impl ExpressionMistake {
    /// YAML joins the lines of `>` and of plain texts: the rest of the expression would be part of the comment.
    fn comment(at: (usize, usize)) -> Self {
        let hint = "use a YAML comment, `#` on a line above the key; write an expression of several lines after \
                    `|`, not `>`";
        Self { at: Some(at), message: "a comment (`//`) is not allowed".to_owned(), hint: Some(hint) }
    }
}

/// An event for expressions; CEL's form of it is made once, for the first expression that needs it.
pub(super) struct EventContext<'a> {
    event: &'a BusEvent,
    made: OnceCell<Made>,
}

/// An event in CEL's form.
struct Made {
    context: Context<'static, 'static>,
    /// The first number of the event that CEL cannot hold.
    long_number: Option<String>,
}

impl<'a> EventContext<'a> {
    /// Takes an event.
    pub(super) const fn new(event: &'a BusEvent) -> Self {
        Self { event, made: OnceCell::new() }
    }

    fn made(&self) -> &Made {
        self.made.get_or_init(|| {
            let mut context = Context::with_env(ENV.clone());
            let (event, long_number) = cel_json::from_event(self.event);
            context.add_variable_from_value("event", event);
            Made { context, long_number }
        })
    }

    /// The value at a path, where JSON and CEL write it alike: a text, a boolean, an integer, null. All other values, and
    /// what is not there, are CEL's to judge.
    fn scalar(&self, path: &[String]) -> Option<Value> {
        let (attribute, fields) = path.split_first()?;
        let text = |text: &String| Value::String(text.clone());
        let BusEvent { id, source, kind, subject, time, .. } = self.event;
        let value = match (attribute.as_str(), fields) {
            ("data", fields) => {
                fields.iter().try_fold(self.event.data.value().ok()?, |value, field| value.get(field))?
            }
            ("id", []) => return Some(text(id)),
            ("source", []) => return Some(text(source)),
            ("type", []) => return Some(text(kind)),
            ("subject", []) => return subject.as_ref().map(text),
            ("time", []) => return time.as_ref().map(text),
            _ => return None,
        };
        match value {
            Value::Null | Value::Bool(_) | Value::String(_) => Some(value.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(value.clone()),
            Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl Expression {
    /// Compiles a text.
    pub(super) fn compile(text: &str) -> Result<Self, Vec<ExpressionMistake>> {
        let whole = |message: String| vec![ExpressionMistake { at: None, message, hint: None }];
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(whole(format!("longer than {EXPRESSION_BYTES_MAX} bytes")));
        }
        if let Some(at) = super::cel_text::comment(text) {
            return Err(vec![ExpressionMistake::comment(at)]);
        }
        if bracket_depth(text) > BRACKETS_MAX {
            return Err(whole(format!("brackets are nested deeper than {BRACKETS_MAX}")));
        }
        // On its own thread, because the caller's stack may be that of a test or a runtime worker. An expression that
        // is too deep is dropped there as well.
        let compiled = std::thread::scope(|scope| {
            let parser = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES);
            parser.spawn_scoped(scope, || parse(text)).map(std::thread::ScopedJoinHandle::join)
        });
        match compiled {
            Ok(Ok(program)) => program.map(|program| Self { path: path_of(program.expression()), program }),
            Ok(Err(_)) => Err(whole("the parser failed on it".to_owned())),
            Err(error) => Err(whole(format!("no thread for parsing it: {error}"))),
        }
    }

    /// Whether it is exactly `event.data`.
    pub(super) fn is_the_data(&self) -> bool {
        matches!(self.path.as_deref(), Some([field]) if field == "data")
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// What went wrong, for operators.
    pub(super) fn evaluate(&self, event: &EventContext<'_>) -> Result<Value, String> {
        if let Some(scalar) = self.path.as_deref().and_then(|path| event.scalar(path)) {
            return Ok(scalar);
        }
        let value = self.execute(event)?;
        serde_json::to_value(Json(&value)).map_err(|error| error.to_string())
    }

    /// Evaluates it to a payload.
    ///
    /// # Errors
    /// What went wrong, for operators.
    pub(super) fn evaluate_payload(&self, event: &EventContext<'_>) -> Result<Payload, String> {
        if let Some(scalar) = self.path.as_deref().and_then(|path| event.scalar(path)) {
            return Ok(Payload::from(&scalar));
        }
        let value = self.execute(event)?;
        let text = serde_json::to_string(&Json(&value)).map_err(|error| error.to_string())?;
        Payload::read(text).map_err(|error| error.to_string())
    }

    fn execute(&self, event: &EventContext<'_>) -> Result<cel::Value, String> {
        let Made { context, long_number } = event.made();
        let result = catch_unwind(AssertUnwindSafe(|| self.program.execute(context)));
        let result = result.map_err(|_| "the interpreter panicked".to_owned())?;
        result.map_err(|error| match long_number {
            Some(number) => format!(
                "{error}; the number {} has more digits than CEL keeps, so you can only pass it on or compare it with `==`",
                cropped(number)
            ),
            None => error.to_string(),
        })
    }
}

/// The beginning of a number, cut to the length that an error shows.
fn cropped(number: &str) -> String {
    match number.get(..NUMBER_CHARS_MAX) {
        Some(start) => format!("{start}…"),
        None => number.to_owned(),
    }
}

fn parse(text: &str) -> Result<Program, Vec<ExpressionMistake>> {
    let program = ENV.compile(text).map_err(|errors| mistakes(&errors))?;
    let mut bound = HashSet::from(TYPE_NAMES);
    bound.insert("event");
    let depth = survey(program.expression(), &mut bound);
    if depth > DEPTH_MAX {
        let message = format!("nested deeper than {DEPTH_MAX} operators, calls, lists and maps");
        return Err(vec![ExpressionMistake { at: None, message, hint: None }]);
    }
    let references = program.references();
    let mut unknown: Vec<&str> = references.variables().into_iter().filter(|name| !bound.contains(name)).collect();
    unknown.sort_unstable();
    if unknown.is_empty() {
        drop(references);
        return Ok(program);
    }
    let mistake = |name: &&str| ExpressionMistake {
        at: None,
        message: format!("unknown name `{name}`: an expression knows only `event`"),
        hint: None,
    };
    Err(unknown.iter().map(mistake).collect())
}

/// The fields from `event` on, if an expression is nothing but a path.
fn path_of(expression: &IdedExpr) -> Option<Vec<String>> {
    let Expr::Select(select) = &expression.expr else { return None };
    if select.test {
        return None;
    }
    let mut path = match &select.operand.expr {
        Expr::Ident(name) if name == "event" => Vec::new(),
        _ => path_of(&select.operand)?,
    };
    path.push(select.field.clone());
    Some(path)
}

/// How deep an expression is nested; notes the variables that its macros bind.
fn survey<'e>(node: &'e IdedExpr, bound: &mut HashSet<&'e str>) -> usize {
    let parts: Vec<&IdedExpr> = match &node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(of) => of.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Comprehension(of) => {
            bound.extend([of.iter_var.as_str(), of.accu_var.as_str()]);
            bound.extend(of.iter_var2.as_deref());
            vec![&of.iter_range, &of.accu_init, &of.loop_cond, &of.loop_step, &of.result]
        }
    };
    1 + parts.into_iter().map(|part| survey(part, bound)).max().unwrap_or(0)
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn mistakes(errors: &cel::ParseErrors) -> Vec<ExpressionMistake> {
    let mistake = |error: &cel::ParseError| {
        let at = usize::try_from(error.pos.0).ok().zip(usize::try_from(error.pos.1).ok());
        ExpressionMistake {
            at: at.filter(|(line, column)| *line > 0 && *column > 0),
            message: error.msg.trim_start_matches("Syntax error: ").to_owned(),
            hint: None,
        }
    };
    errors.errors.iter().map(mistake).collect()
}

/// How deep brackets are nested, including those in string literals.
fn bracket_depth(text: &str) -> usize {
    let mut deepest = 0;
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(text: &str) -> Result<Value, String> {
        let event = json!({ "specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": { "n": 3, "big": u64::MAX, "f": 1.5, "s": "x", "list": [1, 2], "none": null } });
        let event = BusEvent::parse(&event.to_string()).unwrap();
        Expression::compile(text).unwrap().evaluate(&EventContext::new(&event))
    }

    /// What an expression makes of `event.data` of this text, as a payload.
    fn made(expression: &str, data: &str) -> Result<String, String> {
        let data = Payload::read(data.to_owned()).unwrap();
        let event = BusEvent::new("1".to_owned(), "/a".to_owned(), "t".to_owned(), data);
        let payload = Expression::compile(expression).unwrap().evaluate_payload(&EventContext::new(&event))?;
        Ok(payload.as_str().to_owned())
    }

    #[test]
    fn a_whole_number_is_an_int_however_it_is_written() {
        for seven in ["7", "7.0", "7.00", "70e-1", "0.7e1"] {
            assert_eq!(made("event.data + 1", seven), Ok("8".to_owned()), "{seven}");
            assert_eq!(made("event.data / 2", seven), Ok("3".to_owned()), "{seven}");
            assert_eq!(made("string(event.data)", seven), Ok("\"7\"".to_owned()), "{seven}");
            assert_eq!(made("type(event.data) == int", seven), Ok("true".to_owned()), "{seven}");
        }
        assert_eq!(made("[event.data]", "1e2"), Ok("[100]".to_owned()));
        assert_eq!(made("[event.data, event.data + 1]", "-0"), Ok("[0,1]".to_owned()));
        assert_eq!(made("[event.data]", "9.223372036854775807e18"), Ok("[9223372036854775807]".to_owned()));
        assert_eq!(made("[event.data]", "18446744073709551615.0"), Ok("[18446744073709551615]".to_owned()));
    }

    #[test]
    fn no_number_changes_on_its_way_through_an_expression() {
        let long = "123456789012345678901234567890";
        for kept in [long, "-0.12345678901234567890123", "1e-400", "9007199254740993.5", "18446744073709551616.0"] {
            assert_eq!(made("{'n': [event.data]}", kept), Ok(format!("{{\"n\":[{kept}]}}")));
            assert_eq!(made("event.data == event.data", kept), Ok("true".to_owned()));
            assert_eq!(made("event.data == 1.0 || event.data in [0, 2.5]", kept), Ok("false".to_owned()));
            for touched in ["event.data + 1", "event.data > 1", "string(event.data)", "int(event.data)", "-event.data"]
            {
                let why = made(touched, kept).unwrap_err();
                assert!(why.contains("has more digits than CEL keeps"), "{touched} of {kept}: {why}");
            }
        }
        assert_eq!(made("event.data.n + 1", &format!(r#"{{"a":"-1","n":1,"long":{long}}}"#)), Ok("2".to_owned()));
        assert_eq!(
            made("event.data[1] == event.data[0]", "[1e30, 1000000000000000000000000000000.0]"),
            Ok("true".into())
        );
        for (double, written) in [("0.1", "0.1"), ("4.350", "4.35"), ("1e20", "1e+20"), ("2.5e-7", "2.5e-7")] {
            assert_eq!(made("[event.data]", double), Ok(format!("[{written}]")));
        }
    }

    #[test]
    fn integers_stay_integers_through_arithmetic() {
        assert_eq!(evaluate("event.data.n + 1"), Ok(json!(4)));
        assert_eq!(evaluate("event.data.list.map(x, x * 2)"), Ok(json!([2, 4])));
        assert_eq!(evaluate("event.data.f"), Ok(json!(1.5)));
        assert_eq!(evaluate("event.data.big"), Ok(json!(u64::MAX)));
    }

    #[test]
    fn a_plain_path_is_what_cel_makes_of_it() {
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "/a", "type": "t", "time": "2026-01-02T03:04:05Z", "seq": 7,
            "data": {
                "text": "x", "yes": true, "none": null, "n": -3, "big": u64::MAX, "whole": 7.0, "f": 1.5, "list": [2, 1],
                "map": { "b": 1, "a": { "c": "deep" } }, "": "empty", "size": 5
            }
        });
        let event = BusEvent::parse(&event.to_string()).unwrap();
        let paths = "id source type time subject seq specversion missing data.text data.yes data.none data.n data.big \
            data.whole data.f data.list data.map data.map.a data.map.a.c data.text.x data.none.x data.list.x data.missing \
            data.missing.x data.size id.x data";
        for path in paths.split_whitespace() {
            let plain = Expression::compile(&format!("event.{path}")).unwrap();
            assert!(plain.path.is_some(), "{path}");
            let by_cel = Expression { path: None, ..Expression::compile(&format!("event.{path}")).unwrap() };
            let context = EventContext::new(&event);
            assert_eq!(plain.evaluate(&context), by_cel.evaluate(&context), "{path}");
            let text = |made: Result<Payload, String>| made.map(|payload| payload.as_str().to_owned());
            assert_eq!(text(plain.evaluate_payload(&context)), text(by_cel.evaluate_payload(&context)), "{path}");
        }
    }

    #[test]
    fn a_payload_is_built_of_parts() {
        let text = r#"{"kind": event.type, "n": event.data.n, "nothing": event.data.none}"#;
        assert_eq!(evaluate(text), Ok(json!({ "kind": "t", "n": 3, "nothing": null })));
        assert_eq!(evaluate("has(event.data.missing)"), Ok(json!(false)));
        assert_eq!(evaluate("event.data.s == \"y\""), Ok(json!(false)));
    }

    #[test]
    fn what_fails_is_an_error_and_never_a_panic() {
        assert!(evaluate("event.data.missing").is_err());
        assert!(evaluate("1 / 0").is_err());
        assert!(evaluate("0.0 / 0.0").is_err());
        assert!(evaluate("9223372036854775807 + 1").is_err());
    }

    #[test]
    fn a_text_that_is_no_expression_says_where() {
        let mistakes = Expression::compile("event.data ==").unwrap_err();
        assert_eq!(mistakes[0].at.map(|(line, _)| line), Some(1), "{mistakes:?}");
        assert!(Expression::compile("").is_err());
        let unknown = Expression::compile("evnt.data == [1].map(x, x)[0] && type(1) == int").unwrap_err();
        assert_eq!(unknown[0].message, "unknown name `evnt`: an expression knows only `event`");
    }

    #[test]
    fn no_text_within_the_bound_exhausts_the_stack() {
        let half = EXPRESSION_BYTES_MAX / 2;
        let deep = [
            format!("{}1{}", "(".repeat(half - 1), ")".repeat(half - 1)),
            format!("{}1{}", "[".repeat(half - 1), "]".repeat(half - 1)),
            "(".repeat(EXPRESSION_BYTES_MAX),
            format!("{}1", "1+".repeat(half - 1)),
            format!("{}1", "-".repeat(EXPRESSION_BYTES_MAX - 1)),
            format!("{}true", "!".repeat(EXPRESSION_BYTES_MAX - 4)),
            format!("event{}", ".a".repeat(half - 3)),
            format!("{}1", "true?1:".repeat(EXPRESSION_BYTES_MAX / 7 - 1)),
            format!("true{}", "&&true".repeat(EXPRESSION_BYTES_MAX / 6 - 1)),
            format!("{}1{}", "{1:".repeat(EXPRESSION_BYTES_MAX / 5), "}".repeat(EXPRESSION_BYTES_MAX / 5)),
            format!("{}1{}", "size(".repeat(EXPRESSION_BYTES_MAX / 7), ")".repeat(EXPRESSION_BYTES_MAX / 7)),
            format!("[1]{}", ".map(x,x)".repeat(EXPRESSION_BYTES_MAX / 9 - 1)),
            format!("{}x{}", "[1].map(x,".repeat(EXPRESSION_BYTES_MAX / 12), ")".repeat(EXPRESSION_BYTES_MAX / 12)),
        ];
        let event = BusEvent::new("1".to_owned(), "/a".to_owned(), "t".to_owned(), json!({}));
        for text in deep {
            if let Ok(expression) = Expression::compile(&text) {
                let _ = expression.evaluate(&EventContext::new(&event));
            }
        }
    }
}
