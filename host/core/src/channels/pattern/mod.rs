//! `pattern` of JSON Schema: a regular expression of ECMA-262 with its `u` flag, parsed here and translated for the
//! engine that runs it (crate `regex`, whose time grows only with the text).
//!
//! A pattern means the same as in a browser (`new RegExp(pattern, "u")`), or it is an error: a text that ECMA-262
//! refuses, and features that the engine does not have (look-around, back-references). The output contains nothing that
//! the two engines understand differently: classes are written as ranges, and `.` and `\b` as ECMA-262 defines them.

mod class;
mod properties;

use std::collections::HashSet;
use std::fmt::Write as _;

use class::{DIGIT, LINE_END, Set, WHITE_SPACE, WORD};

/// Deepest nesting of groups.
const GROUPS_MAX: usize = 100;

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PatternMistake {
    /// What is wrong, in a sentence that names the part.
    pub(super) message: String,
    /// The hint.
    pub(super) hint: Option<&'static str>,
}

type Outcome<T> = Result<T, PatternMistake>;

/// Translates a pattern for the engine.
pub(super) fn translate(pattern: &str) -> Outcome<String> {
    let mut reader = Reader { chars: pattern.chars().collect(), at: 0, out: String::new(), names: HashSet::new() };
    reader.alternatives(0)?;
    if reader.peek() == Some(')') {
        return Err(lone(')'));
    }
    Ok(reader.out)
}

/// The meaning of an escape.
enum Escaped {
    /// A code point, or half of a surrogate pair, which no text here contains.
    Char(u32),
    /// Any of these characters.
    Set(Set),
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
    /// The names of the groups so far.
    names: HashSet<String>,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn takes(&mut self, text: &str) -> bool {
        let there = text.chars().enumerate().all(|(index, c)| self.chars.get(self.at + index) == Some(&c));
        if there {
            self.at += text.chars().count();
        }
        there
    }

    fn text_since(&self, start: usize) -> String {
        self.chars[start..self.at].iter().collect()
    }

    /// Reads up to the end, or to the bracket that closes the surrounding group.
    fn alternatives(&mut self, depth: usize) -> Outcome<()> {
        while let Some(c) = self.peek() {
            match c {
                ')' => return Ok(()),
                '|' => {
                    self.at += 1;
                    self.out.push('|');
                }
                _ => self.term(depth)?,
            }
        }
        Ok(())
    }

