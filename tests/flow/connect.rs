//! Gate 1: credential → user, or anonymous; a bad credential is refused.

use std::sync::Arc;

use tidegate_core::flow::{Admission, Handshake};
use tidegate_core::protocol::{Code, Refusal, User};

use tidegate_testkit::{CHANNELS, FakeClock, FakeProvider, Server, ServerBuilder, code, connection, user};

fn provider() -> FakeProvider {
    FakeProvider::knowing([("good", user("alice")), ("other", user("bob"))]).refusing("forged", Code::Unauthenticated)
}

fn server() -> ServerBuilder {
    Server::declaring(CHANNELS).provider(Arc::new(provider()))
}

fn token(text: &str) -> Handshake {
    Handshake { token: Some(text.to_owned()), ..Handshake::default() }
}

fn bearer(header: &str) -> Handshake {
    Handshake { authorization: Some(header.to_owned()), ..Handshake::default() }
}

fn cookie(header: &str) -> Handshake {
    Handshake { cookie: Some(header.to_owned()), ..Handshake::default() }
}

fn page(origin: &str, host: &str) -> Handshake {
    Handshake { origin: Some(origin.to_owned()), host: Some(host.to_owned()), ..Handshake::default() }
}

async fn id_of(handshake: Handshake) -> Option<String> {
    let admission = server().start().gates.connect(&connection(), &handshake).await.unwrap();
    admission.user.map(|user| user.id.clone())
}

async fn asking(origins: &[&str], handshake: Handshake) -> Result<Admission, Refusal> {
    let origins = origins.iter().map(ToString::to_string).collect();
    server().auth(|auth| auth.origins = origins).start().gates.connect(&connection(), &handshake).await
}

