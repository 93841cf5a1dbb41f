//! A file as the operator wrote it, and the errors in it as texts.

use std::sync::Arc;

/// A file that was read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as errors show it: relative to the working directory where that is shorter.
    pub path: String,
    /// The text.
    pub text: String,
}

/// A place in a file; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<SourceFile>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// How many characters of the line it covers, at least 1.
    pub width: usize,
}

/// One error in the operator's files: shown as `error:` with its place and line, other places, and a `hint:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong: a lower-case fragment, literals in backticks, no full stop.
    pub message: String,
    /// The place; `None` if the error is not about a particular file.
    pub place: Option<Place>,
    /// Other places that matter (`also declared here`), each with its note.
    pub related: Vec<(String, Place)>,
    /// The hint, if there is one.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    #[must_use]
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: Some(place), related: Vec::new(), hint: None }
    }

    /// An error without a place.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, related: Vec::new(), hint: None }
    }

    /// The error in one line, for logs: `channels/blog.yaml:4:5: unknown key …`.
    #[must_use]
    pub fn summary(&self) -> String {
        match &self.place {
            Some(place) => format!("{}:{}:{}: {}", place.source.path, place.line, place.column, self.message),
            None => self.message.clone(),
        }
    }

    /// The same with the hint: `…: unknown key … (did you mean `scope`?)`.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({hint})", self.summary()),
            None => self.summary(),
        }
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, note: impl Into<String>, place: Place) -> Self {
        self.related.push((note.into(), place));
        self
    }

    /// Adds the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The mistake as a person reads it: `error:`, the place with its line, other places with theirs, `hint:`. Ends
    /// with a line break; holds no colours and no control characters of the file.
    ///
    /// ```text
    /// error: unknown key `scop`
    ///   --> channels/blog.yaml:4:5
    ///    |
    ///  4 |     scop: public
    ///    |     ^^^^
    /// hint: did you mean `scope`?
    /// ```
    #[must_use]
    pub fn render(&self) -> String {
        self.render_as("error")
    }

    /// The same with another word than `error`, for messages that stop nothing.
    #[must_use]
    pub fn render_as(&self, word: &str) -> String {
        let mut out = format!("{word}: {}\n", visible(&self.message));
        if let Some(place) = &self.place {
            place.render("-->", "", &mut out);
        }
        for (note, place) in &self.related {
            place.render(":::", note, &mut out);
        }
        if let Some(hint) = &self.hint {
            out += &format!("hint: {}\n", visible(hint));
        }
        out
    }
}

/// Most characters of a line that are shown; of a longer line the part around the place.
const LINE_CHARS_MAX: usize = 120;

/// The text with a space for every control character, so that a file cannot control the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// The approximate width of a character on a terminal: East Asian wide characters and emoji take two columns.
fn columns(c: char) -> usize {
    let wide = matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}');
    if wide { 2 } else { 1 }
}

impl Place {
    /// The text of the line.
    #[must_use]
    pub fn line_text(&self) -> &str {
        let line = self.source.text.lines().nth(self.line.saturating_sub(1)).unwrap_or_default();
        if self.line == 1 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line }
    }

    /// The rest of the line after the place.
    #[must_use]
    pub fn behind(&self) -> String {
        self.line_text().chars().skip(self.column - 1 + self.width).collect()
    }

    fn render(&self, arrow: &str, note: &str, out: &mut String) {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len() + 1);
        *out += &format!("{margin}{arrow} {}:{}:{}\n", self.source.path, self.line, self.column);
        let line: Vec<char> = visible(self.line_text()).chars().collect();
        let at = (self.column - 1).min(line.len());
        let start = if line.len() <= LINE_CHARS_MAX { 0 } else { at.saturating_sub(LINE_CHARS_MAX / 3) };
        let end = line.len().min(start + LINE_CHARS_MAX);
        let (before, after) = (if start > 0 { "…" } else { "" }, if end < line.len() { "…" } else { "" });
        let shown: String = line[start..end].iter().collect();
        let indent: usize = before.chars().count() + line[start..at].iter().map(|&c| columns(c)).sum::<usize>();
        let marked = &line[at..end.min(at + self.width).max(at)];
        let carets = "^".repeat(marked.iter().map(|&c| columns(c)).sum::<usize>().max(1));
        let note = if note.is_empty() { String::new() } else { format!(" {}", visible(note)) };
        *out += &format!("{margin} |\n");
        *out += format!(" {number} | {before}{shown}{after}").trim_end();
        *out += &format!("\n{margin} | {}{carets}{note}\n", " ".repeat(indent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, line: usize, column: usize, width: usize) -> Place {
        let source = Arc::new(SourceFile { path: "channels/blog.yaml".to_owned(), text: text.to_owned() });
        Place { source, line, column, width }
    }

    #[test]
    fn a_mistake_shows_its_line_the_other_places_and_the_way_out() {
        let text = "a: 1\n    scop: public\n";
        let diagnostic = Diagnostic::at(place(text, 2, 5, 4), "unknown key `scop`")
            .also("first given here", place(text, 1, 1, 1))
            .hint("did you mean `scope`?");
        let expected = "error: unknown key `scop`\n  --> channels/blog.yaml:2:5\n   |\n 2 |     scop: public\n   |     ^^^^\n  \
                        ::: channels/blog.yaml:1:1\n   |\n 1 | a: 1\n   | ^ first given here\nhint: did you mean `scope`?\n";
        assert_eq!(diagnostic.render(), expected);
    }

    #[test]
    fn long_lines_tabs_wide_characters_and_places_beyond_the_text_are_shown_safely() {
        let long = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let shown = Diagnostic::at(place(&long, 1, 501, 1), "x").render();
        let lines: Vec<&str> = shown.lines().collect();
        let (text, carets) = (lines[3], lines[4]);
        assert!(text.chars().count() < 130, "{text}");
        assert_eq!(text.chars().position(|c| c == 'X'), carets.chars().position(|c| c == '^'));
        let wide = Diagnostic::at(place("日本\tx: \u{1b}[31m", 1, 4, 1), "x").render();
        assert!(wide.contains("| 日本 x:  [31m\n   |      ^\n"), "{wide}");
        assert!(Diagnostic::at(place("", 9, 9, 9), "x").render().contains("blog.yaml:9:9"));
    }
}
