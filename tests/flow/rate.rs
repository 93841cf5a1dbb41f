//! How often one user may send on one channel.

use std::time::Duration;

use serde_json::json;
use tidegate_core::protocol::{Code, User};

use tidegate_testkit::{CHANNELS, Client, FakePlugins, Server, code, user};

async fn joined(server: &Server, user: impl Into<Option<User>>) -> Client {
    let client = server.client(user);
    client.subscribe("rated").await.unwrap();
    client
}

/// How many of ten messages sent at once are let through.
async fn let_through(client: &Client) -> usize {
    let mut passed = 0;
    for _ in 0..10 {
        match client.send("rated", json!({})).await {
            Ok(_) => passed += 1,
            Err(refusal) => assert_eq!(refusal.code, Code::RateLimited),
        }
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_what_may_come_at_once_and_then_in_its_time() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, user("alice")).await;
    assert_eq!(let_through(&client).await, 3);
    tokio::time::advance(Duration::from_millis(334)).await;
    assert_eq!(let_through(&client).await, 1);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(let_through(&client).await, 3);
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_a_user_share_one_window() {
    let server = Server::declaring(CHANNELS).start();
    let (one, other) = (joined(&server, user("alice")).await, joined(&server, user("alice")).await);
    assert_eq!(let_through(&one).await, 3);
    assert_eq!(let_through(&other).await, 0);
}

#[tokio::test(start_paused = true)]
async fn other_users_and_users_of_another_tenant_have_windows_of_their_own() {
    let server = Server::declaring(CHANNELS).start();
    let of_t2 = User { tenant: Some("t2".to_owned()), ..user("alice") };
    for user in [user("alice"), user("bob"), of_t2] {
        assert_eq!(let_through(&joined(&server, user.clone()).await).await, 3, "{user:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_anonymous_connection_has_its_own() {
    let server = Server::declaring(CHANNELS).start();
    assert_eq!(let_through(&joined(&server, None).await).await, 3);
    assert_eq!(let_through(&joined(&server, None).await).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_reaches_no_handler_and_a_message_that_fails_its_schema_counts() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, user("alice")).await;
    for _ in 0..3 {
        assert_eq!(code(client.send("rated", json!({ "wrong": 1 })).await), Code::InvalidPayload);
    }
    assert_eq!(let_through(&client).await, 0);
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_leaves_the_rate_leaves_the_windows() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, user("alice")).await;
    assert_eq!(let_through(&client).await, 3);
    server.reload(CHANNELS, FakePlugins::silent());
    assert_eq!(let_through(&client).await, 0);
    server.reload(&CHANNELS.replace("3/s", "5/s"), FakePlugins::silent());
    assert_eq!(let_through(&client).await, 5);
}

#[tokio::test(start_paused = true)]
async fn forgetting_silent_senders_forgets_nobody_who_must_wait() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, user("alice")).await;
    assert_eq!(let_through(&client).await, 3);
    server.gates.sweep();
    assert_eq!(let_through(&client).await, 0);
}
