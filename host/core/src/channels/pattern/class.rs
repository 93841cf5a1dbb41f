//! Sets of characters as in ECMA-262, written for the engine without names that the engine interprets differently.

use std::fmt::Write as _;

use super::Escaped;

/// Ranges of code points, both ends included, in order and not touching.
pub(super) struct Ranges(&'static [(u32, u32)]);

/// `\d`.
pub(super) const DIGIT: Ranges = Ranges(&[(0x30, 0x39)]);
/// `\w`.
pub(super) const WORD: Ranges = Ranges(&[(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]);
/// `\s`: `WhiteSpace` and `LineTerminator`.
pub(super) const WHITE_SPACE: Ranges = Ranges(&[
    (0x9, 0xD),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
]);
/// `LineTerminator`: the characters that `.` does not match.
pub(super) const LINE_END: Ranges = Ranges(&[(0xA, 0xA), (0xD, 0xD), (0x2028, 0x2029)]);

const LAST: u32 = 0x0010_FFFF;

impl Ranges {
    pub(super) fn set(&self) -> Set {
        Set { ranges: self.0.to_vec(), properties: Vec::new() }
    }

    /// The set, or its complement.
    pub(super) fn or_not(&self, is_negated: bool) -> Set {
        if !is_negated {
            return self.set();
        }
        let mut ranges = Vec::new();
        let mut next = 0;
        for (first, last) in self.0 {
            if next < *first {
                ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        ranges.push((next, LAST));
        Set { ranges, properties: Vec::new() }
    }
}

/// The content of a character class.
#[derive(Default)]
pub(super) struct Set {
    ranges: Vec<(u32, u32)>,
    /// In the engine's form, `\p{…}`.
    properties: Vec<String>,
}

impl Set {
    pub(super) fn add(&mut self, part: Escaped) {
        match part {
            Escaped::Char(c) => self.add_range(c, c),
            Escaped::Set(other) => {
                self.ranges.extend(other.ranges);
                self.properties.extend(other.properties);
            }
        }
    }

    pub(super) fn add_range(&mut self, first: u32, last: u32) {
        self.ranges.push((first, last));
    }

    pub(super) fn add_property(&mut self, name: &str, is_negated: bool) {
        let letter = if is_negated { 'P' } else { 'p' };
        self.properties.push(format!("\\{letter}{{{name}}}"));
    }

    /// Writes the class without surrogates, because no text here contains one.
    pub(super) fn write(&self, is_negated: bool, out: &mut String) {
        let mut inside = self.properties.concat();
        for &(first, last) in &self.ranges {
            for (first, last) in [(first, last.min(0xD7FF)), (first.max(0xE000), last)] {
                if first > last {
                    continue;
                }
                character(first, &mut inside);
                if first < last {
                    inside.push('-');
                    character(last, &mut inside);
                }
            }
        }
        match (inside.is_empty(), is_negated) {
            (true, true) => *out += "[\\x{0}-\\x{10ffff}]",
            (true, false) => *out += "[^\\x{0}-\\x{10ffff}]",
            (false, true) => *out += &format!("[^{inside}]"),
            (false, false) => *out += &format!("[{inside}]"),
        }
    }
}

fn character(c: u32, out: &mut String) {
    match char::from_u32(c) {
        Some(c) if c.is_ascii_alphanumeric() => out.push(c),
        // Writing to a text cannot fail.
        _ => drop(write!(out, "\\x{{{c:x}}}")),
    }
}
