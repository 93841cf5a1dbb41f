//! Gate 3: scope and authorizer again → schema → handler → reply and effects.

use serde_json::{Value, json};
use tidegate_core::flow::Effect;
use tidegate_core::flow::ports::{FaultKind, PluginEffect, PluginRefusal};
use tidegate_core::protocol::{Code, Refusal, User};

use tidegate_testkit::{CHANNELS, Client, FakeBus, FakeClock, FakePlugins, Server, code, emit, event, publish, user};

const RULES: &str = "rules:\n  - { on: ping.seen, to: news }\n  - { on: pong.*, to: news }\n";

fn server(plugins: FakePlugins) -> Server {
    Server::declaring(CHANNELS).bridge(RULES).plugins(plugins).start()
}

/// Alice, holding these topics.
async fn alice(server: &Server, topics: &[&str]) -> Client {
    let client = server.client(user("alice"));
    for topic in topics {
        client.subscribe(topic).await.unwrap();
    }
    client
}

async fn send_ping(plugins: FakePlugins) -> Result<Option<Value>, Refusal> {
    let server = server(plugins);
    let answer = alice(&server, &["ping"]).await.send("ping", json!({ "n": 1 })).await;
    assert!(
        answer.is_ok() || (server.delivered().is_empty() && server.bus.published().is_empty()),
        "a no does nothing"
    );
    answer
}

#[tokio::test]
async fn a_handlers_reply_is_the_senders_receipt() {
    assert_eq!(send_ping(FakePlugins::replying(json!({ "seen": true }))).await, Ok(Some(json!({ "seen": true }))));
    assert_eq!(send_ping(FakePlugins::silent()).await, Ok(None));
}

#[tokio::test]
async fn the_handler_gets_the_payload_as_the_client_wrote_it() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["ping"]).await;
    client.send_text("ping", "{ \"n\":  1 }").await.unwrap();
    let calls = server.plugins.calls();
    assert_eq!((calls[0].asked, calls[0].plugin.as_str()), ("handle", "answerer"));
    assert_eq!((calls[0].user.as_deref(), calls[0].payload.as_deref()), (Some("alice"), Some("{ \"n\":  1 }")));
}

#[tokio::test]
async fn an_undeclared_topic_is_unknown_channel() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["ping"]).await;
    for topic in ["nothing", "", "ping.more", "tidegate"] {
        assert_eq!(code(client.send(topic, json!({ "n": 1 })).await), Code::UnknownChannel, "{topic}");
    }
}

#[tokio::test]
async fn the_scope_is_judged_again_before_anything_else() {
    let server = server(FakePlugins::silent());
    assert_eq!(code(server.client(None).send("ping", json!({ "n": 1 })).await), Code::Unauthenticated);
    assert_eq!(code(server.client(user("alice")).send("desk", json!({})).await), Code::Forbidden);
}

#[tokio::test]
async fn whoever_does_not_hold_the_topic_may_not_send_on_it() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["ping", "vault.v1"]).await;
    client.unsubscribe("ping").unwrap();
    assert_eq!(code(client.send("ping", json!({ "n": 1 })).await), Code::NotSubscribed);
    assert_eq!(code(client.send("vault.v2", json!({ "n": 1 })).await), Code::NotSubscribed);
    assert_eq!(server.plugins.asked(), ["subscribe"]);
}

#[tokio::test]
async fn a_channel_without_inbound_is_no_handler() {
    let server = server(FakePlugins::silent());
    assert_eq!(code(alice(&server, &["news"]).await.send("news", json!({ "title": "x" })).await), Code::NoHandler);
}

#[tokio::test]
async fn a_session_whose_credential_runs_out_is_token_expired_at_the_next_message() {
    let server = server(FakePlugins::silent());
    let client = server.client(User { expires_at: Some(FakeClock::START_UNIX_S + 5), ..user("alice") });
    client.subscribe("ping").await.unwrap();
    assert!(client.send("ping", json!({ "n": 1 })).await.is_ok());
    server.clock.advance(5);
    assert_eq!(code(client.send("ping", json!({ "n": 1 })).await), Code::TokenExpired);
}

#[tokio::test]
async fn a_payload_beyond_the_limit_is_too_large_and_costs_no_plugin_call() {
    let builder = Server::declaring(CHANNELS).limits(|limits| limits.payload_bytes_max = 10);
    let server = builder.start();
    let client = alice(&server, &["vault.v1"]).await;
    assert!(client.send_text("vault.v1", r#"{"n":1234}"#).await.is_ok(), "10 bytes are within");
    let refusal = client.send_text("vault.v1", r#"{"n":12345}"#).await.unwrap_err();
    assert_eq!(refusal.code, Code::PayloadTooLarge);
    assert_eq!(refusal.details, Some(json!({ "bytes": 11, "bytes_max": 10 })));
    assert_eq!(server.plugins.asked(), ["subscribe", "send", "handle"]);
}

#[tokio::test]
async fn a_payload_that_fails_the_schema_is_invalid_with_every_place() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["ping"]).await;
    let refusal = client.send("ping", json!({ "n": "one", "extra": 1 })).await.unwrap_err();
    assert_eq!(refusal.code, Code::InvalidPayload);
    let details = refusal.details.unwrap();
    let violations = details["violations"].as_array().unwrap();
    let paths: Vec<&str> = violations.iter().map(|violation| violation["path"].as_str().unwrap()).collect();
    assert_eq!(violations.len(), 2, "{details}");
    assert!(paths.contains(&"/n"), "{details}");
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_text_that_is_no_value_is_invalid_payload_and_not_a_panic() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["ping"]).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in ["null", "7", "[]", "\"\"", "{\"n\":1e999}", "{\"n\":\"\\ud800\"}", deep.as_str()] {
        assert_eq!(code(client.send_text("ping", text).await), Code::InvalidPayload, "{}", &text[..text.len().min(20)]);
    }
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());
}

