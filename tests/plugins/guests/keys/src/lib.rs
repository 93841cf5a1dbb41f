//! A plugin that does with the key-value store what the payload says, `"get BUCKET KEY"`, and answers with what came back,
//! as text. An argument that is left out is `-`.

use std::time::Duration;

use tidegate_plugin::kv::{Bucket, Error, Write};
use tidegate_plugin::prelude::*;

struct Keys;

impl Handler for Keys {
    type Payload = String;

    fn handle(_: &Context, order: String) -> Result<Outcome, Refusal> {
        let order: Vec<&str> = order.split(' ').collect();
        Outcome::reply(&answer(&order)).done()
    }
}

fn answer(order: &[&str]) -> String {
    let some = |text: &str| (text != "-").then(|| number(text));
    let [verb, bucket, arguments @ ..] = order else { return "no order".to_owned() };
    let bucket = Bucket::new(bucket);
    match (*verb, arguments) {
        ("get", [key]) => format!("{:?}", bucket.get(key)),
        ("put", [key, value, if_revision, ttl_ms]) => {
            let how = Write { if_revision: some(if_revision), ttl: some(ttl_ms).map(Duration::from_millis) };
            format!("{:?}", bucket.write(key, value, how))
        }
        ("put-of-size", [key, bytes]) => format!("{:?}", bucket.put(key, vec![0; number(bytes) as usize])),
        ("delete", [key, if_revision]) => format!("{:?}", bucket.delete(key, some(if_revision))),
        ("increment", [key, delta, ttl_ms]) => {
            let delta = delta.parse().unwrap();
            format!("{:?}", bucket.increment(key, delta, some(ttl_ms).map(Duration::from_millis)))
        }
        ("keys", [prefix, after, limit]) => {
            let after = (*after != "-").then_some(*after);
            format!("{:?}", bucket.keys(prefix, after, number(limit) as u32))
        }
        ("get-often", [key, times]) => {
            (0..number(times)).filter(|_| bucket.get(key).is_ok()).count().to_string()
        }
        ("append", [key, letter]) => format!("{:?}", append(bucket, key, letter)),
        _ => "unknown order".to_owned(),
    }
}

/// Reads, changes and writes, again and again until nobody wrote in between.
fn append(bucket: Bucket<'_>, key: &str, letter: &str) -> Result<(), Error> {
    loop {
        let (mut value, revision) = bucket.get(key)?.map_or((Vec::new(), 0), |entry| (entry.value, entry.revision));
        value.extend_from_slice(letter.as_bytes());
        match bucket.write(key, value, Write { if_revision: Some(revision), ttl: None }) {
            Err(Error::Conflict(_)) => {}
            written => return written.map(|_| ()),
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

register!(Keys: handler);
