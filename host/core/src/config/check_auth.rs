//! The rules for the `auth:` section beyond its types.

use super::check::Told;
use super::{Anonymous, Auth, IntrospectProvider, JwtAlgorithm, JwtProvider, Provider, SessionProvider};

/// A command that creates a long enough secret.
const MAKE_ONE: &str = "create one with `openssl rand -base64 48`";

/// Reports errors in values that were decoded.
pub(super) fn check(auth: &Auth, told: &mut Told<'_>) {
    for (index, origin) in auth.origins.iter().enumerate() {
        if origin != "*" && !is_origin(origin) {
            let message = format!("`{origin}` is not a valid origin");
            let hint = "an origin is a scheme, a host in lower case and an optional port: `https://app.example.com`; \
                        `https://*.example.com` is every host below that one";
            told.add(&format!("/auth/origins/{index}"), &message, Some(hint));
        }
    }
    for (index, name) in auth.cors_headers.iter().flatten().enumerate() {
        if !is_header(name) {
            let message = format!("`{name}` is not a valid header name");
            told.add(&format!("/auth/cors_headers/{index}"), &message, Some("like `traceparent`"));
        }
    }
    check_cookie(&auth.cookie, "/auth/cookie", told);
    for (index, provider) in auth.providers.iter().enumerate() {
        check_provider(provider, index, &auth.providers[..index], told);
    }
    // A refused provider is missing here, but its error must be fixed first.
    if auth.anonymous == Anonymous::Deny && auth.providers.is_empty() && told.is_empty() {
        let hint = "list a provider, or allow anonymous connections";
        told.add("/auth/anonymous", "nobody could connect: `anonymous: deny` without a provider", Some(hint));
    }
}

fn check_provider(provider: &Provider, index: usize, before: &[Provider], told: &mut Told<'_>) {
    let at = format!("/auth/providers/{index}");
    if before.iter().any(|other| matches!(other, Provider::Plugin(_))) {
        let hint = "put the `plugin` last";
        told.add(&at, "a provider after a `plugin` is never asked: the plugin decides on every credential", Some(hint));
    }
    match provider {
        Provider::Jwt(jwt) => {
            let at = format!("{at}/jwt");
            check_reached(jwt, before, &at, told);
            check_key(jwt, &at, told);
            for (key, claim) in [("user", &jwt.user), ("roles", &jwt.roles)] {
                if claim.is_empty() {
                    told.add(&format!("{at}/{key}"), &format!("`{key}` is empty, expected the name of a claim"), None);
                }
            }
        }
        Provider::Session(session) => check_session(session, &format!("{at}/session"), told),
        Provider::Introspect(introspect) => check_introspect(introspect, before, &format!("{at}/introspect"), told),
        Provider::Plugin(plugin) => {
            for (number, cookie) in plugin.cookies.iter().enumerate() {
                check_cookie(cookie, &format!("{at}/plugin/cookies/{number}"), told);
            }
        }
    }
}

/// Checks that any token reaches this provider.
fn check_reached(jwt: &JwtProvider, before: &[Provider], at: &str, told: &mut Told<'_>) {
    let jwts = || before.iter().filter_map(|other| if let Provider::Jwt(other) = other { Some(other) } else { None });
    if jwts().any(|other| other.iss.is_none()) {
        let hint = "give each of them the `iss` of its tokens";
        told.add(
            at,
            "this `jwt` provider is never asked: an earlier provider without `iss` decides on every JWT",
            Some(hint),
        );
    } else if jwt.iss.is_some() && jwts().any(|other| other.iss == jwt.iss) {
        let hint = "put the keys of one issuer into one `jwks`";
        told.add(at, "this `jwt` provider is never asked: an earlier provider has the same `iss`", Some(hint));
    }
}

