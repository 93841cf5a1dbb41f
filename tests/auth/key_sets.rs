//! Gate 1 with an issuer's key set: which key checks what, and what happens when the set changes or cannot be had.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::protocol::Code;
use tokio::time::Instant;

use crate::issuer::{Door, Signer, World, jwk};
use tidegate_testkit::{FakeHttp, Reply};

const URL: &str = "https://id.example.com/keys.json";

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn world(keys: &[Value]) -> World {
    World { http: FakeHttp::serving(URL, &set(keys)), ..World::default() }
}

fn provider() -> Value {
    json!({ "providers": [{ "jwt": { "algorithm": ["RS256", "ES256", "EdDSA"], "jwks": URL } }] })
}

async fn door(world: &World) -> Door {
    Door::with(provider(), world).await
}

fn with(mut jwk: Value, changes: &Value) -> Value {
    jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    jwk
}

#[tokio::test(start_paused = true)]
async fn a_token_is_checked_with_the_key_it_names_and_without_a_name_with_those_that_fit() {
    let world = world(&[jwk(Signer::Rsa, "r"), jwk(Signer::P256, "p"), jwk(Signer::Ed25519, "e")]);
    let door = door(&world).await;
    for (signer, algorithm, kid) in
        [(Signer::Rsa, "RS256", "r"), (Signer::P256, "ES256", "p"), (Signer::Ed25519, "EdDSA", "e")]
    {
        assert_eq!(door.token(&signer.token(algorithm, Some(kid))).await.as_deref(), Ok("alice"), "{kid}");
        assert_eq!(door.token(&signer.token(algorithm, None)).await.as_deref(), Ok("alice"), "{kid}");
        assert_eq!(door.token(&signer.token(algorithm, Some("x"))).await, Err(Code::Unauthenticated), "{kid}");
    }
    // The name of another key, of another kind even.
    assert_eq!(door.token(&Signer::Rsa.token("RS256", Some("p"))).await, Err(Code::Unauthenticated));
    assert_eq!(door.token(&Signer::OtherRsa.token("RS256", Some("r"))).await, Err(Code::Unauthenticated));
    let request = &world.http.seen()[0];
    assert_eq!((request.method.as_str(), request.url.as_str()), ("GET", URL));
    assert!(request.headers.iter().all(|(name, _)| name == "accept"), "{:?}", request.headers);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_used_for_nothing_that_its_set_does_not_allow() {
    let other = || jwk(Signer::P256, "p");
    for changes in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": [] }),
        json!({ "alg": "RS512" }),
        json!({ "alg": "RSA-OAEP" }),
        json!({ "kty": "EC" }),
        json!({ "e": "AQAA" }),
        json!({ "e": "AQ" }),
        json!({ "n": "AQAB" }),
        json!({ "kid": 7 }),
    ] {
        let world = world(&[with(jwk(Signer::Rsa, "r"), &changes), other()]);
        let door = door(&world).await;
        for kid in [Some("r"), None] {
            let refused = door.token(&Signer::Rsa.token("RS256", kid)).await;
            assert_eq!(refused, Err(Code::Unauthenticated), "{changes}");
        }
        assert_eq!(door.token(&Signer::P256.token("ES256", Some("p"))).await.as_deref(), Ok("alice"), "{changes}");
    }
    for allowed in [json!({ "use": "sig" }), json!({ "key_ops": ["verify"] }), json!({ "alg": "RS256" })] {
        let door = door(&world(&[with(jwk(Signer::Rsa, "r"), &allowed)])).await;
        assert_eq!(door.token(&Signer::Rsa.token("RS256", Some("r"))).await.as_deref(), Ok("alice"), "{allowed}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_keys_of_one_name_the_one_that_signed_is_found() {
    let door =
        door(&world(&[with(jwk(Signer::P256, "k"), &json!({})), jwk(Signer::Rsa, "k"), jwk(Signer::Rsa, "k")])).await;
    assert_eq!(door.token(&Signer::Rsa.token("RS256", Some("k"))).await.as_deref(), Ok("alice"));
    assert_eq!(door.token(&Signer::P256.token("ES256", Some("k"))).await.as_deref(), Ok("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_published_since_is_found_with_one_request_however_many_tokens_come() {
    let world = world(&[jwk(Signer::P256, "old")]);
    let door = Arc::new(door(&world).await);
    assert_eq!(door.token(&Signer::P256.token("ES256", Some("old"))).await.as_deref(), Ok("alice"));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.http.count(), 1);
    let both = set(&[jwk(Signer::P256, "old"), jwk(Signer::Rsa, "new")]);
    world.http.answer(URL, Reply::Status(200, both));
    let new = Signer::Rsa.token("RS256", Some("new"));
    let all = futures_util::future::join_all((0..50).map(|_| door.token(&new))).await;
    assert!(all.iter().all(|one| one.as_deref() == Ok("alice")), "{all:?}");
    assert_eq!(world.http.count(), 2);
}

/// A server whose set, with one key, was read just now; and a token of a key that is not in it.
async fn read_just_now(world: &World) -> (Arc<Door>, String) {
    let door = Arc::new(door(world).await);
    assert_eq!(door.token(&Signer::P256.token("ES256", Some("old"))).await.as_deref(), Ok("alice"));
    (door, Signer::Rsa.token("RS256", Some("new")))
}

fn old() -> World {
    world(&[jwk(Signer::P256, "old")])
}

fn publish_new(world: &World) {
    world.http.answer(URL, Reply::Status(200, set(&[jwk(Signer::P256, "old"), jwk(Signer::Rsa, "new")])));
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_published_since_the_last_reading_is_waited_for_until_the_next_one() {
    let world = old();
    let (door, new) = read_just_now(&world).await;
    seconds(6).await;
    publish_new(&world);
    let came = Instant::now();
    assert_eq!(door.token(&new).await.as_deref(), Ok("alice"));
    assert_eq!((came.elapsed().as_secs(), world.http.count()), (4, 2), "ten seconds after the last one");
}

#[tokio::test(start_paused = true)]
async fn where_the_next_reading_is_too_far_off_the_client_is_to_come_back_at_once_and_gets_in_then() {
    let world = old();
    let (door, new) = read_just_now(&world).await;
    seconds(1).await;
    publish_new(&world);
    let came = Instant::now();
    assert_eq!(door.token(&new).await, Err(Code::Unavailable), "not forged: nobody knows");
    assert_eq!(came.elapsed(), Duration::ZERO);
    seconds(10).await;
    assert_eq!(world.http.count(), 2, "it was read for the token that may come back");
    assert_eq!(door.token(&new).await.as_deref(), Ok("alice"));
    assert_eq!(world.http.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_reading_after_the_token_came_does_not_know_is_the_end_of_it() {
    let world = old();
    let (door, new) = read_just_now(&world).await;
    seconds(6).await;
    let came = Instant::now();
    assert_eq!(door.token(&new).await, Err(Code::Unauthenticated));
    assert_eq!((came.elapsed().as_secs(), world.http.count()), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn what_a_reading_that_began_before_the_token_came_does_not_name_may_have_been_published_since() {
    for (published, expected) in [("new", Ok("alice".to_owned())), ("other", Err(Code::Unavailable))] {
        let world = old();
        let (door, new) = read_just_now(&world).await;
        let answer = set(&[jwk(Signer::Rsa, published)]);
        world.http.answer(URL, Reply::Held(Box::new(Reply::Status(200, answer))));
        seconds(299).await;
        let http = world.http.clone();
        tokio::spawn(async move {
            http.until(2).await;
            seconds(2).await;
            http.release();
        });
        seconds(2).await;
        assert_eq!(world.http.count(), 2, "the reading is under way");
        assert_eq!(door.token(&new).await, expected, "{published}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_invents_names_all_the_time_keeps_no_new_key_out_and_has_the_set_read_no_more_often() {
    let world = old();
    let (door, new) = read_just_now(&world).await;
    let strangers: Vec<_> = (0..600)
        .map(|number| {
            let door = door.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100 * number)).await;
                door.token(&Signer::OtherRsa.token("RS256", Some(&format!("invented {number}")))).await
            })
        })
        .collect();
    seconds(33).await;
    publish_new(&world);
    let came = Instant::now();
    while door.token(&new).await != Ok("alice".to_owned()) {
        seconds(2).await;
    }
    assert!(came.elapsed() <= Duration::from_secs(10), "{:?}", came.elapsed());
    for stranger in strangers {
        let answer = stranger.await.unwrap();
        assert!(matches!(answer, Err(Code::Unauthenticated | Code::Unavailable)), "{answer:?}");
    }
    assert!(world.http.count() <= 7, "{} in a minute", world.http.count());
}

#[tokio::test(start_paused = true)]
async fn more_tokens_than_may_wait_are_told_to_come_back_at_once() {
    let world = old();
    let config = json!({ "auth": provider(), "limits": { "auth_waiting": 2 } });
    let door = Door::configured(config, &world).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(door.token(&Signer::P256.token("ES256", Some("old"))).await.as_deref(), Ok("alice"));
    seconds(6).await;
    publish_new(&world);
    let new = Signer::Rsa.token("RS256", Some("new"));
    let (door, new) = (&door, &new);
    let timed = |_| async move {
        let came = Instant::now();
        (door.token(new).await, came.elapsed().as_secs())
    };
    let answers = futures_util::future::join_all((0..3).map(timed)).await;
    let alice = || Ok("alice".to_owned());
    assert_eq!(answers, [(alice(), 4), (alice(), 4), (Err(Code::Unavailable), 0)]);
    assert_eq!(door.token(new).await, alice(), "there is room again, and no need of it");
}

#[tokio::test(start_paused = true)]
async fn ed25519_and_eddsa_are_one_wherever_they_stand() {
    for configured in ["Ed25519", "EdDSA"] {
        for published in [json!({ "alg": "Ed25519" }), json!({ "alg": "EdDSA" }), json!({})] {
            let world = world(&[with(jwk(Signer::Ed25519, "e"), &published)]);
            let auth = json!({ "providers": [{ "jwt": { "algorithm": configured, "jwks": URL } }] });
            let door = Door::with(auth, &world).await;
            for brought in ["Ed25519", "EdDSA"] {
                let token = Signer::Ed25519.token(brought, Some("e"));
                assert_eq!(door.token(&token).await.as_deref(), Ok("alice"), "{configured} {published} {brought}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_not_served_is_left_out_beside_others_and_alone_it_is_told_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    let read = async |keys: &[Value]| {
        std::fs::write(&file, set(keys)).unwrap();
        let auth = json!({ "providers": [{ "jwt": { "algorithm": ["RS256", "Ed25519"], "jwks": file } }] });
        Door::try_with(auth, &World::default()).await.map_err(|mistakes| format!("{mistakes:?}"))
    };
    let not_served = [
        (json!({ "kty": "OKP", "crv": "Ed448", "x": "AA" }), "key 1 is ignored: its `kty` is `OKP`, its `crv` `Ed448`"),
        (
            json!({ "kty": "EC", "crv": "P-521", "alg": "ES512", "x": "AA", "y": "AA" }),
            "its `alg` is `ES512`, signatures",
        ),
        (json!({ "kty": "EC", "crv": "P-256", "alg": "ESP256", "x": "AA", "y": "AA" }), "tokens name it `ES256`"),
        (json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }), "its `alg` is `ML-DSA-44`"),
        (jwk(Signer::P256, "p"), "no key in it checks tokens of `RS256`, `EdDSA`: key 1 is a key on P-256"),
    ];
    for (key, expected) in not_served {
        let told = read(std::slice::from_ref(&key)).await.err().unwrap();
        assert!(told.contains(expected), "{expected}: {told}");
        let door = read(&[key, jwk(Signer::Ed25519, "e")]).await.unwrap();
        assert_eq!(
            door.token(&Signer::Ed25519.token("Ed25519", Some("e"))).await.as_deref(),
            Ok("alice"),
            "{expected}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_withdrawn_is_no_longer_good_after_the_next_refresh() {
    let world = world(&[jwk(Signer::P256, "p"), jwk(Signer::Rsa, "r")]);
    let door = door(&world).await;
    let token = Signer::Rsa.token("RS256", Some("r"));
    assert_eq!(door.token(&token).await.as_deref(), Ok("alice"));
    world.http.answer(URL, Reply::Status(200, set(&[jwk(Signer::P256, "p")])));
    seconds(301).await;
    assert_eq!(door.token(&token).await, Err(Code::Unavailable), "it may have been published again");
    seconds(5).await;
    assert_eq!(door.token(&token).await, Err(Code::Unauthenticated));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_reads_the_keys_again_within_seconds() {
    let world = world(&[jwk(Signer::P256, "p"), jwk(Signer::Rsa, "r")]);
    let door = door(&world).await;
    let token = Signer::Rsa.token("RS256", Some("r"));
    assert_eq!(door.token(&token).await.as_deref(), Ok("alice"));
    world.http.answer(URL, Reply::Status(200, set(&[jwk(Signer::P256, "p")])));
    door.advance(7200);
    seconds(3).await;
    assert_eq!(world.http.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_url_that_is_away_at_the_start_makes_tokens_unavailable_until_there_are_keys() {
    let world = World::default();
    let door = door(&world).await;
    let token = Signer::P256.token("ES256", Some("p"));
    assert_eq!(door.token(&token).await, Err(Code::Unavailable));
    assert!(!door.server.gates.has_keys(), "the server is not ready");
    // What is no JWT, or of an algorithm that is not taken, needs no key to be refused.
    assert_eq!(door.token("opaque").await, Err(Code::Unauthenticated));
    assert_eq!(door.token(&Signer::P384.token("ES384", None)).await, Err(Code::Unauthenticated));
    assert_eq!(door.cookies("").await.as_deref(), Ok("-"), "who brings no token comes in as ever");
    world.http.answer(URL, Reply::Status(200, set(&[jwk(Signer::P256, "p")])));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(door.token(&token).await.as_deref(), Ok("alice"));
    assert!(door.server.gates.has_keys());
}

#[tokio::test(start_paused = true)]
async fn of_two_issuers_each_has_to_have_its_keys() {
    const OTHER: &str = "https://other.example.com/keys.json";
    let world = world(&[jwk(Signer::P256, "p")]);
    let jwt = |iss: &str, jwks: &str| json!({ "jwt": { "algorithm": "ES256", "jwks": jwks, "iss": iss } });
    let door = Door::with(json!({ "providers": [jwt("a", URL), jwt("b", OTHER)] }), &world).await;
    world.http.until(2).await;
    tokio::task::yield_now().await;
    assert!(!door.server.gates.has_keys());
    world.http.answer(OTHER, Reply::Status(200, set(&[jwk(Signer::P256, "p")])));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(door.server.gates.has_keys());
}

#[tokio::test(start_paused = true)]
async fn while_a_url_is_away_or_says_nonsense_the_last_good_keys_stay() {
    let world = world(&[jwk(Signer::P256, "p")]);
    let door = door(&world).await;
    let token = Signer::P256.token("ES256", Some("p"));
    assert_eq!(door.token(&token).await.as_deref(), Ok("alice"));
    let too_many: Vec<Value> = (0..101).map(|number| jwk(Signer::P256, &format!("k{number}"))).collect();
    let too_large = set(&[with(jwk(Signer::P256, "p"), &json!({ "x5c": ["x".repeat(300 << 10)] }))]);
    for reply in [
        Reply::Unreachable,
        Reply::Silent,
        Reply::Status(500, String::new()),
        Reply::Status(302, String::new()),
        Reply::Status(200, "<html>".to_owned()),
        Reply::Status(200, "{}".to_owned()),
        Reply::Status(200, set(&[])),
        Reply::Status(200, set(&[json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "p" })])),
        Reply::Status(200, r#"{"keys":[],"keys":[]}"#.to_owned()),
        Reply::Status(200, set(&too_many)),
        Reply::Status(200, too_large),
    ] {
        let before = world.http.count();
        world.http.answer(URL, reply.clone());
        tokio::time::sleep(Duration::from_secs(330)).await;
        assert!(world.http.count() > before);
        assert_eq!(door.token(&token).await.as_deref(), Ok("alice"), "{reply:?}");
        assert!(door.server.gates.has_keys(), "it stays ready: {reply:?}");
        // Nobody knows whether this one is the issuer's: the client is to come back.
        let unknown = door.token(&Signer::Rsa.token("RS256", Some("new"))).await;
        assert_eq!(unknown, Err(Code::Unavailable), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_that_does_not_answer_costs_a_token_no_more_than_its_timeout() {
    let world = World::default();
    world.http.answer(URL, Reply::Silent);
    let door = door(&world).await;
    let began = tokio::time::Instant::now();
    assert_eq!(door.token(&Signer::P256.token("ES256", Some("p"))).await, Err(Code::Unavailable));
    assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, set(&[jwk(Signer::P256, "p")])).unwrap();
    let auth = json!({ "providers": [{ "jwt": { "algorithm": ["RS256", "ES256"], "jwks": file } }] });
    let door = Door::with(auth, &World::default()).await;
    let (old, new) = (Signer::P256.token("ES256", Some("p")), Signer::Rsa.token("RS256", Some("r")));
    assert_eq!(door.token(&old).await.as_deref(), Ok("alice"));
    std::fs::write(&file, "{").unwrap();
    until(|| async { door.token(&new).await == Err(Code::Unavailable) }).await;
    assert_eq!(door.token(&old).await.as_deref(), Ok("alice"));
    std::fs::write(&file, set(&[jwk(Signer::Rsa, "r")])).unwrap();
    until(|| async { door.token(&new).await.as_deref() == Ok("alice") }).await;
    assert_eq!(door.token(&old).await, Err(Code::Unauthenticated));
    door.stop().await;
}

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.unwrap();
}
