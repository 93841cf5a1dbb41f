//! The `jwt` provider: JSON Web Tokens (RFC 7519) of one issuer.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::claims;
use super::compact::{Compact, NotTaken, TOKEN_BYTES_MAX};
use super::key_set::KeySet;
use super::keys::Keys;
use tidegate_core::config::{JwtAlgorithm, JwtProvider};
use tidegate_core::flow::Shown;
use tidegate_core::flow::ports::{Clock, Identity, Provider};
use tidegate_core::protocol::{Code, User};
use tidegate_core::telemetry;

/// Recognises the JWTs of one issuer.
pub struct Jwt {
    provider: JwtProvider,
    keys: KeySource,
    clock: Arc<dyn Clock>,
}

/// Where the keys come from.
pub(super) enum KeySource {
    /// One configured key; the key id in a token does not matter.
    Fixed(Keys),
    /// The issuer's published set, now and in future.
    Set(Arc<KeySet>),
}

/// Why a token is refused: the code for the client, the reason for the log.
struct Refused(Code, String);

fn unusable(reason: impl Into<String>) -> Refused {
    Refused(Code::Unauthenticated, reason.into())
}

impl Jwt {
    pub(super) const fn new(provider: JwtProvider, keys: KeySource, clock: Arc<dyn Clock>) -> Self {
        Self { provider, keys, clock }
    }

    async fn verify(&self, token: &Compact<'_>) -> Result<User, Refused> {
        let algorithm = self.algorithm(token).ok_or_else(|| unusable("its algorithm is not allowed"))?;
        self.check_signature(token, algorithm).await?;
        self.check_audience(&token.claims)?;
        let now_unix_s = self.clock.now_unix_s();
        let leeway_s = self.provider.leeway.map_or(0, |leeway| leeway.get().as_secs());
        if claims::time(&token.claims, "nbf")
            .map_err(unusable)?
            .is_some_and(|nbf| now_unix_s.saturating_add(leeway_s) < nbf)
        {
            return Err(unusable("it is not valid yet"));
        }
        let ends_at = claims::time(&token.claims, "exp").map_err(unusable)?.map(|exp| exp.saturating_add(leeway_s));
        let user = claims::user(&self.provider, &token.claims, ends_at).map_err(unusable)?;
        if user.is_expired(now_unix_s) {
            return Err(Refused(Code::TokenExpired, "it has expired".to_owned()));
        }
        Ok(user)
    }

    /// The token's algorithm, if it is a configured one.
    fn algorithm(&self, token: &Compact<'_>) -> Option<JwtAlgorithm> {
        JwtAlgorithm::named(&token.algorithm).filter(|named| self.provider.algorithm.as_slice().contains(named))
    }

    async fn check_signature(&self, token: &Compact<'_>, algorithm: JwtAlgorithm) -> Result<(), Refused> {
        let forged = || Err(unusable("its signature is not the issuer's"));
        let set = match &self.keys {
            KeySource::Fixed(keys) if keys.signed(token, algorithm, false) => return Ok(()),
            KeySource::Fixed(_) => return forged(),
            KeySource::Set(set) => set,
        };
        // If the key is known and the signature does not match, the token is refused. An unknown key may have been
        // published since.
        let is_signed = |keys: &Keys| keys.signed(token, algorithm, true);
        let is_known = |keys: &Keys| token.key_id.as_deref().is_some_and(|id| keys.know(id));
        let decide = |keys: &Keys| is_known(keys) || is_signed(keys);
        let known = set.keys();
        if known.as_deref().is_some_and(decide) {
            return if known.as_deref().is_some_and(is_signed) { Ok(()) } else { forged() };
        }
        let decides = set.look_again(decide).await;
        let is_issuers = set.keys().as_deref().is_some_and(is_signed);
        let (outcome, result) = if is_issuers {
            ("user", Ok(()))
        } else if decides {
            ("refused", forged())
        } else {
            let why = "its key is not known, and the issuer's present keys cannot be fetched";
            ("unavailable", Err(Refused(Code::Unavailable, why.to_owned())))
        };
        telemetry::auth_lookup("jwt", outcome);
        result
    }

    /// RFC 7519 §4.1.3: a recipient that is not named in `aud` must refuse the token.
    fn check_audience(&self, claims: &Value) -> Result<(), Refused> {
        let named: Vec<&str> = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => {
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| unusable("claim `aud` is not a list of texts"))?
            }
            Some(_) => return Err(unusable("claim `aud` is neither a text nor a list")),
        };
        let wanted = self.provider.aud.as_ref().map(tidegate_core::config::OneOrMore::as_slice);
        let meant = match wanted {
            None => claims.get("aud").is_none(),
            Some(wanted) => wanted.iter().any(|wanted| named.contains(&wanted.as_str())),
        };
        if meant { Ok(()) } else { Err(unusable("it is for another audience")) }
    }

    /// Whether a token claims to be from this provider's issuer. Only the signature proves it.
    fn is_ours(&self, token: &Compact<'_>) -> bool {
        self.provider.iss.as_deref().is_none_or(|iss| token.claims.get("iss").and_then(Value::as_str) == Some(iss))
    }
}