/// Checks that there is exactly one key, with algorithms that work with it.
fn check_key(jwt: &JwtProvider, at: &str, told: &mut Told<'_>) {
    let keys =
        [("secret", jwt.secret.is_some()), ("public_key", jwt.public_key.is_some()), ("jwks", jwt.jwks.is_some())];
    let given: Vec<&str> = keys.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| key).collect();
    let key = match given.as_slice() {
        // An unreadable key was reported already.
        [] if keys.iter().any(|(key, _)| told.mistaken(&format!("{at}/{key}"))) => return,
        [] => {
            let hint = "use `secret` for HS256, HS384 and HS512; `public_key` or `jwks` for the others";
            return told.add(at, "a `jwt` provider needs one of `secret`, `public_key` and `jwks`", Some(hint));
        }
        [key] => *key,
        [.., last] => {
            let message = format!("`{}` are given, but only one of them can check tokens", given.join("` and `"));
            return told.add(&format!("{at}/{last}"), &message, Some("keep only one of them"));
        }
    };
    for algorithm in jwt.algorithm.as_slice() {
        let (name, is_shared) = (algorithm.as_str(), algorithm.secret_bytes_min().is_some());
        // If both were allowed, anybody with the public key could sign with it as a shared secret.
        if is_shared != (key == "secret") {
            let message = format!("`{name}` does not work with `{key}`");
            let hint = if is_shared {
                "name the algorithm that the issuer signs with, like `algorithm: RS256` or `algorithm: [RS256, ES256]`"
            } else {
                "a `secret` works with HS256, HS384 and HS512; this algorithm needs the issuer's `public_key` or `jwks`"
            };
            return told.add(&format!("{at}/algorithm"), &message, Some(hint));
        }
    }
    if let Some(secret) = &jwt.secret {
        check_secret(secret.expose().len(), jwt.algorithm.as_slice(), at, told);
    }
}

fn check_secret(bytes: usize, algorithms: &[JwtAlgorithm], at: &str, told: &mut Told<'_>) {
    let needs = algorithms.iter().filter_map(|algorithm| Some((algorithm.secret_bytes_min()?, algorithm.as_str())));
    if let Some((bytes_min, name)) = needs.max().filter(|(bytes_min, _)| bytes < *bytes_min) {
        let message = format!("the secret has {bytes} bytes, but {name} needs at least {bytes_min}");
        told.add(&format!("{at}/secret"), &message, Some(MAKE_ONE));
    }
}

fn check_session(session: &SessionProvider, at: &str, told: &mut Told<'_>) {
    check_cookie(&session.cookie, &format!("{at}/cookie"), told);
    if !session.query.contains("$1") {
        let hint = "like `select user_id, roles from sessions where token = $1`";
        told.add(&format!("{at}/query"), "the query does not ask for the session: it has no `$1`", Some(hint));
    }
}

fn check_introspect(introspect: &IntrospectProvider, before: &[Provider], at: &str, told: &mut Told<'_>) {
    for (number, cookie) in introspect.cookies.iter().enumerate() {
        check_cookie(cookie, &format!("{at}/cookies/{number}"), told);
    }
    if introspect.cookies.is_empty() && !introspect.bearer {
        let hint = "list `cookies`, or leave out `bearer`";
        told.add(at, "nothing is forwarded: no `cookies`, and `bearer: false`", Some(hint));
    }
    let pointers =
        [("user", Some(&introspect.user)), ("roles", Some(&introspect.roles)), ("tenant", introspect.tenant.as_ref())];
    for (key, pointer) in pointers {
        if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
            let message = format!("`{key}` is not a valid JSON Pointer");
            told.add(&format!("{at}/{key}"), &message, Some("it must begin with `/`, like `/data/id`"));
        }
    }
    // It decides on every token and on each of its cookies.
    let decided = |other: &Provider| match other {
        Provider::Introspect(other) => other.bearer && introspect.bearer,
        _ => false,
    };
    if before.iter().any(decided) {
        let hint = "set `bearer: false` for one of them";
        told.add(at, "a second `introspect` provider is never asked about tokens: the first decides", Some(hint));
    }
}

fn check_cookie(name: &str, at: &str, told: &mut Told<'_>) {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"=;,\"\\".contains(&b));
    if !fits {
        told.add(at, &format!("`{name}` is not a valid cookie name"), None);
    }
}

/// RFC 9110 §5.6.2.
fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// An origin in the form of browsers, RFC 6454 §6.2; or every host below one, but not below a whole country's domain.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let host = match host.strip_prefix("*.") {
        Some(above) if is_shared(above) => return false,
        Some(above) => above,
        None => host,
    };
    let scheme_fits =
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase() || b"+-.0123456789".contains(&b));
    let host_fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    scheme_fits && !host.is_empty() && host.bytes().all(host_fits)
}

