//! The text of a CEL expression before parsing: where a comment begins, outside of string literals.

/// The line and column, from 1, of the first comment: `//` outside a text like `"https://x"`.
///
/// Texts are those of <https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values>: in one or
/// three quotes of either kind, and raw with an `r`.
pub(super) fn comment(text: &str) -> Option<(usize, usize)> {
    let mut rest = text;
    let mut word = "";
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            let before = &text[..text.len() - rest.len()];
            let line = before.rsplit('\n').next().unwrap_or_default();
            return Some((before.matches('\n').count() + 1, line.chars().count() + 1));
        }
        let taken = match first {
            '"' | '\'' => literal(rest, first, is_raw(word)),
            _ if is_of_word(first) => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        word = if is_of_word(first) { &rest[..taken] } else { "" };
        rest = &rest[taken..];
    }
    None
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a string literal with this prefix takes a backslash literally.
fn is_raw(prefix: &str) -> bool {
    ["r", "rb", "br"].iter().any(|raw| prefix.eq_ignore_ascii_case(raw))
}

/// The bytes of a string literal that begins here, both quotes included; to the end if it is not closed.
fn literal(text: &str, quote: char, raw: bool) -> usize {
    let triple = String::from(quote).repeat(3);
    let end = if text.starts_with(&triple) { triple.as_str() } else { &triple[..1] };
    let mut at = end.len();
    while let Some(next) = text[at..].chars().next() {
        if text[at..].starts_with(end) {
            return at + end.len();
        }
        at += next.len_utf8();
        if next == '\\' && !raw {
            at += text[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_found_where_it_begins() {
        for (text, at) in [
            ("// all of it", (1, 1)),
            ("event.data.x // public", (1, 14)),
            ("event.data.x == true // drafts && event.data.draft == false", (1, 22)),
            ("event.data.a\n  && event.data.b// b\n", (2, 18)),
            (r#""https://x" == event.data.url //"#, (1, 31)),
            (r#"r"\" // 'x'"#, (1, 6)),
            (r#"'a' + "b\"" // c"#, (1, 13)),
            (r#""""a"b""" // c"#, (1, 11)),
            ("'' // c", (1, 4)),
            ("\"é\" // c", (1, 5)),
        ] {
            assert_eq!(comment(text), Some(at), "{text}");
        }
    }

    #[test]
    fn two_slashes_in_a_text_are_none() {
        for text in [
            r#"event.data.url.startsWith("https://x")"#,
            "event.data.url == 'https://x'",
            r#"r"\\server//x" == event.data.path"#,
            r"'\'//' == event.data.x",
            r#"b"//" == event.data.x"#,
            r#"Rb'//' == event.data.x"#,
            r#""""a "quoted" // text""" == event.data.x"#,
            "'''it's // one''' == event.data.x",
            "event.data.a / 2",
            "event.data.a / /",
            "\"never // closed",
        ] {
            assert_eq!(comment(text), None, "{text}");
        }
    }
}