#[tokio::test]
async fn a_good_token_is_its_user() {
    assert_eq!(id_of(token("good")).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_bearer_header_or_a_cookie_is_as_good_as_the_token() {
    assert_eq!(id_of(bearer("Bearer good")).await.as_deref(), Some("alice"));
    assert_eq!(id_of(bearer("bEARER  good ")).await.as_deref(), Some("alice"));
    assert_eq!(id_of(cookie("theme=dark; sid=good; lang=en")).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn the_token_goes_before_the_header_and_the_header_before_the_cookie() {
    let all = Handshake {
        token: Some("good".to_owned()),
        authorization: Some("Bearer other".to_owned()),
        cookie: Some("sid=forged".to_owned()),
        ..Handshake::default()
    };
    assert_eq!(id_of(all.clone()).await.as_deref(), Some("alice"));
    assert_eq!(id_of(Handshake { token: None, ..all.clone() }).await.as_deref(), Some("bob"));
    assert_eq!(id_of(Handshake { token: Some(String::new()), ..all }).await.as_deref(), Some("bob"));
}

#[tokio::test]
async fn a_cookie_may_be_quoted_and_spaced_and_its_name_is_matched_whole() {
    assert_eq!(id_of(cookie(r#" xsid=other;sid = "good" "#)).await.as_deref(), Some("alice"));
    assert_eq!(id_of(cookie("SID=good")).await, None);
    assert_eq!(id_of(cookie(r#"sid=""; sid="#)).await, None);
}

#[tokio::test]
async fn several_cookies_of_one_name_must_say_the_same() {
    assert_eq!(id_of(cookie("sid=; sid=good; sid=\"good\"")).await.as_deref(), Some("alice"));
    let ten = (0..9).map(|_| "sid=other; ").collect::<String>() + "sid=good";
    for tossed in ["sid=good; sid=other", "sid=other; sid=good", "sid=good; theme=dark; sid=forged", &ten] {
        let refused = server().start().gates.connect(&connection(), &cookie(tossed)).await;
        assert_eq!(code(refused), Code::Unauthenticated, "{tossed}");
    }
    // Of a cookie that holds no credential there may be as many as a page likes.
    assert_eq!(id_of(cookie("theme=a; sid=good; theme=b")).await.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_provider_is_shown_its_own_cookies_and_only_where_the_client_gave_no_token() {
    let provider = || Arc::new(FakeProvider::knowing([("good", user("alice"))]).reading("app"));
    let asking = |handshake: Handshake, provider: Arc<FakeProvider>| async move {
        let server = Server::declaring(CHANNELS).provider(provider).start();
        server.gates.connect(&connection(), &handshake).await
    };
    let by_cookie = provider();
    assert!(asking(cookie("other=bad; app=good"), by_cookie.clone()).await.unwrap().user.is_some());
    assert_eq!(by_cookie.asked(), ["good"]);
    assert!(asking(cookie("other=good"), provider()).await.unwrap().user.is_none());
    let both = Handshake { token: Some("bad".to_owned()), ..cookie("app=good") };
    assert_eq!(code(asking(both, provider()).await), Code::Unauthenticated);
    assert_eq!(code(asking(cookie("app=good; app=bad"), provider()).await), Code::Unauthenticated);
    let hostile = Handshake { cookie: Some("app=good".to_owned()), ..page("https://evil.com", "api.example.com") };
    assert_eq!(code(asking(hostile, provider()).await), Code::Forbidden);
}

#[tokio::test]
async fn no_credential_is_anonymous_where_that_is_allowed_and_unauthenticated_where_not() {
    assert_eq!(id_of(Handshake::default()).await, None);
    let closed = server().auth(|auth| auth.anonymous = false).start();
    assert_eq!(code(closed.gates.connect(&connection(), &Handshake::default()).await), Code::Unauthenticated);
}

#[tokio::test]
async fn a_bad_credential_is_refused_even_where_anonymous_is_allowed() {
    for bad in ["forged", "of no provider"] {
        assert_eq!(
            code(server().start().gates.connect(&connection(), &token(bad)).await),
            Code::Unauthenticated,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_credential_whose_time_is_over_is_token_expired_to_the_second() {
    let until = |expires_at| User { expires_at: Some(expires_at), ..user("alice") };
    let provider = FakeProvider::knowing([
        ("over", until(FakeClock::START_UNIX_S)),
        ("just good", until(FakeClock::START_UNIX_S + 1)),
    ]);
    let server = Server::declaring(CHANNELS).provider(Arc::new(provider)).start();
    assert_eq!(code(server.gates.connect(&connection(), &token("over")).await), Code::TokenExpired);
    assert!(server.gates.connect(&connection(), &token("just good")).await.is_ok());
}

#[tokio::test]
async fn providers_are_asked_in_order_and_the_first_that_recognises_decides() {
    let first = Arc::new(FakeProvider::knowing([]).refusing("known", Code::TokenRevoked));
    let second = Arc::new(FakeProvider::knowing([("known", user("bob")), ("late", user("bob"))]));
    let server = Server::declaring(CHANNELS).provider(first.clone()).provider(second.clone()).start();
    assert_eq!(code(server.gates.connect(&connection(), &token("known")).await), Code::TokenRevoked);
    assert_eq!(second.asked(), Vec::<String>::new());
    assert!(server.gates.connect(&connection(), &token("late")).await.is_ok());
    assert_eq!(first.asked(), ["known", "late"]);
}

#[tokio::test]
async fn a_page_of_the_same_origin_may_connect_and_another_may_not() {
    assert!(asking(&[], page("https://app.example.com", "app.example.com")).await.is_ok());
    assert!(asking(&[], page("http://localhost:3000", "localhost:3000")).await.is_ok());
    for (origin, host) in [
        ("https://evil.example.com", "app.example.com"),
        ("https://app.example.com.evil.com", "app.example.com"),
        ("http://localhost:3001", "localhost:3000"),
        ("chrome-extension://app.example.com", "app.example.com"),
        ("app.example.com", "app.example.com"),
        ("", ""),
    ] {
        assert_eq!(code(asking(&[], page(origin, host)).await), Code::Forbidden, "{origin} at {host}");
    }
}

#[tokio::test]
async fn a_page_that_the_browser_calls_the_servers_own_may_connect_whatever_host_a_proxy_asks_for() {
    let says = |site: &str| Handshake {
        fetch_site: Some(site.to_owned()),
        ..page("https://app.example.com", "backend.internal:3000")
    };
    assert!(asking(&[], says("same-origin")).await.is_ok());
    for site in ["same-site", "cross-site", "none", ""] {
        assert_eq!(code(asking(&[], says(site)).await), Code::Forbidden, "{site}");
    }
}

#[tokio::test]
async fn the_case_and_the_schemes_own_port_make_no_other_origin() {
    assert!(asking(&[], page("https://app.example.com", "APP.example.com:443")).await.is_ok());
    assert!(asking(&[], page("http://app.example.com", "app.example.com:80")).await.is_ok());
    assert!(asking(&["https://App.Example.com:443/"], page("https://app.example.com", "api")).await.is_ok());
    assert!(asking(&[], page("https://app.example.com", "app.example.com:80")).await.is_err());
}

#[tokio::test]
async fn an_allowed_origin_is_allowed_with_its_scheme_and_port_only() {
    let allowed = ["https://app.example.com"];
    assert!(asking(&allowed, page("https://app.example.com", "api.example.com")).await.is_ok());
    for origin in ["http://app.example.com", "https://app.example.com:8443", "https://example.com"] {
        assert_eq!(code(asking(&allowed, page(origin, "api.example.com")).await), Code::Forbidden, "{origin}");
    }
}

#[tokio::test]
async fn a_wildcard_is_every_host_below_that_one_with_its_scheme_and_port_and_not_that_one() {
    let allowed = ["https://*.example.com", "http://*.example.net:8080"];
    for origin in [
        "https://app.example.com",
        "https://a.b.example.com",
        "https://APP.Example.com:443",
        "http://app.example.net:8080",
    ] {
        assert!(asking(&allowed, page(origin, "api.test")).await.is_ok(), "{origin}");
        let with_cookie = Handshake { cookie: Some("sid=good".to_owned()), ..page(origin, "api.test") };
        assert!(asking(&allowed, with_cookie).await.is_ok(), "{origin} is listed, with its cookies");
    }
    for origin in [
        "https://example.com",
        "https://.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.net:8080",
        "http://app.example.net",
        "https://evilexample.com",
        "https://app.example.com.evil.com",
        "https://evil.com/.example.com",
        "https://evil.com@app.example.com",
        "https://evil.com?.example.com",
        "null",
    ] {
        assert_eq!(code(asking(&allowed, page(origin, "api.test")).await), Code::Forbidden, "{origin}");
    }
}

#[tokio::test]
async fn any_origin_is_any_but_never_with_a_cookie() {
    let from_elsewhere = page("https://elsewhere.com", "api.example.com");
    let with_cookie = Handshake { cookie: Some("sid=good".to_owned()), ..from_elsewhere.clone() };
    let with_token = Handshake { token: Some("good".to_owned()), ..from_elsewhere.clone() };
    assert!(asking(&["*"], from_elsewhere).await.is_ok());
    assert!(asking(&["*"], with_token).await.is_ok());
    assert_eq!(code(asking(&["*"], with_cookie).await), Code::Forbidden);
}

#[tokio::test]
async fn an_opaque_origin_is_let_in_only_where_it_is_listed_and_never_with_a_cookie() {
    let opaque = page("null", "api.example.com");
    let with_cookie = Handshake { cookie: Some("sid=good".to_owned()), ..opaque.clone() };
    assert_eq!(code(asking(&[], opaque.clone()).await), Code::Forbidden);
    assert!(asking(&["null"], opaque).await.is_ok());
    assert_eq!(code(asking(&["null"], with_cookie).await), Code::Forbidden);
}

#[tokio::test]
async fn the_origin_is_judged_before_any_provider_sees_the_credential() {
    let provider = Arc::new(provider());
    let server = Server::declaring(CHANNELS).provider(provider.clone()).start();
    let handshake = Handshake { token: Some("good".to_owned()), ..page("https://evil.com", "api.example.com") };
    assert_eq!(code(server.gates.connect(&connection(), &handshake).await), Code::Forbidden);
    assert_eq!(provider.asked(), Vec::<String>::new());
}
