//! A plugin that sends the HTTP requests it is told to: `"GET URL name:value …"`, and `"POST@BYTES URL"` with a body of
//! that many `x`, or `"GET*TIMES URL"` for as many times. It speaks the raw contract, and answers with what came back, as text.
//! As a transform it gets the URL that is the payload.

wit_bindgen::generate!({
    inline: "package tests:fetch; world fetch { include tidegate:plugin/handler-plugin@0.3.0; include tidegate:plugin/transform-plugin@0.3.0; include tidegate:plugin/granted@0.3.0; }",
    path: "../../../../wit",
    world: "tests:fetch/fetch",
    generate_all,
});

use exports::tidegate::plugin::handler::{Context, Guest, Outcome, Refusal};
use exports::tidegate::plugin::transform::{self, Crossing};
use tidegate::http::client::{self, Request};

struct Fetch;

impl Guest for Fetch {
    fn handle(_: Context, payload: String) -> Result<Outcome, Refusal> {
        let order: Vec<&str> = payload.trim_matches('"').split(' ').collect();
        let [method, url, headers @ ..] = order.as_slice() else {
            return Err(Refusal::InvalidPayload("METHOD URL name:value …".to_owned()));
        };
        let (method, body) = match method.split_once('@') {
            Some((method, bytes)) => (method, Some(vec![b'x'; bytes.parse().unwrap()])),
            None => (*method, None),
        };
        let (method, times) = match method.split_once('*') {
            Some((method, times)) => (method, times.parse().unwrap()),
            None => (method, 1),
        };
        let headers = headers.iter().map(|field| field.split_once(':').unwrap());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let request = Request { method: method.to_owned(), url: (*url).to_owned(), headers, body };
        for _ in 1..times {
            let _ = client::send(&request);
        }
        let answer = match client::send(&request) {
            Ok(response) => {
                let head: Vec<String> = response.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let body = String::from_utf8_lossy(&response.body);
                format!("{}\n{}\n\n{}", response.status, head.join("\n"), body.escape_default().take(4096).collect::<String>())
            }
            Err(error) => format!("{error:?}"),
        };
        Ok(Outcome { reply: Some(format!("{answer:?}")), effects: Vec::new() })
    }
}

impl transform::Guest for Fetch {
    fn apply(crossing: Crossing) -> Result<Option<String>, String> {
        let url = crossing.payload.trim_matches('"').to_owned();
        let request = Request { method: "GET".to_owned(), url, headers: Vec::new(), body: None };
        let answer = client::send(&request).map_err(|error| format!("{error:?}"))?;
        Ok(Some(answer.status.to_string()))
    }
}

export!(Fetch);
