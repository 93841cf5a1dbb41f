//! What YAML makes of a text without its necessary quotes, and the quoted text as the hint. Expressions of CEL often
//! begin with characters that have a meaning in YAML: `!`, `&`, `*`, `"`, `{`, `[`.

use granit_parser::ErrorKind;

use super::{Diagnostic, Node, Place, Shape};

/// The error for a value that YAML cannot read without quotes; `None` if quotes would not help.
pub(super) fn unquoted(place: &Place, kind: &ErrorKind) -> Option<Diagnostic> {
    let start = value_place(place);
    let value: String = start.line_text().chars().skip(start.column - 1).collect();
    let first = value.chars().next()?;
    let reads = match (first, kind) {
        (_, ErrorKind::ExpectedFlowMappingSeparator) if is_last_colon(place) => {
            let message = "not YAML: YAML reads `:` at the end of a value as the end of a key";
            return Some(Diagnostic::at(place.clone(), message).hint("quote the whole value"));
        }
        ('{', ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedFlowMappingSeparator) => {
            "reads a value that begins with `{` as a mapping".to_owned()
        }
        ('[', ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedFlowSequenceSeparator) => {
            "reads a value that begins with `[` as a list".to_owned()
        }
        ('"' | '\'', ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar) => {
            format!("ends a value that begins with `{first}` at the next `{first}`")
        }
        ('|' | '>', ErrorKind::InvalidBlockScalarHeader) => {
            format!("reads `{first}` as the beginning of a text on the following lines")
        }
        ('!', ErrorKind::InvalidTagTerminator) => "reads a value that begins with `!` as a tag".to_owned(),
        ('*', ErrorKind::MissingAnchorOrAliasName) => "reads `*` as a reference to an anchor".to_owned(),
        ('&', ErrorKind::MissingAnchorOrAliasName) => "reads `&` as an anchor".to_owned(),
        ('-', ErrorKind::BlockSequenceEntryNotAllowed) => "reads `- ` as an item of a list".to_owned(),
        ('?', ErrorKind::MappingKeyNotAllowed) => "reads `? ` as a key".to_owned(),
        ('`', _) => "allows no value that begins with a backtick".to_owned(),
        ('%' | '@' | ',' | ']' | '}', _) => format!("allows no value that begins with `{first}`"),
        ('[' | '{', _) => return None,
        (_, ErrorKind::MappingValueNotAllowed) if value.contains(": ") && place.column > start.column => {
            "reads `: ` in a value as the end of a key".to_owned()
        }
        (_, ErrorKind::MappingValueNotAllowed) if rest(&start).ends_with(':') && place.column > start.column => {
            "reads `:` at the end of a value as the end of a key".to_owned()
        }
        _ => return None,
    };
    Some(Diagnostic::at(place.clone(), format!("not YAML: YAML {reads}")).hint(quote(&start)))
}

/// The error for a tag: `when: !has(event.data.x)`.
pub(super) fn tag(place: &Place) -> Diagnostic {
    let diagnostic = Diagnostic::at(
        place.clone(),
        "YAML reads a value that begins with `!` as a tag, and Tidegate supports no tags",
    );
    let is_type = rest(place).starts_with("!!");
    diagnostic.hint(if is_type { "quote a value to make it a text".to_owned() } else { quote(place) })
}

/// The error for an anchor without references: `when: && event.data.x`.
pub(super) fn anchor(place: &Place, name: &str) -> Diagnostic {
    let message = format!("YAML reads `&{name}` as an anchor, but nothing refers to it with `*{name}`");
    let is_value = is_at_value(place);
    Diagnostic::at(place.clone(), message).hint(if is_value {
        format!("{}, or remove the anchor", quote(place))
    } else {
        "remove the anchor".to_owned()
    })
}

/// The error for a reference without an anchor: `on: *.created`.
pub(super) fn unknown_alias(place: &Place, name: &str) -> Diagnostic {
    let message = format!("YAML reads `*{name}` as a reference, but there is no anchor `&{name}` before it");
    Diagnostic::at(place.clone(), message).hint(quote(place))
}

