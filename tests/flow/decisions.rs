//! What an authorizer granted for a while is not asked again; everything else is.

use std::time::Duration;

use serde_json::json;
use tidegate_core::flow::ports::FaultKind;
use tidegate_core::protocol::{Code, User};

use tidegate_testkit::{CHANNELS, FakePlugins, Server, code, user};

const MINUTE: Duration = Duration::from_secs(60);

fn granting(ttl: Duration) -> Server {
    Server::declaring(CHANNELS).plugins(FakePlugins::granting(ttl)).start()
}

fn with_roles(roles: &[&str]) -> User {
    User { roles: roles.iter().map(|role| (*role).to_owned()).collect(), ..user("alice") }
}

/// Subscribes a new connection of this user, and says how often the authorizer has been asked since the start.
async fn asked_after(server: &Server, user: impl Into<Option<User>>, topic: &str) -> usize {
    server.client(user).subscribe(topic).await.unwrap();
    server.plugins.asked().len()
}

#[tokio::test(start_paused = true)]
async fn a_granted_answer_serves_every_connection_of_the_user_until_its_time_is_over() {
    let server = granting(MINUTE);
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 1);
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 1);
    tokio::time::advance(MINUTE).await;
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_time_is_for_this_once() {
    let server = granting(Duration::ZERO);
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 1);
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 2);
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_kept_for_more_than_an_hour() {
    let server = granting(100 * 60 * MINUTE);
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 1);
    // In its last tenth, who subscribes has it asked for again ahead of its end.
    tokio::time::advance(53 * MINUTE).await;
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 1);
    tokio::time::advance(7 * MINUTE).await;
    assert_eq!(asked_after(&server, user("alice"), "vault.v1").await, 2);
}

#[tokio::test(start_paused = true)]
async fn another_user_role_tenant_topic_or_action_is_another_question() {
    let server = granting(MINUTE);
    let alice = server.client(with_roles(&["editor"]));
    alice.subscribe("vault.v1").await.unwrap();
    alice.send("vault.v1", json!({ "n": 1 })).await.unwrap();
    alice.send("vault.v1", json!({ "n": 2 })).await.unwrap();
    assert_eq!(server.plugins.asked(), ["subscribe", "send", "handle", "handle"], "two actions, two questions");
    assert_eq!(asked_after(&server, with_roles(&["editor"]), "vault.v1").await, 4);
    assert_eq!(asked_after(&server, with_roles(&["editor"]), "vault.v2").await, 5);
    assert_eq!(asked_after(&server, with_roles(&[]), "vault.v1").await, 6, "a renewed token with fewer roles");
    let tenant = Some("acme".to_owned());
    assert_eq!(asked_after(&server, User { tenant, ..with_roles(&["editor"]) }, "vault.v1").await, 7);
    assert_eq!(asked_after(&server, user("bob"), "vault.v1").await, 8);
}

#[tokio::test(start_paused = true)]
async fn an_anonymous_connection_profits_from_its_own_answers_only() {
    let server = granting(MINUTE);
    let nobody = server.client(None);
    nobody.subscribe("lobby.l1").await.unwrap();
    nobody.unsubscribe("lobby.l1").unwrap();
    nobody.subscribe("lobby.l1").await.unwrap();
    assert_eq!(server.plugins.asked().len(), 1);
    assert_eq!(asked_after(&server, None, "lobby.l1").await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_no_and_a_fault_are_asked_about_again() {
    for plugins in [FakePlugins::denying(), FakePlugins::authorizer_faulting(FaultKind::Trap)] {
        let server = Server::declaring(CHANNELS).plugins(plugins).start();
        let alice = server.client(user("alice"));
        assert_eq!(code(alice.subscribe("vault.v1").await), Code::Forbidden);
        assert_eq!(code(alice.subscribe("vault.v1").await), Code::Forbidden);
        assert_eq!(server.plugins.asked().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_answers_of_a_plugin_that_did_not_change_and_no_others() {
    let server = granting(MINUTE);
    server.client(user("alice")).subscribe("vault.v1").await.unwrap();
    server.reload(CHANNELS, FakePlugins::denying());
    assert!(server.client(user("alice")).subscribe("vault.v1").await.is_ok(), "same version, same answer");
    server.reload(CHANNELS, FakePlugins::denying().of_version(2));
    assert_eq!(code(server.client(user("alice")).subscribe("vault.v1").await), Code::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn the_scope_is_judged_whatever_was_granted() {
    let server = granting(MINUTE);
    server.client(user("alice")).subscribe("vault.v1").await.unwrap();
    let only_editors =
        CHANNELS.replace("vault.{vaultId}:\n    scope: authenticated", "vault.{vaultId}:\n    scope: { role: editor }");
    server.reload(&only_editors, FakePlugins::granting(MINUTE));
    assert_eq!(code(server.client(user("alice")).subscribe("vault.v1").await), Code::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn no_more_answers_are_kept_than_the_limit_says() {
    let kept_of_ten = async |kept_max: usize| {
        let builder = Server::declaring(CHANNELS).plugins(FakePlugins::granting(MINUTE));
        let server = builder.limits(|limits| limits.authorizer_cache_max = kept_max).start();
        for _ in 0..2 {
            for topic in 0..10 {
                server.client(user("alice")).subscribe(&format!("vault.v{topic}")).await.unwrap();
            }
        }
        20 - server.plugins.asked().len()
    };
    assert_eq!(kept_of_ten(100).await, 10);
    assert_eq!(kept_of_ten(0).await, 0);
    let kept = kept_of_ten(4).await;
    assert!(kept <= 4, "{kept} answers were kept");
}
