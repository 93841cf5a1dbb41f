//! Looking again at a session's row while its connection lasts: extended, changed, or gone.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::flow::{Ending, Handshake, Looked};
use tidegate_core::protocol::{Ack, Code};

use crate::issuer::{Door, NOW, World};
use tidegate_testkit::{Client, code};

fn auth(changes: Value) -> Value {
    let query = "select user_id from sessions where token = $1";
    let mut session = json!({ "cookie": "app", "query": query, "idle": "0s", "absolute": "0s" });
    session.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "providers": [{ "session": session }] })
}

fn until(expires_at: u64) -> Vec<Value> {
    vec![json!({ "user_id": "alice", "created_at": NOW, "expires_at": expires_at })]
}

/// A session that ends in 100 s, with a connection.
async fn connected(changes: Value) -> (World, Door, Client) {
    let world = World::default();
    world.queries.answer("s1", until(NOW + 100));
    let door = Door::with(auth(changes), &world).await;
    let handshake = Handshake { cookie: Some("theme=dark; app=s1".to_owned()), ..Handshake::default() };
    let client = Client::connect(&door.server.gates, &handshake).await.unwrap();
    (world, door, client)
}

async fn look(door: &Door, client: &Client) -> Looked {
    door.server.gates.look_again(&client.session).await
}

