//! A plugin that asks the query the payload names, with the parameters the payload gives, and answers with the rows, or with
//! the error as text.

use serde_json::Value;
use tidegate_plugin::prelude::*;
use tidegate_plugin::queries::Query;

struct Asks;

#[derive(Deserialize)]
struct Ask {
    query: String,
    params: Value,
}

impl Handler for Asks {
    type Payload = Ask;

    fn handle(_: &Context, ask: Ask) -> Result<Outcome, Refusal> {
        let rows = Query::new(&ask.query).rows::<Value>(&ask.params);
        Outcome::reply(&rows.map_or_else(|error| format!("{error:?}").into(), Value::from)).done()
    }
}

register!(Asks: handler);
