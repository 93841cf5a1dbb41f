//! Gate 1 with a web application that is asked: what it is sent, what its answers mean, and what its absence costs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::flow::Handshake;
use tidegate_core::protocol::Code;

use crate::issuer::{Door, NOW, World};
use tidegate_testkit::{FakeHttp, Reply};

const URL: &str = "http://10.0.0.7/users/me";
const ALICE: &str = r#"{ "data": { "id": 42, "roles": ["editor", "author"], "tenant": "t", "secret": "x" } }"#;

fn world() -> World {
    World { http: FakeHttp::serving(URL, ALICE), ..World::default() }
}

fn auth(changes: Value) -> Value {
    let mut introspect = json!({ "url": URL, "cookies": ["sid", "csrf"], "user": "/data/id", "roles": "/data/roles", "tenant": "/data/tenant" });
    introspect.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "providers": [{ "introspect": introspect }] })
}

async fn door(world: &World) -> Door {
    Door::with(auth(json!({})), world).await
}

#[tokio::test]
async fn the_answer_says_who_it_is() {
    let world = world();
    let door = Door::with(auth(json!({ "lifetime": "1h" })), &world).await;
    let handshake = Handshake { token: Some("t".to_owned()), ..Handshake::default() };
    let user = door.connect(handshake).await.unwrap().unwrap();
    assert_eq!((user.id.as_str(), user.roles.as_slice()), ("42", &["editor".to_owned(), "author".to_owned()][..]));
    assert_eq!((user.tenant.as_deref(), user.expires_at, user.issued_at), (Some("t"), Some(NOW + 3600), Some(NOW)));
}

#[tokio::test]
async fn it_is_sent_the_token_or_the_cookies_that_are_listed_and_nothing_else() {
    let world = world();
    let door = door(&world).await;
    let handshake = Handshake {
        cookie: Some("other=o; sid=s; tidegate_token=t; theme=dark".to_owned()),
        host: Some("a.example.com".to_owned()),
        ..Handshake::default()
    };
    door.connect(handshake).await.unwrap();
    door.connect(Handshake { authorization: Some("bearer  b ".to_owned()), ..Handshake::default() }).await.unwrap();
    let both = Handshake { token: Some("a".to_owned()), cookie: Some("sid=s2".to_owned()), ..Handshake::default() };
    door.connect(both).await.unwrap();
    door.cookies("other=o").await.unwrap();
    let sent: Vec<Vec<(String, String)>> = world.http.seen().into_iter().map(|request| request.headers).collect();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let accept = || field("accept", "application/json");
    assert_eq!(
        sent,
        [
            vec![field("authorization", "Bearer t"), field("cookie", "sid=s"), accept()],
            vec![field("authorization", "Bearer b"), accept()],
            vec![field("authorization", "Bearer a"), accept()],
        ]
    );
}

#[tokio::test]
async fn without_a_list_it_is_sent_every_cookie_that_can_be_sent() {
    let world = world();
    let introspect = json!({ "url": URL, "user": "/data/id", "roles": "/data/roles" });
    let door = Door::with(json!({ "providers": [{ "introspect": introspect }] }), &world).await;
    assert_eq!(door.cookies("b=1; sid=s; emoji=\u{1f98a}; b=2").await.as_deref(), Ok("42"));
    let cookies = world.http.seen()[0].headers.iter().find(|(name, _)| name == "cookie").unwrap().1.clone();
    assert_eq!(cookies, "b=1; sid=s; b=2");
}

#[tokio::test]
async fn cookies_that_are_nobodys_are_no_credential_unless_one_is_listed() {
    let world = world();
    world.http.answer(URL, Reply::Status(401, String::new()));
    let every = json!({ "url": URL, "user": "/data/id" });
    let listed = json!({ "url": URL, "user": "/data/id", "cookies": ["sid"] });
    let anonymous =
        |policy: &str, introspect: &Value| json!({ "anonymous": policy, "providers": [{ "introspect": introspect }] });
    let cookies = |text: &str| Handshake { cookie: Some(text.to_owned()), ..Handshake::default() };
    for (auth, cookie, expected) in [
        (anonymous("allow", &every), "sid=s", Ok(None)),
        (anonymous("deny", &every), "sid=s", Err(Code::Unauthenticated)),
        (anonymous("allow", &listed), "sid=s", Err(Code::Unauthenticated)),
        (anonymous("allow", &listed), "theme=dark", Ok(None)),
    ] {
        let door = Door::with(auth.clone(), &world).await;
        assert_eq!(door.connect(cookies(cookie)).await, expected, "{auth} {cookie}");
    }
    let door = Door::with(anonymous("allow", &every), &world).await;
    assert_eq!(door.token("t").await, Err(Code::Unauthenticated), "a token is always one");
}

