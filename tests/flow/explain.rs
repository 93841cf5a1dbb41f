//! `explain` against the gates: what it says is what a client meets.

use std::sync::Arc;

use tidegate_core::flow::Question;
use tidegate_core::flow::ports::{Action, FaultKind};
use tidegate_core::protocol::{Payload, User};

use tidegate_testkit::{CHANNELS, FakePlugins, Server, user};

const TOPICS: [&str; 10] = [
    "news",
    "members-only",
    "desk",
    "inbox.alice",
    "ping",
    "vault.v1",
    "lobby.a",
    "rated",
    "nothing.declared",
    "no topic at all",
];
const PAYLOADS: [Option<&str>; 6] =
    [None, Some("{}"), Some(r#"{"n":1}"#), Some(r#"{"n":"x"}"#), Some(r#"{"n":1,"n":2}"#), Some(TOO_LARGE)];
const TOO_LARGE: &str = r#"{"n":1,"more":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#;

/// The code that a client meets who subscribes, and sends a payload where there is one.
async fn met(server: &Server, user: Option<User>, topic: &str, payload: Option<&str>) -> Option<&'static str> {
    let client = server.client(user);
    let met = match (client.subscribe(topic).await, payload) {
        (Ok(_), Some(payload)) => client.send_text(topic, payload).await.map(drop),
        (subscribed, _) => subscribed.map(drop),
    };
    met.err().map(|refusal| refusal.code.as_str())
}

#[tokio::test]
async fn explain_says_the_code_that_a_client_meets_at_the_gates() {
    let authorizers = [
        FakePlugins::silent,
        FakePlugins::denying,
        FakePlugins::doubting,
        || FakePlugins::authorizer_faulting(FaultKind::Trap),
        || FakePlugins::authorizer_faulting(FaultKind::Overloaded),
    ];
    let users = [None, Some(user("alice")), Some(User::new("eve", vec!["editor".to_owned()], None))];
    for (authorizer, plugins) in authorizers.into_iter().enumerate() {
        let server =
            Server::declaring(CHANNELS).plugins(plugins()).limits(|limits| limits.payload_bytes_max = 40).start();
        for user in &users {
            for (topic, payload) in TOPICS.into_iter().flat_map(|topic| PAYLOADS.map(|payload| (topic, payload))) {
                let question = Question {
                    user: user.clone().map(Arc::new),
                    anonymous: true,
                    action: if payload.is_some() { Action::Send } else { Action::Subscribe },
                    topic: topic.to_owned(),
                    payload: payload.map(|payload| Payload::parse(payload.to_owned()).unwrap()),
                    payload_bytes_max: server.gates.limits().payload_bytes_max,
                };
                let explanation = server.gates.serving().explain(&question).await;
                let said = explanation.steps.iter().find_map(|step| step.refused);
                let met = met(&server, user.clone(), topic, payload).await;
                // The rate is the user's, whatever they asked before: it is said, not judged.
                if met != Some("rate_limited") {
                    assert_eq!(said, met, "{user:?} {topic} {payload:?} authorizer {authorizer}: {explanation:?}");
                }
            }
        }
    }
}
