//! Gate 1 with tokens: what is taken, and every forgery that is not.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tidegate_core::protocol::Code;

use crate::issuer::{
    Door, ED25519_PUBLIC, NOW, P256_PUBLIC, P384_PUBLIC, RSA_MODULUS, RSA_PUBLIC, Signer, World, alice, der, part,
};

const SECRET: &str = "a secret of sixty-four bytes, which is enough for every algorithm";

async fn rs256() -> Door {
    Door::jwt(json!({ "algorithm": "RS256", "public_key": RSA_PUBLIC })).await
}

#[tokio::test]
async fn a_token_of_every_algorithm_is_taken_with_the_issuers_public_key() {
    let cases = [
        (RSA_PUBLIC, Signer::Rsa, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (include_str!("keys/rsa.pkcs1.pub.pem"), Signer::Rsa, &["RS256"]),
        (P256_PUBLIC, Signer::P256, &["ES256"]),
        (P384_PUBLIC, Signer::P384, &["ES384"]),
        (ED25519_PUBLIC, Signer::Ed25519, &["EdDSA", "Ed25519"]),
    ];
    for (public_key, signer, algorithms) in cases {
        for algorithm in algorithms {
            let door = Door::jwt(json!({ "algorithm": algorithm, "public_key": public_key })).await;
            let good = signer.token(algorithm, Some("whatever it is called"));
            assert_eq!(door.token(&good).await.as_deref(), Ok("alice"), "{algorithm}");
            let other = if signer.token(algorithm, None) == good { panic!("the same") } else { forged(&good) };
            assert_eq!(door.token(&other).await, Err(Code::Unauthenticated), "{algorithm}");
        }
    }
}

/// The same token for somebody else.
fn forged(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let claims = part(&json!({ "sub": "admin", "exp": NOW + 60 }).to_string());
    format!("{}.{claims}.{}", parts[0], parts[2])
}

#[tokio::test]
async fn a_public_key_is_read_from_a_file_and_a_list_of_algorithms_is_taken_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("issuer.pem");
    std::fs::write(&file, RSA_PUBLIC).unwrap();
    let door = Door::jwt(json!({ "algorithm": ["RS256", "PS512"], "public_key": file })).await;
    for algorithm in ["RS256", "PS512"] {
        assert_eq!(door.token(&Signer::Rsa.token(algorithm, None)).await.as_deref(), Ok("alice"));
    }
    assert_eq!(door.token(&Signer::Rsa.token("RS512", None)).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn a_key_that_is_no_good_is_a_mistake_at_the_start() {
    let cases = [
        (json!({ "algorithm": "RS256", "public_key": include_str!("keys/rsa-short.pub.pem") }), "has 1024 bits"),
        (json!({ "algorithm": "ES256", "public_key": include_str!("keys/p521.pub.pem") }), "neither P-256 nor P-384"),
        (json!({ "algorithm": "ES256", "public_key": P384_PUBLIC }), "`ES256` does not work with the public key"),
        (json!({ "algorithm": ["RS256", "EdDSA"], "public_key": RSA_PUBLIC }), "`EdDSA` does not work with"),
        (
            json!({ "algorithm": "RS256", "public_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" }),
            "is not valid",
        ),
        (
            json!({ "algorithm": "RS256", "public_key": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" }),
            "openssl x509",
        ),
        (json!({ "algorithm": "RS256", "public_key": "no/such.pem" }), "no/such.pem"),
        (json!({ "algorithm": "RS256", "jwks": "no/such.json" }), "no/such.json"),
    ];
    for (provider, expected) in cases {
        let mistakes = Door::try_with(json!({ "providers": [{ "jwt": provider }] }), &World::default()).await.err();
        let told = format!("{mistakes:?}");
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[tokio::test]
async fn a_token_cannot_choose_how_it_is_checked() {
    let door = rs256().await;
    let claims = json!({ "sub": "admin", "exp": NOW + 60 }).to_string();
    let header = |extra: Value| {
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        header.to_string()
    };
    let by_attacker = |extra: Value| Signer::OtherRsa.sign(Algorithm::RS256, &header(extra), &claims);
    let mut attacks = vec![
        ("another issuer's key", by_attacker(json!({}))),
        ("a key in the header", by_attacker(json!({ "jwk": { "kty": "RSA", "n": RSA_MODULUS, "e": "AQAB" } }))),
        ("a URL of keys in the header", by_attacker(json!({ "jku": "https://evil.example.com/keys.json" }))),
        ("a URL of a certificate", by_attacker(json!({ "x5u": "https://evil.example.com/cert.pem" }))),
        ("a certificate in the header", by_attacker(json!({ "x5c": ["MIIB"] }))),
        ("a path as kid", by_attacker(json!({ "kid": "../../../../dev/null" }))),
        ("a query as kid", by_attacker(json!({ "kid": "x' union select 'secret' --" }))),
        (
            "another algorithm of the same key",
            Signer::Rsa.sign(Algorithm::RS512, &json!({ "alg": "RS512" }).to_string(), &claims),
        ),
        (
            "another padding of the same key",
            Signer::Rsa.sign(Algorithm::PS256, &json!({ "alg": "PS256" }).to_string(), &claims),
        ),
        ("a key of another kind", Signer::P256.sign(Algorithm::ES256, &json!({ "alg": "ES256" }).to_string(), &claims)),
    ];
    // The public key is public: whoever takes it for a shared secret lets everybody sign.
    let public: [(&str, Vec<u8>); 4] = [
        ("the PEM text as a secret", RSA_PUBLIC.as_bytes().to_vec()),
        ("the PEM text without its last line end as a secret", RSA_PUBLIC.trim_end().as_bytes().to_vec()),
        ("the DER as a secret", der(RSA_PUBLIC)),
        ("the modulus as a secret", RSA_MODULUS.as_bytes().to_vec()),
    ];
    for (name, secret) in public {
        let signer = Signer::Secret(secret.leak());
        attacks.push((name, signer.sign(Algorithm::HS256, &json!({ "alg": "HS256" }).to_string(), &claims)));
        attacks.push((name, signer.sign(Algorithm::HS256, &json!({ "alg": "RS256" }).to_string(), &claims)));
    }
    let good = Signer::Rsa.token("RS256", None);
    let signature = good.rsplit('.').next().unwrap().to_owned();
    for none in ["none", "None", "NONE", "nOnE", "", " RS256", "rs256", "RS256\0"] {
        let message = format!("{}.{}", part(&json!({ "alg": none }).to_string()), part(&claims));
        attacks.push(("no algorithm, no signature", format!("{message}.")));
        attacks.push(("no algorithm, a signature", format!("{message}.{signature}")));
    }
    for algorithm in [json!(null), json!(["RS256"]), json!({ "RS256": true }), json!(256)] {
        attacks.push((
            "an algorithm that is no text",
            format!("{}.{}.{signature}", part(&json!({ "alg": algorithm }).to_string()), part(&claims)),
        ));
    }
    for (name, token) in attacks {
        assert_eq!(door.token(&token).await, Err(Code::Unauthenticated), "{name}: {token}");
    }
    assert_eq!(door.token(&good).await.as_deref(), Ok("alice"));
}

#[tokio::test]
async fn a_token_that_is_not_whole_is_refused() {
    let door = rs256().await;
    let good = Signer::Rsa.token("RS256", None);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("{good}") };
    let flipped: String = signature.chars().rev().collect();
    for (name, token) in [
        ("stripped", format!("{header}.{claims}.")),
        ("without the last part", format!("{header}.{claims}")),
        ("truncated", good[..good.len() - 4].to_owned()),
        ("flipped", format!("{header}.{claims}.{flipped}")),
        ("of another token", forged(&good)),
        ("twice", format!("{good}.{signature}")),
        ("padded", format!("{header}.{claims}.{signature}==")),
        ("with a space", format!("{good} ")),
        ("with a line end", format!("{good}\n")),
        ("in the other alphabet", format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+"))),
        ("huge", format!("{header}.{}.{signature}", "a".repeat(9000))),
        ("of dots", ".".repeat(5000)),
    ] {
        assert_eq!(door.token(&token).await, Err(Code::Unauthenticated), "{name}");
    }
}

#[tokio::test]
async fn what_a_good_key_signed_is_still_refused_when_it_says_something_twice_or_nothing() {
    let door = rs256().await;
    let plain = r#"{"alg":"RS256"}"#;
    let alice = alice().to_string();
    let deep = format!(r#"{{"sub":"alice","x":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    for (name, header, claims) in [
        ("two algorithms", r#"{"alg":"none","alg":"RS256"}"#, alice.as_str()),
        ("two key names", r#"{"alg":"RS256","kid":"a","kid":"b"}"#, &alice),
        ("a critical extension", r#"{"alg":"RS256","crit":["exp"]}"#, &alice),
        ("no critical extensions, said aloud", r#"{"alg":"RS256","crit":[]}"#, &alice),
        ("claims that are not encoded", r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#, &alice),
        ("a key name that is a number", r#"{"alg":"RS256","kid":7}"#, &alice),
        ("two subjects", plain, r#"{"sub":"admin","sub":"alice"}"#),
        ("two ends", plain, r#"{"sub":"alice","exp":1,"exp":9999999999}"#),
        ("a name twice, written otherwise", plain, r#"{"sub":"admin","\u0073ub":"alice"}"#),
        ("claims that are a list", plain, r#"["alice"]"#),
        ("claims that are a text", plain, r#""alice""#),
        ("claims that are no JSON", plain, "sub=alice"),
        ("claims that go deep", plain, &deep),
        ("nobody", plain, "{}"),
        ("an end that is a text", plain, r#"{"sub":"alice","exp":"9999999999"}"#),
        ("an audience that is nobody here", plain, r#"{"sub":"alice","aud":"other"}"#),
        ("not yet", plain, r#"{"sub":"alice","nbf":9999999999}"#),
    ] {
        let token = Signer::Rsa.sign(Algorithm::RS256, header, claims);
        assert_eq!(door.token(&token).await, Err(Code::Unauthenticated), "{name}");
    }
    let expired = Signer::Rsa.sign(Algorithm::RS256, plain, &json!({ "sub": "alice", "exp": NOW }).to_string());
    assert_eq!(door.token(&expired).await, Err(Code::TokenExpired));
    let long_kid = Signer::Rsa.token("RS256", Some(&"k".repeat(513)));
    assert_eq!(door.token(&long_kid).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn signatures_on_curves_that_prove_nothing_are_refused() {
    // RFC 7518 §3.4: r and s side by side; the order of P-256, which both must be below.
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&ORDER[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let zero = [0; 32];
    let es256 = Door::jwt(json!({ "algorithm": "ES256", "public_key": P256_PUBLIC })).await;
    let encode = |signature: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature)
    };
    let good = Signer::P256.token("ES256", None);
    let (message, _) = good.rsplit_once('.').unwrap();
    let one = [&zero[..31], &[1]].concat();
    for (name, signature) in [
        ("zero and zero", [zero, zero].concat()),
        ("zero and one", [&zero[..], &one].concat()),
        ("the order twice", [order.as_slice(), &order].concat()),
        ("the order and one", [order.as_slice(), &one].concat()),
        ("an empty DER sequence", vec![0x30, 0]),
        ("a DER signature of zeros", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
        ("too short", vec![1; 63]),
        ("too long", vec![1; 65]),
        ("nothing", Vec::new()),
    ] {
        let token = format!("{message}.{}", encode(&signature));
        assert_eq!(es256.token(&token).await, Err(Code::Unauthenticated), "{name}");
    }
    let eddsa = Door::jwt(json!({ "algorithm": "EdDSA", "public_key": ED25519_PUBLIC })).await;
    let good = Signer::Ed25519.token("EdDSA", None);
    let (message, _) = good.rsplit_once('.').unwrap();
    let identity = [&[1][..], &[0; 63]].concat();
    for signature in [vec![0; 64], identity, vec![0xff; 64], vec![0; 63], Vec::new()] {
        let token = format!("{message}.{}", encode(&signature));
        assert_eq!(eddsa.token(&token).await, Err(Code::Unauthenticated), "{signature:?}");
    }
    // A key on the other curve, and a token that names it.
    let es384 = Door::jwt(json!({ "algorithm": "ES384", "public_key": P384_PUBLIC })).await;
    let renamed = Signer::P256.sign(Algorithm::ES256, r#"{"alg":"ES384"}"#, &alice().to_string());
    assert_eq!(es384.token(&renamed).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn several_issuers_are_told_apart_by_their_name_and_none_signs_for_another() {
    let providers = json!([
        { "jwt": { "algorithm": "RS256", "public_key": RSA_PUBLIC, "iss": "https://id.example.com" } },
        { "jwt": { "algorithm": "HS256", "secret": SECRET, "iss": "backend", "aud": ["tidegate", "realtime"] } },
    ]);
    let door = Door::with(json!({ "providers": providers }), &World::default()).await;
    let rsa = |iss: &str| {
        let claims = json!({ "sub": "alice", "iss": iss });
        Signer::Rsa.sign(Algorithm::RS256, r#"{"alg":"RS256"}"#, &claims.to_string())
    };
    let own = |iss: &str, aud: Value| {
        let claims = json!({ "sub": "bob", "iss": iss, "aud": aud });
        Signer::Secret(SECRET.as_bytes()).sign(Algorithm::HS256, r#"{"alg":"HS256"}"#, &claims.to_string())
    };
    assert_eq!(door.token(&rsa("https://id.example.com")).await.as_deref(), Ok("alice"));
    assert_eq!(door.token(&own("backend", json!("realtime"))).await.as_deref(), Ok("bob"));
    assert_eq!(door.token(&own("backend", json!(["x", "tidegate"]))).await.as_deref(), Ok("bob"));
    for token in
        [rsa("backend"), own("https://id.example.com", json!("realtime")), rsa("other"), own("backend", json!("x"))]
    {
        assert_eq!(door.token(&token).await, Err(Code::Unauthenticated));
    }
}