#[async_trait]
impl Provider for Jwt {
    /// The last valid keys stay in use: a set that was read once and is unreachable now keeps nobody out.
    fn has_keys(&self) -> bool {
        match &self.keys {
            KeySource::Fixed(_) => true,
            KeySource::Set(set) => set.keys().is_some(),
        }
    }

    async fn identify(&self, shown: &Shown<'_>) -> Identity {
        let Some(credential) = shown.token else { return Identity::NotMine };
        if credential.len() > TOKEN_BYTES_MAX {
            tracing::debug!(bytes = credential.len(), "credential refused: it is too long");
            return Identity::Refused(Code::Unauthenticated);
        }
        let token = match Compact::read(credential) {
            Ok(token) => token,
            Err(NotTaken::Other) => return Identity::NotMine,
            Err(NotTaken::Malformed(reason)) => {
                tracing::debug!(reason, "token refused");
                return Identity::Refused(Code::Unauthenticated);
            }
        };
        if !self.is_ours(&token) {
            tracing::debug!(iss = self.provider.iss, "token left to the next provider: it has another issuer");
            return Identity::NotMine;
        }
        match self.verify(&token).await {
            Ok(user) => Identity::User(user),
            Err(Refused(code, reason)) => {
                tracing::debug!(code = code.as_str(), reason, "token refused");
                Identity::Refused(code)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey};
    use serde_json::json;

    use super::*;
    use crate::auth::{AuthServices, TokenRequest, sign};
    use tidegate_core::config::{HumanDuration, OneOrMore, Secret};
    use tidegate_testkit::{FakeClock, FakeHttp, FakeQueries};

    const NOW: u64 = FakeClock::START_UNIX_S;
    const SECRET: &str = "a secret of sixty-four bytes, which is enough for every algorithm";

    fn provider() -> JwtProvider {
        let secret = Secret::from(SECRET.to_owned());
        JwtProvider { tenant: Some("tenant".to_owned()), ..JwtProvider::with_secret(JwtAlgorithm::HS256, secret) }
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
        jwt(provider, Arc::new(FakeClock::stopped())).await.identify(&Shown::token(credential)).await
    }

    async fn jwt(provider: JwtProvider, clock: Arc<dyn Clock>) -> Jwt {
        let services = AuthServices {
            clock: clock.clone(),
            http: Arc::new(FakeHttp::default()),
            queries: Arc::new(FakeQueries::default()),
            sessions: Arc::new(crate::auth::NoSessions),
        };
        let waiting = Arc::new(tokio::sync::Semaphore::new(1));
        let keys = crate::auth::key_source(&provider, &services, &waiting).await.unwrap();
        Jwt::new(provider, keys, clock)
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
            let provider = JwtProvider {
                algorithm: OneOrMore::one(algorithm),
                iss: Some("i".into()),
                aud: Some(OneOrMore::one("a".into())),
                ..provider()
            };
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
        let clock = Arc::new(FakeClock::stopped());
        let jwt = jwt(provider(), clock.clone()).await;
        let token = hs256(&json!({ "sub": "u", "exp": NOW + 60 }));
        clock.advance(59);
        assert_eq!(jwt.identify(&Shown::token(&token)).await, user("u", &[], None, Some(NOW + 60)));
        clock.advance(1);
        assert_eq!(jwt.identify(&Shown::token(&token)).await, Identity::Refused(Code::TokenExpired));
    }

    #[tokio::test]
    async fn a_token_for_somebody_else_is_refused() {
        let strict =
            JwtProvider { iss: Some("https://id".into()), aud: Some(OneOrMore::one("tidegate".into())), ..provider() };
        let cases = [
            (json!({ "sub": "u", "iss": "https://id", "aud": "tidegate" }), user("u", &[], None, None)),
            (json!({ "sub": "u", "iss": "https://id", "aud": ["x", "tidegate"] }), user("u", &[], None, None)),
            (json!({ "sub": "u", "iss": "https://id", "aud": "x" }), NO),
            (json!({ "sub": "u", "iss": "https://id", "aud": [] }), NO),
            (json!({ "sub": "u", "iss": "https://id", "aud": ["tidegate", 1] }), NO),
            (json!({ "sub": "u", "iss": "https://id", "aud": { "tidegate": true } }), NO),
            (json!({ "sub": "u", "iss": "https://id" }), NO),
            // Perhaps the next provider knows its issuer.
            (json!({ "sub": "u", "iss": "https://evil", "aud": "tidegate" }), Identity::NotMine),
            (json!({ "sub": "u", "iss": ["https://id"], "aud": "tidegate" }), Identity::NotMine),
            (json!({ "sub": "u", "aud": "tidegate" }), Identity::NotMine),
            (json!({ "sub": "u" }), Identity::NotMine),
        ];
        for (claims, expected) in cases {
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
