//! `GET /v1/dead-letters`, `POST /v1/dead-letters/{id}/retry` and `DELETE /v1/dead-letters/{id}`

use serde_json::{Value, json};
use tidegate_core::channels::RuleId;
use tidegate_core::flow::DeadLetter;
use tidegate_core::flow::ports::DeadLetters as _;
use tidegate_core::protocol::BusEvent;

use crate::{CHANNELS, delete, get, post, refusal, server};
use tidegate_testkit::{Server, event};

/// Has so many events die on their way to `news`, and names their letters, newest first.
async fn letters(server: &Server, count: usize) -> Vec<String> {
    for number in 0..count {
        server.bridge(&event("article.published", json!({ "title": number }))).await;
    }
    server.dead_letters.list().into_iter().map(|letter| letter.id).collect()
}

fn retry(id: &str) -> crate::Call {
    post(&format!("/v1/dead-letters/{id}/retry")).key("operate")
}

fn discard(id: &str) -> crate::Call {
    delete(&format!("/v1/dead-letters/{id}")).key("operate")
}

#[tokio::test]
async fn letters_are_listed_newest_first_with_rule_reason_and_event() {
    let server = server().start();
    let ids = letters(&server, 2).await;
    let list = get("/v1/dead-letters").key("operate").to(&server).await.json();
    assert_eq!(list["kept"], 2);
    let first = &list["dead_letters"][0];
    assert_eq!((&first["id"], &first["event"]["data"]), (&json!(ids[0]), &json!({ "title": 1 })));
    assert_eq!(first["rule"], json!({ "on": "article.published", "to": "news" }));
    assert!(first["reason"].as_str().unwrap().contains("/title"), "{first}");
}

#[tokio::test]
async fn a_limit_cuts_the_list_and_says_how_many_there_are() {
    let server = server().start();
    let ids = letters(&server, 3).await;
    let list = get("/v1/dead-letters?limit=1").key("operate").to(&server).await.json();
    assert_eq!((list["dead_letters"].as_array().unwrap().len(), &list["kept"]), (1, &json!(3)));
    assert_eq!(list["dead_letters"][0]["id"], json!(ids[0]));
    for query in ["limit=-1", "limit=0", "limit=1001", "limit=many", "limits=1"] {
        let answer = get(&format!("/v1/dead-letters?{query}")).key("operate").to(&server).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{query}");
    }
}

#[tokio::test]
async fn a_letter_that_can_cross_now_is_delivered_and_gone() {
    let server = server().start();
    let ids = letters(&server, 1).await;
    server.gates.replace(tidegate_core::flow::Serving {
        catalog: tidegate_testkit::catalog(
            &CHANNELS.replace("{ type: string }", "{}"),
            Some("rules:\n  - { on: article.published, to: news }\n"),
            tidegate_core::protocol::Generation(2),
        ),
        plugins: server.plugins.clone(),
    });
    let answer = retry(&ids[0]).to(&server).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "outcome": "crossed" })));
    assert_eq!(server.delivered(), [("news".to_owned(), json!({ "title": 0 }))]);
    assert_eq!(retry(&ids[0]).to(&server).await.refused(), refusal(404, "not_found"));
}

#[tokio::test]
async fn a_letter_that_dies_again_is_a_new_one_and_the_answer_says_so() {
    let server = server().start();
    let ids = letters(&server, 1).await;
    let answer = retry(&ids[0]).to(&server).await;
    assert_eq!(answer.status, 202);
    let again = &answer.json()["dead_letter"];
    assert_eq!((&answer.json()["outcome"], again["id"] != json!(ids[0])), (&json!("dead"), true));
    let kept = server.dead_letters.list();
    assert_eq!((kept.len(), &json!(kept[0].id)), (1, &again["id"]));
}

#[tokio::test]
async fn no_such_letter_is_404() {
    let server = server().start();
    for id in ["nothing", "%20", "..%2F"] {
        assert_eq!(retry(id).to(&server).await.refused(), refusal(404, "not_found"), "{id}");
        assert_eq!(discard(id).to(&server).await.refused(), refusal(404, "not_found"), "{id}");
    }
}

#[tokio::test]
async fn a_letter_that_is_discarded_is_shown_once_more_and_gone_and_no_other_is() {
    let server = server().start();
    let ids = letters(&server, 2).await;
    let answer = discard(&ids[0]).to(&server).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["discarded"]["id"]), (200, &json!(ids[0])));
    assert_eq!(answer.json()["discarded"]["event"]["data"], json!({ "title": 1 }));
    assert_eq!(discard(&ids[0]).to(&server).await.refused(), refusal(404, "not_found"));
    assert_eq!(retry(&ids[0]).to(&server).await.refused(), refusal(404, "not_found"));
    let kept: Vec<String> = server.dead_letters.list().into_iter().map(|letter| letter.id).collect();
    assert_eq!(kept, ids[1..]);
    assert!(server.delivered().is_empty());
}

