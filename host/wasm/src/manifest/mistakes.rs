//! Collects what is wrong with one section of `plugin.yaml`, each mistake at its place.

use std::fmt::Display;
use std::time::Duration;

use tidegate_core::config::{ByteSize, Diagnostic, HumanDuration, Node, is_told};

/// The mistakes of one section.
pub(crate) struct Mistakes<'a> {
    /// The key of the section: `limits`.
    pub(crate) section: &'static str,
    /// The whole file.
    pub(crate) file: &'a Node,
    /// Where the mistakes go.
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

impl Mistakes<'_> {
    /// A mistake of a key.
    pub(crate) fn add(&mut self, key: &str, message: &str) {
        self.push(key, &format!("/{}/{key}", self.section), message, None);
    }

    /// A mistake of one entry of a list or mapping.
    pub(crate) fn add_entry(&mut self, key: &str, entry: impl Display, message: &str, hint: Option<&str>) {
        self.push(key, &format!("/{}/{key}/{entry}", self.section), message, hint);
    }

    /// A size is 1 byte to `bytes_max`.
    pub(crate) fn check_size(&mut self, key: &str, size: ByteSize, bytes_max: usize) {
        if size.bytes() == 0 || size.as_usize() > bytes_max {
            let most = ByteSize::from_bytes(bytes_max as u64);
            self.add(key, &format!("expected 1 byte to {most}, found {size}"));
        }
    }

    /// A time is 1 ms to `most`.
    pub(crate) fn check_time(&mut self, key: &str, time: HumanDuration, most: Duration) {
        if time.get().is_zero() || time.get() > most {
            self.add(key, &format!("expected 1ms to {}, found {time}", HumanDuration::new(most)));
        }
    }

    /// A count is at most `most`.
    pub(crate) fn check_count(&mut self, key: &str, count: u32, most: u32) {
        if count > most {
            self.add(key, &format!("expected at most {most}, found {count}"));
        }
    }

    fn push(&mut self, key: &str, pointer: &str, message: &str, hint: Option<&str>) {
        let node = self.file.nearest(pointer);
        // Of a section or key that is wrong as a whole, the reader said so already.
        if is_told(node, self.diagnostics) {
            return;
        }
        let mut diagnostic = Diagnostic::at(node.place.clone(), format!("`{}.{key}`: {message}", self.section));
        diagnostic.hint = hint.map(str::to_owned);
        self.diagnostics.push(diagnostic);
    }
}