#[tokio::test]
async fn the_authorizer_is_asked_with_the_payload_before_the_schema_and_the_handler() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["vault.v1"]).await;
    assert_eq!(code(client.send("vault.v1", json!({})).await), Code::InvalidPayload);
    assert_eq!(server.plugins.asked(), ["subscribe", "send"]);
    client.send("vault.v1", json!({ "n": 1 })).await.unwrap();
    assert_eq!(server.plugins.asked(), ["subscribe", "send", "send", "handle"]);
    assert_eq!(server.plugins.calls()[2].payload.as_deref(), Some(r#"{"n":1}"#));
}

#[tokio::test]
async fn a_text_that_readers_take_differently_reaches_no_plugin() {
    let server = server(FakePlugins::silent());
    let client = alice(&server, &["vault.v1"]).await;
    for text in [r#"{"n":1,"n":2}"#, r#"{"n":1,"\u006e":2}"#, r#"{"n":1e400}"#] {
        assert_eq!(code(client.send_text("vault.v1", text).await), Code::InvalidPayload, "{text}");
    }
    assert_eq!(server.plugins.asked(), ["subscribe"]);
}

#[tokio::test]
async fn an_authorizer_that_denies_faults_or_cannot_tell_after_the_join_stops_the_message() {
    for (plugins, expected) in [
        (FakePlugins::denying(), Code::Forbidden),
        (FakePlugins::authorizer_faulting(FaultKind::Trap), Code::Forbidden),
        (FakePlugins::authorizer_faulting(FaultKind::Timeout), Code::Unavailable),
        (FakePlugins::doubting(), Code::Unavailable),
    ] {
        let server = server(FakePlugins::silent());
        let client = alice(&server, &["vault.v1"]).await;
        server.reload(CHANNELS, plugins);
        assert_eq!(code(client.send("vault.v1", json!({ "n": 1 })).await), expected);
        assert!(client.holds("vault.v1"), "a no to a message is no end of the subscription");
    }
}

#[tokio::test]
async fn a_handlers_fault_has_a_code_and_none_of_its_detail() {
    let codes = [
        (FaultKind::Trap, Code::HandlerFailed),
        (FaultKind::Memory, Code::HandlerFailed),
        (FaultKind::InvalidOutput, Code::HandlerFailed),
        (FaultKind::NotGranted, Code::HandlerFailed),
        (FaultKind::Missing, Code::Unavailable),
        (FaultKind::Timeout, Code::HandlerTimeout),
        (FaultKind::Cpu, Code::HandlerTimeout),
        (FaultKind::Overloaded, Code::Unavailable),
        (FaultKind::Paused, Code::Unavailable),
    ];
    for (kind, expected) in codes {
        assert_eq!(send_ping(FakePlugins::faulting(kind)).await, Err(Refusal::new(expected)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_handlers_own_no_has_a_code_and_only_the_sentence_meant_for_the_client() {
    let secret = || "secret detail of the inside".to_owned();
    let of = |refusal| async { send_ping(FakePlugins::refusing(refusal)).await.unwrap_err() };
    assert_eq!(of(PluginRefusal::Forbidden(secret())).await, Refusal::new(Code::Forbidden));
    assert_eq!(of(PluginRefusal::Unavailable(secret())).await, Refusal::new(Code::Unavailable));
    assert_eq!(of(PluginRefusal::Failed(secret())).await, Refusal::new(Code::HandlerFailed));
    let told = of(PluginRefusal::InvalidPayload("n is odd".to_owned())).await;
    assert_eq!((told.code, told.details), (Code::InvalidPayload, Some(json!({ "reason": "n is odd" }))));
}

#[tokio::test]
async fn a_handlers_no_to_nobody_asks_for_a_user() {
    let server = server(FakePlugins::refusing(PluginRefusal::Forbidden(String::new())));
    let anonymous = server.client(None);
    anonymous.subscribe("rated").await.unwrap();
    assert_eq!(code(anonymous.send("rated", json!({})).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_handler_that_hangs_leaves_others_alone() {
    let server = server(FakePlugins::hanging());
    let (one, other) = (alice(&server, &["ping"]).await, alice(&server, &["chat.a"]).await);
    tokio::select! {
        biased;
        answer = one.send("ping", json!({ "n": 1 })) => panic!("answered {answer:?}"),
        answer = other.send("chat.a", json!({ "text": "hello" })) => assert_eq!(answer, Ok(None)),
    }
}

#[tokio::test]
async fn a_handlers_effects_happen_in_its_order_after_gate_4() {
    let effects = vec![
        emit("ping", &json!({ "pong": 1 })),
        publish("ping.seen", &json!({ "n": 1 })),
        emit("news", &json!({ "title": "x" })),
    ];
    let server = server(FakePlugins::emitting(effects));
    alice(&server, &["ping"]).await.send("ping", json!({ "n": 1 })).await.unwrap();
    let delivered = [("ping".to_owned(), json!({ "pong": 1 })), ("news".to_owned(), json!({ "title": "x" }))];
    assert_eq!(server.delivered(), delivered);
    let published = server.bus.published();
    assert_eq!((published[0].kind.as_str(), published[0].source.as_str()), ("ping.seen", "/plugins/answerer"));
    assert_eq!((published[0].data.value().unwrap(), published.len()), (&json!({ "n": 1 }), 1));
}

#[tokio::test]
async fn an_emit_to_the_others_leaves_the_sender_out() {
    let effect =
        PluginEffect::Emit { topic: "ping".to_owned(), payload: (&json!({ "pong": 1 })).into(), others_only: true };
    let server = server(FakePlugins::emitting(vec![effect]));
    let client = alice(&server, &["ping"]).await;
    client.send("ping", json!({ "n": 1 })).await.unwrap();
    assert_eq!(server.rooms.publications()[0].except.as_ref(), Some(client.session.connection()));
}

#[tokio::test]
async fn one_effect_that_fails_gate_4_stops_them_all_and_is_the_handlers_fault() {
    let bad = [
        emit("ping", &json!({ "pong": "no integer" })),
        emit("undeclared", &json!({})),
        emit("news", &json!({ "title": "x".repeat(70_000) })),
        PluginEffect::Remove { topic: "news".to_owned(), key: None },
    ];
    for effect in bad {
        let effects = vec![emit("news", &json!({ "title": "x" })), publish("ping.seen", &json!({})), effect];
        assert_eq!(send_ping(FakePlugins::emitting(effects)).await, Err(Refusal::new(Code::HandlerFailed)));
    }
}

#[tokio::test]
async fn a_full_bus_refuses_before_anything_is_delivered() {
    let seen = [publish("ping.seen", &json!(1)), publish("pong.seen", &json!(2))];
    let effects: Vec<_> = [emit("ping", &json!({ "pong": 1 }))].into_iter().chain(seen).collect();
    for bus in [FakeBus::full(), FakeBus::with_room_for(1)] {
        let plugins = FakePlugins::emitting(effects.clone());
        let server = Server::declaring(CHANNELS).bridge(RULES).plugins(plugins).bus(bus).start();
        let client = alice(&server, &["ping"]).await;
        assert_eq!(code(client.send("ping", json!({ "n": 1 })).await), Code::Unavailable);
        assert_eq!(server.delivered(), []);
        assert_eq!(server.bus.published(), []);
    }
}

#[tokio::test]
async fn an_event_that_no_rule_lists_takes_no_place_on_the_bus() {
    let effects = vec![publish("told.nobody", &json!(1)), emit("ping", &json!({ "pong": 1 }))];
    let plugins = FakePlugins::emitting(effects);
    let server = Server::declaring(CHANNELS).bridge(RULES).plugins(plugins).bus(FakeBus::full()).start();
    alice(&server, &["ping"]).await.send("ping", json!({ "n": 1 })).await.unwrap();
    server.gates.publish_events(vec![event("told.nobody", json!(2)), event("pong.", json!(3))]).unwrap();
    assert_eq!(server.delivered(), [("ping".to_owned(), json!({ "pong": 1 }))]);
    assert_eq!(code(server.gates.publish_events(vec![event("pong.seen", json!(4))])), Code::Unavailable);
}

#[tokio::test]
async fn a_message_ends_on_the_generation_it_began_with() {
    let (plugins, latch) = FakePlugins::emitting(vec![emit("news", &json!({ "title": "old" }))]).held();
    let server = server(plugins);
    let client = alice(&server, &["ping"]).await;
    let without_news = "feature: test\nchannels:\n  ping: { scope: authenticated, payload: {} }\n";
    let (answer, ()) = tokio::join!(client.decide("ping", json!({ "n": 1 })), async {
        latch.call_arrived().await;
        server.reload(without_news, FakePlugins::faulting(FaultKind::Trap));
        latch.release();
    });
    let effects = answer.unwrap();
    assert!(
        matches!(&effects[..], [Effect::Deliver(publication)] if publication.channel.template.as_str() == "news"),
        "{effects:?}"
    );
    assert_eq!(code(client.send("ping", json!({ "n": 1 })).await), Code::NoHandler);
}