#[tokio::test]
async fn without_bearer_no_token_leaves_the_server() {
    let world = world();
    let door = Door::with(auth(json!({ "bearer": false })), &world).await;
    assert_eq!(door.token("t").await, Err(Code::Unauthenticated));
    assert_eq!(world.http.count(), 0);
    assert_eq!(door.cookies("sid=s; tidegate_token=t").await.as_deref(), Ok("42"));
    assert!(world.http.seen()[0].headers.iter().all(|(name, _)| name != "authorization"));
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_means() {
    let answer = |status: u16, body: &str| Reply::Status(status, body.to_owned());
    for (reply, code) in [
        (answer(401, ""), Code::Unauthenticated),
        (answer(403, ALICE), Code::Unauthenticated),
        (answer(200, "{}"), Code::Unauthenticated),
        (answer(200, r#"{ "data": { "id": null } }"#), Code::Unauthenticated),
        (answer(200, r#"{ "data": { "id": "" } }"#), Code::Unauthenticated),
        (answer(200, r#"{ "data": { "id": {} } }"#), Code::Unauthenticated),
        (answer(200, r#"{ "data": { "id": 1, "roles": { "admin": true } } }"#), Code::Unauthenticated),
        (answer(200, r#"{ "data": { "id": 1, "tenant": [] } }"#), Code::Unauthenticated),
        (answer(200, "<html>log in</html>"), Code::Unavailable),
        (answer(200, &format!("{ALICE}{}", " ".repeat(64 << 10))), Code::Unavailable),
        (answer(302, ""), Code::Unavailable),
        (answer(404, ""), Code::Unavailable),
        (answer(429, ""), Code::Unavailable),
        (answer(500, ALICE), Code::Unavailable),
        (answer(503, ""), Code::Unavailable),
        (Reply::Unreachable, Code::Unavailable),
        (Reply::Silent, Code::Unavailable),
    ] {
        let world = World::default();
        world.http.answer(URL, reply.clone());
        assert_eq!(door(&world).await.token("t").await, Err(code), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_away_harms_nobody_connected_and_is_found_again() {
    let world = world();
    let door = door(&world).await;
    let inside = door.server.client(tidegate_testkit::user("42"));
    inside.subscribe("members-only").await.unwrap();
    world.http.answer(URL, Reply::Silent);
    let began = tokio::time::Instant::now();
    assert_eq!(door.token("t").await, Err(Code::Unavailable));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert!(inside.subscribe("news").await.is_ok() && inside.holds("members-only"));
    world.http.answer(URL, Reply::Status(200, ALICE.to_owned()));
    assert_eq!(door.token("t").await.as_deref(), Ok("42"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_good_for_a_while_and_for_the_same_credential_only() {
    let world = world();
    let door = door(&world).await;
    for _ in 0..10 {
        assert_eq!(door.token("t").await.as_deref(), Ok("42"));
    }
    assert_eq!(world.http.count(), 1);
    // The same characters in another place are another credential.
    door.token("t2").await.unwrap();
    door.cookies("sid=t").await.unwrap();
    door.cookies("csrf=t").await.unwrap();
    assert_eq!(world.http.count(), 4);
    world.http.answer(URL, Reply::Status(401, String::new()));
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(door.token("t").await.as_deref(), Ok("42"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(door.token("t").await, Err(Code::Unauthenticated));
    // A no is not kept: who logs in a moment later is let in.
    world.http.answer(URL, Reply::Status(200, ALICE.to_owned()));
    assert_eq!(door.token("t").await.as_deref(), Ok("42"));
}

/// Two nodes, one of which knows alice, are told to revoke her.
async fn revoked_on_two_nodes(world: &World) -> [Door; 2] {
    let nodes = [door(world).await, door(world).await];
    assert_eq!(nodes[0].token("t").await.as_deref(), Ok("42"));
    for node in &nodes {
        node.advance(5);
        node.server.revoke(json!({ "user": "42" }));
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn a_revoked_user_is_asked_about_anew_on_every_node_and_the_application_decides() {
    for (reply, expected) in [
        (Reply::Status(200, ALICE.to_owned()), Ok("42".to_owned())),
        (Reply::Status(401, String::new()), Err(Code::Unauthenticated)),
    ] {
        let world = world();
        let nodes = revoked_on_two_nodes(&world).await;
        world.http.answer(URL, reply);
        for node in &nodes {
            node.advance(1);
            assert_eq!(node.token("t").await, expected);
        }
        assert_eq!(world.http.count(), 3, "no answer of before is good for anything");
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_second_of_a_revocation_nobody_gets_in_and_after_it_what_was_said_then_counts_no_more() {
    let world = world();
    let nodes = revoked_on_two_nodes(&world).await;
    for node in &nodes {
        assert_eq!(node.token("t").await, Err(Code::TokenRevoked));
        node.advance(1);
        assert_eq!(node.token("t").await.as_deref(), Ok("42"));
        assert_eq!(node.token("t").await.as_deref(), Ok("42"));
    }
    assert_eq!(world.http.count(), 5, "asked twice a node since, and then an answer is kept again");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_takes_nothing_from_other_users() {
    let world = world();
    let door = door(&world).await;
    door.token("t").await.unwrap();
    door.server.revoke(json!({ "user": "43" }));
    door.server.revoke(json!({ "topic": "news" }));
    door.server.revoke(json!({ "token": "jti" }));
    assert_eq!(door.token("t").await.as_deref(), Ok("42"));
    assert_eq!(world.http.count(), 1);
}

#[tokio::test]
async fn who_was_asked_about_when_a_revocation_came_is_refused_and_who_comes_after_it_is_asked_about_anew() {
    let world = world();
    world.http.answer(URL, Reply::Held(Box::new(Reply::Status(200, ALICE.to_owned()))));
    let door = Arc::new(Door::with(auth(json!({ "timeout": "10s" })), &world).await);
    let comes = || {
        let door = door.clone();
        tokio::spawn(async move { door.token("t").await })
    };
    let before = comes();
    world.http.until(1).await;
    door.advance(1);
    door.server.revoke(json!({ "user": "42" }));
    door.advance(1);
    let after = comes();
    world.http.until(2).await;
    world.http.release();
    assert_eq!(before.await.unwrap(), Err(Code::TokenRevoked));
    assert_eq!(after.await.unwrap().as_deref(), Ok("42"));
}

#[tokio::test]
async fn one_credential_is_asked_about_once_however_many_bring_it_and_whoever_leaves() {
    let world = world();
    world.http.answer(URL, Reply::Held(Box::new(Reply::Status(200, ALICE.to_owned()))));
    let door = Arc::new(Door::with(auth(json!({ "timeout": "10s" })), &world).await);
    let first = tokio::spawn({
        let door = door.clone();
        async move { door.token("t").await }
    });
    world.http.until(1).await;
    let mut others: Vec<_> = (0..20)
        .map(|_| {
            let door = door.clone();
            Box::pin(async move { door.token("t").await })
        })
        .collect();
    for other in &mut others {
        assert!(futures_util::poll!(other.as_mut()).is_pending());
    }
    assert_eq!(world.http.count(), 1);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let (all, ()) = tokio::join!(futures_util::future::join_all(others), async {
        // Another one asks in the place of the one that left.
        world.http.until(2).await;
        world.http.release();
    });
    assert!(all.iter().all(|one| one.as_deref() == Ok("42")), "{all:?}");
    assert_eq!(world.http.count(), 2);
}

#[tokio::test]
async fn what_could_be_read_as_more_than_a_credential_is_sent_nowhere() {
    let world = world();
    let door = door(&world).await;
    let huge = "x".repeat(9000);
    for token in ["a\r\nx-admin: 1", "a\nb", "a b", "a\0", "é", "\u{7f}", &huge] {
        assert_eq!(door.token(token).await, Err(Code::Unauthenticated), "{token:?}");
    }
    for cookies in ["sid=a\u{fffd}b", "sid=a\tb", "sid=a; sid=b"] {
        assert_eq!(door.cookies(cookies).await, Err(Code::Unauthenticated), "{cookies:?}");
    }
    assert_eq!(world.http.count(), 0);
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nowhere_with_the_users_cookie() {
    let world = world();
    let door = Door::with(
        json!({ "origins": ["https://app.example.com", "*"], "providers": auth(json!({}))["providers"] }),
        &world,
    )
    .await;
    let from = |origin: &str| Handshake {
        cookie: Some("sid=s".to_owned()),
        origin: Some(origin.to_owned()),
        host: Some("realtime.example.com".to_owned()),
        ..Handshake::default()
    };
    for origin in ["https://evil.example.com", "null", "https://app.example.com.evil.com", "http://app.example.com"] {
        assert_eq!(door.connect(from(origin)).await.err(), Some(Code::Forbidden), "{origin}");
    }
    assert_eq!(world.http.count(), 0, "the application was not even asked");
    assert!(door.connect(from("https://app.example.com")).await.unwrap().is_some());
    assert!(door.connect(from("https://realtime.example.com")).await.unwrap().is_some());
}
