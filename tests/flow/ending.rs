//! The end of a credential: told ahead, on time, and not at all where there is none; and the end of a grant.

use std::time::Duration;

use tidegate_core::flow::Ending;
use tidegate_core::protocol::{Code, User};
use tokio::time::Instant;

use tidegate_testkit::{CHANNELS, Client, FakeClock, FakePlugins, Server, user};

const NOW: u64 = FakeClock::START_UNIX_S;
const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn until(expires_at: u64, issued_at: Option<u64>) -> User {
    User { expires_at: Some(expires_at), issued_at, ..user("alice") }
}

fn next(server: &Server, client: &Client) -> Option<(Duration, Ending)> {
    server.gates.next_ending(&client.session)
}

fn told(expires_at: u64, expires_in_s: u64) -> Ending {
    Ending::Tell { expires_at, expires_in_s }
}

#[test]
fn a_session_is_told_a_minute_ahead_and_over_in_time() {
    let server = Server::declaring(CHANNELS).start();
    let client = server.client(until(NOW + 3600, Some(NOW)));
    assert_eq!(next(&server, &client), Some((seconds(3540), told(NOW + 3600, 60))));
    server.clock.advance(3540);
    assert_eq!(next(&server, &client), Some((Duration::ZERO, told(NOW + 3600, 60))));
    client.session.was_told();
    assert_eq!(next(&server, &client), Some((seconds(60), Ending::Over)));
    server.clock.advance(60);
    assert_eq!(next(&server, &client), Some((Duration::ZERO, Ending::Over)));
}

#[test]
fn a_short_credential_is_told_of_at_half_its_time() {
    let server = Server::declaring(CHANNELS).start();
    let whole = server.client(until(NOW + 10, Some(NOW)));
    assert_eq!(next(&server, &whole), Some((seconds(5), told(NOW + 10, 5))));
    let undated = server.client(until(NOW + 10, None));
    assert_eq!(next(&server, &undated), Some((seconds(5), told(NOW + 10, 5))), "from when it was let in");
    let nearly_over = server.client(until(NOW + 10, Some(NOW - 3590)));
    assert_eq!(next(&server, &nearly_over), Some((Duration::ZERO, told(NOW + 10, 10))), "at once");
}

#[test]
fn the_moment_for_an_undated_credential_stays_where_it_was() {
    let server = Server::declaring(CHANNELS).start();
    let client = server.client(until(NOW + 100, None));
    assert_eq!(next(&server, &client), Some((seconds(50), told(NOW + 100, 50))));
    server.clock.advance(20);
    assert_eq!(next(&server, &client), Some((seconds(30), told(NOW + 100, 50))));
}

#[test]
fn who_comes_too_late_to_be_told_hears_that_it_is_over() {
    let server = Server::declaring(CHANNELS).start();
    let client = server.client(until(NOW + 10, Some(NOW)));
    server.clock.advance(11);
    assert_eq!(next(&server, &client), Some((Duration::ZERO, Ending::Over)));
}

#[test]
fn a_credential_without_an_end_and_no_credential_never_end() {
    let server = Server::declaring(CHANNELS).start();
    assert_eq!(next(&server, &server.client(user("alice"))), None);
    assert_eq!(next(&server, &server.client(None)), None);
}

#[test]
fn nobody_is_told_ahead_where_the_operator_wants_none_told() {
    let server = Server::declaring(CHANNELS).auth(|auth| auth.lifetimes.expiring_ahead = Duration::ZERO).start();
    let client = server.client(until(NOW + 3600, Some(NOW)));
    assert_eq!(next(&server, &client), Some((seconds(3600), Ending::Over)));
}

