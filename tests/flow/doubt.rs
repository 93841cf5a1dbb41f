//! An authorizer that is asked again about what is held and cannot tell: what is kept, how often it is asked, and for how
//! long.

use std::sync::Arc;
use std::time::Duration;

use tidegate_core::flow::ports::FaultKind;
use tidegate_core::protocol::{Code, User};
use tokio::time::Instant;

use tidegate_testkit::{CHANNELS, Client, FakePlugins, FakeProvider, Server, user};

const HOUR: Duration = Duration::from_secs(60 * 60);
const RECHECK: Duration = Duration::from_secs(10);

/// A server whose authorizer is asked about what is held every ten seconds.
fn server(grace: Duration) -> Server {
    let builder = Server::declaring(CHANNELS).auth(|auth| {
        auth.lifetimes.recheck = RECHECK;
        auth.lifetimes.recheck_grace = grace;
    });
    builder.start()
}

async fn member(server: &Server, id: &str) -> Client {
    let client = server.client(user(id));
    client.subscribe("vault.v1").await.unwrap();
    client
}

/// Waits until the client is to be asked about again; how long that was.
async fn wait_for_recheck(server: &Server, client: &Client) -> Duration {
    let wait = server.gates.next_recheck(&client.session).unwrap().saturating_duration_since(Instant::now());
    tokio::time::advance(wait).await;
    wait
}

#[tokio::test(start_paused = true)]
async fn who_is_in_stays_in_while_the_authorizer_cannot_tell_and_goes_on_when_it_can() {
    let server = server(HOUR);
    let client = member(&server, "alice").await;
    server.reload(CHANNELS, FakePlugins::doubting());
    wait_for_recheck(&server, &client).await;
    for _ in 0..5 {
        assert_eq!(client.reauthorize().await, []);
        assert!(client.holds("vault.v1"));
        wait_for_recheck(&server, &client).await;
    }
    server.reload(CHANNELS, FakePlugins::silent());
    assert_eq!(client.reauthorize().await, []);
    let next = server.gates.next_recheck(&client.session).unwrap() - Instant::now();
    assert!(next > RECHECK * 8 / 10, "no doubt is left: {next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_no_ends_what_was_in_doubt() {
    let server = server(HOUR);
    let client = member(&server, "alice").await;
    server.reload(CHANNELS, FakePlugins::doubting());
    wait_for_recheck(&server, &client).await;
    assert_eq!(client.reauthorize().await, []);
    server.reload(CHANNELS, FakePlugins::denying());
    assert_eq!(client.reauthorize().await, [], "it is not time yet, and the version is the same");
    wait_for_recheck(&server, &client).await;
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Forbidden)]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_its_own_is_a_no_and_one_that_is_not_is_none() {
    for (kind, lost) in [
        (FaultKind::Trap, true),
        (FaultKind::Cpu, true),
        (FaultKind::Timeout, false),
        (FaultKind::Overloaded, false),
        (FaultKind::Paused, false),
        (FaultKind::Missing, false),
    ] {
        let server = server(HOUR);
        let client = member(&server, "alice").await;
        server.reload(CHANNELS, FakePlugins::authorizer_faulting(kind).of_version(2));
        assert_eq!(client.reauthorize().await.is_empty(), !lost, "{kind:?}");
        assert_eq!(client.holds("vault.v1"), !lost, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_less_and_less_often_and_at_the_end_of_the_grace_the_subscription_ends_as_unavailable() {
    let server = server(HOUR);
    let client = member(&server, "alice").await;
    let plugins = server.serve(CHANNELS, FakePlugins::doubting());
    wait_for_recheck(&server, &client).await;
    let doubted = Instant::now();
    let mut waits = Vec::new();
    let lost = loop {
        let lost = client.reauthorize().await;
        if !lost.is_empty() {
            break lost;
        }
        waits.push(wait_for_recheck(&server, &client).await);
    };
    assert_eq!(lost, [("vault.v1".to_owned(), Code::Unavailable)]);
    assert!(!client.holds("vault.v1"));
    assert_eq!(doubted.elapsed(), HOUR);
    assert!((Duration::from_secs(1)..Duration::from_millis(1500)).contains(&waits[0]), "{waits:?}");
    assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&waits[2]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(90)), "{waits:?}");
    assert_eq!(plugins.asked().len(), waits.len() + 1);
    assert!(waits.len() < 70, "an hour of it costs few questions: {}", waits.len());
}

#[tokio::test(start_paused = true)]
async fn without_grace_it_ends_at_once() {
    let server = server(Duration::ZERO);
    let client = member(&server, "alice").await;
    server.reload(CHANNELS, FakePlugins::doubting().of_version(2));
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Unavailable)]);
}

#[tokio::test(start_paused = true)]
async fn another_version_is_asked_at_once_and_brings_no_new_grace() {
    let server = server(HOUR);
    let client = member(&server, "alice").await;
    let second = server.serve(CHANNELS, FakePlugins::doubting().of_version(2));
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(second.asked().len(), 1, "it waits");
    tokio::time::advance(HOUR - Duration::from_secs(1)).await;
    let third = server.serve(CHANNELS, FakePlugins::doubting().of_version(3));
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(third.asked().len(), 1, "another may be able to tell");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Unavailable)]);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_asks_at_once_about_everything_else_the_user_holds_and_keeps_what_is_in_doubt() {
    let server = server(HOUR);
    let client = member(&server, "alice").await;
    let doubting = server.serve(CHANNELS, FakePlugins::doubting().of_version(2));
    assert_eq!(client.reauthorize().await, []);
    server.revoke(serde_json::json!({ "user": "alice", "topic": "vault.v2" }));
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(doubting.asked().len(), 2, "what was answered before the revocation counts no more");
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(doubting.asked().len(), 2, "and then it waits again");
    assert!(client.holds("vault.v1"));
}

#[tokio::test(start_paused = true)]
async fn those_in_doubt_since_one_moment_are_not_all_asked_about_at_another() {
    let server = server(HOUR);
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(member(&server, &format!("u{number}")).await);
    }
    server.reload(CHANNELS, FakePlugins::doubting().of_version(2));
    let mut moments = std::collections::BTreeSet::new();
    for client in &clients {
        assert_eq!(client.reauthorize().await, []);
        moments.insert(server.gates.next_recheck(&client.session).unwrap());
    }
    assert_eq!(moments.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_renewed_credential_with_other_roles_keeps_what_is_in_doubt() {
    let promoted = User { roles: vec!["editor".to_owned()], ..user("alice") };
    let server = Server::declaring(CHANNELS)
        .provider(Arc::new(FakeProvider::knowing([("promoted", promoted)])))
        .auth(|auth| auth.lifetimes.recheck_grace = HOUR)
        .start();
    let client = member(&server, "alice").await;
    server.reload(CHANNELS, FakePlugins::doubting());
    client.authenticate("promoted").await.unwrap();
    assert_eq!(client.reauthorize().await, []);
    assert!(client.holds("vault.v1"));
    tokio::time::advance(HOUR).await;
    client.authenticate("promoted").await.unwrap();
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Unavailable)], "it brings no new grace");
}
