//! The `auth:` section: gate 1 and its providers, but for `jwt`, which is long enough for a file of its own.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{HumanDuration, JwtProvider, Network, Place, WebUrl};

/// In a list of cookies: all cookies.
pub const EVERY_COOKIE: &str = "*";

/// The `auth:` section: gate 1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Whether a connection without a credential is accepted. Default `allow`: it can then join public channels only.
    pub anonymous: Anonymous,
    /// Pages of other origins that may connect: `https://app.example.com`; `https://*.example.com` for every host below
    /// `example.com`, at any depth; or `*` for any page that does not send its credential as a cookie. Default: only
    /// pages of the server's own origin.
    pub origins: Vec<String>,
    /// Request headers that pages of `origins` may send when they poll or read, in addition to `authorization`,
    /// `content-type` and `last-event-id`. Default: every header that the browser asks for, because pages with tracing need it.
    pub cors_headers: Option<Vec<String>>,
    /// The cookie that may hold the credential. Default `tidegate_token`.
    pub cookie: String,
    /// The identity providers, asked in order. The first provider that recognises the credential decides. Default:
    /// none.
    pub providers: Vec<Provider>,
    /// How long before its credential expires a session receives `expiring`; at half the credential's lifetime if that
    /// is shorter. Default 1 min; with 0 s no session receives it.
    pub expiring_ahead: HumanDuration,
    /// How long the server refuses a revoked credential. Set it to at least the lifetime of your longest-lived token.
    /// Default 30 days.
    pub revocations_kept: HumanDuration,
    /// How often the server re-authorizes a held subscription whose authorizer grants no time (`ttl-ms`), and how often
    /// it checks the row of a session of the `session` provider again. Default 5 min; 0 s: never.
    pub recheck: HumanDuration,
    /// How long the server keeps a held subscription while its authorizer cannot decide, for example because its
    /// database is away. The server keeps asking. Default 1 h; 0 s ends the subscription at once.
    pub recheck_grace: HumanDuration,
    /// The proxies in front of this server: addresses and networks. The server believes what they report about the
    /// client's address, for `limits.failed_connects`, and about the requested host, for the origin of the page.
    /// Default: none.
    pub trusted_proxies: Vec<Network>,
    /// The header field in which the trusted proxies report it: `x-forwarded-for`, with the host in `x-forwarded-host`;
    /// or `forwarded`, with both. The proxies must set the field themselves and overwrite what a client sent. Default
    /// `x-forwarded-for`.
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

impl Auth {
    /// The cookies that are named as the place of a credential, each once.
    #[must_use]
    pub fn cookies(&self) -> Vec<&str> {
        let mut cookies = vec![self.cookie.as_str()];
        for provider in &self.providers {
            let named: &[String] = match provider {
                Provider::Jwt(_) => &[],
                Provider::Session(session) => std::slice::from_ref(&session.cookie),
                Provider::Introspect(introspect) => &introspect.cookies[..],
                Provider::Plugin(plugin) => &plugin.cookies[..],
            };
            for cookie in named.iter().filter(|cookie| *cookie != EVERY_COOKIE) {
                if !cookies.contains(&cookie.as_str()) {
                    cookies.push(cookie);
                }
            }
        }
        cookies
    }
}

/// Whether a connection without a credential is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// Accepted, without a user.
    #[default]
    Allow,
    /// Refused with `unauthenticated`.
    Deny,
}

/// The header field in which a proxy reports the client that it forwards for.
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
    /// The sessions of a web application, read from the store.
    Session(SessionProvider),
    /// A web application that the server asks who the user is.
    Introspect(IntrospectProvider),
    /// An authorizer plugin.
    Plugin(PluginProvider),
}

/// An authorizer plugin that identifies users: the server asks it with the action `connect`. It decides on every
/// credential that no earlier provider recognised, so it must be the last provider.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginProvider {
    /// The name of the plugin's directory.
    pub name: String,
    /// Cookies that the plugin receives in addition to `auth.cookie` if the client sent no token. Default: none.
    #[serde(default)]
    pub cookies: Vec<String>,
    /// Where the configuration names the plugin, for the error when there is no such plugin.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl fmt::Debug for PluginProvider {
    /// Leaves out the text of the file that the place is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, cookies, place: _ } = self;
        f.debug_struct("PluginProvider").field("name", name).field("cookies", cookies).finish_non_exhaustive()
    }
}