#[tokio::test]
async fn a_renewed_session_is_told_again_of_the_new_end() {
    use std::sync::Arc;
    let fresh = until(NOW + 7200, Some(NOW));
    let provider = Arc::new(tidegate_testkit::FakeProvider::knowing([("fresh", fresh)]));
    let server = Server::declaring(CHANNELS).provider(provider).start();
    let client = server.client(until(NOW + 30, Some(NOW - 3570)));
    client.session.was_told();
    client.authenticate("fresh").await.unwrap();
    assert_eq!(next(&server, &client), Some((seconds(7140), told(NOW + 7200, 60))));
}

#[tokio::test(start_paused = true)]
async fn a_held_subscription_is_asked_about_again_before_its_grant_is_over() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::granting(seconds(60))).start();
    let client = server.client(user("alice"));
    client.subscribe("vault.v1").await.unwrap();
    client.subscribe("news").await.unwrap();
    let due = server.gates.next_recheck(&client.session).unwrap() - Instant::now();
    assert!((seconds(54)..=seconds(60)).contains(&due), "{due:?}");
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 1, "it is not time yet");
    tokio::time::advance(due).await;
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 2);
    let again = server.gates.next_recheck(&client.session).unwrap() - Instant::now();
    assert!(again >= seconds(54), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn another_connection_of_the_user_that_was_asked_about_meanwhile_answers_for_this_one() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::granting(seconds(60))).start();
    let (first, second) = (server.client(user("alice")), server.client(user("alice")));
    first.subscribe("vault.v1").await.unwrap();
    second.subscribe("vault.v1").await.unwrap();
    assert_eq!(server.plugins.asked().len(), 1);
    tokio::time::advance(seconds(60)).await;
    assert_eq!(first.reauthorize().await, []);
    assert_eq!(second.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 2, "the new answer serves both");
}

#[tokio::test(start_paused = true)]
async fn who_is_no_member_any_more_loses_the_topic_when_the_grant_is_over() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::granting(seconds(60))).start();
    let client = server.client(user("alice"));
    client.subscribe("vault.v1").await.unwrap();
    server.reload(CHANNELS, FakePlugins::denying());
    assert_eq!(client.reauthorize().await, [], "the same version, within its grant");
    tokio::time::advance(seconds(60)).await;
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Forbidden)]);
    assert_eq!(server.gates.next_recheck(&client.session), None);
}

#[tokio::test(start_paused = true)]
async fn without_a_time_it_is_asked_about_as_often_as_the_operator_says() {
    let server = Server::declaring(CHANNELS).auth(|auth| auth.lifetimes.recheck = seconds(10)).start();
    let client = server.client(user("alice"));
    client.subscribe("vault.v1").await.unwrap();
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 1);
    tokio::time::advance(seconds(10)).await;
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 2);
    let never = Server::declaring(CHANNELS).auth(|auth| auth.lifetimes.recheck = Duration::ZERO).start();
    let client = never.client(user("alice"));
    client.subscribe("vault.v1").await.unwrap();
    assert_eq!(never.gates.next_recheck(&client.session), None);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_was_over_while_the_machine_slept_is_asked_about_again() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::granting(seconds(60))).start();
    let client = server.client(user("alice"));
    client.subscribe("vault.v1").await.unwrap();
    server.clock.advance(7200);
    let due = server.gates.next_recheck(&client.session).unwrap();
    assert!(due <= server.gates.elapsed().now(), "by the monotonic clock no time has passed");
    assert_eq!(client.reauthorize().await, []);
    assert_eq!(server.plugins.asked().len(), 2);
    assert!(server.gates.next_recheck(&client.session).unwrap() > server.gates.elapsed().now());
}

#[tokio::test(start_paused = true)]
async fn those_granted_at_once_are_not_all_asked_about_at_once() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::granting(seconds(100))).start();
    let mut moments = std::collections::BTreeSet::new();
    for number in 0..20 {
        let client = server.client(user(&format!("u{number}")));
        client.subscribe("vault.v1").await.unwrap();
        moments.insert(server.gates.next_recheck(&client.session).unwrap());
    }
    assert_eq!(moments.len(), 20);
}
