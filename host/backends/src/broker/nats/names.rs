//! The names of subjects and of the stream in NATS. A topic, a key and a window are one token each, whatever they hold:
//! NATS takes no empty token, no white space, and at most 4,096 bytes in a line.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use tidegate_core::protocol::{Key, Topic, User};

/// Bytes of a digest in a subject.
const DIGEST_BYTES: usize = 16;
/// The token of the key that every publication has whose channel names none.
const NO_KEY: &str = "-";

/// The names of one installation.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Names with this prefix: letters, digits, `-` and `_`.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The stream: everything that is kept.
    pub(super) fn stream(&self) -> &str {
        &self.prefix
    }

    /// The subjects that the stream keeps.
    pub(super) fn kept(&self) -> Vec<String> {
        ["h.>", "k.>"].iter().map(|kept| format!("{}.{kept}", self.prefix)).collect()
    }

    /// What the stream sends on, once it has it, and where to.
    pub(super) fn sent_on(&self) -> (String, String) {
        (format!("{}.h.>", self.prefix), format!("{}.t.>", self.prefix))
    }

    /// Where a node hears everything of a topic.
    pub(super) fn heard(&self, topic: &Topic) -> String {
        format!("{}.t.{}.>", self.prefix, token(topic.as_str()))
    }

    /// Publications of a topic without positions. The stream does not keep them.
    pub(super) fn plain(&self, topic: &Topic) -> String {
        format!("{}.t.{}.p.-", self.prefix, token(topic.as_str()))
    }

    /// Whether a message that was heard has no position.
    pub(super) fn is_plain(&self, subject: &str) -> bool {
        subject.ends_with(".p.-")
    }

    /// The log of a topic: the messages of every key.
    pub(super) fn log(&self, topic: &Topic) -> String {
        format!("{}.h.{}.*", self.prefix, token(topic.as_str()))
    }

    /// The messages of one key in the log of a topic.
    pub(super) fn entry(&self, topic: &Topic, key: &Key) -> String {
        let key = if *key == Key::none() { NO_KEY.into() } else { digest(key.as_str()) };
        format!("{}.h.{}.{key}", self.prefix, token(topic.as_str()))
    }

    /// The message that takes values of every key away.
    pub(super) fn every_key(&self, topic: &Topic) -> String {
        format!("{}.h.{}._", self.prefix, token(topic.as_str()))
    }

    /// The id of what every node writes on a topic and that is kept once.
    pub(super) fn once(&self, topic: &Topic, name: &str) -> String {
        digest(&format!("{topic} {name}"))
    }

    /// A user's rate window on a channel.
    pub(super) fn window(&self, channel: &str, user: &User) -> String {
        format!("{}.k.r.{}", self.prefix, digest(&format!("{channel}:{:?}", (&user.tenant, &user.id))))
    }

    /// The messages between nodes.
    pub(super) fn control(&self) -> String {
        format!("{}.k.control", self.prefix)
    }

    /// Tests what the stream accepts, for one node.
    pub(super) fn probe(&self, node: &str) -> String {
        format!("{}.k.probe.{node}", self.prefix)
    }

    /// What is kept since the stream began or was emptied.
    pub(super) fn life(&self) -> String {
        format!("{}.k.life", self.prefix)
    }

    /// What every node listens to.
    pub(super) fn nodes(&self) -> String {
        format!("{}.nodes", self.prefix)
    }
}

/// A text as one token: letters, digits, `-`, `_`, `:`, `@` and `=` stay as they are, a dot becomes a comma.
pub(super) fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'.' => token.push(','),
            byte if byte.is_ascii_alphanumeric() || b"-_:@=".contains(&byte) => token.push(char::from(byte)),
            byte => drop(write!(token, "%{byte:02X}")),
        }
    }
    token
}

/// A text of any length as one short token.
pub(super) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..DIGEST_BYTES].iter().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn whatever_a_topic_holds_it_is_one_token_and_no_two_are_the_same() {
        let names = Names::new("tidegate");
        let topics = ["a.b", "a,b", "a*b", "*", ">", "a>", "a%2Cb", "room.a@b:c", "grün"];
        let subjects: BTreeSet<String> =
            topics.iter().map(|topic| names.plain(&Topic::parse(topic).unwrap())).collect();
        assert_eq!(subjects.len(), topics.len());
        for subject in &subjects {
            assert_eq!(subject.split('.').count(), 5, "{subject}");
            assert!(subject.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'>'), "{subject}");
        }
        assert_eq!(names.plain(&Topic::parse("chat.a").unwrap()), "tidegate.t.chat,a.p.-");
    }

    #[test]
    fn a_key_of_any_text_is_one_short_token() {
        let (names, topic) = (Names::new("tidegate"), Topic::parse("feed").unwrap());
        assert_eq!(names.entry(&topic, &Key::none()), "tidegate.h.feed.-");
        let long = names.entry(&topic, &Key::new(&format!("\"{}\"", "ü . * ".repeat(500))));
        assert_eq!((long.len(), long.split('.').count()), ("tidegate.h.feed.".len() + 2 * DIGEST_BYTES, 4));
    }

    #[test]
    fn users_of_two_tenants_share_no_window() {
        let names = Names::new("tidegate");
        let user = |tenant: Option<&str>, id: &str| {
            names.window("chat.{room}", &User::new(id, Vec::new(), tenant.map(str::to_owned)))
        };
        let windows = [user(None, "a"), user(Some("a"), "a"), user(Some("b"), "a"), user(Some("a"), "b")];
        let different: BTreeSet<_> = windows.iter().collect();
        assert_eq!(different.len(), windows.len());
    }
}