fn ends_at(client: &Client) -> Option<u64> {
    client.session.user().unwrap().expires_at
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_extended_goes_on_until_its_new_end() {
    let (world, door, client) = connected(json!({})).await;
    client.subscribe("members-only").await.unwrap();
    assert_eq!(look(&door, &client).await, Looked::Same);
    world.queries.answer("s1", until(NOW + 1000));
    assert_eq!(look(&door, &client).await, Looked::Renewed);
    assert_eq!(ends_at(&client), Some(NOW + 1000));
    door.advance(500);
    assert!(client.subscribe("news").await.is_ok());
    assert!(client.holds("members-only"));
}

#[tokio::test(start_paused = true)]
async fn before_an_end_is_told_and_before_it_takes_place_the_row_is_looked_at_once_each() {
    let (_world, door, client) = connected(json!({})).await;
    let gates = &door.server.gates;
    door.advance(60);
    let Some((Duration::ZERO, tell @ Ending::Tell { .. })) = gates.next_ending(&client.session) else { panic!() };
    assert!(gates.looks_before(&client.session, tell));
    assert!(!gates.looks_before(&client.session, tell), "whatever came of it");
    client.session.was_told();
    door.advance(40);
    assert_eq!(gates.next_ending(&client.session), Some((Duration::ZERO, Ending::Over)));
    assert!(gates.looks_before(&client.session, Ending::Over));
    assert!(!gates.looks_before(&client.session, Ending::Over));
    assert_eq!(look(&door, &client).await, Looked::Over(Code::TokenExpired));
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_row_is_gone_or_another_users_is_over_and_one_whose_end_was_brought_forward() {
    for (rows, expected) in [
        (vec![], Code::Unauthenticated),
        (vec![json!({ "user_id": null })], Code::Unauthenticated),
        (vec![json!({ "user_id": "bob" })], Code::Forbidden),
        (until(NOW), Code::TokenExpired),
    ] {
        let (world, door, client) = connected(json!({})).await;
        world.queries.answer("s1", rows.clone());
        assert_eq!(look(&door, &client).await, Looked::Over(expected), "{rows:?}");
    }
    let (_world, door, client) = connected(json!({})).await;
    door.server.revoke(json!({ "user": "alice" }));
    assert_eq!(look(&door, &client).await, Looked::Over(Code::TokenRevoked));
}

#[tokio::test(start_paused = true)]
async fn other_roles_are_judged_again() {
    let (world, door, client) = connected(json!({})).await;
    assert_eq!(code(client.subscribe("desk").await), Code::Forbidden);
    let row = |roles: &str| vec![json!({ "user_id": "alice", "created_at": NOW, "roles": roles })];
    world.queries.answer("s1", row("editor"));
    assert_eq!(look(&door, &client).await, Looked::Renewed);
    assert!(client.subscribe("desk").await.is_ok());
    world.queries.answer("s1", row("reader"));
    assert_eq!(look(&door, &client).await, Looked::Renewed);
    assert_eq!(client.recheck(), [("desk".to_owned(), Code::Forbidden)]);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_or_slow_ends_nobody_before_the_end_that_is_known() {
    let (world, door, client) = connected(json!({})).await;
    world.queries.set_away(true);
    assert_eq!(look(&door, &client).await, Looked::Same);
    assert!(client.subscribe("members-only").await.is_ok());
    assert_eq!(ends_at(&client), Some(NOW + 100));
    door.advance(100);
    assert_eq!(look(&door, &client).await, Looked::Same);
    assert_eq!(door.server.gates.still_good(&client.session), Err(Code::TokenExpired), "and then it is over");
}

#[tokio::test(start_paused = true)]
async fn a_look_is_no_use_of_the_session_and_hears_of_uses_elsewhere() {
    let (world, door, client) = connected(json!({ "idle": "60s" })).await;
    world.queries.answer("s1", until(NOW + 1000));
    door.advance(50);
    assert_eq!(look(&door, &client).await, Looked::Renewed);
    assert_eq!(client.session.user().unwrap().ends_at(), Some(NOW + 60), "silent for 50 s still");
    let there = Door::with(auth(json!({ "idle": "60s" })), &world).await;
    there.advance(50);
    there.cookies("app=s1").await.unwrap();
    there.stop().await;
    door.advance(5);
    assert_eq!(look(&door, &client).await, Looked::Same);
    assert_eq!(client.session.user().unwrap().ends_at(), Some(NOW + 110));
    door.advance(55);
    assert_eq!(look(&door, &client).await, Looked::Over(Code::TokenExpired));
}

#[tokio::test(start_paused = true)]
async fn every_recheck_it_is_looked_at_and_not_everybody_at_once() {
    let (_world, door, client) = connected(json!({})).await;
    let moments: std::collections::BTreeSet<_> =
        (0..20).map(|_| door.server.gates.next_look(&client.session).unwrap()).collect();
    assert_eq!(moments.len(), 20);
    assert!(moments.iter().all(|time| (Duration::from_secs(270)..=Duration::from_secs(300)).contains(time)));
    let world = World::default();
    world.queries.answer("s1", until(NOW + 100));
    let never = json!({ "recheck": "0s", "providers": auth(json!({}))["providers"] });
    let door = Door::with(never, &world).await;
    let handshake = Handshake { cookie: Some("app=s1".to_owned()), ..Handshake::default() };
    let client = Client::connect(&door.server.gates, &handshake).await.unwrap();
    assert_eq!(door.server.gates.next_look(&client.session), None);
    assert!(door.server.gates.looks_before(&client.session, Ending::Over), "but before its end");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_a_session_is_renewed_by_the_cookie_that_its_connection_came_with() {
    let (world, door, client) = connected(json!({})).await;
    world.queries.answer("s1", until(NOW + 1000));
    let renewed = Ack::Authenticated { expires_at: Some(NOW + 1000) };
    assert_eq!(client.authenticate_by_cookies().await, Ok(renewed));
    door.advance(500);
    assert!(client.subscribe("members-only").await.is_ok());
    world.queries.answer("s1", vec![]);
    assert_eq!(code(client.authenticate_by_cookies().await), Code::Unauthenticated);
    world.queries.answer("s1", vec![json!({ "user_id": "bob" })]);
    assert_eq!(code(client.authenticate_by_cookies().await), Code::Forbidden);
    let nobody = door.server.client(None);
    assert_eq!(code(nobody.authenticate_by_cookies().await), Code::Unauthenticated, "it came with none");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_row_of_a_table_is_not_looked_at() {
    let (_world, door, _client) = connected(json!({})).await;
    let other = door.server.client(tidegate_testkit::user("alice"));
    assert_eq!(look(&door, &other).await, Looked::Same);
    assert_eq!(door.server.gates.next_look(&other.session), None);
    assert!(!door.server.gates.looks_before(&other.session, Ending::Over));
}

#[tokio::test(start_paused = true)]
async fn a_bus_event_ends_a_session_by_the_id_that_its_cookie_holds() {
    let (_world, door, client) = connected(json!({})).await;
    let rules = "rules:\n  - { on: session.deleted, end_sessions: { token: event.data.id } }\n";
    door.server.reload_with_bridge(tidegate_testkit::CHANNELS, rules);
    for (id, expected) in [("s2", Ok(())), ("s1", Err(Code::TokenRevoked))] {
        door.server.bridge(&tidegate_testkit::event("session.deleted", json!({ "id": id }))).await;
        assert_eq!(door.server.gates.still_good(&client.session), expected, "{id}");
    }
    let kept = format!("{:?}", door.server.clients.revoked());
    assert!(!kept.contains("\"s1\"") && !kept.contains("`s1`"), "a session's id is a secret: {kept}");
    assert_eq!(door.cookies("app=s1").await, Err(Code::TokenRevoked));
}
