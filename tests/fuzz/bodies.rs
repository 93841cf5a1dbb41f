//! What the fuzz targets do with arbitrary bytes. The ordinary tests run the same over the committed corpus.

use std::sync::Arc;

use tidegate_core::channels::{Sources, compile};
use tidegate_core::config::SourceFile;
use tidegate_core::protocol::{ClientEvent, Generation};

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
