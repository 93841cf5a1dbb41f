//! What the fuzz targets do with arbitrary bytes. The ordinary tests run the same over the committed corpus.

use std::sync::Arc;

use tidegate_core::channels::{Sources, compile};
use tidegate_core::config::SourceFile;
use tidegate_core::protocol::{BusEvent, ClientEvent, Epoch, Generation, IdempotencyKey, Key, Position, Topic};

/// Whatever the text, `compile` answers; every mistake can be shown. Taken as a manifest and as the bridge table.
pub(crate) fn manifests(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = Arc::new(SourceFile { path: "fuzz.yaml".to_owned(), text: text.to_owned() });
    compiled(&Sources { manifests: vec![file.clone()], ..Sources::default() });
    compiled(&Sources { bridge: Some(file), ..Sources::default() });
}

fn compiled(sources: &Sources) {
    match compile(sources, Generation(1)) {
        Ok(catalog) => {
            for channel in catalog.channels() {
                let _ = channel.payload.check(&serde_json::Value::Null);
            }
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            for diagnostic in diagnostics {
                assert!(diagnostic.render().starts_with("error: "));
            }
        }
    }
}

/// Whatever a client sends, reading it answers.
pub(crate) fn envelope(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(event) = ClientEvent::parse(text) {
        let _ = event.topic();
    }
}

/// What stands in paths, queries and headers: whatever is read as something is written as it was read.
pub(crate) fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(position) = Position::parse(text) {
        assert_eq!(Position::parse(&position.to_string()).as_ref(), Some(&position), "{text:?}");
        assert_eq!(Epoch::parse(position.epoch.as_str()).as_ref(), Some(&position.epoch));
        let json = serde_json::to_string(&position).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Position>(&json).ok().as_ref(), Some(&position), "{json}");
    }
    if let Ok(key) = IdempotencyKey::parse(text) {
        assert_eq!(key.as_str(), text);
    }
    if let Ok(topic) = Topic::parse(text) {
        assert_eq!(topic.as_str(), text);
    }
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        let key = Key::new(text);
        assert!(serde_json::from_str::<serde_json::Value>(key.as_str()).is_ok(), "{key:?}");
        assert_eq!(Key::new(key.as_str()), key, "a key is read as it was written");
    }
    if let Ok(event) = BusEvent::parse(text) {
        let written = serde_json::to_string(&event).unwrap_or_default();
        assert!(BusEvent::parse(&written).is_ok(), "{written}");
    }
}
