//! Changes as a page of Markdown, for a review.

use super::counted;
use tidegate_core::channels::{Change, ChangeGroup, Shown, Side};

/// Most changes that are told of one group; `--format json` tells all.
const CHANGES_MAX: usize = 200;

/// Longest payload that is shown, in characters; `--format json` has all of it.
const PAYLOAD_CHARS_MAX: usize = 2_000;

/// The page.
pub(super) fn page(old: &str, new: &str, changes: &[Change]) -> String {
    let mut page = format!("# What changes for people from `{old}` to `{new}`\n\n");
    if changes.is_empty() {
        return page + "Nothing changes for people.\n";
    }
    let of = |group: ChangeGroup| changes.iter().filter(move |change| change.kind.group() == group);
    let [first, breaks] = [ChangeGroup::First, ChangeGroup::Breaks].map(|group| of(group).count());
    page += &format!("{} in all", counted(changes.len()));
    page += &match (first, breaks) {
        (0, 0) => ": nobody may see or do more than before, and nothing breaks.\n".to_owned(),
        (first, breaks) => format!("; more may be seen or done by {first}, and {breaks} may break something.\n"),
    };
    for group in ChangeGroup::ALL {
        let count = of(group).count();
        if count > 0 {
            page += &format!("\n## {}\n\n", group.heading());
            of(group).take(CHANGES_MAX).for_each(|change| entry(change, &mut page));
        }
        if count > CHANGES_MAX {
            page += &format!("- {} more; `--format json` tells all of them.\n", count - CHANGES_MAX);
        }
    }
    page
}

fn entry(change: &Change, page: &mut String) {
    let Change { kind, subject, what, means, shown, .. } = change;
    *page += &format!("- {subject}: **{}** ({kind})\n", escaped(what));
    if !means.is_empty() {
        let end = if shown.is_some() { ':' } else { '.' };
        *page += &format!("  {}{end}\n", capitalised(means));
    }
    if let Some(shown) = shown {
        payload(shown, page);
    }
}

fn payload(shown: &Shown, page: &mut String) {
    let Shown { payload, refused_by, violations, .. } = shown;
    let text = payload.to_string();
    let (shown, end) = match text.char_indices().nth(PAYLOAD_CHARS_MAX) {
        Some((end, _)) => (&text[..end], "…"),
        None => (text.as_str(), ""),
    };
    *page += &format!("\n  ```json\n  {shown}{end}\n  ```\n\n");
    let (which, other) = match refused_by {
        Side::Old => ("old", "new"),
        Side::New => ("new", "old"),
    };
    let told = violations.iter().map(|violation| format!("{} {}", violation.path, violation.message).trim().to_owned());
    let told: Vec<String> = told.collect();
    *page += &format!("  The {other} schema accepts it; the {which} one refuses it: {}.\n", escaped(&told.join("; ")));
}

/// Half a sentence as the beginning of one.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A text whose characters stand for themselves.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if ['*', '_', '<', '[', ']', '|', '#', '\\'].contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
