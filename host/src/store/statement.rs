//! A granted statement, looked at before SQLite sees it: that it is one, that it asks, and how many parameters it takes.

use std::collections::BTreeSet;

/// What a question begins with. All else is refused by its first word, also what changes no table: `ATTACH`, `PRAGMA`, `BEGIN`.
const QUESTIONS: [&str; 3] = ["select", "with", "values"];
/// Most parameters of one statement.
const PARAMS_MAX: usize = 100;
const PARAM_HINT: &str = "write parameters as `$1`, `$2`, …";

/// How many parameters the statement takes. Whether what follows `with` writes is for SQLite to say.
///
/// # Errors
/// What is wrong with it.
pub(super) fn params_of(sql: &str) -> Result<usize, String> {
    let mut params = BTreeSet::new();
    let mut words = Words { rest: sql };
    let first = words.next().transpose()?.ok_or("is empty")?;
    if !matches!(first, Word::Name(name) if QUESTIONS.iter().any(|question| name.eq_ignore_ascii_case(question))) {
        return Err("is no question: it must begin with `select`, `with` or `values`".to_owned());
    }
    let mut ended = false;
    for word in words {
        match word? {
            Word::End => ended = true,
            _ if ended => return Err("is more than one statement".to_owned()),
            Word::Param(param) => drop(params.insert(param)),
            Word::Name(_) | Word::Other => {}
        }
    }
    match params.iter().copied().zip(1..).find(|(param, expected)| param != expected) {
        Some((param, missing)) => Err(format!("has `${param}` and no `${missing}`")),
        None if params.len() > PARAMS_MAX => Err(format!("has more than {PARAMS_MAX} parameters")),
        None => Ok(params.len()),
    }
}

/// As much as is to be known of a statement's parts.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    /// A keyword, a name, or a number.
    Name(&'a str),
    /// `$1`.
    Param(usize),
    /// `;`
    End,
    Other,
}

/// The words of a statement, as <https://www.sqlite.org/syntax.html> has them; spaces and comments are between them.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = Result<Word<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_spaces();
        let first = self.rest.chars().next()?;
        Some(match first {
            ';' => Ok(self.take(1, Word::End)),
            '\'' | '"' | '`' => self.quoted(first),
            '[' => self.quoted(']'),
            '$' => self.param(),
            '?' | ':' | '@' | '#' => Err(format!("has `{first}`: {PARAM_HINT}")),
            first if is_of_name(first) => {
                let name = self.name(0);
                Ok(self.take(name.len(), Word::Name(name)))
            }
            other => Ok(self.take(other.len_utf8(), Word::Other)),
        })
    }
}

impl<'a> Words<'a> {
    fn skip_spaces(&mut self) {
        loop {
            let rest = self.rest.trim_start();
            self.rest = if rest.starts_with("--") {
                rest.split_once('\n').map_or("", |(_, after)| after)
            } else if let Some(comment) = rest.strip_prefix("/*") {
                // SQLite takes one that is not closed as one that ends with the text.
                comment.split_once("*/").map_or("", |(_, after)| after)
            } else {
                self.rest = rest;
                return;
            };
        }
    }

    fn take(&mut self, bytes: usize, word: Word<'a>) -> Word<'a> {
        self.rest = &self.rest[bytes..];
        word
    }

    /// What stands from here on of one name.
    fn name(&self, from: usize) -> &'a str {
        let rest = &self.rest[from..];
        &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())]
    }

    fn param(&mut self) -> Result<Word<'a>, String> {
        let name = self.name(1);
        match name.parse() {
            Ok(param) if param > 0 && !name.starts_with('0') => Ok(self.take(1 + name.len(), Word::Param(param))),
            _ => Err(format!("has `${name}`: {PARAM_HINT}")),
        }
    }

    /// A quoted text or name. A doubled quote within it begins the next, which is as good.
    fn quoted(&mut self, close: char) -> Result<Word<'a>, String> {
        match self.rest[1..].find(close) {
            Some(at) => Ok(self.take(1 + at + 1, Word::Other)),
            None => Err(format!("has a quote that is not closed, `{close}`")),
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_wherever_they_stand_and_not_where_they_do_not() {
        for (sql, params) in [
            ("select 1", 0),
            ("SELECT a FROM b WHERE c = $1 AND d = $2 OR e = $1;", 2),
            ("with x as (values ($2)) select * from x where a = $1 -- and $3\n", 2),
            ("values ($1) /* $2 */ ; -- no more", 1),
            ("select '$2; it''s', \"$3\", `$4`, [$5;] where $1", 1),
            ("-- first\nselect /* of */ data ->> '$.id' from t", 0),
            ("select ';' where 1 = $1 /* open", 1),
        ] {
            assert_eq!(params_of(sql), Ok(params), "{sql}");
        }
    }

    #[test]
    fn what_is_no_single_question_is_refused_with_the_reason() {
        for (sql, reason) in [
            ("", "is empty"),
            ("  -- nothing\n", "is empty"),
            ("delete from t", "is no question"),
            ("PRAGMA query_only = off", "is no question"),
            ("attach 'x.db' as x", "is no question"),
            ("begin", "is no question"),
            ("explain select 1", "is no question"),
            ("selection", "is no question"),
            ("select 1; delete from t", "is more than one statement"),
            ("select 1;;x", "is more than one statement"),
            ("select '1", "has a quote that is not closed"),
            ("select $1, $3", "has `$3` and no `$2`"),
            ("select ?", "has `?`: write parameters as `$1`"),
            ("select ?1", "has `?`: write parameters as `$1`"),
            ("select :name", "has `:`"),
            ("select @name", "has `@`"),
            ("select $name", "has `$name`"),
            ("select $0", "has `$0`"),
            ("select $01", "has `$01`"),
        ] {
            let told = params_of(sql).unwrap_err();
            assert!(told.starts_with(reason), "{sql}: {told}");
        }
    }
}
