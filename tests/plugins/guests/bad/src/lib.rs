//! A plugin that misbehaves as the payload says. It speaks the raw contract, to say what the SDK would not let it.

use std::sync::atomic::{AtomicU64, Ordering};

wit_bindgen::generate!({ path: "../../../../wit", world: "handler-plugin", generate_all });

use exports::tidegate::plugin::handler::{Context, Guest, Outcome, Refusal};
use tidegate::plugin::types::{Audience, Effect, Emit, Publish};

/// What an instance remembers, for the tests of isolation.
static CALLS: AtomicU64 = AtomicU64::new(0);

struct Bad;

impl Guest for Bad {
    fn handle(ctx: Context, payload: String) -> Result<Outcome, Refusal> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        match payload.trim_matches('"') {
            "count" => Ok(reply(calls.to_string())),
            "panic" => panic!("as it was told"),
            "tell" => {
                for line in ["an earlier one", "ValueError: no, at plugin.py:7"] {
                    tidegate::host::log::write(tidegate::host::log::Level::Error, line, &[]);
                }
                panic!("what the engine prints");
            }
            "exit" => std::process::exit(3),
            "loop" => loop {
                std::hint::spin_loop();
            },
            "sleep" => {
                std::thread::sleep(std::time::Duration::from_secs(10));
                Ok(reply("null".to_owned()))
            }
            "nap" => {
                std::thread::sleep(std::time::Duration::from_millis(300));
                Ok(reply("\"rested\"".to_owned()))
            }
            "hoard" => {
                std::mem::forget(vec![1_u8; 8 << 20]);
                Ok(reply(calls.to_string()))
            }
            "memory" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(vec![1; 1 << 20]);
                    std::hint::black_box(&hoard);
                }
            }
            "recursion" => Ok(reply(dive(u64::MAX).to_string())),
            "garbage" => Ok(reply("{ not json".to_owned())),
            "large" => Ok(reply(format!("\"{}\"", "x".repeat(300 << 10)))),
            "huge" => Ok(reply(format!("\"{}\"", "x".repeat(8 << 20)))),
            "effects" => Ok(effects((0..1000).map(|_| emit("granted", "1")).collect())),
            "million-effects" => Ok(effects((0..1_000_000).map(|_| emit("", "")).collect())),
            "not-utf8" => {
                // SAFETY: none, that is the point. Nothing in here reads it as text; the host must not either.
                Ok(reply(unsafe { String::from_utf8_unchecked(vec![b'"', 0xff, 0xfe, b'"']) }))
            }
            "garbage-effect" => Ok(effects(vec![emit("granted", "1"), emit("granted", "}")])),
            "not-granted-emit" => Ok(effects(vec![emit("granted", "1"), emit("secret", "1")])),
            "not-granted-publish" => Ok(effects(vec![publish("granted.event"), publish("other.event")])),
            "granted" => Ok(effects(vec![emit("granted", "1"), emit("granted.x", "2"), publish("granted.event")])),
            "log" => {
                for line in 0..1000 {
                    tidegate::host::log::write(tidegate::host::log::Level::Info, &line.to_string(), &[]);
                }
                Ok(reply("null".to_owned()))
            }
            "print" => {
                (0..200).for_each(|_| println!("{}", "x".repeat(200)));
                Ok(reply("null".to_owned()))
            }
            "look-around" => Ok(reply(look_around())),
            "context" => Ok(reply(format!("{:?}", format!("{ctx:?}")))),
            "forbidden" => Err(Refusal::Forbidden("not you".to_owned())),
            "invalid" => Err(Refusal::InvalidPayload("no such thing".to_owned())),
            "long-refusal" => Err(Refusal::InvalidPayload("é".repeat(100_000))),
            _ => Ok(reply("\"well\"".to_owned())),
        }
    }
}

/// Everything a sandbox should not show, as a JSON object of booleans.
fn look_around() -> String {
    let files = std::fs::read_dir("/").is_ok() || std::fs::write("left-behind", "x").is_ok();
    let network =
        std::net::TcpStream::connect("127.0.0.1:80").is_ok() || std::net::UdpSocket::bind("0.0.0.0:0").is_ok();
    let environment = std::env::vars().next().is_some() || std::env::args().next().is_some();
    format!(r#"{{"files":{files},"network":{network},"environment":{environment}}}"#)
}

#[inline(never)]
fn dive(depth: u64) -> u64 {
    let kept = std::hint::black_box([depth; 64]);
    if depth == 0 { kept[0] } else { dive(depth - 1).wrapping_add(std::hint::black_box(kept)[63]) }
}

fn reply(json: String) -> Outcome {
    Outcome { reply: Some(json), effects: Vec::new() }
}

fn effects(effects: Vec<Effect>) -> Outcome {
    Outcome { reply: None, effects }
}

fn emit(topic: &str, payload: &str) -> Effect {
    Effect::Emit(Emit { topic: topic.to_owned(), payload: payload.to_owned(), to: Audience::Others })
}

fn publish(kind: &str) -> Effect {
    Effect::Publish(Publish { kind: kind.to_owned(), subject: None, data: "{}".to_owned() })
}

export!(Bad);