/// The hint for a text that YAML reads as something else, with the text itself if its end is clear.
pub(super) fn quote(start: &Place) -> String {
    let before: String = start.line_text().chars().take(start.column - 1).collect();
    let text = rest(start);
    let is_whole = is_at_value(start) && !before.contains(['{', '[']);
    if !is_whole || text.is_empty() {
        return "quote the whole value".to_owned();
    }
    let quoted = match (text.contains('\''), text.contains(['"', '\\'])) {
        (false, _) => format!("'{text}'"),
        (true, false) => format!("\"{text}\""),
        (true, true) => format!("'{}'", text.replace('\'', "''")),
    };
    format!("quote the whole value: `{}{quoted}`", before.trim_start())
}

/// Whether a place is the colon at the end of a value in `{…}`.
fn is_last_colon(place: &Place) -> bool {
    let behind = rest(place);
    behind.strip_prefix(':').is_some_and(|behind| matches!(behind.trim_start().chars().next(), None | Some(',' | '}')))
}

/// From a place to the end of its line, without a comment.
fn rest(place: &Place) -> String {
    let text: String = place.line_text().chars().skip(place.column - 1).collect();
    text.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

/// Whether a place is where the value of its line begins.
fn is_at_value(place: &Place) -> bool {
    value_place(place).column == place.column
}

/// Where the value begins on the line of a place: after `key: `, or after the `- ` of an item.
fn value_place(place: &Place) -> Place {
    let line = place.line_text();
    let indent = line.len() - line.trim_start_matches([' ', '-']).len();
    let after_key = line[indent..].find(": ").map(|colon| indent + colon + 2);
    let from = after_key.unwrap_or(indent);
    let from = from + (line[from..].len() - line[from..].trim_start().len());
    let column = line[..from].chars().count() + 1;
    Place { column, width: 1, ..place.clone() }
}

/// The hint if YAML read a text without quotes as a list, a mapping, a number or a boolean; `told` is the error.
pub(super) fn misread(value: &Node, told: &str) -> Option<String> {
    let (place, wants_text) = (&value.place, told.starts_with("expected a string, "));
    let quote = || quote(place);
    match &value.shape {
        Shape::Map(_) if ends_with_colon(value) && !told.starts_with("expected a mapping") => {
            Some(format!("YAML reads a text that ends with `:` as a key without a value: {}", quote()))
        }
        Shape::Map(_) if wants_text && rest(place).starts_with('{') => {
            Some(format!("YAML reads a value that begins with `{{` as a mapping; if you mean a text, {}", quote()))
        }
        Shape::List(_) if wants_text && rest(place).starts_with('[') => {
            Some(format!("YAML reads a value that begins with `[` as a list; if you mean a text, {}", quote()))
        }
        Shape::Scalar(scalar) if wants_text && !scalar.is_null() => {
            let read = if scalar.is_boolean() { "a boolean" } else { "a number" };
            Some(format!("YAML reads this as {read}; if you mean a text, {}", quote()))
        }
        _ => None,
    }
}

/// Whether a value is a text like `sqlite::memory:`, which YAML reads as a mapping.
fn ends_with_colon(value: &Node) -> bool {
    let [entry] = value.entries() else { return false };
    matches!(entry.value.shape, Shape::Nothing)
        && (entry.key_place.line, entry.key_place.column) == (value.place.line, value.place.column)
        && entry.key_place.behind().trim_start_matches(['"', '\'']).starts_with(':')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::config::{SourceFile, parse_yaml};

    /// Every mistake of a text as place, message and hint.
    fn told(text: &str) -> Vec<String> {
        let source = Arc::new(SourceFile { path: "a.yaml".to_owned(), text: text.to_owned() });
        let mut diagnostics = Vec::new();
        let _ = parse_yaml(&source, &mut diagnostics);
        let line = |diagnostic: &crate::config::Diagnostic| {
            let place = diagnostic.place.as_ref().unwrap();
            let hint = diagnostic.hint.as_deref().unwrap_or_default();
            format!("{}:{} {} | {hint}", place.line, place.column, diagnostic.message)
        };
        diagnostics.iter().map(line).collect()
    }

    #[test]
    fn an_expression_that_yaml_reads_otherwise_is_told_with_its_quotes() {
        for (value, message, quoted) in [
            ("!has(event.data.x)", "YAML reads a value that begins with `!` as a tag", "'!has(event.data.x)'"),
            ("! event.data.x", "YAML reads a value that begins with `!` as a tag", "'! event.data.x'"),
            ("!\"a\" in event.data", "YAML reads a value that begins with `!` as a tag", "'!\"a\" in event.data'"),
            ("&& event.data.x # both", "YAML reads `&&` as an anchor, but nothing refers", "'&& event.data.x'"),
            ("& event.data.x", "YAML reads `&` as an anchor", "'& event.data.x'"),
            ("*.created", "YAML reads `*.created` as a reference, but there is no anchor", "'*.created'"),
            ("* event.data.x", "YAML reads `*` as a reference to an anchor", "'* event.data.x'"),
            ("%x", "YAML allows no value that begins with `%`", "'%x'"),
            ("@x", "YAML allows no value that begins with `@`", "'@x'"),
            ("`x`", "YAML allows no value that begins with a backtick", "'`x`'"),
            (
                "\"a\" == event.type",
                "YAML ends a value that begins with `\"` at the next `\"`",
                "'\"a\" == event.type'",
            ),
            ("'a' == event.type", "YAML ends a value that begins with `'` at the next `'`", "\"'a' == event.type\""),
            ("'a' == \"b\"", "YAML ends a value that begins with `'`", "'''a'' == \"b\"'"),
            ("event.data.s == 'x: y'", "YAML reads `: ` in a value as the end of a key", "\"event.data.s == 'x: y'\""),
            ("event.x ? 1 : 2", "YAML reads `: ` in a value as the end of a key", "'event.x ? 1 : 2'"),
            (
                "[1, 2].exists(x, x == 1)",
                "YAML reads a value that begins with `[` as a list",
                "'[1, 2].exists(x, x == 1)'",
            ),
            ("[a.{b}]", "YAML reads a value that begins with `[` as a list", "'[a.{b}]'"),
            (
                "{\"a\": [1].map(x, x)}",
                "YAML reads a value that begins with `{` as a mapping",
                "'{\"a\": [1].map(x, x)}'",
            ),
            ("{}.x == 1", "YAML reads a value that begins with `{` as a mapping", "'{}.x == 1'"),
            (">= 5", "YAML reads `>` as the beginning of a text on the following lines", "'>= 5'"),
            ("- event.data.x", "YAML reads `- ` as an item of a list", "'- event.data.x'"),
            ("? event.data.x", "YAML reads `? ` as a key", "'? event.data.x'"),
            (", x", "YAML allows no value that begins with `,`", "', x'"),
            ("] x", "YAML allows no value that begins with `]`", "'] x'"),
        ] {
            let told = told(&format!("rules:\n  - on: a\n    when: {value}\n"));
            let [told] = told.as_slice() else { panic!("{value}: {told:#?}") };
            assert!(told.contains(message), "{value}: {told}");
            assert!(told.contains(&format!("| quote the whole value: `when: {quoted}`")), "{value}: {told}");
        }
    }

    #[test]
    fn an_anchor_that_nothing_refers_to_is_told_and_one_that_is_used_is_not() {
        assert_eq!(told("a: &x 1\nb: *x\n"), Vec::<String>::new());
        assert_eq!(
            told("a: &x 1\n"),
            ["1:4 YAML reads `&x` as an anchor, but nothing refers to it with `*x` | \
              quote the whole value: `a: '&x 1'`, or remove the anchor"]
        );
        assert_eq!(told("a: &&x 1\nb: *&x\n").len(), 1, "a name that is not a word is a slip, even a used one");
        assert_eq!(told("a: [&x 1]\n")[0].split(" | ").nth(1), Some("remove the anchor"));
    }

    #[test]
    fn a_mistake_that_quotes_would_not_mend_has_no_quotes_as_its_way_out() {
        for text in ["a: [1, 2\n", "a: {b: 1\n", "a: 'x\n", "a: x\n  b: y\n", "a: b\n c: d\n", "a: [b: c: d]\n"] {
            let told = told(text);
            assert!(!told.is_empty() && !told[0].contains("quote the whole"), "{text}: {told:?}");
        }
    }
}
