//! `authenticate`: a fresh credential for the session there is.

use std::sync::Arc;

use serde_json::json;
use tidegate_core::protocol::{Ack, Code, User};

use tidegate_testkit::{CHANNELS, FakeClock, FakePlugins, FakeProvider, Server, ServerBuilder, code, user};

fn editor(id: &str) -> User {
    User { roles: vec!["editor".to_owned()], ..user(id) }
}

fn until(expires_at: u64) -> User {
    User { expires_at: Some(expires_at), ..user("alice") }
}

fn server() -> ServerBuilder {
    let provider = FakeProvider::knowing([
        ("alice", user("alice")),
        ("alice as editor", editor("alice")),
        ("alice of t2", User { tenant: Some("t2".to_owned()), ..user("alice") }),
        ("alice for longer", until(FakeClock::START_UNIX_S + 100)),
        ("alice, over", until(FakeClock::START_UNIX_S)),
        ("bob", user("bob")),
    ]);
    Server::declaring(CHANNELS).provider(Arc::new(provider.refusing("revoked", Code::TokenRevoked)))
}

#[tokio::test]
async fn a_fresh_token_of_the_same_user_renews_and_says_until_when() {
    let client = server().start().client(user("alice"));
    let expires_at = Some(FakeClock::START_UNIX_S + 100);
    assert_eq!(client.authenticate("alice for longer").await, Ok(Ack::Authenticated { expires_at }));
    assert_eq!(client.authenticate("alice").await, Ok(Ack::Authenticated { expires_at: None }));
}

#[tokio::test]
async fn a_session_whose_credential_ran_out_goes_on_after_renewal_with_its_topics() {
    let server = server().start();
    let client = server.client(until(FakeClock::START_UNIX_S + 10));
    client.subscribe("members-only").await.unwrap();
    server.clock.advance(10);
    assert_eq!(code(client.subscribe("news").await), Code::TokenExpired);
    client.authenticate("alice for longer").await.unwrap();
    assert!(client.subscribe("news").await.is_ok());
    assert!(client.holds("members-only"));
}

#[tokio::test]
async fn an_anonymous_session_gains_a_user() {
    let client = server().start().client(None);
    assert_eq!(code(client.subscribe("inbox.alice").await), Code::Unauthenticated);
    client.authenticate("alice").await.unwrap();
    assert!(client.subscribe("inbox.alice").await.is_ok());
}

#[tokio::test]
async fn another_users_token_is_forbidden_and_the_session_stays_whose_it_was() {
    let client = server().start().client(user("alice"));
    for other in ["bob", "alice of t2"] {
        assert_eq!(code(client.authenticate(other).await), Code::Forbidden, "{other}");
    }
    assert!(client.subscribe("inbox.alice").await.is_ok());
}

#[tokio::test]
async fn a_bad_token_is_refused_and_changes_nothing() {
    let client = server().start().client(user("alice"));
    assert_eq!(code(client.authenticate("of no provider").await), Code::Unauthenticated);
    assert_eq!(code(client.authenticate("").await), Code::Unauthenticated);
    assert_eq!(code(client.authenticate("alice, over").await), Code::TokenExpired);
    assert_eq!(code(client.authenticate("revoked").await), Code::TokenRevoked);
    assert!(client.subscribe("inbox.alice").await.is_ok());
}

#[tokio::test]
async fn roles_lost_by_renewal_cost_the_topics_they_opened() {
    let client = server().start().client(editor("alice"));
    client.subscribe("desk").await.unwrap();
    client.subscribe("news").await.unwrap();
    client.authenticate("alice").await.unwrap();
    assert_eq!(client.recheck(), [("desk".to_owned(), Code::Forbidden)]);
    assert!(client.holds("news") && !client.holds("desk"));
    assert_eq!(client.recheck(), []);
}

#[tokio::test]
async fn roles_gained_by_renewal_open_their_topics() {
    let client = server().start().client(user("alice"));
    assert_eq!(code(client.subscribe("desk").await), Code::Forbidden);
    client.authenticate("alice as editor").await.unwrap();
    assert!(client.subscribe("desk").await.is_ok());
}

#[tokio::test]
async fn a_renewal_while_gate_2_decides_on_the_old_roles_does_not_slip_past_the_recheck() {
    let (plugins, latch) = FakePlugins::silent().held();
    let manifest = "feature: test\nchannels:\n  desk: { scope: { role: editor }, authorizer: members, payload: {} }\n";
    let provider = Arc::new(FakeProvider::knowing([("alice", user("alice"))]));
    let server = Server::declaring(manifest).provider(provider).plugins(plugins).start();
    let client = server.client(editor("alice"));
    let (joined, ()) = tokio::join!(client.subscribe("desk"), async {
        latch.call_arrived().await;
        client.authenticate("alice").await.unwrap();
        latch.release();
    });
    assert_eq!(code(joined), Code::Forbidden);
    assert!(!client.holds("desk"));
}

#[tokio::test]
async fn renewal_needs_no_subscription_and_touches_none() {
    let server = server().start();
    let client = server.client(user("alice"));
    client.subscribe("ping").await.unwrap();
    client.authenticate("alice").await.unwrap();
    assert_eq!(client.recheck(), []);
    assert_eq!(client.send("ping", json!({ "n": 1 })).await, Ok(None));
}
