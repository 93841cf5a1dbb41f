//! Node answers what ECMA-262 says about patterns (`tests/manifests/patterns.rs`). Here are tests of the error
//! messages.

use super::*;

#[test]
fn what_is_wrong_is_named_with_a_way_out() {
    let told =
        |pattern: &str| translate(pattern).map_err(|mistake| (mistake.message, mistake.hint.unwrap_or_default()));
    let is = |pattern, message: &str, hint| {
        assert_eq!(told(pattern), Err((message.to_owned(), hint)), "{pattern}");
    };
    is(r"\<", r"`\<` has no meaning in ECMA-262", r"write the character without `\`");
    is(r"\A", r"`\A` has no meaning in ECMA-262", "write `^` for the beginning of the text");
    is(r"a\-b", r"`\-` has no meaning in ECMA-262", "outside a class write a hyphen as `-`");
    is("a}", "`}` has no partner", r"write `\}` for the literal character");
    is("[b-a]", "a range in a class is in descending order", "");
    is("(a", "a group is not closed", "");
}

#[test]
fn plain_patterns_stay_as_they_are_and_classes_are_written_out() {
    for plain in ["^abc$", "^x-[a-z0-9]+$", "^(get|put)$", r"^\.$", "café", "^a_b/c d$", "<a>"] {
        assert_eq!(translate(plain).as_deref(), Ok(plain));
    }
    assert_eq!(translate(r"^\d+$").as_deref(), Ok("^[0-9]+$"));
    assert_eq!(translate(r"^.\b").as_deref(), Ok(r"^[^\x{a}\x{d}\x{2028}-\x{2029}](?-u:\b)"));
    assert_eq!(translate(r"(?<y>a+?)").as_deref(), Ok("(?:a+)"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(translate(&nested(GROUPS_MAX)).is_ok());
    assert!(translate(&nested(GROUPS_MAX + 1)).is_err());
    assert!(translate(&"(".repeat(1_000_000)).is_err());
}
