//! What every resource that needs a key has in common, and what is no resource.

use tidegate_core::config::ApiKeys;

use crate::{Call, get, post, refusal, server};

const NEEDS: [(&str, &str, &str); 4] = [
    ("POST", "/v1/channels/news/publish", "publish"),
    ("POST", "/v1/events", "events"),
    ("GET", "/v1/dead-letters", "operate"),
    ("POST", "/v1/dead-letters/1/retry", "operate"),
];

fn calls() -> impl Iterator<Item = (Call, &'static str)> {
    NEEDS.into_iter().map(|(method, path, needs)| (if method == "GET" { get(path) } else { post(path) }, needs))
}

#[tokio::test]
async fn without_a_key_it_is_401_and_the_answer_says_how() {
    let server = server().start();
    for (call, _) in calls() {
        let answer = call.to(&server).await;
        assert_eq!(answer.refused(), refusal(401, "unauthenticated"));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn what_is_no_key_is_401() {
    let server = server().start();
    for header in ["Bearer", "Bearer ", "Bearer nonsense", "Basic key-publish", "key-publish", "Bearer key-publish2"] {
        for (call, _) in calls() {
            let answer = call.header("authorization", header).to(&server).await;
            assert_eq!(answer.refused(), refusal(401, "unauthenticated"), "{header}");
        }
    }
}

#[tokio::test]
async fn with_no_keys_configured_nobody_is_let_in() {
    let server = server().start();
    for (call, needs) in calls() {
        let answer = call.key(needs).with_keys(&server, ApiKeys::default()).await;
        assert_eq!(answer.refused(), refusal(401, "unauthenticated"));
    }
}

#[tokio::test]
async fn a_key_without_the_permission_is_403() {
    let server = server().start();
    for permission in ["publish", "events", "revoke", "operate"] {
        for (call, needs) in calls().filter(|(_, needs)| *needs != permission) {
            assert_eq!(call.key(permission).to(&server).await.refused(), refusal(403, "forbidden"), "{needs}");
        }
    }
}

#[tokio::test]
async fn a_caller_without_a_key_is_refused_before_its_body_is_read() {
    let server = server().start();
    let endless = axum::body::Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    let answer = post("/v1/events").body(endless).to(&server).await;
    assert_eq!(answer.refused(), refusal(401, "unauthenticated"));
}

#[tokio::test]
async fn what_is_no_resource_is_404_and_the_wrong_method_is_405_both_as_json() {
    let server = server().start();
    for path in ["/", "/v1", "/v1/channels/news", "/v1/events/", "/v1/channels/news/extra/publish"] {
        assert_eq!(get(path).to(&server).await.refused(), refusal(404, "not_found"), "{path}");
    }
    assert_eq!(get("/v1/events").to(&server).await.refused(), refusal(405, "method_not_allowed"));
    let answer = post("/healthz").to(&server).await;
    assert_eq!(answer.refused(), refusal(405, "method_not_allowed"));
    assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_tells_nothing_of_the_inside() {
    let server = server().start();
    server.rooms.panic_on("desk");
    let answer = post("/v1/channels/desk/publish").key("publish").body("{}").to(&server).await;
    assert_eq!(answer.refused(), refusal(500, "internal"));
    assert!(!answer.text.contains("the test asked for it"));
}
