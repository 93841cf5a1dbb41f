//! The `auth:` section: gate 1 and its providers, but for `jwt`, which is long enough for a file of its own.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{HumanDuration, JwtProvider, Network, Place, WebUrl};

/// The `auth:` section: gate 1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether a connection without a credential is let in. Default `allow`: it still reaches public channels only.
    pub anonymous: Anonymous,
    /// Who may connect from a browser page of another origin: `https://app.example.com`, `https://*.example.com` for
    /// every host below `example.com` at any depth, or `*` for any page that brings its credential other than by cookie.
    /// Default: same origin only.
    pub origins: Vec<String>,
    /// The headers that pages of `origins` may send along when they poll, besides `authorization` and `content-type`.
    /// Default: whatever the page's browser asks for, as pages with tracing need it.
    pub cors_headers: Option<Vec<String>>,
    /// The cookie that may hold the credential. Default `tidegate_token`.
    pub cookie: String,
    /// Asked in order; the first that recognises the credential decides. Default: none.
    pub providers: Vec<Provider>,
    /// How long before its credential ends a session is told (`expiring`); at half the credential's time when that is
    /// less. Default 1 min; 0 s tells nobody.
    pub expiring_ahead: HumanDuration,
    /// How long a revoked credential stays refused: at least as long as your longest-lived token is good. Default 30 days.
    pub revocations_kept: HumanDuration,
    /// How often a held subscription is asked about again whose authorizer grants no time, and the row of a `session`
    /// provider's session is looked at again. Default 5 min; 0 s never.
    pub recheck: HumanDuration,
    /// How long a held subscription is kept whose authorizer, asked again, cannot tell: its database is away, for one. It is
    /// asked again all the time. Default 1 h; 0 s ends it at once.
    pub recheck_grace: HumanDuration,
    /// The proxies in front of this server, addresses and networks: whose word is believed about the address a client
    /// comes from, for `limits.failed_connects`, and about the host that it asked for, for the origin of its page.
    /// Default: none.
    pub trusted_proxies: Vec<Network>,
    /// The header field in which they say it: `x-forwarded-for`, with the host in `x-forwarded-host`, or `forwarded`,
    /// with both. They must set it themselves, whatever a client sent. Default `x-forwarded-for`.
    pub forwarded_header: ForwardedHeader,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            anonymous: Anonymous::default(),
            origins: Vec::new(),
            cors_headers: None,
            cookie: "tidegate_token".to_owned(),
            providers: Vec::new(),
            expiring_ahead: HumanDuration::new(Duration::from_secs(60)),
            revocations_kept: HumanDuration::new(Duration::from_secs(30 * 24 * 60 * 60)),
            recheck: HumanDuration::new(Duration::from_secs(5 * 60)),
            recheck_grace: HumanDuration::new(Duration::from_secs(60 * 60)),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
        }
    }
}

/// Whether a connection without a credential is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// Let in, without a user.
    #[default]
    Allow,
    /// Refused, `unauthenticated`.
    Deny,
}

/// Where a proxy says whom it speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: client, proxy, …`, and `X-Forwarded-Host: host`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client;host=host, for=proxy, …` (RFC 7239).
    Forwarded,
}

/// One way to recognise a credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// JSON Web Tokens.
    Jwt(Box<JwtProvider>),
    /// The sessions of a web application, in the store.
    Session(SessionProvider),
    /// A web application that is asked whose a credential is.
    Introspect(IntrospectProvider),
    /// A plugin that is an authorizer.
    Plugin(PluginProvider),
}

/// A plugin that says whose a credential is: an authorizer, asked with the action `connect`. It decides on every
/// credential that no provider before it recognised, so it stands last.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginProvider {
    /// The plugin: its directory's name.
    pub name: String,
    /// Cookies it is shown besides `auth.cookie`, where the client gave no token. Default: none.
    #[serde(default)]
    pub cookies: Vec<String>,
    /// Where the plugin is named, for whoever finds that it is not there.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl fmt::Debug for PluginProvider {
    /// Without the text of the file that the place is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, cookies, place: _ } = self;
        f.debug_struct("PluginProvider").field("name", name).field("cookies", cookies).finish_non_exhaustive()
    }
}