#[tokio::test]
async fn a_letter_is_discarded_by_a_key_that_may_operate_and_by_no_other() {
    let server = server().start();
    let ids = letters(&server, 1).await;
    let path = format!("/v1/dead-letters/{}", ids[0]);
    assert_eq!(delete(&path).to(&server).await.refused(), refusal(401, "unauthenticated"));
    assert_eq!(delete(&path).key("publish").to(&server).await.refused(), refusal(403, "forbidden"));
    assert_eq!(server.dead_letters.list().len(), 1);
}

#[tokio::test]
async fn a_letter_whose_rule_is_gone_is_404_and_kept() {
    let server = server().start();
    let ids = letters(&server, 1).await;
    server.reload(CHANNELS, tidegate_testkit::FakePlugins::silent());
    let answer = retry(&ids[0]).to(&server).await;
    assert_eq!(answer.refused(), refusal(404, "not_found"));
    assert!(answer.text.contains("the dead letter stays"));
    assert_eq!(server.dead_letters.list().len(), 1);
}

#[tokio::test]
async fn a_draining_server_retries_nothing_and_loses_nothing() {
    let server = server().start();
    let ids = letters(&server, 1).await;
    server.gates.drain();
    assert_eq!(retry(&ids[0]).to(&server).await.refused(), refusal(503, "draining"));
    assert_eq!(server.dead_letters.list().len(), 1);
}

#[tokio::test]
async fn a_letter_that_the_broker_does_not_take_is_kept() {
    let server = server().start();
    let event = event("article.published", json!({ "title": "x" }));
    server.broker.set_away(true);
    let pending = server.gates.carry(&event, tidegate_core::flow::Audience::EveryNode).await.unwrap();
    server.gates.dead_letter_untaken(&event, pending).await;
    let id = server.dead_letters.list()[0].id.clone();
    assert_eq!(retry(&id).to(&server).await.refused(), refusal(503, "unavailable"));
    server.broker.set_away(false);
    assert_eq!(retry(&id).to(&server).await.status, 202);
    assert_eq!(server.broker.published(), [("news".to_owned(), json!({ "title": "x" }))]);
}

#[tokio::test]
async fn letters_are_searched_and_read_page_by_page() {
    let server = server().start();
    for n in 1..=250 {
        let body = format!(
            r#"{{"specversion":"1.0","type":"article.published","source":"/cms","id":"e{n}","data":{{"n":{n}}}}}"#
        );
        let letter = DeadLetter {
            id: format!("{n:03}"),
            rule: RuleId {
                on: "article.published".to_owned(),
                to: "news".to_owned(),
                revokes: false,
                ends_sessions: false,
                removes: false,
            },
            reason: if n % 50 == 0 { "every fiftieth".to_owned() } else { "no title".to_owned() },
            at_unix_s: n,
            event: BusEvent::kept(&body).unwrap(),
            share: None,
        };
        server.dead_letters.add(letter);
    }
    let listed = async |query: &str| get(&format!("/v1/dead-letters?{query}")).key("operate").to(&server).await.json();
    let ids = |answer: &Value| -> Vec<String> {
        answer["dead_letters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|letter| letter["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = listed("limit=2").await;
    assert_eq!(
        (ids(&first), &first["next"], &first["kept"]),
        (vec!["250".to_owned(), "249".to_owned()], &json!("249"), &json!(250))
    );
    assert_eq!(ids(&listed("limit=2&after=249").await), ["248", "247"]);
    let found = listed("search=fiftieth&limit=3").await;
    assert_eq!(
        (ids(&found), &found["next"]),
        (vec!["250".to_owned(), "200".to_owned(), "150".to_owned()], &json!("150"))
    );
    let rest = listed("search=fiftieth&limit=3&after=150").await;
    assert_eq!((ids(&rest), &rest["next"]), (vec!["100".to_owned(), "050".to_owned()], &json!(null)));
    assert_eq!(ids(&listed("search=%22e7%22").await), ["007"], "the event is searched, too");
    let discarded = delete("/v1/dead-letters/007?reason=sent%20by%20mistake").key("operate").to(&server).await;
    assert_eq!(discarded.status, 200);
    let unsaid = delete("/v1/dead-letters/008?reason=%20").key("operate").to(&server).await;
    assert_eq!(unsaid.refused(), refusal(400, "invalid_payload"));
}
