//! From a tree to serde types, with all errors in one run.
//!
//! Serde stops at the first error. So each error is noted with its place and repaired in a copy of the tree – unknown
//! or invalid values are removed, required values are replaced with a stand-in – and decoding starts again.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::expectation::{expectation, plain};
use super::strict::Strict;
use super::{Diagnostic, Node, Place, Shape, mend, misplaced, nothing, way_out};

/// Most errors reported for one value; each costs one more decoding.
const MISTAKES_MAX: usize = 100;
/// Stand-ins for a required key: one of these fits most types.
const STAND_INS: [fn() -> Shape; 5] = [
    || Shape::Scalar(Value::String(String::new())),
    || Shape::Scalar(Value::from(1)),
    || Shape::Scalar(Value::Bool(false)),
    || Shape::List(Vec::new()),
    || Shape::Map(Vec::new()),
];

/// Decodes a tree into a type, and adds every error to `diagnostics`.
///
/// A value that comes with new diagnostics was repaired: use it only to find further errors. `None` if nothing could be
/// repaired. The type should `deny_unknown_fields` and avoid `flatten` and `untagged`, which lose the path of an error.
///
/// Every key must have a value, and an optional key is left out. Only `Value`, which accepts anything, and
/// [`OrNull`](super::OrNull) accept a `null`; no type accepts a missing value. For
/// [`IgnoredAny`](serde::de::IgnoredAny) only this is checked.
///
/// ```
/// use std::sync::Arc;
/// use tidegate_core::config::{SourceFile, decode, parse_yaml};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Job { name: String, retries: Option<u32> }
///
/// let source = Arc::new(SourceFile { path: "job.yaml".into(), text: "name: 1\nretrys: 2\n".into() });
/// let mut diagnostics = Vec::new();
/// let node = parse_yaml(&source, &mut diagnostics).unwrap();
/// let _job: Option<Job> = decode(&node, &mut diagnostics);
/// let told: Vec<_> = diagnostics.iter().map(|d| d.message.as_str()).collect();
/// assert_eq!(told, ["`name`: expected a string, found integer `1`", "unknown key `retrys`"]);
/// assert_eq!(diagnostics[1].hint.as_deref(), Some("did you mean `retries`?"));
/// ```
pub fn decode<T: DeserializeOwned>(node: &Node, diagnostics: &mut Vec<Diagnostic>) -> Option<T> {
    let mut tree = node.clone();
    // The repaired paths, with the number of stand-ins tried; an error at such a path was reported already.
    let mut mended: HashSet<(Vec<String>, usize)> = HashSet::new();
    // The reported errors about keys without a value.
    let mut of_nothing: HashMap<Vec<String>, usize> = HashMap::new();
    let mut told = 0;
    // Every round reports an error or tries another stand-in, so the limit is never reached in practice.
    for _ in 0..MISTAKES_MAX * (STAND_INS.len() + 4) {
        let error = match serde_path_to_error::deserialize::<_, T>(Strict::of(&tree)) {
            Ok(decoded) => return Some(decoded),
            Err(error) => error,
        };
        let (path, mistake) = Mistake::read(&error, &tree);
        let about = mistake.path(&path);
        if let (Mistake::Missing(_), Some(&told)) = (&mistake, of_nothing.get(&about)) {
            nothing::must_stay(&mut diagnostics[told]);
        }
        if let Some(position) = (0..=about.len()).rev().find(|&end| mended.contains(&(about[..end].to_vec(), 0))) {
            // A required value cannot be removed: the first stand-in is used, then the next one, then the whole value
            // above it is replaced.
            let at = &about[..position];
            match (1..=STAND_INS.len()).find(|&n| !mended.contains(&(at.to_vec(), n))) {
                Some(n) => {
                    mended.insert((at.to_vec(), n));
                    mend::replace(&mut tree, at, STAND_INS[n - 1]());
                }
                None if remove_parent(&mut tree, at, &mut mended) => {}
                None => return None,
            }
            continue;
        }
        // If removing the only key makes the value itself invalid, that is not a new error.
        if mistake.is_of_value() && mended.iter().any(|(at, _)| at.starts_with(&about)) {
            if about.is_empty() {
                return None;
            }
            mend::remove(&mut tree, &about);
            mended.insert((about, 0));
            continue;
        }
        if told == MISTAKES_MAX {
            diagnostics.push(Diagnostic::new(format!("more than {MISTAKES_MAX} errors, the others are not shown")));
            return None;
        }
        told += 1;
        let before = diagnostics.len();
        mistake.tell(node, &path, diagnostics);
        if matches!(mistake, Mistake::Nothing(_)) && diagnostics.len() > before {
            of_nothing.insert(about.clone(), before);
        }
        if mistake.is_of_value() && about.is_empty() {
            return None;
        }
        mend::remove(&mut tree, &about);
        if !matches!(mistake, Mistake::Unknown { .. }) {
            mended.insert((about, 0));
        }
    }
    None
}

