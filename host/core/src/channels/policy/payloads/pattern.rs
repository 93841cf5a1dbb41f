//! Texts that meet a regular expression, for those that are easy: texts, classes, groups, repetitions. Others give none.

use std::iter::Peekable;
use std::str::Chars;

/// The deepest level of groups in groups.
const DEPTH_MAX: usize = 16;
/// Most times that a part is repeated.
const TIMES_MAX: usize = 2_000;
/// Characters that stand for classes, the plain ones first.
const SOME: &str = "a0A z9Z_-.:/@#é";

/// What part of a choice is taken.
#[derive(Clone, Copy)]
enum Taken {
    /// The first alternative, as few repetitions as may be.
    Least,
    /// The last alternative, and some repetitions.
    More,
}

/// Two texts that meet the pattern; none where it is not easy.
pub(super) fn texts(pattern: &str) -> Vec<String> {
    let text = |taken| {
        let mut chars = pattern.chars().peekable();
        let text = alternatives(&mut chars, taken, 0)?;
        chars.next().is_none().then_some(text)
    };
    let mut texts: Vec<String> = [Taken::Least, Taken::More].into_iter().filter_map(text).collect();
    texts.dedup();
    texts
}

fn alternatives(chars: &mut Peekable<Chars<'_>>, taken: Taken, depth: usize) -> Option<String> {
    if depth > DEPTH_MAX {
        return None;
    }
    let mut all = vec![sequence(chars, taken, depth)?];
    while chars.next_if_eq(&'|').is_some() {
        all.push(sequence(chars, taken, depth)?);
    }
    match taken {
        Taken::Least => all.into_iter().next(),
        Taken::More => all.pop(),
    }
}

fn sequence(chars: &mut Peekable<Chars<'_>>, taken: Taken, depth: usize) -> Option<String> {
    let mut text = String::new();
    while let Some(next) = chars.next_if(|next| !['|', ')'].contains(next)) {
        let part = match next {
            '^' | '$' => String::new(),
            '.' => "a".to_owned(),
            '(' => group(chars, taken, depth)?,
            '[' => class(chars)?.to_string(),
            '\\' => escaped(chars)?,
            '*' | '+' | '?' | '{' => return None,
            plain => plain.to_string(),
        };
        text += &part.repeat(times(chars, taken)?);
        if text.len() > TIMES_MAX * 8 {
            return None;
        }
    }
    Some(text)
}

fn group(chars: &mut Peekable<Chars<'_>>, taken: Taken, depth: usize) -> Option<String> {
    if chars.next_if_eq(&'?').is_some() {
        match chars.next()? {
            ':' => {}
            // A name: `(?<year>…)`. Not what looks behind.
            '<' if chars.peek().is_some_and(|next| next.is_alphabetic()) => {
                chars.by_ref().find(|next| *next == '>')?;
            }
            _ => return None,
        }
    }
    let text = alternatives(chars, taken, depth + 1)?;
    chars.next_if_eq(&')').map(|_| text)
}

fn escaped(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    Some(match chars.next()? {
        'd' => "1".to_owned(),
        'w' => "a".to_owned(),
        's' => " ".to_owned(),
        'D' | 'S' => "a".to_owned(),
        'W' => "-".to_owned(),
        'b' => String::new(),
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        other if !other.is_alphanumeric() => other.to_string(),
        _ => return None,
    })
}

/// A character of a class.
fn class(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    let is_without = chars.next_if_eq(&'^').is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        let first = match chars.next()? {
            ']' => break,
            '[' => return None,
            '\\' => match chars.next()? {
                'd' => {
                    ranges.push(('0', '9'));
                    continue;
                }
                'w' => {
                    ranges.extend([('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]);
                    continue;
                }
                's' => ' ',
                other if !other.is_alphanumeric() => other,
                _ => return None,
            },
            plain => plain,
        };
        let mut ahead = chars.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|next| next != ']' && next != '\\');
        let last = if is_range { chars.nth(1)? } else { first };
        ranges.push((first, last));
    }
    let is_in = |c: char| ranges.iter().any(|(first, last)| (*first..=*last).contains(&c));
    if is_without {
        SOME.chars().find(|c| !is_in(*c))
    } else {
        SOME.chars().find(|c| is_in(*c)).or(ranges.first().map(|(first, _)| *first))
    }
}

/// How often the part before is repeated.
fn times(chars: &mut Peekable<Chars<'_>>, taken: Taken) -> Option<usize> {
    let (least, most) = match chars.peek() {
        Some('*') => (0, 3),
        Some('+') => (1, 3),
        Some('?') => (0, 1),
        Some('{') => {
            chars.next();
            let inside: String = chars.by_ref().take_while(|next| *next != '}').collect();
            let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
            let least: usize = least.parse().ok()?;
            let most = if most.is_empty() { least + 2 } else { most.parse().ok()? };
            chars.next_if_eq(&'?');
            return Some(if matches!(taken, Taken::Least) { least } else { most }.min(TIMES_MAX));
        }
        _ => return Some(1),
    };
    chars.next();
    // As few as possible, or as many: the same texts meet it.
    chars.next_if_eq(&'?');
    Some(if matches!(taken, Taken::Least) { least } else { most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_easy_patterns_meet_them() {
        for (pattern, expected) in [
            ("^[a-z]+$", vec!["a", "aaa"]),
            ("^v[0-9]{1,2}$", vec!["v0", "v00"]),
            (r"^\d{4}-\d{2}$", vec!["1111-11"]),
            ("^(red|green)$", vec!["red", "green"]),
            ("^(?:ab)?c*$", vec!["", "abccc"]),
            (r"^[^a]\.x$", vec!["0.x"]),
            ("^[A-Z][a-z0-9-]*$", vec!["A", "Aaaa"]),
        ] {
            assert_eq!(texts(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_are_not_easy_give_none() {
        for pattern in ["(?=a)", "(?<!a)b", r"\p{L}", "[[:alpha:]]", "(", "a{,", "["] {
            assert_eq!(texts(pattern), [""; 0], "{pattern}");
        }
    }
}