/// The sessions of a web application: a cookie whose value a query finds in the store. The value is looked for nowhere
/// else: not in a URL, and in `auth.token` or a bearer token only with `token`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionProvider {
    /// The cookie that holds the session's id.
    pub cookie: String,
    /// The question to the store; `$1` is the session's id. No row: there is no such session. The row's columns:
    /// `user_id`; and where there are such, `roles` (a list, a JSON list as text, or a text separated by spaces or
    /// commas), `tenant`, `created_at` and `expires_at` (both in seconds since the Unix epoch, or a `timestamptz`).
    pub query: String,
    /// How long a session may go without anything from its user; then it ends. Default 30 min, `0s` for ever.
    #[serde(default = "half_an_hour")]
    pub idle: HumanDuration,
    /// How long a session lasts at most, from `created_at`, or from when it was first seen here where the query has no
    /// such column. Default 12 h, `0s` for ever.
    #[serde(default = "half_a_day")]
    pub absolute: HumanDuration,
    /// Whether the session's id is also taken as `auth.token`, from a bearer token and from `authenticate`, as apps
    /// without cookies send it. Default `false`.
    #[serde(default)]
    pub token: bool,
    /// How often activity is written back to the store. Default 10 s.
    #[serde(default = "ten_seconds", deserialize_with = "some_time")]
    pub write_back: HumanDuration,
    /// How long the store may take to answer; then new connections are refused `unavailable`. Default 2 s.
    #[serde(default = "two_seconds", deserialize_with = "some_time")]
    pub timeout: HumanDuration,
    /// Where it stands, for whoever finds that the database does not understand the query.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl fmt::Debug for SessionProvider {
    /// Without the text of the file that the place is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionProvider")
            .field("cookie", &self.cookie)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// A web application that is asked whose a credential is: its own page about the user that is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectProvider {
    /// What is asked, with `GET`. May be on a private network. No redirect is followed.
    #[schemars(with = "String")]
    pub url: WebUrl,
    /// The cookies that are sent along, and no others. Default `["*"]`: all there are.
    #[serde(default = "every_cookie")]
    pub cookies: Vec<String>,
    /// Whether a token (`auth.token`, a bearer token, `auth.cookie` or the one of `authenticate`) is sent along, as
    /// `Authorization: Bearer`. Default `true`.
    #[serde(default = "yes")]
    pub bearer: bool,
    /// Where the user's id is in the answer, a JSON Pointer. Default `/id`.
    #[serde(default = "id")]
    pub user: String,
    /// Where the roles are: a list of texts, or one text separated by spaces or commas. Default `/roles`.
    #[serde(default = "roles")]
    pub roles: String,
    /// Where the tenant is. Default: nowhere.
    #[serde(default)]
    pub tenant: Option<String>,
    /// How long an answer is good for other connections with the same credential. Default 30 s; `0s` keeps none.
    #[serde(default = "thirty_seconds")]
    pub cache: HumanDuration,
    /// Answers kept; those kept for longest give way. Default 10,000.
    #[serde(default = "ten_thousand")]
    pub cache_entries: usize,
    /// How long the whole answer may take; then new connections are refused `unavailable`. Default 2 s.
    #[serde(default = "two_seconds", deserialize_with = "some_time")]
    pub timeout: HumanDuration,
    /// How long a connection that was let in may stay until it must show its credential again. Default: for ever.
    #[serde(default)]
    pub lifetime: Option<HumanDuration>,
}

/// A time that is not nothing.
pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
    let time = HumanDuration::deserialize(deserializer)?;
    if time.get().is_zero() { Err(serde::de::Error::custom("expected more than 0 s")) } else { Ok(time) }
}

const fn half_an_hour() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(30 * 60))
}

const fn half_a_day() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(12 * 60 * 60))
}

const fn ten_seconds() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(10))
}

const fn two_seconds() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(2))
}

const fn thirty_seconds() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(30))
}

const fn ten_thousand() -> usize {
    10_000
}

const fn yes() -> bool {
    true
}

fn every_cookie() -> Vec<String> {
    vec!["*".to_owned()]
}

fn id() -> String {
    "/id".to_owned()
}

fn roles() -> String {
    "/roles".to_owned()
}
