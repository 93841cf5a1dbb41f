//! JSON Schemas (2020-12), compiled. The only home of `jsonschema`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Retrieve, Uri};
use parking_lot::{RwLock, RwLockWriteGuard};
use serde::Serialize;
use serde_json::Value;

use super::schema_cost::{Branching, Judging};

/// Most violations reported for one payload.
const VIOLATIONS_MAX: usize = 10;
/// Longest message of a violation, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// The base of references between schema files; it never leaves the process.
const BASE_URI: &str = "tidegate:///";

/// A compiled JSON Schema. Cheap to clone.
///
/// `format` is checked (an unknown one is an error at load). `pattern` runs on an engine whose time grows only with the
/// text, so no payload can make it backtrack; nor can a payload make a recursive schema run without end. Nothing is
/// ever fetched: references lead to files that were read already.
#[derive(Debug, Clone)]
pub struct Schema {
    compiled: Arc<Compiled>,
    written: Arc<Value>,
    /// What tells the targets of references that are left in `written` from others; 0 without any.
    reach: u64,
}

#[derive(Debug)]
struct Compiled {
    validator: jsonschema::Validator,
    branching: Branching,
    patterns: Patterns,
}

/// One violation of a schema by a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where it is, as a JSON Pointer into the payload; empty for the payload itself.
    pub path: String,
    /// What is wrong; never contains the payload's values.
    pub message: String,
}

/// What is wrong with a schema, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SchemaMistake {
    /// A JSON Pointer into the schema.
    pub(super) pointer: String,
    pub(super) message: String,
}

/// The schema files for references, by their path below the channels directory.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    by_path: Arc<RwLock<HashMap<String, Value>>>,
    patterns: Patterns,
}

/// The original of each translated pattern.
type Patterns = Arc<RwLock<HashMap<String, String>>>;

impl Documents {
    pub(super) fn insert(&self, path: &str, document: Value) {
        self.by_path.write().insert(path.to_owned(), document);
    }

    /// To add patterns to.
    pub(super) fn patterns(&self) -> RwLockWriteGuard<'_, HashMap<String, String>> {
        self.patterns.write()
    }
}

impl Retrieve for Documents {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let path =
            uri.as_str().strip_prefix(BASE_URI).ok_or("a reference must lead to a file; the server fetches nothing")?;
        self.by_path.read().get(path).cloned().ok_or_else(|| "no such file".into())
    }
}

impl Schema {
    /// Compiles a schema at `path` below the channels directory; `-` for a schema inside a manifest.
    pub(super) fn compile(schema: &Value, path: &str, documents: &Documents) -> Result<Self, SchemaMistake> {
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_base_uri(format!("{BASE_URI}{path}"))
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false)
            .with_retriever(documents.clone());
        let validator = options.build(schema).map_err(|error| mistake(&error))?;
        let branching =
            Branching::of(schema, &|path| documents.by_path.read().get(path).cloned()).ok_or_else(|| {
                SchemaMistake {
                    pointer: String::new(),
                    message: "is too large after following its references".to_owned(),
                }
            })?;
        let compiled = Compiled { validator, branching, patterns: documents.patterns.clone() };
        Ok(Self { compiled: Arc::new(compiled), written: Arc::new(schema.clone()), reach: 0 })
    }

    /// The same, for readers as it is written here. `reach` tells the targets of references that are left in it from
    /// others.
    pub(super) fn written_as(self, written: Value, reach: u64) -> Self {
        Self { written: Arc::new(written), reach, ..self }
    }

    /// Whether equal references that are left in both lead to equal schemas.
    pub(super) fn leads_where(&self, other: &Self) -> bool {
        self.reach == other.reach
    }

    /// Whether both are written alike, with all that they refer to.
    pub(super) fn is_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.written, &other.written) || self.leads_where(other) && self.written == other.written
    }

    /// The schema as its author wrote it, with what its references lead to in their place.
    #[must_use]
    pub fn written(&self) -> &Value {
        &self.written
    }

    /// Checks a payload.
    ///
    /// # Errors
    /// The first violations, at most 10, in the order of the schema.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Violation>> {
        let judging = self.compiled.branching.admits(value);
        if judging == Judging::TooMuch {
            return Err(whole("is nested too deep for a schema with more than one recursion at once"));
        }
        if self.compiled.validator.is_valid(value) {
            return Ok(());
        }
        if judging == Judging::Unlisted {
            return Err(whole("does not match the schema"));
        }
        let violation = |error: jsonschema::ValidationError<'_>| Violation {
            path: error.instance_path().to_string(),
            message: cropped(&self.told(&error)),
        };
        Err(self.compiled.validator.iter_errors(value).take(VIOLATIONS_MAX).map(violation).collect())
    }
}

impl Schema {
    /// What is wrong, without the payload's values, and with a pattern as its author wrote it.
    fn told(&self, error: &jsonschema::ValidationError<'_>) -> String {
        if let ValidationErrorKind::Pattern { pattern } = error.kind()
            && let Some(written) = self.compiled.patterns.read().get(pattern)
        {
            return format!("value does not match \"{written}\"");
        }
        error.masked().to_string()
    }
}

/// A violation of the payload as a whole.
fn whole(message: &str) -> Vec<Violation> {
    vec![Violation { path: String::new(), message: message.to_owned() }]
}

