//! Gate 2: topic → channel and params → scope → authorizer → the session holds the topic.

use tidegate_core::flow::ports::FaultKind;
use tidegate_core::protocol::{Code, Position, Recovery, Unrecovered, User};

use tidegate_testkit::{CHANNELS, FakeClock, FakePlugins, Server, code, user};

fn server(plugins: FakePlugins) -> Server {
    Server::declaring(CHANNELS).plugins(plugins).start()
}

#[tokio::test]
async fn a_topic_of_a_public_channel_is_held_by_anyone_who_asks() {
    let client = server(FakePlugins::silent()).client(None);
    let receipt = client.subscribe("news").await.unwrap();
    assert_eq!(receipt.topic.as_str(), "news");
    assert_eq!(receipt.params.iter().count(), 0);
    assert!(client.holds("news"));
}

#[tokio::test]
async fn the_receipt_carries_what_the_topic_put_in_the_template() {
    let client = server(FakePlugins::silent()).client(user("alice"));
    let receipt = client.subscribe("vault.v1").await.unwrap();
    assert_eq!(receipt.params.get("vaultId"), Some("v1"));
    assert_eq!(receipt.recovery, None);
}

#[tokio::test]
async fn an_undeclared_topic_is_unknown_channel_whatever_it_looks_like() {
    let client = server(FakePlugins::silent()).client(user("alice"));
    for topic in ["nothing", "", "news.more", "inbox", "inbox.", "inbox.{userId}", "subscribe", "ne ws", "NEWS"] {
        assert_eq!(code(client.subscribe(topic).await), Code::UnknownChannel, "{topic}");
    }
    assert_eq!(code(client.subscribe(&"a.".repeat(100_000)).await), Code::UnknownChannel);
}

#[tokio::test]
async fn a_scope_that_needs_a_user_is_unauthenticated_to_an_anonymous_session() {
    let client = server(FakePlugins::silent()).client(None);
    for topic in ["members-only", "desk", "inbox.alice", "vault.v1"] {
        assert_eq!(code(client.subscribe(topic).await), Code::Unauthenticated, "{topic}");
        assert!(!client.holds(topic));
    }
}

#[tokio::test]
async fn a_scope_that_refuses_the_user_is_forbidden_and_says_no_more() {
    let client = server(FakePlugins::silent()).client(user("alice"));
    for topic in ["desk", "inbox.bob"] {
        let refusal = client.subscribe(topic).await.unwrap_err();
        assert_eq!(
            (refusal.code, refusal.message, refusal.details),
            (Code::Forbidden, Code::Forbidden.message().into(), None)
        );
    }
    assert!(client.subscribe("inbox.alice").await.is_ok());
}

#[tokio::test]
async fn an_expired_user_is_token_expired_even_on_a_public_channel() {
    let server = server(FakePlugins::silent());
    let client = server.client(User { expires_at: Some(FakeClock::START_UNIX_S + 5), ..user("alice") });
    assert!(client.subscribe("news").await.is_ok());
    server.clock.advance(5);
    assert_eq!(code(client.subscribe("members-only").await), Code::TokenExpired);
    assert_eq!(code(client.subscribe("news").await), Code::TokenExpired);
    assert_eq!(code(client.subscribe("nothing").await), Code::UnknownChannel);
}

#[tokio::test]
async fn the_authorizer_is_asked_after_the_scope_and_only_where_one_is_declared() {
    let server = server(FakePlugins::silent());
    assert_eq!(code(server.client(None).subscribe("vault.v1").await), Code::Unauthenticated);
    server.client(user("alice")).subscribe("ping").await.unwrap();
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());

    server.client(user("alice")).subscribe("vault.v1").await.unwrap();
    let calls = server.plugins.calls();
    assert_eq!((calls.len(), calls[0].plugin.as_str(), calls[0].asked), (1, "members", "subscribe"));
    assert_eq!((calls[0].topic.as_str(), calls[0].user.as_deref()), ("vault.v1", Some("alice")));
    assert_eq!(calls[0].payload, None);
}

#[tokio::test]
async fn an_authorizer_that_denies_is_forbidden_to_a_user_and_unauthenticated_to_nobody() {
    let server = server(FakePlugins::denying());
    let alice = server.client(user("alice"));
    let refusal = alice.subscribe("vault.v1").await.unwrap_err();
    assert_eq!((refusal.code, refusal.details), (Code::Forbidden, None));
    assert!(!refusal.message.contains("secret"), "the plugin's words stay inside: {}", refusal.message);
    assert_eq!(code(server.client(None).subscribe("lobby.l1").await), Code::Unauthenticated);
    assert!(!alice.holds("vault.v1"));
}