    fn term(&mut self, depth: usize) -> Outcome<()> {
        let start = self.at;
        if let Some(assertion) = self.assertion() {
            self.out += assertion;
            if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
                return Err(mistake("a quantifier repeats only an assertion"));
            }
            return Ok(());
        }
        match self.next() {
            Some('(') => self.group(depth)?,
            Some('[') => {
                let (set, is_negated) = self.class()?;
                set.write(is_negated, &mut self.out);
            }
            Some('.') => LINE_END.set().write(true, &mut self.out),
            Some('\\') => match self.escape(start)? {
                Escaped::Char(c) => self.literal(c),
                Escaped::Set(set) => set.write(false, &mut self.out),
            },
            Some(c @ ('*' | '+' | '?')) => return Err(nothing_to_repeat(c)),
            Some(c @ ('{' | '}' | ']')) => return Err(lone(c)),
            Some(c) => self.literal(c.into()),
            None => {}
        }
        self.quantifier()
    }

    /// `^` and `$` are the ends of the text for both engines; they differ in what a word is.
    fn assertion(&mut self) -> Option<&'static str> {
        let said = [("^", "^"), ("$", "$"), (r"\b", r"(?-u:\b)"), (r"\B", r"(?-u:\B)")];
        said.into_iter().find(|(text, _)| self.takes(text)).map(|(_, said)| said)
    }

    fn group(&mut self, depth: usize) -> Outcome<()> {
        if depth == GROUPS_MAX {
            return Err(mistake(format!("groups are nested deeper than {GROUPS_MAX}")));
        }
        for look in ["?=", "?!", "?<=", "?<!"] {
            if self.takes(look) {
                return Err(not_served(format!("`({look}` is a lookaround, which this server does not support")));
            }
        }
        if self.takes("?<") {
            self.group_name()?;
            self.out += "(?:";
        } else if self.takes("?:") {
            self.out += "(?:";
        } else if self.peek() == Some('?') {
            return Err(PatternMistake {
                message: "this `(?` group does not work in every browser".to_owned(),
                hint: Some("flags inside a pattern are not supported; write `[aA]` for a letter of either case"),
            });
        } else {
            self.out.push('(');
        }
        self.alternatives(depth + 1)?;
        if !self.takes(")") {
            return Err(mistake("a group is not closed"));
        }
        self.out.push(')');
        Ok(())
    }

    fn group_name(&mut self) -> Outcome<()> {
        let start = self.at;
        while self.peek().is_some_and(|c| c != '>') {
            self.at += 1;
        }
        let name = self.text_since(start);
        let is_first = |c: char| c.is_alphabetic() || matches!(c, '$' | '_');
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '$' | '_');
        if !self.takes(">") || !name.starts_with(is_first) || !name.chars().all(goes_on) {
            return Err(mistake(format!("`{name}` is not a valid name of a group")));
        }
        if self.names.insert(name.clone()) { Ok(()) } else { Err(mistake(format!("two groups are named `{name}`"))) }
    }

    fn quantifier(&mut self) -> Outcome<()> {
        let start = self.at;
        match self.peek() {
            Some('*' | '+' | '?') => self.at += 1,
            Some('{') => {
                self.at += 1;
                let least = self.count();
                let most = if self.takes(",") { self.count() } else { least };
                let is_open = most.is_none();
                if least.is_none() || !self.takes("}") {
                    return Err(lone('{'));
                }
                if !is_open && most < least {
                    return Err(mistake(format!("the range of `{}` is in descending order", self.text_since(start))));
                }
            }
            _ => return Ok(()),
        }
        self.out.extend(&self.chars[start..self.at]);
        // How much is matched first makes no difference to whether there is a match.
        self.takes("?");
        Ok(())
    }

    fn count(&mut self) -> Option<u64> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        // The engine refuses a number beyond all limits.
        (start < self.at).then(|| self.text_since(start).parse().unwrap_or(u64::MAX))
    }

    fn literal(&mut self, c: u32) {
        match char::from_u32(c) {
            Some(c) if r"\.+*?()|[]{}^$#&~".contains(c) => self.out.extend(['\\', c]),
            Some(c) if !c.is_control() => self.out.push(c),
            // Writing to a text cannot fail.
            Some(c) => drop(write!(self.out, "\\x{{{:x}}}", u32::from(c))),
            None => Set::default().write(false, &mut self.out),
        }
    }

    /// After the opening bracket: the content of a class, and whether the class is negated.
    fn class(&mut self) -> Outcome<(Set, bool)> {
        let is_negated = self.takes("^");
        let mut set = Set::default();
        loop {
            let Some(first) = self.class_atom()? else { return Ok((set, is_negated)) };
            // A hyphen before the end of the class is a literal one.
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1) != Some(&']');
            if !is_range {
                set.add(first);
                continue;
            }
            self.at += 1;
            let Some(last) = self.class_atom()? else { return Err(mistake("a class is not closed")) };
            match (first, last) {
                (Escaped::Char(first), Escaped::Char(last)) if first <= last => set.add_range(first, last),
                (Escaped::Char(_), Escaped::Char(_)) => {
                    return Err(mistake("a range in a class is in descending order"));
                }
                _ => {
                    return Err(PatternMistake {
                        message: "a range in a class begins or ends with a class".to_owned(),
                        hint: Some("write a literal hyphen as `\\-`, or put it last in the class"),
                    });
                }
            }
        }
    }

    /// The next part of a class; `None` at its end.
    fn class_atom(&mut self) -> Outcome<Option<Escaped>> {
        let start = self.at;
        match self.next() {
            None => Err(mistake("a class is not closed")),
            Some(']') => Ok(None),
            Some('\\') if self.takes("b") => Ok(Some(Escaped::Char(0x8))),
            Some('\\') if self.takes("-") => Ok(Some(Escaped::Char('-'.into()))),
            Some('\\') => self.escape(start).map(Some),
            Some(c) => Ok(Some(Escaped::Char(c.into()))),
        }
    }

    /// After the backslash at `start`.
    fn escape(&mut self, start: usize) -> Outcome<Escaped> {
        let Some(c) = self.next() else { return Err(mistake("a pattern ends with `\\`")) };
        let char = |c: char| Ok(Escaped::Char(c.into()));
        match c {
            'd' | 'D' => Ok(Escaped::Set(DIGIT.or_not(c == 'D'))),
            'w' | 'W' => Ok(Escaped::Set(WORD.or_not(c == 'W'))),
            's' | 'S' => Ok(Escaped::Set(WHITE_SPACE.or_not(c == 'S'))),
            'p' | 'P' => self.property(start, c == 'P'),
            't' => char('\t'),
            'n' => char('\n'),
            'v' => char('\u{b}'),
            'f' => char('\u{c}'),
            'r' => char('\r'),
            'c' => match self.next() {
                Some(letter) if letter.is_ascii_alphabetic() => Ok(Escaped::Char(u32::from(letter) % 32)),
                _ => Err(mistake("`\\c` must be followed by a letter")),
            },
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => char('\0'),
            'x' => self
                .hex(2)
                .map(Escaped::Char)
                .ok_or_else(|| mistake("`\\x` must be followed by two hexadecimal digits")),
            'u' => self.unicode().map(Escaped::Char),
            '1'..='9' | 'k' => {
                Err(not_served(format!("`\\{c}` refers back to a group, which this server does not support")))
            }
            '^' | '$' | '\\' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '/' => char(c),
            other => Err(meaningless(other)),
        }
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text: String = self.chars.get(self.at..self.at + digits)?.iter().collect();
        let number = text.chars().all(|c| c.is_ascii_hexdigit()).then(|| u32::from_str_radix(&text, 16).ok())??;
        self.at += digits;
        Some(number)
    }

    /// After `\u`: four digits, two times four digits for a surrogate pair, or any number of digits in braces.
    fn unicode(&mut self) -> Outcome<u32> {
        if self.takes("{") {
            let start = self.at;
            while self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
                self.at += 1;
            }
            let digits = self.text_since(start);
            let number = u32::from_str_radix(&digits, 16).ok().filter(|number| *number <= 0x0010_FFFF);
            let number = number.filter(|_| self.takes("}"));
            return number.ok_or_else(|| mistake(format!("`\\u{{{digits}` does not name a code point")));
        }
        let first = self.hex(4).ok_or_else(|| mistake("`\\u` must be followed by four hexadecimal digits"))?;
        let after_first = self.at;
        if (0xD800..0xDC00).contains(&first) && self.takes("\\u") {
            if let Some(second) = self.hex(4).filter(|second| (0xDC00..0xE000).contains(second)) {
                return Ok(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00));
            }
            self.at = after_first;
        }
        Ok(first)
    }

    fn property(&mut self, start: usize, is_negated: bool) -> Outcome<Escaped> {
        let inside = self.at + 1;
        if self.takes("{") {
            while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '=')) {
                self.at += 1;
            }
            let name = self.text_since(inside);
            if let Some(said) = properties::said(&name).filter(|_| self.takes("}")) {
                let mut set = Set::default();
                match (said.as_str(), is_negated) {
                    // The engine cannot express surrogates, and no text here contains one.
                    ("gc=Cs" | "gc=Surrogate", true) => set.add_range(0, 0x0010_FFFF),
                    ("gc=Cs" | "gc=Surrogate", false) => {}
                    _ => set.add_property(&said, is_negated),
                }
                return Ok(Escaped::Set(set));
            }
        }
        self.takes("}");
        Err(PatternMistake {
            message: format!("`{}` does not name a property of Unicode", self.text_since(start)),
            hint: Some(
                "write, for example, `\\p{Letter}`, `\\p{Lu}`, `\\p{Script=Greek}` or `\\p{Alphabetic}`, with upper and lower case as here",
            ),
        })
    }
}

