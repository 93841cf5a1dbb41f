//! After a reload: which topics a session may keep.

use tidegate_core::flow::ports::FaultKind;
use tidegate_core::protocol::{Code, User};

use tidegate_testkit::{CHANNELS, Client, FakePlugins, Server, code, user};

async fn holding(server: &Server, user: impl Into<Option<User>>, topics: &[&str]) -> Client {
    let client = server.client(user);
    for topic in topics {
        client.subscribe(topic).await.unwrap();
    }
    client
}

#[tokio::test]
async fn a_reload_that_changes_nothing_costs_nothing() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, user("alice"), &["news", "ping", "inbox.alice"]).await;
    assert_eq!(client.recheck(), []);
    server.reload(CHANNELS, FakePlugins::silent());
    assert_eq!(client.recheck(), []);
    assert!(client.holds("news") && client.holds("ping") && client.holds("inbox.alice"));
}

#[tokio::test]
async fn a_topic_whose_channel_is_gone_is_released_as_unknown_channel_once() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, None, &["news", "chat.a"]).await;
    server.reload(&CHANNELS.replace("news:", "olds:"), FakePlugins::silent());
    assert_eq!(client.recheck(), [("news".to_owned(), Code::UnknownChannel)]);
    assert!(!client.holds("news") && client.holds("chat.a"));
    assert_eq!(client.recheck(), []);
}

#[tokio::test]
async fn a_scope_that_got_narrower_releases_whom_it_no_longer_admits() {
    let server = Server::declaring(CHANNELS).start();
    let anonymous = holding(&server, None, &["news"]).await;
    let alice = holding(&server, user("alice"), &["news"]).await;
    let editor = User { roles: vec!["editor".to_owned()], ..user("bob") };
    let editor = holding(&server, editor, &["news"]).await;
    server.reload(&CHANNELS.replacen("scope: public", "scope: { role: editor }", 1), FakePlugins::silent());
    assert_eq!(anonymous.recheck(), [("news".to_owned(), Code::Unauthenticated)]);
    assert_eq!(alice.recheck(), [("news".to_owned(), Code::Forbidden)]);
    assert_eq!(editor.recheck(), []);
}

#[tokio::test]
async fn a_topic_that_another_channel_declares_now_is_judged_by_that_one() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, user("alice"), &["inbox.alice"]).await;
    let static_one = format!("{CHANNELS}  inbox.alice: {{ scope: {{ role: editor }}, payload: {{}} }}\n");
    server.reload(&static_one, FakePlugins::silent());
    assert_eq!(client.recheck(), [("inbox.alice".to_owned(), Code::Forbidden)]);
}

#[tokio::test]
async fn the_scope_is_judged_without_asking_a_plugin() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, user("alice"), &["vault.v1"]).await;
    server.reload(CHANNELS, FakePlugins::denying());
    assert_eq!(client.recheck(), []);
    assert_eq!(server.plugins.asked(), ["subscribe"]);
}

#[tokio::test]
async fn another_version_of_an_authorizer_is_asked_about_what_the_old_one_let_in() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, user("alice"), &["vault.v1", "news"]).await;
    server.reload(CHANNELS, FakePlugins::denying());
    assert_eq!(client.reauthorize().await, [], "the same version said yes already");
    server.reload(CHANNELS, FakePlugins::silent().of_version(2));
    assert_eq!(client.reauthorize().await, []);
    server.reload(CHANNELS, FakePlugins::denying().of_version(3));
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Forbidden)]);
    assert!(!client.holds("vault.v1") && client.holds("news"));
}

#[tokio::test]
async fn an_authorizer_that_a_channel_gains_is_asked_about_those_who_are_in() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, user("alice"), &["members-only"]).await;
    let gained = CHANNELS.replacen("members-only:\n", "members-only:\n    authorizer: members\n", 1);
    server.reload(&gained, FakePlugins::denying());
    assert_eq!(client.reauthorize().await, [("members-only".to_owned(), Code::Forbidden)]);
}

#[tokio::test]
async fn an_authorizer_that_faults_after_a_reload_lets_nobody_stay() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, user("alice"), &["vault.v1"]).await;
    server.reload(CHANNELS, FakePlugins::authorizer_faulting(FaultKind::Trap).of_version(2));
    assert_eq!(client.reauthorize().await, [("vault.v1".to_owned(), Code::Forbidden)]);
}

#[tokio::test]
async fn a_join_decided_before_the_swap_is_judged_again_after_it() {
    let (plugins, latch) = FakePlugins::silent().held();
    let server = Server::declaring(CHANNELS).plugins(plugins).start();
    let client = server.client(user("alice"));
    let (joined, ()) = tokio::join!(client.subscribe("vault.v1"), async {
        latch.call_arrived().await;
        server.reload(&CHANNELS.replace("vault.{vaultId}", "safe.{vaultId}"), FakePlugins::silent());
        assert_eq!(client.recheck(), [], "the sweep comes before the join");
        latch.release();
    });
    assert_eq!(code(joined), Code::UnknownChannel);
    assert!(!client.holds("vault.v1") && !client.is_in_room("vault.v1"));
    assert_eq!(client.told(), [], "the answer says it");
}

#[tokio::test]
async fn a_join_that_finds_other_topics_lost_tells_of_each_and_leaves_their_rooms() {
    const LOST: [&str; 4] = ["vault.v2", "vault.v3", "vault.v4", "vault.v5"];
    let (plugins, latch) = FakePlugins::silent().held();
    let server = Server::declaring(CHANNELS).plugins(plugins).start();
    let client = server.client(user("alice"));
    for topic in LOST {
        latch.release();
        client.subscribe(topic).await.unwrap();
        latch.call_arrived().await;
        assert!(client.is_in_room(topic));
    }
    let (joined, ()) = tokio::join!(client.subscribe("vault.v1"), async {
        latch.call_arrived().await;
        server.reload(&CHANNELS.replace("vault.{vaultId}", "safe.{vaultId}"), FakePlugins::silent());
        latch.release();
    });
    assert_eq!(code(joined), Code::UnknownChannel);
    assert_eq!(client.told(), LOST.map(|topic| (topic.to_owned(), Code::UnknownChannel)));
    assert!(!LOST.iter().any(|topic| client.is_in_room(topic)));
}

#[tokio::test]
async fn a_closed_session_has_nothing_to_lose() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, None, &["news"]).await;
    assert_eq!(client.session.close().len(), 1);
    server.reload(&CHANNELS.replace("news:", "olds:"), FakePlugins::silent());
    assert_eq!(client.recheck(), []);
}

#[tokio::test]
async fn several_reloads_are_judged_by_the_last() {
    let server = Server::declaring(CHANNELS).start();
    let client = holding(&server, None, &["news"]).await;
    server.reload(&CHANNELS.replace("news:", "olds:"), FakePlugins::silent());
    server.reload(CHANNELS, FakePlugins::silent());
    assert_eq!(client.recheck(), []);
    assert!(client.holds("news"));
}
