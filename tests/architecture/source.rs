//! A Rust file as its tokens, with the few questions the rules ask.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A Rust file, by its path from the root, with its tokens; comments are gone and groups are opened up.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    /// The path below `host/` without `src/`, for a file of the host: `core/flow/rate.rs`.
    pub(crate) fn in_host(&self) -> Option<String> {
        let (of_crate, below) = self.in_crate()?;
        Some(format!("{of_crate}/{below}"))
    }

    fn in_crate(&self) -> Option<(&str, &str)> {
        self.path.strip_prefix("host/")?.split_once("/src/")
    }

    /// The crate and its module that the file belongs to: `core` and `flow` for `host/core/src/flow/rate.rs`.
    pub(crate) fn floor(&self) -> Option<(&str, &str)> {
        let (of_crate, below) = self.in_crate()?;
        let module = below.split_once('/').map_or_else(|| below.trim_end_matches(".rs"), |(module, _)| module);
        Some((of_crate, module))
    }

    /// How many `super` lead from the file to the crate's root.
    pub(crate) fn depth(&self) -> usize {
        let below = self.in_crate().map_or("", |(_, below)| below);
        let own_name = !matches!(below.rsplit('/').next(), Some("mod.rs" | "lib.rs" | "main.rs"));
        below.matches('/').count() + usize::from(own_name)
    }

    /// Whether these texts stand at this position.
    pub(crate) fn at(&self, position: usize, texts: &[&str]) -> bool {
        let here = self.tokens.get(position..).unwrap_or_default();
        here.len() >= texts.len() && here.iter().zip(texts).all(|(token, text)| token.text == *text)
    }

    pub(crate) fn text_at(&self, position: usize) -> &str {
        self.tokens.get(position).map_or("", |token| &token.text)
    }

    /// Whether a path begins here, rather than going on: `x` of `x::y` and of `::x::y`, not of `y::x`.
    pub(crate) fn begins_a_path(&self, position: usize) -> bool {
        let before = |distance| position.checked_sub(distance).map_or("", |position| self.text_at(position));
        let is_name = |text: &str| text == ">" || text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        match before(1) {
            "::" => !is_name(before(2)),
            "." | "mod" | "fn" => false,
            _ => true,
        }
    }

    /// The position of the bracket that closes the one at `open`.
    pub(crate) fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (position, token) in self.tokens.iter().enumerate().skip(open) {
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return position;
            }
        }
        self.tokens.len()
    }

    /// The same file without its `#[cfg(test)]` items.
    pub(crate) fn without_tests(&self) -> Self {
        let mut tokens = Vec::new();
        let mut position = 0;
        while position < self.tokens.len() {
            if self.at(position, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                position = self.end_of_item(position);
            } else {
                tokens.push(self.tokens[position].clone());
                position += 1;
            }
        }
        Self { path: self.path.clone(), text: self.text.clone(), tokens }
    }

    pub(crate) fn end_of_item(&self, mut position: usize) -> usize {
        while position < self.tokens.len() {
            match self.text_at(position) {
                ";" => return position + 1,
                "{" => return self.closing(position) + 1,
                "(" | "[" => position = self.closing(position) + 1,
                _ => position += 1,
            }
        }
        position
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let mut push = |text: &str, line| tokens.push(Token { text: text.to_owned(), line });
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open, line);
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
            TokenTree::Punct(first) if first.as_char() == ':' && first.spacing() == Spacing::Joint => {
                trees.next();
                push("::", line);
            }
            // A literal is no name, whatever stands in it.
            TokenTree::Literal(_) => push("\"\"", line),
            other => push(&other.to_string(), line),
        }
    }
}