fn mistake(message: impl Into<String>) -> PatternMistake {
    PatternMistake { message: message.into(), hint: None }
}

fn not_served(message: String) -> PatternMistake {
    let hint = Some(
        "a pattern's running time may grow only with the length of the text; use other keywords, or check it in a handler",
    );
    PatternMistake { message, hint }
}

fn lone(bracket: char) -> PatternMistake {
    let hint = match bracket {
        '{' => "write `\\{` for the literal character",
        '}' => "write `\\}` for the literal character",
        ']' => "write `\\]` for the literal character",
        _ => "write `\\)` for the literal character",
    };
    PatternMistake { message: format!("`{bracket}` has no partner"), hint: Some(hint) }
}

fn nothing_to_repeat(quantifier: char) -> PatternMistake {
    let hint = Some("possessive quantifiers do not exist; write a literal character with `\\`");
    PatternMistake { message: format!("`{quantifier}` has nothing to repeat"), hint }
}

fn meaningless(escaped: char) -> PatternMistake {
    let hint = match escaped {
        'A' => Some("write `^` for the beginning of the text"),
        'z' | 'Z' => Some("write `$` for the end of the text"),
        '-' => Some("outside a class write a hyphen as `-`"),
        c if c.is_alphanumeric() => None,
        _ => Some("write the character without `\\`"),
    };
    PatternMistake { message: format!("`\\{escaped}` has no meaning in ECMA-262"), hint }
}

#[cfg(test)]
mod tests;