/// The sessions of a web application: a query finds the value of a cookie in the store. The server never takes the
/// value from a URL, and takes it from `auth.token` or a bearer token only with `token: true`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionProvider {
    /// The cookie that holds the session's id.
    pub cookie: String,
    /// The SQL query for a session; `$1` is the session's id. No row means that there is no such session. Columns of
    /// the row: `user_id` and, all optional, `roles` (a list, a JSON list as text, or a text separated by spaces or
    /// commas), `tenant`, `created_at` and `expires_at` (both in seconds since the Unix epoch, or a `timestamptz`).
    pub query: String,
    /// How long a session may be without activity of its user before it ends. Default 30 min; `0s`: no limit.
    #[serde(default = "half_an_hour")]
    pub idle: HumanDuration,
    /// The longest lifetime of a session, counted from `created_at`, or from the first time this server saw the session
    /// if the query has no such column. Default 12 h; `0s`: no limit.
    #[serde(default = "half_a_day")]
    pub absolute: HumanDuration,
    /// Whether clients may also send the session's id as `auth.token`, as a bearer token and with `authenticate`, as
    /// apps without cookies do. Default `false`.
    #[serde(default)]
    pub token: bool,
    /// How often the server writes activity back to the store. Default 10 s.
    #[serde(default = "ten_seconds", deserialize_with = "some_time")]
    pub write_back: HumanDuration,
    /// How long the store may take to answer; after that the server refuses new connections with `unavailable`. Default
    /// 2 s.
    #[serde(default = "two_seconds", deserialize_with = "some_time")]
    pub timeout: HumanDuration,
    /// Where the query stands, for the error when the database does not understand it.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl fmt::Debug for SessionProvider {
    /// Leaves out the text of the file that the place is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionProvider")
            .field("cookie", &self.cookie)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// A web application that the server asks who the user is: its own endpoint about the logged-in user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectProvider {
    /// The URL that the server requests with `GET`. It may be on a private network. The server follows no redirects.
    #[schemars(with = "String")]
    pub url: WebUrl,
    /// The cookies that the server forwards; it forwards no others. Default `["*"]`: all cookies.
    #[serde(default = "every_cookie")]
    pub cookies: Vec<String>,
    /// Whether the server forwards a token (`auth.token`, a bearer token, `auth.cookie`, or the token of
    /// `authenticate`) as `Authorization: Bearer`. Default `true`.
    #[serde(default = "yes")]
    pub bearer: bool,
    /// Where the answer holds the user's id: a JSON Pointer. Default `/id`.
    #[serde(default = "id")]
    pub user: String,
    /// Where the answer holds the roles: a list of texts, or one text separated by spaces or commas. Default `/roles`.
    #[serde(default = "roles")]
    pub roles: String,
    /// Where the answer holds the tenant. Default: nowhere.
    #[serde(default)]
    pub tenant: Option<String>,
    /// How long the server reuses an answer for other connections with the same credential. Default 30 s; `0s`: never.
    #[serde(default = "thirty_seconds")]
    pub cache: HumanDuration,
    /// The most answers in the cache; when it is full, the oldest answers are dropped. Default 10,000.
    #[serde(default = "ten_thousand")]
    pub cache_entries: usize,
    /// How long the whole answer may take; after that the server refuses new connections with `unavailable`. Default 2
    /// s.
    #[serde(default = "two_seconds", deserialize_with = "some_time")]
    pub timeout: HumanDuration,
    /// How long an accepted connection may stay open before it must show its credential again. Default: no limit.
    #[serde(default)]
    pub lifetime: Option<HumanDuration>,
}

/// A time span longer than zero.
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
    vec![EVERY_COOKIE.to_owned()]
}

fn id() -> String {
    "/id".to_owned()
}

fn roles() -> String {
    "/roles".to_owned()
}
