//! Gate 1 with the sessions of a web application: which are good, how long, and that their use is remembered.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::flow::{Ending, Handshake};
use tidegate_core::protocol::Code;

use crate::issuer::{Door, NOW, World};
use tidegate_testkit::Client;

const QUERY: &str = "select user_id, roles from sessions where token = $1";

fn auth(changes: Value) -> Value {
    let mut session = json!({ "cookie": "app", "query": QUERY });
    session.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "providers": [{ "session": session }] })
}

fn world() -> World {
    let world = World::default();
    world.queries.answer("s1", vec![json!({ "user_id": "alice", "roles": "editor, author" })]);
    world
}

async fn door(world: &World) -> Door {
    Door::with(auth(json!({})), world).await
}

fn cookie(header: &str) -> Handshake {
    Handshake { cookie: Some(header.to_owned()), ..Handshake::default() }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_query_finds_is_its_user() {
    let world = world();
    let door = door(&world).await;
    let user = door.connect(cookie("theme=dark; app=s1")).await.unwrap().unwrap();
    assert_eq!((user.id.as_str(), user.roles.as_slice()), ("alice", &["editor".to_owned(), "author".to_owned()][..]));
    assert_eq!(user.expires_at, Some(NOW + 12 * 3600));
    assert_eq!(door.cookies("app=s2").await, Err(Code::Unauthenticated));
    assert_eq!(world.queries.asked(), ["s1", "s2"]);
}

#[tokio::test(start_paused = true)]
async fn the_columns_of_a_row() {
    for (row, expected) in [
        (json!({ "user_id": 7 }), Ok(Some(NOW + 43_200))),
        (json!({ "user_id": "a", "roles": ["x"], "tenant": "t" }), Ok(Some(NOW + 43_200))),
        (json!({ "user_id": "a", "roles": "[\"x\", \"y\"]" }), Ok(Some(NOW + 43_200))),
        (json!({ "user_id": "a", "created_at": NOW - 100 }), Ok(Some(NOW + 43_100))),
        (json!({ "user_id": "a", "expires_at": NOW + 5 }), Ok(Some(NOW + 5))),
        (json!({ "user_id": "a", "expires_at": NOW as f64 + 5.5 }), Ok(Some(NOW + 5))),
        (json!({ "user_id": "a", "expires_at": null }), Ok(Some(NOW + 43_200))),
        (json!({ "user_id": "a", "expires_at": NOW }), Err(Code::TokenExpired)),
        (json!({ "user_id": "a", "created_at": NOW - 43_200 }), Err(Code::TokenExpired)),
        (json!({ "user_id": null }), Err(Code::Unauthenticated)),
        // A row that makes no sense is nobody's; others may be good.
        (json!({ "user_id": {} }), Err(Code::Unauthenticated)),
        (json!({ "user_id": "a", "roles": { "x": 1 } }), Err(Code::Unauthenticated)),
        (json!({ "user_id": "a", "tenant": [] }), Err(Code::Unauthenticated)),
        // A query that answers otherwise than it should is the operator's to mend; nobody comes in meanwhile.
        (json!({ "user_id": "a", "expires_at": "tomorrow" }), Err(Code::Unavailable)),
        (json!({ "id": "a" }), Err(Code::Unavailable)),
    ] {
        let world = World::default();
        world.queries.answer("s", vec![row.clone()]);
        let door = door(&world).await;
        let ends = door.connect(cookie("app=s")).await.map(|user| user.unwrap().expires_at);
        assert_eq!(ends, expected, "{row}");
    }
    let world = World::default();
    world.queries.answer("s", vec![json!({ "user_id": "a" }), json!({ "user_id": "b" })]);
    assert_eq!(door(&world).await.cookies("app=s").await, Err(Code::Unauthenticated), "whose is it?");
}

#[tokio::test(start_paused = true)]
async fn a_session_is_taken_from_its_cookie_and_nowhere_else_unless_that_is_configured() {
    let world = world();
    let strict = door(&world).await;
    let token = || Handshake { token: Some("s1".to_owned()), ..Handshake::default() };
    let bearer = || Handshake { authorization: Some("Bearer s1".to_owned()), ..Handshake::default() };
    // The cookie that may hold a token is not the one that holds a session.
    for elsewhere in [token(), bearer(), cookie("tidegate_token=s1")] {
        assert_eq!(strict.connect(elsewhere).await.err(), Some(Code::Unauthenticated));
    }
    assert_eq!(world.queries.asked(), Vec::<String>::new());
    for tossed in ["app=s1; app=s2", "app=s2; app=s1"] {
        assert_eq!(strict.cookies(tossed).await, Err(Code::Unauthenticated));
    }
    assert_eq!(strict.cookies(&format!("app={}", "x".repeat(2000))).await, Err(Code::Unauthenticated));
    assert_eq!(world.queries.asked(), Vec::<String>::new());
    let apps = Door::with(auth(json!({ "token": true })), &world).await;
    for elsewhere in [token(), bearer()] {
        assert!(apps.connect(elsewhere).await.unwrap().is_some());
    }
    assert_eq!(apps.cookies("tidegate_token=s1").await, Err(Code::Unauthenticated));
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_nothing_comes_from_its_user_and_goes_on_while_something_does() {
    let world = world();
    let door = door(&world).await;
    let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
    let client = door.server.client((*user).clone());
    for number in 1..=3 {
        door.advance(29 * 60);
        assert!(client.subscribe("members-only").await.is_ok(), "it was heard of within half an hour");
        let ends = NOW + (number * 29 + 30) * 60;
        assert_eq!(next(&door, &client), told_after(29 * 60, ends, 60), "an open connection ends as well");
    }
    door.advance(30 * 60);
    assert_eq!(tidegate_testkit::code(client.subscribe("members-only").await), Code::TokenExpired);
    assert_eq!(door.cookies("app=s1").await, Err(Code::TokenExpired));
    door.stop().await;
    // Another node, or this one after a restart, knows it too.
    let later = Door::with(auth(json!({})), &world).await;
    later.advance((3 * 29 + 30) * 60);
    assert_eq!(later.cookies("app=s1").await, Err(Code::TokenExpired));
}

fn next(door: &Door, client: &Client) -> Option<(Duration, Ending)> {
    door.server.gates.next_ending(&client.session)
}

fn told_after(seconds: u64, expires_at: u64, expires_in_s: u64) -> Option<(Duration, Ending)> {
    Some((Duration::from_secs(seconds), Ending::Tell { expires_at, expires_in_s }))
}

fn over_after(seconds: u64) -> Option<(Duration, Ending)> {
    Some((Duration::from_secs(seconds), Ending::Over))
}

#[tokio::test(start_paused = true)]
async fn a_silent_session_is_told_ahead_of_its_end_and_again_whenever_it_falls_silent_again() {
    let world = world();
    let door = door(&world).await;
    let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
    let (client, other) = (door.server.client((*user).clone()), door.server.client((*user).clone()));
    client.subscribe("news").await.unwrap();
    assert_eq!(next(&door, &client), told_after(29 * 60, NOW + 30 * 60, 60));
    door.advance(29 * 60);
    assert_eq!(next(&door, &client), told_after(0, NOW + 30 * 60, 60));
    client.session.was_told();
    assert_eq!(next(&door, &client), over_after(60));
    door.advance(59);
    // Whatever the page answers is a word of its user, on whichever of its connections.
    assert!(other.unsubscribe("news").is_err(), "it does not hold the topic");
    let ends = NOW + (29 + 30) * 60 + 59;
    assert_eq!(next(&door, &client), told_after(29 * 60, ends, 60), "and so it goes on");
    assert_eq!(next(&door, &other), told_after(29 * 60, ends, 60));
    door.advance(29 * 60);
    assert_eq!(next(&door, &client), told_after(0, ends, 60));
    client.session.was_told();
    door.advance(60);
    assert_eq!(next(&door, &client), over_after(0));
    assert_eq!(door.server.gates.still_good(&client.session), Err(Code::TokenExpired));
    assert!(other.unsubscribe("news").is_err());
    assert_eq!(next(&door, &client), over_after(0), "what is over does not begin again");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_used_on_another_node_goes_on_here() {
    let world = world();
    let (here, there) = (door(&world).await, door(&world).await);
    let user = here.connect(cookie("app=s1")).await.unwrap().unwrap();
    let silent = here.server.client((*user).clone());
    let user = there.connect(cookie("app=s1")).await.unwrap().unwrap();
    let speaks = there.server.client((*user).clone());
    let pass = async |seconds: u64| {
        here.advance(seconds);
        there.advance(seconds);
        // Long enough for one to write, or the other to ask.
        tokio::time::sleep(Duration::from_secs(11)).await;
    };
    pass(20 * 60).await;
    speaks.subscribe("members-only").await.unwrap();
    pass(9 * 60).await;
    pass(45).await;
    assert_eq!(next(&here, &silent), next(&there, &speaks));
    pass(15 * 60).await;
    assert_eq!(
        here.server.gates.still_good(&silent.session),
        Ok(()),
        "though nothing came from it here for 44 minutes"
    );
    pass(6 * 60).await;
    assert_eq!(here.server.gates.still_good(&silent.session), Err(Code::TokenExpired));
    assert_eq!(there.server.gates.still_good(&speaks.session), Err(Code::TokenExpired));
}

#[tokio::test(start_paused = true)]
async fn asking_whose_a_session_is_does_not_keep_it_alive() {
    let token = || Handshake { token: Some("s1".to_owned()), ..Handshake::default() };
    let question = || Handshake { is_question: true, ..token() };
    for (asks, expected) in [(question(), Some(Code::TokenExpired)), (token(), None)] {
        let world = world();
        let door = Door::with(auth(json!({ "idle": "30m", "token": true })), &world).await;
        drop(door.connect(token()).await.unwrap());
        door.advance(29 * 60);
        assert_eq!(door.connect(asks).await.unwrap().unwrap().id, "alice");
        door.advance(2 * 60);
        assert_eq!(door.connect(token()).await.err(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_is_told_of_when_half_of_it_is_over() {
    let world = world();
    let door = Door::with(auth(json!({ "idle": "20s" })), &world).await;
    let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
    let client = door.server.client((*user).clone());
    assert_eq!(next(&door, &client), told_after(10, NOW + 20, 10));
    door.advance(15);
    client.subscribe("news").await.unwrap();
    assert_eq!(next(&door, &client), told_after(10, NOW + 35, 10));
}

#[tokio::test(start_paused = true)]
async fn of_its_two_ends_the_session_is_told_of_the_one_that_comes_first() {
    let world = world();
    let door = Door::with(auth(json!({ "idle": "30m", "absolute": "40m" })), &world).await;
    let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
    let client = door.server.client((*user).clone());
    assert_eq!(next(&door, &client), told_after(29 * 60, NOW + 30 * 60, 60));
    door.advance(20 * 60);
    client.subscribe("news").await.unwrap();
    assert_eq!(next(&door, &client), told_after(19 * 60, NOW + 40 * 60, 60), "no word moves this one");
    door.advance(19 * 60);
    client.session.was_told();
    client.subscribe("news").await.unwrap();
    assert_eq!(next(&door, &client), over_after(60), "told once");
}

#[tokio::test(start_paused = true)]
async fn less_than_a_second_of_silence_is_not_for_ever() {
    let world = world();
    let door = Door::with(auth(json!({ "idle": "500ms" })), &world).await;
    let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
    assert_eq!(user.ends_at(), Some(NOW + 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_column_that_says_it_a_session_lasts_from_when_it_was_first_seen() {
    let world = world();
    let first = Door::with(auth(json!({ "idle": "0s", "absolute": "1h" })), &world).await;
    assert_eq!(first.cookies("app=s1").await.as_deref(), Ok("alice"));
    first.stop().await;
    let second = Door::with(auth(json!({ "idle": "0s", "absolute": "1h" })), &world).await;
    second.advance(3599);
    let user = second.connect(cookie("app=s1")).await.unwrap().unwrap();
    assert_eq!(user.expires_at, Some(NOW + 3600));
    second.advance(1);
    assert_eq!(second.cookies("app=s1").await, Err(Code::TokenExpired));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_user_finds_the_session_closed_on_every_node_and_a_new_one_open() {
    let world = world();
    let (here, there) = (door(&world).await, door(&world).await);
    assert_eq!(here.cookies("app=s1").await.as_deref(), Ok("alice"));
    for node in [&here, &there] {
        node.advance(5);
        node.server.revoke(json!({ "user": "alice" }));
    }
    // What nobody wrote down yet is written long before the next time: this session is not new where it was not seen.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.sessions.batches(), [1]);
    world.queries.answer("s2", vec![json!({ "user_id": "alice" })]);
    for node in [&here, &there] {
        node.advance(1);
        assert_eq!(node.cookies("app=s1").await, Err(Code::TokenRevoked));
        assert_eq!(node.cookies("app=s2").await.as_deref(), Ok("alice"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_began_in_the_second_of_a_revocation_or_was_rounded_up_is_one_of_before() {
    for began in [NOW as f64 + 0.737, NOW as f64 + 1.0] {
        let world = World::default();
        world.queries.answer("s1", vec![json!({ "user_id": "alice", "created_at": began })]);
        let door = door(&world).await;
        let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
        let client = door.server.client((*user).clone());
        door.server.revoke(json!({ "user": "alice" }));
        assert_eq!(door.server.gates.still_good(&client.session), Err(Code::TokenRevoked), "{began}");
        door.advance(5);
        assert_eq!(door.cookies("app=s1").await, Err(Code::TokenRevoked), "{began}");
        world.queries.answer("s2", vec![json!({ "user_id": "alice", "created_at": began + 4.0 })]);
        assert_eq!(door.cookies("app=s2").await.as_deref(), Ok("alice"), "{began}");
    }
}

#[tokio::test(start_paused = true)]
async fn use_is_written_back_in_bounded_batches_and_never_with_the_sessions_id() {
    let world = World::default();
    for number in 0..1201 {
        world.queries.answer(&format!("secret-{number}"), vec![json!({ "user_id": "u" })]);
    }
    let door = door(&world).await;
    for number in 0..1201 {
        door.cookies(&format!("app=secret-{number}")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.sessions.batches(), [500, 500, 201]);
    let written = world.sessions.all();
    assert_eq!(written.len(), 1201);
    assert!(written.keys().all(|key| key.as_str().len() == 64 && !key.as_str().contains("secret")));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.sessions.batches().len(), 3, "nothing changed, nothing is written");
    door.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_back_is_written_when_the_store_is_there_again() {
    let world = world();
    let door = door(&world).await;
    door.cookies("app=s1").await.unwrap();
    world.sessions.set_away(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(world.sessions.all().is_empty());
    world.sessions.set_away(false);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.sessions.all().len(), 1);
    door.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_writes_back_what_was_not_yet() {
    let world = world();
    let door = door(&world).await;
    door.cookies("app=s1").await.unwrap();
    door.stop().await;
    assert_eq!(world.sessions.all().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_refuses_new_connections_for_now_and_harms_nobody_connected() {
    let world = world();
    let door = door(&world).await;
    let user = door.connect(cookie("app=s1")).await.unwrap().unwrap();
    let client = door.server.client((*user).clone());
    for away in [true, false] {
        world.queries.set_away(away);
        world.sessions.set_away(!away);
        assert_eq!(door.cookies("app=s1").await, Err(Code::Unavailable));
        assert!(client.subscribe("members-only").await.is_ok());
    }
    world.sessions.set_away(false);
    assert_eq!(door.cookies("app=s1").await.as_deref(), Ok("alice"));
}

#[tokio::test(start_paused = true)]
async fn a_query_that_the_database_refuses_is_a_mistake_and_a_database_that_is_away_is_none() {
    let world = world();
    for (query, expected) in [
        ("delete from sessions where token = $1", "is not a query"),
        ("select 1 where a = $1 and b = $2", "has 2 parameters"),
    ] {
        let mistakes = Door::try_with(auth(json!({ "query": query })), &world).await.err();
        assert!(format!("{mistakes:?}").contains(expected), "{mistakes:?}");
    }
    world.queries.set_away(true);
    let door = door(&world).await;
    assert_eq!(door.cookies("app=s1").await, Err(Code::Unavailable));
    world.queries.set_away(false);
    assert_eq!(door.cookies("app=s1").await.as_deref(), Ok("alice"));
}