/// One error, read from serde's message, because it has no other form.
enum Mistake {
    Unknown {
        key: String,
        expected: Vec<String>,
    },
    Missing(String),
    /// A key without a value, and the expected value.
    Nothing(String),
    /// A value of another type, and the way out that its type knows.
    Wrong(String, Option<String>),
}

impl Mistake {
    fn read(error: &serde_path_to_error::Error<serde_json::Error>, tree: &Node) -> (Vec<String>, Self) {
        let mut path = steps(error.path().iter(), tree);
        let text = error.inner().to_string();
        let (text, hint) = way_out::split(&text);
        let mistake = if let Some(rest) = text.strip_prefix("unknown field `") {
            let (key, expected) = rest.rsplit_once("`, ").unwrap_or((rest, ""));
            // With several expected names the last separator is inside their list.
            let (key, expected) = match rest.find("`, expected ").or_else(|| rest.find("`, there are no fields")) {
                Some(end) => (&rest[..end], &rest[end + 2..]),
                None => (key, expected),
            };
            if path.last().is_none_or(|last| last != key) {
                path.push(key.to_owned());
            }
            Self::Unknown { key: key.to_owned(), expected: quoted(expected) }
        } else if let Some(rest) = text.strip_prefix("missing field `") {
            Self::Missing(rest.trim_end_matches('`').to_owned())
        } else if let Some(expected) = text.strip_prefix("invalid type: null, expected ") {
            Self::Nothing(expected.to_owned())
        } else {
            Self::Wrong(plain(text), hint.map(str::to_owned))
        };
        (path, mistake)
    }

    /// Where it must be repaired.
    fn path(&self, at: &[String]) -> Vec<String> {
        match self {
            Self::Missing(key) => at.iter().chain([key]).cloned().collect(),
            Self::Unknown { .. } | Self::Nothing(_) | Self::Wrong(..) => at.to_vec(),
        }
    }

    /// Whether it is about an existing value, but not about a missing one.
    const fn is_of_value(&self) -> bool {
        matches!(self, Self::Nothing(_) | Self::Wrong(..))
    }

    fn tell(&self, node: &Node, path: &[String], diagnostics: &mut Vec<Diagnostic>) {
        let (key_place, value_place) = places(node, path);
        let told = match self {
            Self::Unknown { key, expected } => match way_out::of_indent(node, path, expected) {
                Some(hint) if nearest_name(key, expected).is_none() => {
                    Diagnostic::at(key_place, format!("unknown key `{key}`")).hint(hint)
                }
                _ => unknown_key(key_place, key, expected),
            },
            Self::Missing(key) => Diagnostic::at(key_place, format!("key `{key}` is missing")),
            // The parser has reported what happened to the value.
            Self::Nothing(_) if diagnostics.iter().any(|told| told.place.as_ref() == Some(&value_place)) => return,
            Self::Nothing(expected) => match path.split_last() {
                Some((index, list)) if mend::at(node, list).is_some_and(|at| matches!(at.shape, Shape::List(_))) => {
                    nothing::no_item(&value_place, index, list.last())
                }
                Some((key, _)) => nothing::no_value(key_place, key, expected),
                None => Diagnostic::at(value_place, format!("{}, found nothing", expectation(expected))),
            },
            Self::Wrong(text, hint) => {
                let named = path.split_last().filter(|_| text.starts_with("expected "));
                let message = named.map_or_else(
                    || text.clone(),
                    |(key, above)| {
                        let is_item = mend::at(node, above).is_some_and(|at| matches!(at.shape, Shape::List(_)));
                        format!(
                            "{}: {text}",
                            if is_item { nothing::item(key, above.last()) } else { format!("`{key}`") }
                        )
                    },
                );
                let of_value = || mend::at(node, path).and_then(|value| way_out::of_value(value, text));
                let hint = hint
                    .clone()
                    .or_else(of_value)
                    .or_else(|| way_out::of_names(text))
                    .map(|hint| way_out::for_key(&hint, path.last()));
                let diagnostic = Diagnostic::at(value_place, message);
                match hint {
                    Some(hint) => diagnostic.hint(hint),
                    None => diagnostic,
                }
            }
        };
        diagnostics.push(told);
    }
}

