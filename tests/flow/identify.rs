//! Gate 1 by a plugin: whose a credential is that no provider of the server's own recognised.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidegate_core::flow::ports::{FaultKind, Recognition};
use tidegate_core::flow::{AuthProvider, Handshake, Serving};
use tidegate_core::protocol::{Ack, Code, Generation, PluginName, Refusal, User};

use tidegate_testkit::{
    CHANNELS, FakeClock, FakePlugins, FakeProvider, Server, ServerBuilder, catalog, code, connection, user,
};

const NOW: u64 = FakeClock::START_UNIX_S;

fn asking(plugins: FakePlugins) -> ServerBuilder {
    let plugin = AuthProvider::Plugin { name: PluginName::new("members"), cookies: vec!["device".to_owned()] };
    Server::declaring(CHANNELS).plugins(plugins).auth(|auth| auth.providers.push(plugin))
}

fn admitting(user: Option<User>, ttl: Duration) -> FakePlugins {
    FakePlugins::recognising(Ok(Recognition::Admitted { user, ttl }))
}

fn token(text: &str) -> Handshake {
    Handshake { token: Some(text.to_owned()), ..Handshake::default() }
}

fn cookies(header: &str) -> Handshake {
    Handshake { cookie: Some(header.to_owned()), ..Handshake::default() }
}

/// Who a connection with this credential is.
async fn connect(server: &Server, handshake: &Handshake) -> Result<Option<User>, Refusal> {
    let admission = server.gates.connect(&connection(), handshake).await?;
    Ok(admission.user.map(|user| User::clone(&user)))
}

/// What the plugin was shown so far.
fn shown(server: &Server) -> Vec<String> {
    server.plugins.calls().into_iter().filter_map(|call| call.payload).collect()
}

