//! Serde's messages about values of the wrong type, in words for an operator.

/// What serde expected, in words for an operator.
pub(super) fn expectation(expected: &str) -> String {
    let expected = match expected {
        "map with a single key" => "a mapping with one key",
        "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        name if name.starts_with("a nonzero u") => "a whole number, 1 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" => "a mapping",
        "path string" => "a path",
        name if name.starts_with("struct ") => "a mapping",
        name if name.starts_with("enum ") => "a known name",
        other => other,
    };
    format!("expected {expected}")
}

/// Serde's message in words for an operator: the expected value first.
pub(super) fn plain(text: &str) -> String {
    let found = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "));
    if let Some((found, expected)) = found.and_then(|rest| rest.rsplit_once(", expected ")) {
        let expected = expectation(expected);
        let found = match found {
            "map" if expected == "expected a mapping with one key" => "a mapping with several keys",
            "map" => "a mapping",
            "sequence" => "a list",
            other => other,
        };
        return format!("{expected}, found {found}");
    }
    if let Some(rest) = text.strip_prefix("unknown variant `")
        && let Some((variant, expected)) = rest.split_once("`, expected ")
    {
        return format!("expected {expected}, found `{variant}`");
    }
    text.to_owned()
}