/// The error about an unknown key, with the nearest known key as the hint.
#[must_use]
pub fn unknown_key<S: AsRef<str>>(place: Place, key: &str, known: &[S]) -> Diagnostic {
    let diagnostic = Diagnostic::at(place, format!("unknown key `{key}`"));
    if let Some(hint) = misplaced::hint(key, known) {
        return diagnostic.hint(hint);
    }
    match (nearest_name(key, known), known.is_empty()) {
        (Some(nearest), _) => diagnostic.hint(format!("did you mean `{nearest}`?")),
        (None, true) => diagnostic,
        (None, false) => {
            let names: Vec<String> = known.iter().map(|name| format!("`{}`", name.as_ref())).collect();
            diagnostic.hint(format!("known keys: {}", names.join(", ")))
        }
    }
}

/// The known name that `name` was probably meant to be.
#[must_use]
pub fn nearest_name<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
    let ranked = known.iter().map(|candidate| (distance(candidate.as_ref()), candidate.as_ref()));
    let (distance, nearest) = ranked.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(nearest)
}

/// Serde's path as keys and indices of the tree; enum variants are keys if the value is a mapping.
fn steps<'a>(segments: impl Iterator<Item = &'a Segment>, tree: &Node) -> Vec<String> {
    let mut path = Vec::new();
    let mut at = Some(tree);
    for segment in segments {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } if at.is_some_and(|at| at.get(variant).is_some()) => variant.clone(),
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        at = at.and_then(|at| mend::child(at, &step));
        path.push(step);
    }
    path
}

/// No stand-in fits at `path`: repairs the value above it instead. `false` at the top.
fn remove_parent(tree: &mut Node, path: &[String], mended: &mut HashSet<(Vec<String>, usize)>) -> bool {
    let Some((_, parent)) = path.split_last() else { return false };
    if parent.is_empty() {
        return false;
    }
    mended.retain(|(at, _)| !at.starts_with(path));
    mended.insert((parent.to_vec(), 0));
    mend::remove(tree, parent);
    true
}

/// The places of a path's last key and of its value; the nearest places above if the file does not have them.
fn places(node: &Node, path: &[String]) -> (Place, Place) {
    let mut at = node;
    let mut key_place = node.place.clone();
    for step in path {
        if let Some(entry) = at.entry(step) {
            key_place = entry.key_place.clone();
            at = &entry.value;
        } else if let Some(item) = step.parse::<usize>().ok().and_then(|index| at.items().get(index)) {
            key_place = item.place.clone();
            at = item;
        } else {
            break;
        }
    }
    (key_place, at.place.clone())
}

