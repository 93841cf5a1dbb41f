//! The query of the `session` provider: judged as soon as the database can say what it answers, and before anybody comes.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::flow::queries::ColumnKind::{
    self, Bool, Bytes, Decimal, Float, Integer, Json, List, LocalTime, Moment, Text, Unknown,
};
use tidegate_core::protocol::Code;

use crate::issuer::{Door, NOW, World};

fn auth() -> Value {
    let query = "select user_id from sessions where token = $1";
    json!({ "providers": [{ "session": { "cookie": "app", "query": query } }] })
}

async fn mistakes(columns: &[(&str, ColumnKind)]) -> Vec<String> {
    let world = World::default();
    world.queries.set_columns(columns);
    let told = Door::try_with(auth(), &world).await.err().unwrap_or_default();
    told.into_iter().map(|told| format!("{}; {}", told.message, told.hint.unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_query_that_names_no_user_is_a_mistake_that_says_which_column_may_be_meant() {
    let told = mistakes(&[("userId", Text), ("roles", List)]).await;
    assert_eq!(told, ["the query for sessions has no column `user_id`; rename the column: `\"userId\" as user_id`"]);
    assert!(mistakes(&[("x", Text)]).await[0].contains("no column `user_id`"));
}

#[tokio::test(start_paused = true)]
async fn columns_of_types_that_no_row_could_make_good_are_mistakes() {
    for (column, wrong) in [
        ("user_id", &[Float, Bool, List, Moment, LocalTime][..]),
        ("tenant", &[Float, Bool, List, Moment, LocalTime]),
        ("roles", &[Integer, Decimal, Float, Bool, Bytes, Moment, LocalTime]),
        ("created_at", &[Text, Bool, Json, List, Bytes, LocalTime]),
        ("expires_at", &[Text, Bool, Json, List, Bytes, LocalTime]),
    ] {
        for kind in [Integer, Decimal, Float, Text, Bool, Json, List, Bytes, Moment, LocalTime, Unknown] {
            let told = mistakes(&[("user_id", if column == "user_id" { kind } else { Text }), (column, kind)]).await;
            assert_eq!(!told.is_empty(), wrong.contains(&kind), "{column} {kind:?}: {told:?}");
            let called = format!("`{column}` is `{}`", format!("{kind:?}").to_lowercase());
            assert!(told.iter().all(|told| told.contains(&called)), "{told:?}");
        }
    }
    assert!(
        mistakes(&[("user_id", Text), ("expires_at", LocalTime)]).await[0].contains("extract(epoch from expires_at)")
    );
}

#[tokio::test(start_paused = true)]
async fn a_time_with_its_zone_is_as_good_as_seconds() {
    // FakeClock's beginning is 12 days and some hours after the epoch.
    for (column, expected) in [
        (json!({ "expires_at": "1970-01-12T13:46:45+00:00" }), Ok(Some(NOW + 5))),
        (json!({ "expires_at": "1970-01-12T15:46:45.9+02:00" }), Ok(Some(NOW + 5))),
        (json!({ "expires_at": "infinity" }), Ok(Some(NOW + 43_200))),
        (json!({ "expires_at": "-infinity" }), Err(Code::TokenExpired)),
        (json!({ "expires_at": "1969-12-31T00:00:00Z" }), Err(Code::TokenExpired)),
        (json!({ "created_at": "1970-01-12T13:46:30.737+00:00" }), Ok(Some(NOW + 43_190))),
        (json!({ "expires_at": "1970-01-12 13:46:45" }), Err(Code::Unavailable)),
    ] {
        let world = World::default();
        let mut row = json!({ "user_id": "a" });
        row.as_object_mut().unwrap().extend(column.as_object().unwrap().clone());
        world.queries.answer("s", vec![row]);
        let door = Door::with(auth(), &world).await;
        let handshake = tidegate_core::flow::Handshake {
            cookie: Some("app=s".to_owned()),
            ..tidegate_core::flow::Handshake::default()
        };
        let ends = door.connect(handshake).await.map(|user| user.unwrap().expires_at);
        assert_eq!(ends, expected, "{column}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_database_cannot_say_the_server_is_not_ready_and_it_is_judged_when_the_database_is_there() {
    for (columns, is_fit) in [(&[("user_id", Text)][..], true), (&[("id", Text)], false)] {
        let world = World::default();
        world.queries.set_away(true);
        world.queries.set_columns(columns);
        world.queries.answer("s", vec![json!({ "user_id": "alice" })]);
        let door = Door::with(auth(), &world).await;
        assert!(!door.server.gates.has_fit_providers());
        assert_eq!(door.cookies("app=s").await, Err(Code::Unavailable));
        world.queries.set_away(false);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(door.server.gates.has_fit_providers(), is_fit, "{columns:?}, and nobody came");
        assert_eq!(door.cookies("app=s").await.is_ok(), is_fit);
    }
}
