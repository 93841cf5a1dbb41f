//! A plugin that reaches for what the payload says: `"secret NAME"`. It speaks the raw contract, and answers with what
//! came back, as text.

wit_bindgen::generate!({
    inline: "package tests:reach; world reach { include tidegate:plugin/handler-plugin@0.3.0; include tidegate:plugin/granted@0.3.0; }",
    path: "../../../../wit",
    world: "tests:reach/reach",
    generate_all,
});

use exports::tidegate::plugin::handler::{Context, Guest, Outcome, Refusal};

struct Reach;

impl Guest for Reach {
    fn handle(_: Context, payload: String) -> Result<Outcome, Refusal> {
        let order: Vec<&str> = payload.trim_matches('"').split(' ').collect();
        let answer = match order[..] {
            ["secret", name] => format!("{:?}", tidegate::host::secrets::get(name)),
            _ => "unknown order".to_owned(),
        };
        Ok(Outcome { reply: Some(format!("{answer:?}")), effects: Vec::new() })
    }
}

export!(Reach);
