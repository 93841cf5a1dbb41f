//! Checks a granted statement before the database sees it: it is a single statement, it only reads, and which
//! parameters it has.

use std::collections::BTreeSet;
use std::ops::Range;

/// The first word of a query. Every other statement is refused by its first word, including those that change no table:
/// `ATTACH`, `SET`, `BEGIN`.
const QUESTIONS: [&str; 3] = ["select", "with", "values"];
/// Most parameters of one statement.
const PARAMS_MAX: usize = 100;
const PARAM_HINT: &str = "write parameters as `$1`, `$2`, …";

/// The SQL dialect of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// <https://www.sqlite.org/syntax.html>
    Sqlite,
    /// <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>
    Postgres,
}

/// One statement that reads. Whether the part after `with` writes is for the database to say.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// Without the `;` and everything after it.
    sql: &'a str,
    /// The place of every parameter, in order.
    places: Vec<(Range<usize>, usize)>,
    params: usize,
    names: BTreeSet<String>,
}

impl<'a> Question<'a> {
    /// Reads a statement.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(sql: &'a str, dialect: Dialect) -> Result<Self, String> {
        let mut words = Words { rest: sql, dialect };
        let first = words.next().transpose()?.ok_or("is empty")?;
        if !matches!(first, Word::Name(name) if QUESTIONS.iter().any(|question| name.eq_ignore_ascii_case(question))) {
            return Err("is not a query: it must begin with `select`, `with` or `values`".to_owned());
        }
        let mut question = Self { sql, places: Vec::new(), params: 0, names: BTreeSet::new() };
        let mut ended = false;
        while let Some(word) = words.next().transpose()? {
            // The part that was read ends where the rest begins.
            let end = sql.len() - words.rest.len();
            match word {
                Word::End if !ended => {
                    ended = true;
                    question.sql = &sql[..end - 1];
                }
                Word::End => {}
                _ if ended => return Err("is more than one statement".to_owned()),
                Word::Param(text, param) => question.places.push((end - text.len()..end, param)),
                Word::Name(name) => drop(question.names.insert(name.to_lowercase())),
                Word::Other => {}
            }
        }
        question.params = question.counted()?;
        Ok(question)
    }

    fn counted(&self) -> Result<usize, String> {
        let params: BTreeSet<usize> = self.places.iter().map(|(_, param)| *param).collect();
        match params.iter().copied().zip(1..).find(|(param, expected)| param != expected) {
            Some((param, missing)) => Err(format!("has `${param}` but no `${missing}`")),
            None if params.len() > PARAMS_MAX => Err(format!("has more than {PARAMS_MAX} parameters")),
            None => Ok(params.len()),
        }
    }

    /// How many parameters it has.
    pub(super) const fn params(&self) -> usize {
        self.params
    }

    /// Every name in it except the first word, and every quoted name, in lower case.
    pub(super) const fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// The statement with a replacement for each parameter, and without a `;`.
    pub(super) fn with_params(&self, write: impl Fn(usize) -> String) -> String {
        let mut written = String::with_capacity(self.sql.len());
        let mut from = 0;
        for (place, param) in &self.places {
            written.push_str(&self.sql[from..place.start]);
            written.push_str(&write(*param));
            from = place.end;
        }
        written.push_str(&self.sql[from..]);
        written
    }
}

/// As much as must be known of a statement's parts.
#[derive(Debug, PartialEq, Eq)]
enum Word<'a> {
    /// A keyword, a name (perhaps in double quotes), or a number.
    Name(&'a str),
    /// `$1`, as written.
    Param(&'a str, usize),
    /// `;`
    End,
    Other,
}

/// The words of a statement; spaces and comments are between them.
struct Words<'a> {
    rest: &'a str,
    dialect: Dialect,
}

impl<'a> Iterator for Words<'a> {
    type Item = Result<Word<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_spaces();
        let first = self.rest.chars().next()?;
        let is_sqlite = self.dialect == Dialect::Sqlite;
        Some(match first {
            ';' => Ok(self.take(1, Word::End)),
            '\'' | '"' => self.quoted(first),
            '`' if is_sqlite => self.quoted(first),
            '[' if is_sqlite => self.quoted(']'),
            '?' | ':' | '@' | '#' if is_sqlite => Err(format!("has `{first}`: {PARAM_HINT}")),
            '$' if !is_sqlite && !self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.dollar_quoted(),
            '$' => self.param(),
            first if is_of_name(first) => self.named(),
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
                after_comment(comment, self.dialect)
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

    /// The rest of a name from here on.
    fn name(&self, from: usize) -> &'a str {
        let rest = &self.rest[from..];
        // In PostgreSQL, `a$1` is one name.
        let takes_dollars =
            from == 0 && self.dialect == Dialect::Postgres && !rest.starts_with(|c: char| c.is_ascii_digit());
        &rest[..rest.find(|c| !(is_of_name(c) || c == '$' && takes_dollars)).unwrap_or(rest.len())]
    }

    fn named(&mut self) -> Result<Word<'a>, String> {
        let name = self.name(0);
        let word = self.take(name.len(), Word::Name(name));
        let escapes = self.dialect == Dialect::Postgres && name.eq_ignore_ascii_case("e");
        if escapes && self.rest.starts_with('\'') { self.escaped() } else { Ok(word) }
    }

