//! `tidegate --version`: the version, the commit that the program is built from, and the version of wasmtime.

use std::sync::OnceLock;

use tidegate_wasm::WASMTIME_VERSION;

/// The commit of an archive of the source. `git archive` writes it; in a checkout the file has only its place.
const CARRIED: &str = include_str!("../../commit.txt");
/// How many digits of a commit are shown.
const DIGITS: usize = 12;
/// How git marks a checkout with uncommitted changes.
const MODIFIED: &str = "-modified";

/// The text behind the name of the program. `checkout` is what git says of the checkout, empty without git.
pub(super) fn text(checkout: &str) -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let commit = commit(checkout, CARRIED.trim());
        format!("{} (commit {commit}, wasmtime {WASMTIME_VERSION})", env!("CARGO_PKG_VERSION"))
    })
}

fn commit(checkout: &str, carried: &str) -> String {
    // An archive may be unpacked inside a checkout of something else.
    let (whole, changes) = if !carried.starts_with('$') {
        (carried, "")
    } else if let Some(whole) = checkout.strip_suffix(MODIFIED) {
        (whole, " with changes")
    } else {
        (checkout, "")
    };
    let digits: String = whole.chars().take(DIGITS).collect();
    if digits.is_empty() { "unknown".to_owned() } else { format!("{digits}{changes}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "$Format:%H$";

    #[test]
    fn a_checkout_tells_its_commit_and_whether_it_has_changes() {
        assert_eq!(commit("0985ce512345", PLACE), "0985ce512345");
        assert_eq!(commit("0985ce512345-modified", PLACE), "0985ce512345 with changes");
    }

    #[test]
    fn an_archive_tells_the_commit_that_it_was_made_of_wherever_it_is_unpacked() {
        let carried = "a04cea9c97eb0ff28b5bf5ae54b8451cc4a7be75";
        assert_eq!(commit("", carried), "a04cea9c97eb");
        assert_eq!(commit("0985ce512345-modified", carried), "a04cea9c97eb");
    }

    #[test]
    fn without_git_the_commit_is_unknown() {
        assert_eq!(commit("", PLACE), "unknown");
    }
}
