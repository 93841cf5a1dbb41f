//! The kit of the tests of gate 1's own providers: an issuer of tokens with a key of every kind, forgeries of them, and
//! a server that was configured as an operator would.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tidegate::auth::{self, AuthServices};
use tidegate_core::config::{Config, Diagnostic};
use tidegate_core::flow::Handshake;
use tidegate_core::protocol::{Code, User};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use tidegate_testkit::{CHANNELS, FakeClock, FakeHttp, FakeQueries, FakeSessions, Server, connection};

pub(crate) const NOW: u64 = FakeClock::START_UNIX_S;

/// A private key of the issuer, or of somebody else.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signer {
    Rsa,
    OtherRsa,
    P256,
    P384,
    Ed25519,
    Secret(&'static [u8]),
}

pub(crate) const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
pub(crate) const P256_PUBLIC: &str = include_str!("keys/p256.pub.pem");
pub(crate) const P384_PUBLIC: &str = include_str!("keys/p384.pub.pem");
pub(crate) const ED25519_PUBLIC: &str = include_str!("keys/ed25519.pub.pem");

/// What a PEM text holds.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

impl Signer {
    fn key(self) -> EncodingKey {
        match self {
            Self::Rsa => EncodingKey::from_rsa_der(&der(include_str!("keys/rsa.pem"))),
            Self::OtherRsa => EncodingKey::from_rsa_der(&der(include_str!("keys/rsa-other.pem"))),
            Self::P256 => EncodingKey::from_ec_der(&der(include_str!("keys/p256.pem"))),
            Self::P384 => EncodingKey::from_ec_der(&der(include_str!("keys/p384.pem"))),
            Self::Ed25519 => EncodingKey::from_ed_der(&der(include_str!("keys/ed25519.pem"))),
            Self::Secret(secret) => EncodingKey::from_secret(secret),
        }
    }

    /// Signs header and claims, which need not be what they should.
    pub(crate) fn sign(self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key(), algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// A good token of alice.
    pub(crate) fn token(self, algorithm: &str, kid: Option<&str>) -> String {
        let mut header = json!({ "typ": "JWT", "alg": algorithm });
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        // The newer name of the same signature.
        let signs = if algorithm == "Ed25519" { "EdDSA" } else { algorithm };
        self.sign(signs.parse().unwrap(), &header.to_string(), &alice().to_string())
    }
}

pub(crate) fn alice() -> Value {
    json!({ "sub": "alice", "roles": ["editor"], "exp": NOW + 60 })
}

/// One part of a token.
pub(crate) fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// The issuer's public keys, as it publishes them.
pub(crate) fn jwk(signer: Signer, kid: &str) -> Value {
    let mut jwk = match signer {
        Signer::Rsa => json!({ "kty": "RSA", "n": RSA_MODULUS, "e": "AQAB" }),
        Signer::P256 => {
            json!({ "kty": "EC", "crv": "P-256", "x": "Qgz0Uvog19TnWN1-stuh37j2zjULdS1L3F100VmzodU", "y": "DWOGT0CTR5Dw6iZ_3fZfs6U4HVTrFfRGnx1fJ9EzjzQ" })
        }
        Signer::Ed25519 => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "PXa3qzFQSDH07f_9_MxZf6yiJIfrRQ08ekDHGEUrj8g" })
        }
        other => panic!("no JWK of {other:?}"),
    };
    jwk["kid"] = json!(kid);
    jwk
}

pub(crate) const RSA_MODULUS: &str = "1pOtHPxplQxsPZCY23oKe2b1BaKKsCNuRPBLnqrQw5bjtQyprp6fXO2_bsRJ04nn5gruEsVtuIcODSo6Z1Br59_ZE5OOguyAmbD8MxudqbU2cmcu5vQuFgfK7Ghj_jr07cBC4-CD2dXBIBonfzzvvlUEuB6tEcND6KNRyrsZbprj_Yuatm-EYitDQIuZcv_tCQMmBUEyOPGAWdzBjjQ435UFFW1Eu-VTkzQDlBuuTlx4Qs8FStAVlLM6xQHS_VERs-F0uJI3HEyWaVModVawiCkK51RB1iWGFIZOFZRzE8BnecusPLncQvf3c-R6nLUueMR_XUrTHa3XbTdQN45JHQ";

/// A server whose gate 1 is configured, and the world around it.
pub(crate) struct Door {
    pub(crate) server: Server,
    /// Moves the clock of the providers; the server's own stands still.
    pub(crate) clock: Arc<FakeClock>,
    stop: CancellationToken,
    upkeep: JoinSet<()>,
}

/// The world that providers ask.
#[derive(Default, Clone)]
pub(crate) struct World {
    pub(crate) http: Arc<FakeHttp>,
    pub(crate) queries: Arc<FakeQueries>,
    pub(crate) sessions: Arc<FakeSessions>,
}

impl Door {
    /// With this `auth:` section.
    pub(crate) async fn try_with(auth: Value, world: &World) -> Result<Self, Vec<Diagnostic>> {
        Self::configured(json!({ "auth": auth }), world).await
    }

    /// With this configuration.
    pub(crate) async fn configured(config: Value, world: &World) -> Result<Self, Vec<Diagnostic>> {
        let config: Config = serde_json::from_value(config).unwrap();
        let clock = Arc::new(FakeClock::stopped());
        let services = AuthServices {
            clock: clock.clone(),
            http: world.http.clone(),
            queries: world.queries.clone(),
            sessions: world.sessions.clone(),
        };
        let auth::Providers { policy, upkeep } = auth::prepare(&config, &services).await?;
        let server = Server::declaring(CHANNELS).auth(|auth| *auth = policy).start();
        let stop = CancellationToken::new();
        let upkeep = upkeep.spawn(&stop);
        Ok(Self { server, clock, stop, upkeep })
    }

    /// The same, where nothing is wrong with it.
    pub(crate) async fn with(auth: Value, world: &World) -> Self {
        Self::try_with(auth, world).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
    }

    /// One `jwt` provider.
    pub(crate) async fn jwt(provider: Value) -> Self {
        Self::with(json!({ "providers": [{ "jwt": provider }] }), &World::default()).await
    }

    pub(crate) async fn connect(&self, handshake: Handshake) -> Result<Option<Arc<User>>, Code> {
        let admitted = self.server.gates.connect(&connection(), &handshake).await;
        admitted.map(|admission| admission.user).map_err(|refusal| refusal.code)
    }

    /// Who comes in with this token.
    pub(crate) async fn token(&self, token: &str) -> Result<String, Code> {
        self.id(Handshake { token: Some(token.to_owned()), ..Handshake::default() }).await
    }

    /// Who comes in with these cookies; `-` is nobody in particular.
    pub(crate) async fn cookies(&self, header: &str) -> Result<String, Code> {
        self.id(Handshake { cookie: Some(header.to_owned()), ..Handshake::default() }).await
    }

    async fn id(&self, handshake: Handshake) -> Result<String, Code> {
        Ok(self.connect(handshake).await?.map_or_else(|| "-".to_owned(), |user| user.id.clone()))
    }

    /// Moves every clock on.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(seconds);
        self.server.clock.advance(seconds);
    }

    /// Ends what goes on beside the gates, as a drain does.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.upkeep.join_next().await {
            ended.unwrap();
        }
    }
}