    fn param(&mut self) -> Result<Word<'a>, String> {
        let name = self.name(1);
        match name.parse() {
            Ok(param) if param > 0 && !name.starts_with('0') => {
                let text = &self.rest[..1 + name.len()];
                Ok(self.take(text.len(), Word::Param(text, param)))
            }
            _ => Err(format!("has `${name}`: {PARAM_HINT}")),
        }
    }

    /// A quoted text or name. A doubled quote in it begins another one, which makes no difference.
    fn quoted(&mut self, close: char) -> Result<Word<'a>, String> {
        let within = &self.rest[1..];
        let end = within.find(close).ok_or_else(|| not_closed(close))?;
        let word = if close == '"' { Word::Name(&within[..end]) } else { Word::Other };
        Ok(self.take(1 + end + 1, word))
    }

    /// A text in which a backslash escapes the next character, `E'it\'s'`.
    fn escaped(&mut self) -> Result<Word<'a>, String> {
        let mut kept = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if kept => kept = false,
                '\\' => kept = true,
                '\'' => return Ok(self.take(at + 1, Word::Other)),
                _ => {}
            }
        }
        Err(not_closed('\''))
    }

    /// `$$…$$` or `$tag$…$tag$`.
    fn dollar_quoted(&mut self) -> Result<Word<'a>, String> {
        let name = self.name(1);
        let Some(opening) = self.rest[1 + name.len()..].starts_with('$').then(|| &self.rest[..name.len() + 2]) else {
            return Err(format!("has `${name}`: {PARAM_HINT}"));
        };
        let end = self.rest[opening.len()..].find(opening).ok_or_else(|| not_closed('$'))?;
        Ok(self.take(2 * opening.len() + end, Word::Other))
    }
}

/// The rest after a comment. An open comment ends with the text: SQLite accepts that, PostgreSQL reports it itself.
fn after_comment(comment: &str, dialect: Dialect) -> &str {
    let mut rest = comment;
    let mut open = 1;
    while open > 0 {
        let Some(closes) = rest.find("*/") else { return "" };
        match rest.find("/*") {
            // In PostgreSQL comments nest.
            Some(opens) if opens < closes && dialect == Dialect::Postgres => {
                open += 1;
                rest = &rest[opens + 2..];
            }
            _ => {
                open -= 1;
                rest = &rest[closes + 2..];
            }
        }
    }
    rest
}

fn not_closed(quote: char) -> String {
    format!("has a quote that is not closed, `{quote}`")
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params_of(sql: &str, dialect: Dialect) -> Result<usize, String> {
        Question::read(sql, dialect).map(|question| question.params())
    }

    #[test]
    fn parameters_are_counted_wherever_they_stand_and_not_where_they_do_not() {
        for (sql, params) in [
            ("select 1", 0),
            ("SELECT a FROM b WHERE c = $1 AND d = $2 OR e = $1;", 2),
            ("with x as (values ($2)) select * from x where a = $1 -- and $3\n", 2),
            ("values ($1) /* $2 */ ; -- no more", 1),
            ("-- first\nselect /* of */ data ->> '$.id' from t", 0),
        ] {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                assert_eq!(params_of(sql, dialect), Ok(params), "{sql}");
            }
        }
        for (sql, params) in
            [("select '$2; it''s', \"$3\", `$4`, [$5;] where $1", 1), ("select ';' where 1 = $1 /* open", 1)]
        {
            assert_eq!(params_of(sql, Dialect::Sqlite), Ok(params), "{sql}");
        }
        for (sql, params) in [
            ("select '$2; it''s', \"$3\", data ? 'a', a[$1], b::int, @ c, d #>> '{a}'", 1),
            ("select $$; $2$$, $a$ $$ $3 $b$ $a$, $1", 1),
            ("select E'it\\'s; $2', e'\\\\', a$3, $1::text", 1),
            ("select /* a /* $2 */ $3 */ $1", 1),
        ] {
            assert_eq!(params_of(sql, Dialect::Postgres), Ok(params), "{sql}");
        }
    }

    #[test]
    fn what_is_no_single_question_is_refused_with_the_reason() {
        for (sql, reason) in [
            ("", "is empty"),
            ("  -- nothing\n", "is empty"),
            ("delete from t", "is not a query"),
            ("PRAGMA query_only = off", "is not a query"),
            ("attach 'x.db' as x", "is not a query"),
            ("begin", "is not a query"),
            ("explain select 1", "is not a query"),
            ("selection", "is not a query"),
            ("select 1; delete from t", "is more than one statement"),
            ("select 1;;x", "is more than one statement"),
            ("select '1", "has a quote that is not closed"),
            ("select $1, $3", "has `$3` but no `$2`"),
            ("select $name", "has `$name`"),
            ("select $0", "has `$0`"),
            ("select $01", "has `$01`"),
        ] {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                let told = params_of(sql, dialect).unwrap_err();
                assert!(told.starts_with(reason), "{sql}: {told}");
            }
        }
        for (sql, reason) in [
            ("select ?", "has `?`: write parameters as `$1`"),
            ("select ?1", "has `?`: write parameters as `$1`"),
            ("select :name", "has `:`"),
            ("select @name", "has `@`"),
        ] {
            let told = params_of(sql, Dialect::Sqlite).unwrap_err();
            assert!(told.starts_with(reason), "{sql}: {told}");
        }
        for sql in ["set role x", "copy t to stdout", "do $$ begin end $$", "listen x", "table t", "select $a$ $b$"] {
            assert!(params_of(sql, Dialect::Postgres).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_question_is_written_anew_with_its_parameters_replaced() {
        let question = Question::read("select $2, '$1' from t where a = $1 ; -- $3", Dialect::Postgres).unwrap();
        assert_eq!(question.with_params(|param| format!("<{param}>")), "select <2>, '$1' from t where a = <1> ");
    }

    #[test]
    fn names_are_known_in_quotes_too() {
        let question =
            Question::read("select PG_Sleep(1), \"set_config\"('a', 'lo_import')", Dialect::Postgres).unwrap();
        let names: Vec<&str> = question.names().iter().map(String::as_str).collect();
        assert_eq!(names, ["1", "pg_sleep", "set_config"]);
    }
}