/// Whether a host belongs to many owners, like `com`, or is an address.
fn is_shared(host: &str) -> bool {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_one_label = !name.trim_matches('.').contains('.') && name != "localhost";
    is_one_label || name.starts_with('.') || last.is_empty() || last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

    /// The mistakes of an `auth:` section, without their places.
    fn mistakes(auth: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tidegate.yaml");
        std::fs::write(&file, format!("auth:\n  {}\n", auth.replace("SECRET", SECRET))).unwrap();
        let told = Config::load(Some(&file), [], &[]).err().unwrap_or_default();
        assert!(told.iter().all(|told| told.place.is_some()), "{told:?}");
        told.into_iter().map(|told| told.message).collect()
    }

    #[test]
    fn a_token_is_checked_with_exactly_one_key_that_goes_with_its_algorithm() {
        for (jwt, expected) in [
            ("{}", "a `jwt` provider needs one of `secret`, `public_key` and `jwks`"),
            ("{ algorithm: RS256, public_key: a.pem, jwks: keys.json }", "`public_key` and `jwks` are given"),
            ("{ secret: SECRET, jwks: keys.json }", "`secret` and `jwks` are given"),
            ("{ jwks: keys.json }", "`HS256` does not work with `jwks`"),
            ("{ algorithm: [RS256, HS256], public_key: a.pem }", "`HS256` does not work with `public_key`"),
            ("{ algorithm: ES256, secret: SECRET }", "`ES256` does not work with `secret`"),
            ("{ algorithm: [HS256, HS512], secret: SECRET }", "the secret has 36 bytes, but HS512 needs at least 64"),
            ("{ algorithm: none, secret: SECRET }", "found `none`"),
            ("{ algorithm: [], secret: SECRET }", "found an empty list"),
            ("{ algorithm: RS256, jwks: 'ftp://a/keys' }", "it is not a valid `http` or `https` URL"),
            ("{ algorithm: RS256, jwks: 'https://u:p@a/keys' }", "a user name or a password"),
            ("{ algorithm: RS256, public_key: '-----BEGIN PRIVATE KEY-----' }", "found a private key"),
            ("{ algorithm: RS256, jwks: 'https://a/keys', refresh: 0s }", "expected more than 0 s"),
        ] {
            let told = mistakes(&format!("providers: [jwt: {jwt}]"));
            assert!(told.len() == 1 && told[0].contains(expected), "{jwt}: {told:#?}");
        }
        for good in ["{ algorithm: RS256, jwks: keys.json }", "{ algorithm: [ES256, EdDSA], jwks: 'https://a/keys' }"] {
            assert_eq!(mistakes(&format!("providers: [jwt: {good}]")), [""; 0], "{good}");
        }
    }

    #[test]
    fn a_provider_that_is_never_asked_or_forwards_nothing_is_a_mistake() {
        for (auth, expected) in [
            (
                "providers: [jwt: { secret: SECRET }, jwt: { secret: SECRET, iss: a }]",
                "is never asked: an earlier provider without `iss`",
            ),
            (
                "providers: [jwt: { secret: SECRET, iss: a }, jwt: { secret: SECRET, iss: a }]",
                "an earlier provider has the same `iss`",
            ),
            (
                "providers: [introspect: { url: 'http://a' }, introspect: { url: 'http://b' }]",
                "is never asked about tokens",
            ),
            ("providers: [introspect: { url: 'http://a', bearer: false, cookies: [] }]", "nothing is forwarded"),
            ("providers: [introspect: { url: 'http://a', user: id }]", "`user` is not a valid JSON Pointer"),
            ("providers: [introspect: { url: 'http://a', cookies: ['a b'] }]", "`a b` is not a valid cookie name"),
            ("providers: [session: { cookie: 'a;b', query: 'select $1' }]", "`a;b` is not a valid cookie name"),
            ("providers: [session: { cookie: a, query: 'select 1' }]", "it has no `$1`"),
            (
                "providers: [plugin: { name: p }, session: { cookie: a, query: 'select $1' }]",
                "a provider after a `plugin` is never asked",
            ),
            ("trusted_proxies: [10.0.0.1/8]", "found `10.0.0.1/8`"),
            ("cors_headers: ['trace parent']", "`trace parent` is not a valid header name"),
            ("origins: ['https://*.com']", "`https://*.com` is not a valid origin"),
            ("origins: ['https://*.127.0.0.1']", "is not a valid origin"),
            ("origins: ['https://*']", "is not a valid origin"),
            ("origins: ['https://*.*.example.com']", "is not a valid origin"),
            ("origins: ['https://a.*.example.com']", "is not a valid origin"),
            ("origins: ['*.example.com']", "is not a valid origin"),
            ("forwarded_header: x-real-ip", "found `x-real-ip`"),
        ] {
            let told = mistakes(auth);
            assert!(told.len() == 1 && told[0].contains(expected), "{auth}: {told:#?}");
        }
        let several = "providers: [jwt: { secret: SECRET, iss: a }, jwt: { secret: SECRET, iss: b }, jwt: { secret: SECRET }, \
                       session: { cookie: a, query: 'select $1' }, introspect: { url: 'http://a' }, plugin: { name: p }]";
        assert_eq!(mistakes(several), [""; 0]);
        let pages = "origins: ['https://*.example.com', 'http://*.example.com:8080', 'http://*.localhost:3000', '*']";
        assert_eq!(mistakes(pages), [""; 0]);
    }
}