/// The names in backticks.
pub(super) fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde::Deserialize;

    use super::*;
    use crate::config::{SourceFile, parse_yaml};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "decoded for its mistakes")]
    struct Job {
        name: String,
        size: u32,
        #[serde(default)]
        steps: Vec<Step>,
        mode: Option<Mode>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "decoded for its mistakes")]
    struct Step {
        run: String,
        shell: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "decoded for its mistakes")]
    enum Mode {
        Fast,
        Slow(u32),
    }

    fn mistakes(text: &str) -> (Option<Job>, Vec<String>) {
        let source = Arc::new(SourceFile { path: "job.yaml".to_owned(), text: text.to_owned() });
        let mut diagnostics = Vec::new();
        let node = parse_yaml(&source, &mut diagnostics).unwrap();
        let job = decode(&node, &mut diagnostics);
        let shown = |d: &Diagnostic| {
            let place = d.place.as_ref().unwrap();
            let hint = d.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}:{} {}{hint}", place.line, place.column, d.message)
        };
        (job, diagnostics.iter().map(shown).collect())
    }

    #[test]
    fn every_mistake_is_told_once_with_its_place() {
        let text =
            "nam: x\nsize: big\nsteps:\n  - run: 1\n    shel: true\n  - { shell: 3, extra: 1 }\nmode: { slow: x }\n";
        assert_eq!(
            mistakes(text).1,
            [
                "1:1 unknown key `nam` (did you mean `name`?)",
                "2:7 `size`: expected a whole number, 0 or more, found string \"big\"",
                "4:10 `run`: expected a string, found integer `1` (YAML reads this as a number; if you mean a text, \
                 quote the whole value: `- run: '1'`)",
                "5:5 unknown key `shel` (did you mean `shell`?)",
                "6:14 `shell`: expected a boolean, found integer `3`",
                "6:17 unknown key `extra` (known keys: `run`, `shell`)",
                "6:5 key `run` is missing",
                "7:15 `slow`: expected a whole number, 0 or more, found string \"x\"",
                "1:1 key `name` is missing",
            ]
        );
    }

    #[test]
    fn a_value_that_nothing_stands_in_for_is_taken_out_when_it_may_be_left_out() {
        #[derive(Debug, Deserialize)]
        struct Server {
            #[serde(default = "nowhere")]
            listen: std::net::IpAddr,
            port: u16,
        }
        const fn nowhere() -> std::net::IpAddr {
            std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        }
        let text = "listen: here\nport: x\n".to_owned();
        let source = Arc::new(SourceFile { path: "server.yaml".to_owned(), text });
        let mut diagnostics = Vec::new();
        let node = parse_yaml(&source, &mut diagnostics).unwrap();
        let server: Server = decode(&node, &mut diagnostics).unwrap();
        assert_eq!((server.listen, server.port, diagnostics.len()), (nowhere(), 1, 2));
    }

    #[test]
    fn an_unknown_variant_names_the_known_ones() {
        assert_eq!(
            mistakes("name: x\nsize: 1\nmode: quick\n").1,
            ["3:7 `mode`: expected `fast` or `slow`, found `quick`"]
        );
    }

    #[test]
    fn an_empty_file_is_told_what_it_lacks() {
        assert_eq!(mistakes("").1, ["1:1 key `name` is missing", "1:1 key `size` is missing"]);
    }

    #[test]
    fn a_list_is_no_mapping_however_deep_it_stands() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "decoded for its mistakes")]
        struct Outer {
            #[serde(default)]
            step: Option<Step>,
            #[serde(default)]
            way: Vec<Way>,
            pair: (u32, u32),
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase", deny_unknown_fields)]
        #[expect(dead_code, reason = "decoded for its mistakes")]
        enum Way {
            Named { run: String },
            Step(Step),
        }
        let told = |text: &str| {
            let source = Arc::new(SourceFile { path: "outer.yaml".to_owned(), text: text.to_owned() });
            let mut diagnostics = Vec::new();
            let node = parse_yaml(&source, &mut diagnostics).unwrap();
            let _: Option<Outer> = decode(&node, &mut diagnostics);
            let lines = diagnostics.into_iter().map(|told| format!("{}: {}", told.place.unwrap().line, told.message));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(told("pair: [1, 2]\nway:\n  - step: { run: x }\n  - named: { run: x }\n"), [""; 0]);
        for (text, expected) in [
            ("pair: [1, 2]\nstep: [echo]\n", "2: `step`: expected a mapping, found a list"),
            ("pair: [1, 2]\nway:\n  - named: [x]\n", "3: `named`: expected a mapping, found a list"),
            ("pair: [1, 2]\nway:\n  - step: [x, true]\n", "3: `step`: expected a mapping, found a list"),
        ] {
            assert_eq!(told(text), [expected]);
        }
    }

    #[test]
    fn what_is_no_mapping_at_all_is_told() {
        assert_eq!(
            mistakes("- a\n").1,
            ["1:1 expected a mapping, found a list (write `{ name: …, size: …, steps: …, … }`)"]
        );
        assert_eq!(
            mistakes("name: x\nsize: 1\nsteps: [a, {run: b}]").1,
            ["3:9 item 1 of `steps`: expected a mapping, found string \"a\" (write `{ run: …, shell: … }`)"]
        );
    }

    #[test]
    fn a_file_without_mistakes_decodes() {
        let (job, errors) = mistakes("name: x\nsize: 1\nmode: fast\n");
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(job.unwrap().name, "x");
    }
}
