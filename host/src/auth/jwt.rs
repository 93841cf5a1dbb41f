//! JSON Web Tokens (RFC 7519) signed with a shared secret. The only home of `jsonwebtoken`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value, json};

use super::claims;
use crate::config::{JwtAlgorithm, JwtProvider};
use crate::flow::ports::{Clock, Identity, Provider};
use crate::protocol::{Code, User};

/// Longest token looked at, in bytes. Tokens travel in headers, which no server takes much longer.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Recognises JWTs of one issuer.
pub struct Jwt {
    provider: JwtProvider,
    key: DecodingKey,
    validation: Validation,
    clock: Arc<dyn Clock>,
}

/// Why a token is refused: the code for the client, the reason for the log.
struct Refused(Code, String);

impl Jwt {
    /// A provider that judges times by `clock`.
    #[must_use]
    pub fn new(provider: JwtProvider, clock: Arc<dyn Clock>) -> Self {
        let key = DecodingKey::from_secret(provider.secret.expose().as_bytes());
        let mut validation = Validation::new(algorithm(provider.algorithm));
        // Times are judged here, by the port's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        // The library judges `iss` and `aud` only where they are present, unless they are required as well.
        let required = [("iss", provider.iss.is_some()), ("aud", provider.aud.is_some())];
        validation.required_spec_claims =
            required.into_iter().filter(|(_, wanted)| *wanted).map(|(claim, _)| claim.to_owned()).collect();
        validation.iss = provider.iss.clone().map(|iss| HashSet::from([iss]));
        validation.aud = provider.aud.clone().map(|aud| HashSet::from([aud]));
        Self { provider, key, validation, clock }
    }

    fn verify(&self, token: &str) -> Result<User, Refused> {
        let data = jsonwebtoken::decode::<Value>(token, &self.key, &self.validation)
            .map_err(|error| Refused(Code::Unauthenticated, reason(error.kind())))?;
        // RFC 7515 §4.1.11: an extension that must be understood and is not.
        if data.header.crit.is_some() {
            return Err(Refused(Code::Unauthenticated, "it has critical extensions".to_owned()));
        }
        let now_unix_s = self.clock.now_unix_s();
        let leeway_s = self.provider.leeway.map_or(0, |leeway| leeway.get().as_secs());
        let unusable = |reason| Refused(Code::Unauthenticated, reason);
        if time(&data.claims, "nbf").map_err(unusable)?.is_some_and(|nbf| now_unix_s.saturating_add(leeway_s) < nbf) {
            return Err(unusable("it is not valid yet".to_owned()));
        }
        let ends_at = time(&data.claims, "exp").map_err(unusable)?.map(|exp| exp.saturating_add(leeway_s));
        let user = claims::user(&self.provider, &data.claims, ends_at).map_err(unusable)?;
        if user.is_expired(now_unix_s) {
            return Err(Refused(Code::TokenExpired, "it has expired".to_owned()));
        }
        Ok(user)
    }
}

#[async_trait]
impl Provider for Jwt {
    async fn identify(&self, credential: &str) -> Identity {
        if credential.len() > TOKEN_BYTES_MAX {
            tracing::debug!(bytes = credential.len(), "credential refused: it is too long");
            return Identity::Refused(Code::Unauthenticated);
        }
        if !is_jwt(credential) {
            return Identity::NotMine;
        }
        match self.verify(credential) {
            Ok(user) => Identity::User(user),
            Err(Refused(code, reason)) => {
                tracing::debug!(code = code.as_str(), reason, "token refused");
                Identity::Refused(code)
            }
        }
    }
}

/// Three parts, the first of them a JSON object that names an algorithm, whichever: `none` is a JWT too, and refused.
fn is_jwt(credential: &str) -> bool {
    let parts: Vec<&str> = credential.split('.').collect();
    let [header, _, _] = parts.as_slice() else { return false };
    let Ok(header) = URL_SAFE_NO_PAD.decode(header) else { return false };
    serde_json::from_slice::<Value>(&header).is_ok_and(|header| header.get("alg").is_some())
}

/// A NumericDate, RFC 7519 §2: seconds since the Unix epoch, possibly with a fraction.
pub(super) fn time(claims: &Value, name: &str) -> Result<Option<u64>, String> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // What lies before the epoch is over: a cast of a negative number is 0, of a huge one the maximum.
            Some(seconds) => Ok(Some(value.as_u64().unwrap_or(seconds as u64))),
            None => Err(format!("claim `{name}` is no number")),
        },
    }
}

fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::InvalidSignature => "its signature is not ours".to_owned(),
        ErrorKind::InvalidAlgorithm | ErrorKind::Json(_) => "its header or claims do not fit".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("claim `{claim}` is missing"),
        ErrorKind::InvalidIssuer => "it is another issuer's".to_owned(),
        ErrorKind::InvalidAudience => "it is for another audience".to_owned(),
        _ => "it is malformed".to_owned(),
    }
}

const fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::HS256 => Algorithm::HS256,
        JwtAlgorithm::HS384 => Algorithm::HS384,
        JwtAlgorithm::HS512 => Algorithm::HS512,
    }
}

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The user's id.
    pub user: String,
    /// The user's roles.
    pub roles: Vec<String>,
    /// The user's tenant, if there is one and the provider names a claim for it.
    pub tenant: Option<String>,
    /// How long the token is good.
    pub ttl: Duration,
}

/// Why a token could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no claim to put the tenant in.
    #[error("the provider names no claim for a tenant")]
    NoTenantClaim,
    /// The library refused.
    #[error("cannot sign: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Signs a token that [`Jwt`] of the same provider accepts, for trying things out.
///
/// # Errors
/// [`SignError`].
pub fn sign(provider: &JwtProvider, request: &TokenRequest, now_unix_s: u64) -> Result<String, SignError> {
    let mut claims = Map::new();
    claims::set(&mut claims, &provider.user, json!(request.user));
    claims::set(&mut claims, &provider.roles, json!(request.roles));
    match (&request.tenant, &provider.tenant) {
        (Some(tenant), Some(claim)) => claims::set(&mut claims, claim, json!(tenant)),
        (Some(_), None) => return Err(SignError::NoTenantClaim),
        (None, _) => {}
    }
    for (claim, value) in [("iss", &provider.iss), ("aud", &provider.aud)] {
        if let Some(value) = value {
            claims.insert(claim.to_owned(), json!(value));
        }
    }
    claims.insert("iat".to_owned(), json!(now_unix_s));
    claims.insert("exp".to_owned(), json!(now_unix_s.saturating_add(request.ttl.as_secs())));
    let key = EncodingKey::from_secret(provider.secret.expose().as_bytes());
    Ok(jsonwebtoken::encode(&Header::new(algorithm(provider.algorithm)), &claims, &key)?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::config::{HumanDuration, Secret};

    const NOW: u64 = 1_000_000;
    const SECRET: &str = "a secret of sixty-four bytes, which is enough for every algorithm";

    #[derive(Default)]
    struct Stopped(AtomicU64);

    impl Clock for Stopped {
        fn now_unix_s(&self) -> u64 {
            NOW + self.0.load(Ordering::Relaxed)
        }
    }

    fn provider() -> JwtProvider {
        JwtProvider {
            algorithm: JwtAlgorithm::HS256,
            secret: Secret::from(SECRET.to_owned()),
            user: "sub".to_owned(),
            roles: "roles".to_owned(),
            tenant: Some("tenant".to_owned()),
            iss: None,
            aud: None,
            leeway: None,
        }
    }

    fn token(header: &Value, claims: &Value, secret: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let algorithm = header["alg"].as_str().and_then(|name| name.parse().ok()).unwrap_or(Algorithm::HS256);
        let key = EncodingKey::from_secret(secret.as_bytes());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn hs256(claims: &Value) -> String {
        token(&json!({ "alg": "HS256", "typ": "JWT" }), claims, SECRET)
    }

    async fn identify(provider: JwtProvider, credential: &str) -> Identity {
        Jwt::new(provider, Arc::new(Stopped::default())).identify(credential).await
    }

    fn user(id: &str, roles: &[&str], tenant: Option<&str>, expires_at: Option<u64>) -> Identity {
        let roles = roles.iter().map(ToString::to_string).collect();
        Identity::User(User { expires_at, ..User::new(id, roles, tenant.map(str::to_owned)) })
    }

    /// The same, of a token that says which it is and since when.
    fn of_token(identity: Identity, token_id: Option<&str>, issued_at: Option<u64>) -> Identity {
        let Identity::User(user) = identity else { return identity };
        Identity::User(User { token_id: token_id.map(str::to_owned), issued_at, ..user })
    }

    const NO: Identity = Identity::Refused(Code::Unauthenticated);

    #[tokio::test]
    async fn a_good_token_of_each_algorithm_names_its_user() {
        for algorithm in [JwtAlgorithm::HS256, JwtAlgorithm::HS384, JwtAlgorithm::HS512] {
            let provider = JwtProvider { algorithm, iss: Some("i".into()), aud: Some("a".into()), ..provider() };
            let request = TokenRequest {
                user: "u1".to_owned(),
                roles: vec!["editor".to_owned()],
                tenant: Some("t".to_owned()),
                ttl: Duration::from_secs(60),
            };
            let token = sign(&provider, &request, NOW).unwrap();
            let expected = of_token(user("u1", &["editor"], Some("t"), Some(NOW + 60)), None, Some(NOW));
            assert_eq!(identify(provider, &token).await, expected);
        }
    }

    #[tokio::test]
    async fn claims_are_read_where_the_provider_says() {
        let cases = [
            (json!({ "sub": "u1" }), user("u1", &[], None, None)),
            (json!({ "sub": 42, "roles": null, "tenant": 7 }), user("42", &[], Some("7"), None)),
            (json!({ "sub": "u1", "roles": "a b,c" }), user("u1", &["a", "b", "c"], None, None)),
            (json!({ "sub": "u1", "exp": NOW + 9 }), user("u1", &[], None, Some(NOW + 9))),
            (json!({ "sub": "u1", "exp": NOW as f64 + 9.5 }), user("u1", &[], None, Some(NOW + 9))),
            (json!({ "sub": "u1", "jti": "t1", "iat": 7 }), of_token(user("u1", &[], None, None), Some("t1"), Some(7))),
            (json!({ "sub": "u1", "jti": 9, "iat": 7.9 }), of_token(user("u1", &[], None, None), Some("9"), Some(7))),
            (json!({ "sub": "u1", "jti": null }), user("u1", &[], None, None)),
            (json!({ "sub": "u1", "jti": ["t1"] }), NO),
            (json!({ "sub": "u1", "iat": "now" }), NO),
            (json!({}), NO),
            (json!({ "sub": "" }), NO),
            (json!({ "sub": null }), NO),
            (json!({ "sub": { "id": 1 } }), NO),
            (json!({ "sub": 1.5 }), NO),
            (json!({ "sub": "u1", "roles": [1] }), NO),
            (json!({ "sub": "u1", "roles": { "admin": true } }), NO),
            (json!({ "sub": "u1", "tenant": [] }), NO),
            (json!([1]), NO),
        ];
        for (claims, expected) in cases {
            assert_eq!(identify(provider(), &hs256(&claims)).await, expected, "{claims}");
        }
        let pointers = JwtProvider { user: "/data/id".into(), roles: "/data/~1roles".into(), ..provider() };
        let claims = json!({ "data": { "id": "u1", "/roles": ["a"] } });
        assert_eq!(identify(pointers.clone(), &hs256(&claims)).await, user("u1", &["a"], None, None));
        let request = TokenRequest { user: "u2".into(), roles: vec![], tenant: None, ttl: Duration::from_secs(1) };
        let signed = sign(&pointers, &request, NOW).unwrap();
        assert_eq!(identify(pointers, &signed).await, of_token(user("u2", &[], None, Some(NOW + 1)), None, Some(NOW)));
    }

    #[tokio::test]
    async fn a_forged_token_is_refused() {
        let claims = json!({ "sub": "admin", "exp": NOW + 60 });
        let good = hs256(&claims);
        let parts: Vec<&str> = good.split('.').collect();
        let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let with_header = |header: Value| format!("{}.{}.{}", encoded(header), parts[1], parts[2]);
        let flipped = format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>());
        let attacks = [
            ("alg none, no signature", format!("{}.{}.", encoded(json!({ "alg": "none" })), parts[1])),
            ("alg none, kept signature", with_header(json!({ "alg": "none" }))),
            ("alg in odd case", with_header(json!({ "alg": "nOnE" }))),
            ("alg no text", with_header(json!({ "alg": 1 }))),
            ("another HMAC, same secret", token(&json!({ "alg": "HS512" }), &claims, SECRET)),
            ("a public-key algorithm", with_header(json!({ "alg": "RS256" }))),
            ("wrong key", token(&json!({ "alg": "HS256" }), &claims, "another secret that is also long enough")),
            ("empty key", token(&json!({ "alg": "HS256" }), &claims, "")),
            ("changed claims", format!("{}.{}.{}", parts[0], encoded(json!({ "sub": "root" })), parts[2])),
            ("changed signature", flipped),
            ("cut signature", good[..good.len() - 4].to_owned()),
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("a key in the header", with_header(json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AA" } }))),
            ("critical extension", token(&json!({ "alg": "HS256", "crit": ["b64"], "b64": true }), &claims, SECRET)),
            ("claims are no JSON", format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode("x"), parts[2])),
        ];
        for (name, attack) in attacks {
            assert_eq!(identify(provider(), &attack).await, NO, "{name}");
        }
        assert_eq!(identify(provider(), &good).await, user("admin", &[], None, Some(NOW + 60)));
    }

    #[tokio::test]
    async fn times_are_judged_by_the_clock_with_leeway() {
        let cases = [
            (json!({ "sub": "u", "exp": NOW }), 0, Identity::Refused(Code::TokenExpired)),
            (json!({ "sub": "u", "exp": NOW - 5 }), 6, user("u", &[], None, Some(NOW + 1))),
            (json!({ "sub": "u", "exp": NOW - 5 }), 5, Identity::Refused(Code::TokenExpired)),
            (json!({ "sub": "u", "exp": -1 }), 0, Identity::Refused(Code::TokenExpired)),
            (json!({ "sub": "u", "exp": 1e300 }), 0, user("u", &[], None, Some(u64::MAX))),
            (json!({ "sub": "u", "exp": "tomorrow" }), 0, NO),
            (json!({ "sub": "u", "exp": null }), 0, NO),
            (json!({ "sub": "u", "nbf": NOW + 1 }), 0, NO),
            (json!({ "sub": "u", "nbf": NOW + 1 }), 1, user("u", &[], None, None)),
            (json!({ "sub": "u", "nbf": NOW }), 0, user("u", &[], None, None)),
        ];
        for (claims, leeway_s, expected) in cases {
            let leeway = Some(HumanDuration::new(Duration::from_secs(leeway_s)));
            assert_eq!(identify(JwtProvider { leeway, ..provider() }, &hs256(&claims)).await, expected, "{claims}");
        }
        let clock = Arc::new(Stopped::default());
        let jwt = Jwt::new(provider(), clock.clone());
        let token = hs256(&json!({ "sub": "u", "exp": NOW + 60 }));
        clock.0.store(59, Ordering::Relaxed);
        assert_eq!(jwt.identify(&token).await, user("u", &[], None, Some(NOW + 60)));
        clock.0.store(60, Ordering::Relaxed);
        assert_eq!(jwt.identify(&token).await, Identity::Refused(Code::TokenExpired));
    }

    #[tokio::test]
    async fn a_token_for_somebody_else_is_refused() {
        let strict = JwtProvider { iss: Some("https://id".into()), aud: Some("tidegate".into()), ..provider() };
        let cases = [
            (json!({ "sub": "u", "iss": "https://id", "aud": "tidegate" }), true),
            (json!({ "sub": "u", "iss": "https://id", "aud": ["x", "tidegate"] }), true),
            (json!({ "sub": "u", "iss": "https://evil", "aud": "tidegate" }), false),
            (json!({ "sub": "u", "iss": "https://id", "aud": "x" }), false),
            (json!({ "sub": "u", "iss": "https://id" }), false),
            (json!({ "sub": "u", "aud": "tidegate" }), false),
            (json!({ "sub": "u" }), false),
        ];
        for (claims, admitted) in cases {
            let expected = if admitted { user("u", &[], None, None) } else { NO };
            assert_eq!(identify(strict.clone(), &hs256(&claims)).await, expected, "{claims}");
        }
        // RFC 7519 §4.1.3: who does not know its name in `aud` is not meant.
        assert_eq!(identify(provider(), &hs256(&json!({ "sub": "u", "aud": "x" }))).await, NO);
    }

    #[tokio::test]
    async fn what_is_no_jwt_is_left_to_other_providers_and_a_huge_one_is_not_read() {
        for other in ["", "opaque", "a.b", "a.b.c", "a.b.c.d", "bnVsbA.e30.x", "e30.e30.x", "é.e30.x"] {
            assert_eq!(identify(provider(), other).await, Identity::NotMine, "{other}");
        }
        let huge = hs256(&json!({ "sub": "u", "pad": "x".repeat(TOKEN_BYTES_MAX) }));
        assert_eq!(identify(provider(), &huge).await, NO);
    }
}