/// Everything in a schema that JSON Schema's meta-schema refuses.
pub(super) fn mistakes(schema: &Value) -> Vec<SchemaMistake> {
    let mut told = HashSet::new();
    let validator = jsonschema::draft202012::meta::validator();
    let errors = validator.iter_errors(schema);
    // Several vocabularies of the meta-schema may report the same error at the same place.
    errors.map(|error| mistake(&error)).filter(|mistake| told.insert(mistake.clone())).collect()
}

fn mistake(error: &jsonschema::ValidationError<'_>) -> SchemaMistake {
    let message = error.to_string();
    // The rest is for people who configure the library.
    let message = message.split(". Adjust configuration").next().unwrap_or_default();
    SchemaMistake { pointer: error.instance_path().to_string(), message: cropped(message) }
}

fn cropped(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compiled(schema: &Value) -> Result<Schema, String> {
        let documents = Documents::default();
        documents.insert("schemas/a.json", json!({ "$ref": "b.json#/$defs/n" }));
        documents.insert("schemas/b.json", json!({ "$defs": { "n": { "type": "integer" } } }));
        Schema::compile(schema, "-", &documents).map_err(|mistake| format!("{} {}", mistake.pointer, mistake.message))
    }

    fn violations(schema: &Value, payload: &Value) -> Vec<(String, String)> {
        let violations = compiled(schema).unwrap().check(payload).unwrap_err();
        violations.into_iter().map(|violation| (violation.path, violation.message)).collect()
    }

    #[test]
    fn a_violation_says_where_and_what_without_repeating_the_payload() {
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["m"] });
        let told = violations(&schema, &json!({ "n": "secret" }));
        assert_eq!(told.len(), 2);
        assert!(told.contains(&("/n".to_owned(), "value is not of type \"integer\"".to_owned())), "{told:?}");
        assert!(told.contains(&(String::new(), "\"m\" is a required property".to_owned())), "{told:?}");
    }

    #[test]
    fn at_most_ten_violations_are_told_each_of_bounded_length() {
        let many: Vec<&str> = vec!["x"; 100];
        assert_eq!(violations(&json!({ "items": { "type": "integer" } }), &json!(many)).len(), 10);
        let named = json!({ "k".repeat(10_000): 1 });
        assert!(violations(&json!({ "additionalProperties": false }), &named)[0].1.len() < 210);
    }

    #[test]
    fn references_lead_from_file_to_file_and_nowhere_else() {
        let schema = compiled(&json!({ "$ref": "schemas/a.json" })).unwrap();
        assert!(schema.check(&json!(1)).is_ok());
        assert!(schema.check(&json!("x")).is_err());
        assert!(compiled(&json!({ "$ref": "schemas/none.json" })).is_err());
        assert!(compiled(&json!({ "$ref": "https://example.com/a.json" })).is_err());
        assert!(compiled(&json!({ "$ref": "#/$defs/none" })).is_err());
    }

    #[test]
    fn formats_are_checked_and_unknown_ones_refused() {
        assert_eq!(violations(&json!({ "format": "date-time" }), &json!("yesterday")).len(), 1);
        assert!(compiled(&json!({ "format": "date-tiem" })).is_err());
    }

    #[test]
    fn the_formats_of_other_alphabets_are_checked() {
        let takes =
            |format: &str, text: &str| compiled(&json!({ "format": format })).unwrap().check(&json!(text)).is_ok();
        assert!(takes("idn-email", "用户@例子.公司") && !takes("idn-email", "用户"));
        assert!(takes("idn-hostname", "bücher.example") && !takes("idn-hostname", "-bücher.example"));
        assert!(takes("iri", "https://bücher.example/ä") && !takes("iri", "bücher"));
        assert!(!takes("email", "用户@例子.公司") && !takes("hostname", "bücher.example"));
    }

    #[test]
    fn a_pattern_that_needs_backtracking_is_refused() {
        assert!(compiled(&json!({ "pattern": "^(a+)+$" })).is_ok());
        assert!(compiled(&json!({ "pattern": "^(?=a)b" })).is_err());
        assert!(compiled(&json!({ "pattern": "(a)\\1" })).is_err());
        assert!(compiled(&json!({ "pattern": "(" })).is_err());
    }

    #[test]
    fn a_schema_that_recurses_two_ways_at_once_judges_no_payload_without_end() {
        let two = json!({ "anyOf": [
            { "type": "array", "items": { "$ref": "#" }, "minItems": 5 },
            { "type": "array", "items": { "$ref": "#" }, "minItems": 4 },
            { "type": "integer", "minimum": 5 },
        ] });
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        for (depth, told) in [(60, "is nested too deep"), (16, "does not match the schema"), (1, "value is not valid")]
        {
            let violations = violations(&two, &nested(depth));
            assert!(violations[0].1.starts_with(told), "{violations:?}");
        }
        let deep = json!([[[[7, 7, 7, 7], 7, 7, 7], 7, 7, 7], 7, 7, 7]);
        assert!(compiled(&two).unwrap().check(&deep).is_ok());
    }

    #[test]
    fn a_schema_that_is_none_says_where() {
        let told = mistakes(&json!({ "properties": { "a": { "type": "strin" }, "b": { "minimum": "x" } } }));
        let mut pointers: Vec<&str> = told.iter().map(|mistake| mistake.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/properties/a/type", "/properties/b/minimum"]);
    }
}
