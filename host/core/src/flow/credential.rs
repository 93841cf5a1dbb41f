//! What a client presents at gate 1, and which part of it is the credential.

use serde_json::{Map, Value, json};

use crate::config::EVERY_COOKIE;
use crate::protocol::Payload;

/// What a client presents: the places that may hold a credential, and the origin of its page.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// `auth.token` of the Socket.IO handshake.
    pub token: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Cookie` header.
    pub cookie: Option<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The `Host` header.
    pub host: Option<String>,
    /// The `Sec-Fetch-Site` header.
    pub fetch_site: Option<String>,
    /// Nobody connects with it: somebody asks what the server would answer.
    pub is_question: bool,
}

/// The credential of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// A token that the client gave.
    Token(&'a str),
    /// A token that somebody asks about.
    Question(&'a str),
    /// Cookies (names and values). A browser sends them by itself, whichever page made the request.
    Cookies(Vec<(&'a str, &'a str)>),
    /// A browser sent several cookies with this name and different values.
    Ambiguous(&'a str),
}

/// What a connection was opened with. It is kept for the whole connection, to check the credential again or to renew
/// it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Brought {
    token: Option<String>,
    cookies: Vec<(String, String)>,
}

impl std::fmt::Debug for Brought {
    /// Hides all of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brought").finish_non_exhaustive()
    }
}

impl Brought {
    /// The credential that this was.
    pub(super) fn credential(&self) -> Credential<'_> {
        match &self.token {
            Some(token) => Credential::Token(token),
            None => Credential::Cookies(self.cookies.iter().map(|(name, value)| (&**name, &**value)).collect()),
        }
    }
}

/// The part of a credential that a provider receives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown<'a> {
    /// The token: from the client, or the value of `auth.cookie`.
    pub token: Option<&'a str>,
    /// Names and values of the cookies that the provider asked for; none if the client gave a token.
    pub cookies: Vec<(&'a str, &'a str)>,
    /// Whether a browser sent all of this by itself, whichever page made the request.
    pub is_ambient: bool,
    /// Whether somebody asks about it, and nobody uses it.
    pub is_question: bool,
}

impl<'a> Shown<'a> {
    /// A token that the client gave, and nothing else.
    #[must_use]
    pub const fn token(token: &'a str) -> Self {
        Self { token: Some(token), cookies: Vec::new(), is_ambient: false, is_question: false }
    }
}

impl Handshake {
    /// Whether this may contain a credential.
    #[must_use]
    pub const fn has_credential(&self) -> bool {
        self.token.is_some() || self.authorization.is_some() || self.cookie.is_some()
    }

    /// Finds the credential: `auth.token`, else a bearer token, else the cookies of these names. An empty value counts
    /// as missing. Several cookies with the same name must have the same value: a page of a neighbouring host can set a
    /// cookie that comes before or after the real one (RFC 6265 §8.6), and the order does not say which is real. With
    /// [`EVERY_COOKIE`] all other cookies come along unchecked.
    pub(super) fn credential<'a>(&'a self, cookies: &[&'a str]) -> Option<Credential<'a>> {
        let token = self.token.as_deref().filter(|token| !token.is_empty());
        if let Some(text) = token.or_else(|| bearer(self.authorization.as_deref()?)) {
            return Some(if self.is_question { Credential::Question(text) } else { Credential::Token(text) });
        }
        let header = self.cookie.as_deref()?;
        let takes_every = cookies.contains(&EVERY_COOKIE);
        let mut found: Vec<(&str, &str)> = Vec::new();
        for (name, value) in pairs(header) {
            if !cookies.contains(&name) {
                found.extend(takes_every.then_some((name, value)));
                continue;
            }
            match found.iter().find(|(other, _)| *other == name) {
                None => found.push((name, value)),
                Some((_, other)) if *other == value => {}
                Some(_) => return Some(Credential::Ambiguous(cookies.iter().find(|wanted| **wanted == name)?)),
            }
        }
        found.sort_by_key(|(name, _)| cookies.iter().position(|wanted| wanted == name));
        (!found.is_empty()).then_some(Credential::Cookies(found))
    }
}

impl Credential<'_> {
    /// Copies what was presented, to keep it.
    pub(super) fn brought(&self) -> Brought {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        match self {
            Self::Token(token) | Self::Question(token) => {
                Brought { token: Some((*token).to_owned()), cookies: Vec::new() }
            }
            Self::Cookies(found) => Brought { token: None, cookies: found.iter().map(owned).collect() },
            Self::Ambiguous(_) => Brought { token: None, cookies: Vec::new() },
        }
    }

    /// Whether any page could have made the browser send it.
    pub(super) const fn is_ambient(&self) -> bool {
        matches!(self, Self::Cookies(_) | Self::Ambiguous(_))
    }

    /// Whether it consists of cookies that merely happen to exist: none of them is named.
    pub(super) fn is_incidental(&self, cookies: &[&str]) -> bool {
        matches!(self, Self::Cookies(found) if !found.iter().any(|(name, _)| cookies.contains(name)))
    }

    /// The part for a provider that asks for these cookies in addition to the token's cookie; `None` if there is
    /// nothing for it.
    pub(super) fn shown_to(&self, cookie: &str, wanted: &[String]) -> Option<Shown<'_>> {
        match self {
            Self::Token(text) => Some(Shown::token(text)),
            Self::Question(text) => Some(Shown { is_question: true, ..Shown::token(text) }),
            Self::Cookies(found) => {
                let token = found.iter().find(|(name, _)| *name == cookie).map(|(_, value)| *value);
                let named = found
                    .iter()
                    .filter(|(name, _)| wanted.iter().any(|wanted| wanted == name || wanted == EVERY_COOKIE));
                let cookies: Vec<_> = named.copied().collect();
                let shown = Shown { token, cookies, is_ambient: true, is_question: false };
                (token.is_some() || !shown.cookies.is_empty()).then_some(shown)
            }
            Self::Ambiguous(_) => None,
        }
    }

    /// The form for plugins: `{"token": "…"}`, or the existing ones of these cookies, `{"cookies": {"sid": "…"}}`.
    pub(super) fn shown(&self, cookies: &[&str]) -> Option<Payload> {
        let shown = match self {
            Self::Token(text) | Self::Question(text) => json!({ "token": text }),
            Self::Cookies(found) => {
                let listed = found.iter().filter(|(name, _)| cookies.contains(name));
                let listed: Map<_, _> = listed.map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
                if listed.is_empty() {
                    return None;
                }
                json!({ "cookies": listed })
            }
            Self::Ambiguous(_) => return None,
        };
        Some(Payload::from(shown))
    }
}

/// The cookies with a value.
fn pairs(header: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = header.split(';').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim(), unquoted(value.trim()))).filter(|(_, value)| !value.is_empty())
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// RFC 6265, 4.1.1: a cookie's value may stand in double quotes.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_shown_the_token_or_the_cookies_it_lists_and_nothing_else() {
        let shown = |handshake: &Handshake, names: &[&str]| {
            let credential = handshake.credential(&["sid", "device"])?;
            credential.shown(names).map(|payload| payload.as_str().to_owned())
        };
        let cookies = Handshake { cookie: Some("sid=s; other=o; device=\"d\"".to_owned()), ..Handshake::default() };
        assert_eq!(shown(&cookies, &["sid", "device"]).unwrap(), r#"{"cookies":{"sid":"s","device":"d"}}"#);
        assert_eq!(shown(&cookies, &["device"]).unwrap(), r#"{"cookies":{"device":"d"}}"#);
        assert_eq!(shown(&cookies, &["other"]), None);
        let token = Handshake { token: Some("\"t".to_owned()), ..cookies };
        assert_eq!(shown(&token, &["sid"]).unwrap(), r#"{"token":"\"t"}"#);
    }

    #[test]
    fn who_asks_for_every_cookie_sees_them_as_they_came_and_a_named_one_is_still_one() {
        let header = |text: &str| Handshake { cookie: Some(text.to_owned()), ..Handshake::default() };
        let (every, names) = ([EVERY_COOKIE.to_owned()], ["sid", EVERY_COOKIE]);
        let handshake = header("b=1; a=2; b=3");
        let credential = handshake.credential(&names).unwrap();
        assert_eq!(credential.shown_to("sid", &every).unwrap().cookies, [("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(credential.shown_to("sid", &[]), None);
        assert!(credential.is_incidental(&names));
        assert!(!header("b=1; sid=2").credential(&names).unwrap().is_incidental(&names));
        assert_eq!(header("sid=1; sid=2").credential(&names), Some(Credential::Ambiguous("sid")));
    }
}
