//! A plugin that reaches for what the payload says: `"secret NAME"`, `"kv get BUCKET KEY"`. It speaks the raw contract, and
//! answers with what came back, as text. What it imports must all be granted: `secrets` and `kv`.

wit_bindgen::generate!({
    inline: "package tests:reach; world reach { include tidegate:plugin/handler-plugin@0.1.0; include tidegate:plugin/granted@0.1.0; }",
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
            ["kv", "many", bucket, times] => many(bucket, number(times)),
            ["kv", ref call @ ..] => kv(call),
            _ => "unknown order".to_owned(),
        };
        Ok(Outcome { reply: Some(format!("{answer:?}")), effects: Vec::new() })
    }
}

/// A call of the key-value store; `-` is for an argument that is left out.
fn kv(call: &[&str]) -> String {
    use tidegate::kv::store;
    let some = |text: &str| (text != "-").then(|| number(text));
    match *call {
        ["get", bucket, key] => format!("{:?}", store::get(bucket, key)),
        ["put", bucket, key, value, revision, ttl_ms] => {
            format!("{:?}", store::put(bucket, key, value.as_bytes(), some(revision), some(ttl_ms)))
        }
        ["put-of-size", bucket, key, bytes] => {
            format!("{:?}", store::put(bucket, key, &vec![0; number(bytes) as usize], None, None))
        }
        ["delete", bucket, key, revision] => format!("{:?}", store::delete(bucket, key, some(revision))),
        ["increment", bucket, key, delta, ttl_ms] => {
            format!("{:?}", store::increment(bucket, key, delta.parse().unwrap(), some(ttl_ms)))
        }
        ["keys", bucket, prefix, after, limit] => {
            let after = (after != "-").then_some(after);
            format!("{:?}", store::keys(bucket, prefix, after, number(limit) as u32))
        }
        _ => "unknown call".to_owned(),
    }
}

/// Asks again and again; how often there was an answer.
fn many(bucket: &str, times: u64) -> String {
    let answered = (0..times).filter(|_| tidegate::kv::store::get(bucket, "k").is_ok()).count();
    answered.to_string()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

export!(Reach);