#[tokio::test]
async fn an_authorizers_own_fault_denies_and_one_that_could_not_be_asked_is_unavailable() {
    let kinds = [
        (FaultKind::Trap, Code::Forbidden),
        (FaultKind::Cpu, Code::Forbidden),
        (FaultKind::Memory, Code::Forbidden),
        (FaultKind::InvalidOutput, Code::Forbidden),
        (FaultKind::NotGranted, Code::Forbidden),
        (FaultKind::Failed, Code::Forbidden),
        (FaultKind::Timeout, Code::Unavailable),
        (FaultKind::Missing, Code::Unavailable),
        (FaultKind::Overloaded, Code::Unavailable),
        (FaultKind::Paused, Code::Unavailable),
    ];
    for (kind, expected) in kinds {
        let client = server(FakePlugins::authorizer_faulting(kind)).client(user("alice"));
        assert_eq!(code(client.subscribe("vault.v1").await), expected, "{kind:?}");
        assert!(!client.holds("vault.v1"));
    }
}

#[tokio::test]
async fn an_authorizer_that_cannot_tell_lets_nobody_in_who_may_try_again_and_is_asked_each_time() {
    let server = server(FakePlugins::doubting());
    let client = server.client(user("alice"));
    for asked in 1..=2 {
        let refusal = client.subscribe("vault.v1").await.unwrap_err();
        assert_eq!((refusal.code, refusal.details), (Code::Unavailable, None));
        assert!(refusal.code.retry() && !refusal.message.contains("secret"), "{}", refusal.message);
        assert_eq!(server.plugins.asked().len(), asked);
    }
    assert_eq!(code(server.client(None).subscribe("lobby.l1").await), Code::Unavailable);
    assert!(!client.holds("vault.v1"));
}

#[tokio::test]
async fn one_topic_too_many_is_too_many_subscriptions_and_costs_no_plugin_call() {
    let server = Server::declaring(CHANNELS).limits(|limits| limits.subscriptions_per_connection_max = 2).start();
    let client = server.client(user("alice"));
    client.subscribe("news").await.unwrap();
    client.subscribe("ping").await.unwrap();
    assert_eq!(code(client.subscribe("vault.v1").await), Code::TooManySubscriptions);
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());

    assert!(client.subscribe("news").await.is_ok(), "what is held already costs nothing");
    client.unsubscribe("news").unwrap();
    assert!(client.subscribe("vault.v1").await.is_ok(), "what was left makes room");
}

#[tokio::test]
async fn joins_decided_at_once_do_not_pass_the_limit_together() {
    let (plugins, latch) = FakePlugins::silent().held();
    let builder = Server::declaring(CHANNELS).plugins(plugins);
    let server = builder.limits(|limits| limits.subscriptions_per_connection_max = 1).start();
    let client = server.client(user("alice"));
    let (first, second, ()) = tokio::join!(client.subscribe("vault.v1"), client.subscribe("vault.v2"), async {
        latch.call_arrived().await;
        latch.call_arrived().await;
        latch.release();
        latch.release();
    });
    let (joined, refused) = if first.is_ok() { (first, second) } else { (second, first) };
    assert!(joined.is_ok());
    assert_eq!(code(refused), Code::TooManySubscriptions);
    assert_eq!(client.session.topics_count(), 1);
}

#[tokio::test]
async fn a_connection_that_ends_while_the_authorizer_thinks_holds_nothing() {
    let (plugins, latch) = FakePlugins::silent().held();
    let client = server(plugins).client(user("alice"));
    let (joined, ()) = tokio::join!(client.subscribe("vault.v1"), async {
        latch.call_arrived().await;
        client.session.close();
        latch.release();
    });
    assert_eq!(code(joined), Code::Unavailable);
    assert_eq!(client.session.topics(), []);
}

#[tokio::test]
async fn whoever_asks_for_what_it_missed_is_told_that_it_is_gone() {
    let client = server(FakePlugins::silent()).client(None);
    let receipt = client.subscribe_since("news", Position::parse("e1:7").unwrap()).await.unwrap();
    assert_eq!((receipt.position, receipt.recovery), (None, Some(Recovery::Not(Unrecovered::NoHistory))));
}