#[tokio::test]
async fn the_user_the_roles_the_tenant_and_the_time_are_what_the_plugin_says() {
    let editor = User { roles: vec!["editor".to_owned()], tenant: Some("t".to_owned()), ..user("alice") };
    for (ttl_ms, expires_at) in [(60_000, Some(NOW + 60)), (1_999, Some(NOW + 1)), (1, Some(NOW + 1)), (0, None)] {
        let server = asking(admitting(Some(editor.clone()), Duration::from_millis(ttl_ms))).start();
        let expected = User { expires_at, issued_at: Some(NOW), ..editor.clone() };
        assert_eq!(connect(&server, &token("opaque")).await, Ok(Some(expected)), "{ttl_ms}");
        assert_eq!(shown(&server), [r#"{"token":"opaque"}"#]);
    }
}

#[tokio::test]
async fn a_session_ends_with_the_time_that_the_plugin_granted() {
    let server = asking(admitting(Some(user("alice")), Duration::from_secs(60))).start();
    let alice = connect(&server, &token("opaque")).await.unwrap().unwrap();
    let client = server.client(alice);
    client.subscribe("members-only").await.unwrap();
    server.clock.advance(60);
    assert_eq!(code(client.subscribe("news").await), Code::TokenExpired);
    client.authenticate("another").await.unwrap();
    assert!(client.subscribe("news").await.is_ok());
}

#[tokio::test]
async fn a_plugin_that_was_asked_before_a_revocation_vouches_for_nobody_after_it_until_it_is_asked_again() {
    let (plugins, latch) = admitting(Some(user("alice")), Duration::ZERO).held();
    let server = asking(plugins).start();
    let handshake = token("opaque");
    let (came, ()) = tokio::join!(connect(&server, &handshake), async {
        latch.call_arrived().await;
        server.clock.advance(1);
        server.revoke(json!({ "user": "alice" }));
        server.clock.advance(1);
        latch.release();
    });
    assert_eq!(code(came), Code::TokenRevoked);
    latch.release();
    assert!(connect(&server, &handshake).await.is_ok(), "the plugin decides");
}

#[tokio::test]
async fn a_no_is_unauthenticated_and_a_plugin_that_cannot_tell_is_unavailable_and_neither_says_why() {
    let no = connect(&asking(FakePlugins::silent()).start(), &token("opaque")).await.unwrap_err();
    assert_eq!((no.code, no.details), (Code::Unauthenticated, None));
    for kind in [
        FaultKind::Trap,
        FaultKind::Timeout,
        FaultKind::Memory,
        FaultKind::InvalidOutput,
        FaultKind::Missing,
        FaultKind::Overloaded,
        FaultKind::Paused,
        FaultKind::Failed,
    ] {
        let server = asking(FakePlugins::recognising(Err(kind))).start();
        let refusal = connect(&server, &token("opaque")).await.unwrap_err();
        assert_eq!(refusal.code, Code::Unavailable, "{kind:?}");
        assert!(refusal.code.retry());
        assert!(!format!("{refusal:?}").contains("secret"), "{refusal:?}");
    }
    let unknown = Recognition::Unknown { reason: "secret detail of the inside".to_owned() };
    let refusal = connect(&asking(FakePlugins::recognising(Ok(unknown))).start(), &token("opaque")).await.unwrap_err();
    assert_eq!((refusal.code, refusal.details), (Code::Unavailable, None));
}

#[tokio::test]
async fn a_provider_before_the_plugin_decides_on_what_it_recognises() {
    let own = FakeProvider::knowing([("known", user("bob"))]).refusing("forged", Code::TokenRevoked);
    let plugins = admitting(Some(user("alice")), Duration::ZERO);
    let plugin = AuthProvider::Plugin { name: PluginName::new("members"), cookies: Vec::new() };
    let builder = Server::declaring(CHANNELS).plugins(plugins).provider(Arc::new(own));
    let server = builder.auth(|auth| auth.providers.push(plugin)).start();
    assert_eq!(connect(&server, &token("known")).await, Ok(Some(user("bob"))));
    assert_eq!(code(connect(&server, &token("forged")).await), Code::TokenRevoked);
    assert_eq!(shown(&server), [""; 0]);
    assert_eq!(connect(&server, &token("opaque")).await, Ok(Some(User { issued_at: Some(NOW), ..user("alice") })));
}

#[tokio::test]
async fn a_connection_without_a_credential_is_not_the_plugins_to_judge() {
    let server = asking(FakePlugins::silent()).start();
    assert_eq!(connect(&server, &Handshake::default()).await, Ok(None));
    assert_eq!(connect(&server, &cookies("theme=dark")).await, Ok(None));
    assert_eq!(shown(&server), [""; 0]);
}

#[tokio::test]
async fn the_cookies_it_lists_are_shown_and_a_token_goes_before_them() {
    let server = asking(admitting(Some(user("alice")), Duration::ZERO)).start();
    connect(&server, &cookies("theme=dark; device=d; sid=s")).await.unwrap();
    connect(&server, &cookies("device=d")).await.unwrap();
    connect(&server, &Handshake { token: Some("t".to_owned()), ..cookies("sid=s") }).await.unwrap();
    let expected = [r#"{"cookies":{"sid":"s","device":"d"}}"#, r#"{"cookies":{"device":"d"}}"#, r#"{"token":"t"}"#];
    assert_eq!(shown(&server), expected);
}

#[tokio::test]
async fn a_page_of_anybodys_cannot_use_a_cookie_that_only_the_plugin_listens_to() {
    let any = |handshake: Handshake| async move {
        let builder = asking(admitting(Some(user("alice")), Duration::ZERO));
        let server = builder.auth(|auth| auth.origins = vec!["*".to_owned()]).start();
        let origin = Some("https://elsewhere.com".to_owned());
        connect(&server, &Handshake { origin, host: Some("api.example.com".to_owned()), ..handshake }).await
    };
    assert_eq!(code(any(cookies("device=d")).await), Code::Forbidden);
    assert!(any(token("t")).await.is_ok());
}

#[tokio::test]
async fn a_yes_without_a_user_is_anonymous_where_that_is_allowed() {
    let server = asking(admitting(None, Duration::ZERO)).start();
    assert_eq!(connect(&server, &token("guest")).await, Ok(None));
    let closed = asking(admitting(None, Duration::ZERO)).auth(|auth| auth.anonymous = false).start();
    assert_eq!(code(connect(&closed, &token("guest")).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_credential_of_unreasonable_length_is_refused_unshown() {
    let server = asking(admitting(Some(user("alice")), Duration::ZERO)).start();
    assert_eq!(code(connect(&server, &token(&"x".repeat(8 * 1024))).await), Code::Unauthenticated);
    assert_eq!(shown(&server), [""; 0]);
}

#[tokio::test]
async fn every_connection_is_asked_about_whatever_time_was_granted_before() {
    let server = asking(admitting(Some(user("alice")), Duration::from_secs(3600))).start();
    connect(&server, &token("opaque")).await.unwrap();
    connect(&server, &token("opaque")).await.unwrap();
    assert_eq!(shown(&server).len(), 2);
}

#[tokio::test]
async fn the_plugin_of_the_generation_in_force_is_asked() {
    let server = asking(FakePlugins::silent()).start();
    assert_eq!(code(connect(&server, &token("opaque")).await), Code::Unauthenticated);
    let plugins = Arc::new(admitting(Some(user("alice")), Duration::ZERO));
    server.gates.replace(Serving { catalog: catalog(CHANNELS, None, Generation(2)), plugins });
    assert!(connect(&server, &token("opaque")).await.is_ok());
}

#[tokio::test]
async fn authenticate_asks_the_plugin_for_the_same_user() {
    let server = asking(admitting(Some(user("alice")), Duration::from_secs(60))).start();
    let alice = server.client(user("alice"));
    assert_eq!(alice.authenticate("fresh").await, Ok(Ack::Authenticated { expires_at: Some(NOW + 60) }));
    assert_eq!(shown(&server), [json!({ "token": "fresh" }).to_string()]);
    assert_eq!(code(server.client(user("bob")).authenticate("fresh").await), Code::Forbidden);
    let nobody = asking(admitting(None, Duration::ZERO)).start();
    assert_eq!(code(nobody.client(user("alice")).authenticate("guest").await), Code::Unauthenticated);
}
