//! `tidegate types`: the golden files, and that the Rust one takes and gives back what the schemas take.
//!
//! After a wanted change: `TIDEGATE_UPDATE=1 cargo test --workspace --test cli types`, and read the difference. What TypeScript and
//! Python make of theirs is in `tests/e2e/types.test.mjs`.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tidegate_core::channels::{Sources, compile};
use tidegate_core::config::SourceFile;
use tidegate_core::protocol::Generation;

use crate::project::{Project, committed};

#[rustfmt::skip]
#[path = "../types/golden.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "made for others")]
mod golden;

const EXAMPLES: &str = "tests/types/examples.json";
/// Below `tests/types/channels/`: the manifest, and its schemas.
const FILES: [&str; 4] = ["shop.yaml", "schemas/order-event.json", "schemas/person.json", "schemas/nested.json"];

/// A project with the channels of `tests/types/`.
fn project() -> Project {
    let project = Project::empty().write("config/tidegate.yaml", "auth: { providers: [] }\n");
    FILES.into_iter().fold(project, |project, file| {
        project.write(&format!("channels/{file}"), &committed(&format!("tests/types/channels/{file}")))
    })
}

#[test]
fn types_are_those_of_the_golden_files_in_every_language() {
    for (language, file) in [("ts", "golden.ts"), ("rust", "golden.rs"), ("python", "golden.py")] {
        let output = project().run(&["types", "--lang", language]);
        assert_eq!(output.exit, Some(0), "{}", output.shown());
        let path = format!("tests/types/{file}");
        if std::env::var_os("TIDEGATE_UPDATE").is_some() {
            std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&path), &output.stdout).unwrap();
        }
        assert_eq!(output.stdout, committed(&path), "{path}");
        assert_eq!(project().run(&["types", "--lang", language]).stdout, output.stdout, "twice the same");
    }
}

/// What is taken comes back as it was, and what is refused is not taken.
fn holds<T: Serialize + DeserializeOwned>(channel: &str, what: &str) {
    let examples: Value = serde_json::from_str(&committed(EXAMPLES)).unwrap();
    let examples = &examples[channel][what];
    for accepted in examples["accepts"].as_array().unwrap() {
        let typed: T = serde_json::from_value(accepted.clone()).unwrap_or_else(|error| panic!("{channel}: {error}"));
        assert_eq!(serde_json::to_value(typed).unwrap(), *accepted, "{channel}");
    }
    for refused in examples["refuses"].as_array().unwrap() {
        assert!(serde_json::from_value::<T>(refused.clone()).is_err(), "{channel}: {refused}");
    }
}

#[test]
fn rust_takes_what_the_schema_takes_and_gives_it_back() {
    holds::<golden::ShopAnyPayload>("shop.any", "payload");
    holds::<golden::ShopListsPayload>("shop.lists", "payload");
    holds::<golden::ShopOrderOrderIdPayload>("shop.order.{orderId}", "payload");
    holds::<golden::ShopOrderOrderIdInbound>("shop.order.{orderId}", "inbound");
    holds::<golden::ShopPricesPayload>("shop.prices", "payload");
    holds::<golden::ShopTreePayload>("shop.tree", "payload");
    holds::<golden::ShopTreeInbound>("shop.tree", "inbound");
    holds::<golden::ShopWordsPayload>("shop.words", "payload");
}

#[test]
fn the_examples_are_judged_by_the_schemas_as_they_say() {
    let source = |path: &str| {
        Arc::new(SourceFile { path: path.to_owned(), text: committed(&format!("tests/types/channels/{path}")) })
    };
    let schemas = FILES[1..].iter().map(|path| ((*path).to_owned(), source(path))).collect();
    let sources = Sources { manifests: vec![source(FILES[0])], schemas, ..Sources::default() };
    let catalog = compile(&sources, Generation(1)).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let examples: Value = serde_json::from_str(&committed(EXAMPLES)).unwrap();
    assert_eq!(examples.as_object().unwrap().len(), catalog.channels().len());
    for channel in catalog.channels() {
        let inbound = channel.inbound.as_ref().and_then(|inbound| inbound.payload.as_ref());
        for (what, schema) in [("payload", Some(&channel.payload)), ("inbound", inbound)] {
            let Some(schema) = schema else { continue };
            let examples = &examples[channel.template.as_str()][what];
            for (key, accepted) in [("accepts", true), ("refuses", false)] {
                for example in examples[key].as_array().unwrap() {
                    assert_eq!(schema.check(example).is_ok(), accepted, "{} {what}: {example}", channel.template);
                }
            }
        }
    }
}

#[test]
fn types_are_of_the_channels_that_are_named_and_say_how_they_were_made() {
    let project = project();
    shown!(project.run(&["types", "--lang", "ts", "--channel", "shop.tree", "--channel", "shop.any"]));
    let output = project.run(&["types", "--lang", "rust", "--channel", "shop.tree", "--out", "types.rs"]);
    assert_eq!((output.exit, output.stdout.as_str()), (Some(0), "wrote types.rs\n"));
    let made = project.read("types.rs");
    assert!(made.starts_with("//! Generated by `tidegate types --lang rust --channel 'shop.tree'`"), "{made}");
}

#[test]
fn types_of_a_channel_that_is_not_declared_are_none() {
    shown!(project().run(&["types", "--lang", "ts", "--channel", "shop.treee"]));
    let broken = project().write("channels/broken.yaml", "feature: b\nchannels: { a: { scope: public } }\n");
    assert_eq!(broken.run(&["types", "--lang", "ts"]).exit, Some(78));
}

#[test]
fn types_need_no_plugin_and_no_secret() {
    let channel = "feature: a\nchannels:\n  a:\n    scope: public\n    payload: true\n    \
        inbound: { handler: mine, payload: { type: integer } }\n";
    let project = Project::new().without_secrets().write("channels/a.yaml", channel);
    let output = project.write("plugins/mine/plugin.yaml", "component: mine.wasm\n").run(&["types", "--lang", "ts"]);
    assert_eq!(output.exit, Some(0), "{}", output.shown());
    assert!(output.stdout.contains("export type AInbound = number;"), "{}", output.stdout);
}
