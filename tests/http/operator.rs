//! `/v1/operator/session`: signing in and out, and what a session may do.

use serde_json::json;
use tidegate::operator::SESSION_S;
use tidegate_core::config::ApiKeys;
use tidegate_realtime::{ListenerLimits, serve};
use tidegate_testkit::{FakeClock, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{Answer, Call, Site, delete, get, post, refusal, server};

const SESSION: &str = "/v1/operator/session";

fn sign_in(body: &str) -> Call {
    post(SESSION).content_type("application/json").body(body.to_owned())
}

/// The cookie of a session that began with the operator's key, as a browser sends it back.
async fn cookie(server: &Server) -> String {
    cookie_of(&sign_in(r#"{ "key": "key-operate" }"#).to(server).await)
}

fn cookie_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_operators_key_is_exchanged_for_a_cookie_of_an_hour_that_no_script_reads() {
    let server = server().start();
    let answer = sign_in(r#"{ "key": "key-operate" }"#).header("origin", "http://here").to(&server).await;
    let ends_at = FakeClock::START_UNIX_S + SESSION_S;
    assert_eq!(answer.json(), json!({ "operator": "operate", "ends_at": ends_at }));
    assert_eq!(answer.header("cache-control"), "no-store");
    let set = answer.header("set-cookie");
    let (value, rest) = set.split_once("; ").unwrap();
    assert_eq!(rest, "HttpOnly; SameSite=Strict; Path=/; Max-Age=3600");
    let shown = get(SESSION).header("cookie", &format!("a=b; {value}; c=d")).to(&server).await;
    assert_eq!(shown.json(), answer.json());
}

#[tokio::test]
async fn a_page_that_came_over_tls_gets_a_cookie_that_goes_over_tls_only() {
    let answer = sign_in(r#"{ "key": "key-operate" }"#).header("origin", "https://ops.example.com");
    let answer = answer.to(&server().start()).await;
    assert!(answer.header("set-cookie").ends_with("; Max-Age=3600; Secure"), "{}", answer.header("set-cookie"));
}

#[tokio::test]
async fn a_key_that_may_not_operate_begins_no_session_and_neither_does_anything_else() {
    let server = server().start();
    for key in ["key-publish", "key-read", "nonsense", ""] {
        let answer = sign_in(&json!({ "key": key }).to_string()).to(&server).await;
        assert_eq!(answer.refused(), refusal(401, "unauthenticated"), "{key}");
        assert_eq!(answer.header("set-cookie"), "");
    }
    assert_eq!(sign_in(r#"{ "link": "x" }"#).to(&server).await.refused(), refusal(401, "unauthenticated"));
    for body in
        ["", "{}", "[]", "null", r#"{ "key": "key-operate", "link": "x" }"#, r#"{ "key": 1 }"#, r#"{ "x": "" }"#]
    {
        assert_eq!(sign_in(body).to(&server).await.refused(), refusal(400, "invalid_payload"), "{body}");
    }
    let long = json!({ "key": "k".repeat(5000) }).to_string();
    assert_eq!(sign_in(&long).to(&server).await.refused(), refusal(413, "payload_too_large"));
}

#[tokio::test]
async fn who_guesses_keys_waits_and_is_told_how_long() {
    let server = server().limits(|limits| limits.failed_connects_max = 3).start();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let limits = ListenerLimits::new(server.gates.limits(), 16);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(tcp, crate::Site::of(&server).router, limits, stop.clone()));
    let ask = async |key: &str| {
        let body = json!({ "key": key }).to_string();
        let head = format!(
            "POST {SESSION} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for _ in 0..3 {
        assert!(ask("wrong").await.starts_with("HTTP/1.1 401 "));
    }
    let answer = ask("key-operate").await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nretry-after: 60\r\n"), "{answer}");
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_session_does_what_operators_do_and_nothing_that_backends_do() {
    let server = server().start();
    let cookie = cookie(&server).await;
    let with = |call: Call| call.header("cookie", &cookie).header("x-tidegate-operator", "1");
    assert_eq!(with(get("/v1/dead-letters")).to(&server).await.status, 200);
    assert_eq!(with(get("/v1/plugins")).to(&server).await.status, 200);
    // The key that it began with may not revoke.
    let revoke = with(post("/v1/revoke")).body(r#"{ "user": "u" }"#).to(&server).await;
    assert_eq!(revoke.refused(), refusal(403, "forbidden"));
    let publish = with(post("/v1/channels/news/publish")).body(r#"{ "title": "t" }"#).to(&server).await;
    assert_eq!(publish.refused(), refusal(401, "unauthenticated"));
    let wrong_bearer = with(get("/v1/dead-letters")).header("authorization", "Bearer nonsense").to(&server).await;
    assert_eq!(wrong_bearer.refused(), refusal(401, "unauthenticated"));
}

#[tokio::test]
async fn no_page_of_another_origin_uses_a_session() {
    let server = server().start();
    let cookie = cookie(&server).await;
    let retry = || post("/v1/dead-letters/1/retry").header("cookie", &cookie);
    assert_eq!(retry().to(&server).await.refused(), refusal(403, "forbidden"));
    assert_eq!(retry().header("x-tidegate-operator", "1").to(&server).await.refused(), refusal(404, "not_found"));
    for site in ["cross-site", "same-site"] {
        let from = |call: Call| call.header("cookie", &cookie).header("sec-fetch-site", site);
        let list = from(get("/v1/dead-letters")).to(&server).await;
        assert_eq!(list.refused(), refusal(403, "forbidden"), "{site}");
        let end = from(delete(SESSION)).header("x-tidegate-operator", "1").to(&server).await;
        assert_eq!(end.refused(), refusal(403, "forbidden"), "{site}");
        let begin = sign_in(r#"{ "key": "key-operate" }"#).header("sec-fetch-site", site).to(&server).await;
        assert_eq!(begin.refused(), refusal(403, "forbidden"), "{site}");
    }
    assert_eq!(delete(SESSION).header("cookie", &cookie).to(&server).await.refused(), refusal(403, "forbidden"));
    assert_eq!(get(SESSION).header("cookie", &cookie).to(&server).await.status, 200, "and it is not over");
    let preflight = axum::http::Request::options("/v1/dead-letters/1/retry").header("origin", "http://elsewhere");
    let preflight = preflight.header("access-control-request-method", "POST").body(axum::body::Body::empty()).unwrap();
    let answer = crate::Site::of(&server).router.oneshot(preflight).await.unwrap();
    assert!(answer.headers().get("access-control-allow-origin").is_none(), "{answer:?}");
}

#[tokio::test]
async fn an_expired_or_forged_cookie_is_no_session() {
    let server = server().start();
    let cookie = cookie(&server).await;
    let (rest, last) = cookie.split_at(cookie.len() - 1);
    let forged = format!("{rest}{}", if last == "A" { "E" } else { "A" });
    assert_eq!(get(SESSION).header("cookie", &forged).to(&server).await.refused(), refusal(401, "unauthenticated"));
    server.clock.advance(SESSION_S);
    for path in [SESSION, "/v1/dead-letters"] {
        let answer = get(path).header("cookie", &cookie).to(&server).await;
        assert_eq!(answer.refused(), refusal(401, "unauthenticated"), "{path}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_takes_the_cookie_away() {
    let server = server().start();
    let site = crate::Site::of(&server);
    let begun = site.answer(sign_in(r#"{ "key": "key-operate" }"#)).await;
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let ended = site.answer(delete(SESSION).header("cookie", &cookie).header("x-tidegate-operator", "1")).await;
    assert_eq!(ended.status(), 204);
    assert!(ended.headers()["set-cookie"].to_str().unwrap().starts_with("tidegate_operator=; HttpOnly; "));
    assert!(ended.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(site.answer(get(SESSION).header("cookie", &cookie)).await.status(), 401);
    assert_eq!(site.answer(get("/v1/plugins").header("cookie", &cookie)).await.status(), 401);
}

#[tokio::test]
async fn a_node_without_the_key_does_not_know_the_session() {
    let server = server().start();
    let cookie = cookie(&server).await;
    let answer = get(SESSION).header("cookie", &cookie).with_keys(&server, ApiKeys::default()).await;
    assert_eq!(answer.refused(), refusal(401, "unauthenticated"));
}

#[tokio::test]
async fn a_list_is_no_body_of_an_operator_and_what_operators_look_at_is_kept_nowhere() {
    let server = server().start();
    let site = Site::with_live(&server);
    assert_eq!(sign_in(r#"["key-operate"]"#).to(&server).await.refused(), refusal(400, "invalid_payload"));
    let tail = post("/v1/tails").key("operate").body(r#"["news", null, false]"#.to_owned());
    assert_eq!(tail.of(&site).await.refused(), refusal(400, "invalid_payload"));
    for path in ["/v1/plugins", "/v1/dead-letters"] {
        assert_eq!(get(path).key("operate").to(&server).await.header("cache-control"), "no-store", "{path}");
    }
}
