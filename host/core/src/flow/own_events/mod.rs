//! What happens to the server itself, as bus events of the types `tidegate.…`: what each of them says, and how the gates
//! take note of them. The manual has the list (`channels/README.md`, "Events of the server").
//!
//! An event says no token, no payload and no words of a plugin: it reaches every client with the role.

mod sieve;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Map, Value};

pub use sieve::Sieve;

use super::{DeadLetter, Gates};
use crate::config::TeamId;
use crate::protocol::{Code, OwnType, OwnTypes};
use crate::telemetry::Gate;

/// What happened. It borrows everything, so that an event that nobody wants is never built.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are those of the manual's table, which a test holds")]
pub enum OwnEvent<'a> {
    /// Gate 1, 2 or 3 refused a client.
    GateRefused {
        gate: Gate,
        code: Code,
        channel: &'a str,
        user: Option<&'a str>,
        connection: Option<&'a str>,
        origin: Option<&'a str>,
    },
    /// A call of a plugin failed.
    PluginFault {
        plugin: &'a str,
        version: Option<&'a str>,
        kind: &'static str,
        channel: &'a str,
        user: Option<&'a str>,
    },
    /// The breaker paused a plugin.
    PluginPaused { plugin: &'a str, class: &'static str, pause_ms: u64 },
    /// The breaker lets calls through again.
    PluginResumed { plugin: &'a str, class: &'static str },
    /// A version fails since it was swapped in, and serves on.
    PluginFailing { plugin: &'a str, version: &'a str },
    /// A version failed after a swap; it is quarantined, and the version before serves again.
    PluginRolledBack { plugin: &'a str, from: &'a str, to: &'a str, generation: u64 },
    /// The component in a plugin's directory is quarantined.
    PluginKeptOut { plugin: &'a str, component: &'a str, serving: Option<&'a str> },
    /// A quarantined version was admitted again.
    PluginCleared { plugin: &'a str, component: Option<&'a str> },
    /// A reload is in force.
    ReloadApplied { generation: u64, elapsed_ms: u64 },
    /// A reload was refused.
    ReloadRejected { mistakes: usize, first: &'a str },
    /// The files are again the ones that serve.
    ReloadReverted { generation: u64 },
    /// An event from outside could not cross the bridge.
    DeadLetter { id: &'a str, on: &'a str, to: &'a str },
    /// A connection to the broker is lost.
    BrokerAway { link: &'static str, why: &'a str },
    /// A connection to the broker works.
    BrokerBack { link: &'static str, gaps: usize },
    /// This node serves and reaches the others.
    NodeJoined,
    /// This node drains.
    NodeDraining { connections: usize },
    /// Another node is gone.
    NodeLeft { left: &'a str },
}

impl OwnEvent<'_> {
    /// Its type.
    #[must_use]
    pub const fn own_type(&self) -> OwnType {
        match self {
            Self::GateRefused { .. } => OwnType::GateRefused,
            Self::PluginFault { .. } => OwnType::PluginFault,
            Self::PluginPaused { .. } => OwnType::PluginPaused,
            Self::PluginResumed { .. } => OwnType::PluginResumed,
            Self::PluginFailing { .. } => OwnType::PluginFailing,
            Self::PluginRolledBack { .. } => OwnType::PluginRolledBack,
            Self::PluginKeptOut { .. } => OwnType::PluginKeptOut,
            Self::PluginCleared { .. } => OwnType::PluginCleared,
            Self::ReloadApplied { .. } => OwnType::ReloadApplied,
            Self::ReloadRejected { .. } => OwnType::ReloadRejected,
            Self::ReloadReverted { .. } => OwnType::ReloadReverted,
            Self::DeadLetter { .. } => OwnType::DeadLetter,
            Self::BrokerAway { .. } => OwnType::BrokerAway,
            Self::BrokerBack { .. } => OwnType::BrokerBack,
            Self::NodeJoined => OwnType::NodeJoined,
            Self::NodeDraining { .. } => OwnType::NodeDraining,
            Self::NodeLeft { .. } => OwnType::NodeLeft,
        }
    }

    /// Which events are counted together when there are too many: those of one type, and those of one gate.
    const fn flood(&self) -> usize {
        match self {
            Self::GateRefused { gate: Gate::Subscribe, .. } => OwnType::ALL.len(),
            Self::GateRefused { gate: Gate::Inbound, .. } => OwnType::ALL.len() + 1,
            other => other.own_type() as usize,
        }
    }

    /// What it says, without `node` and `suppressed`. A field without a value is left out.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        let fields: Vec<(&str, Option<Value>)> = match *self {
            Self::GateRefused { gate, code, channel, user, connection, origin } => vec![
                ("gate", Some(gate.as_str().into())),
                ("code", Some(code.as_str().into())),
                ("channel", Some(channel.into())),
                ("user", user.map(Value::from)),
                ("connection", connection.map(Value::from)),
                ("origin", origin.map(|origin| shorten(origin).into())),
            ],
            Self::PluginFault { plugin, version, kind, channel, user } => vec![
                ("plugin", Some(plugin.into())),
                ("version", version.map(Value::from)),
                ("kind", Some(kind.into())),
                ("channel", Some(channel.into())),
                ("user", user.map(Value::from)),
            ],
            Self::PluginPaused { plugin, class, pause_ms } => vec![
                ("plugin", Some(plugin.into())),
                ("class", Some(class.into())),
                ("pause_ms", Some(pause_ms.into())),
            ],
            Self::PluginResumed { plugin, class } => {
                vec![("plugin", Some(plugin.into())), ("class", Some(class.into()))]
            }
            Self::PluginFailing { plugin, version } => {
                vec![("plugin", Some(plugin.into())), ("version", Some(version.into()))]
            }
            Self::PluginRolledBack { plugin, from, to, generation } => vec![
                ("plugin", Some(plugin.into())),
                ("from", Some(from.into())),
                ("to", Some(to.into())),
                ("generation", Some(generation.into())),
            ],
            Self::PluginKeptOut { plugin, component, serving } => vec![
                ("plugin", Some(plugin.into())),
                ("component", Some(component.into())),
                ("serving", serving.map(Value::from)),
            ],
            Self::PluginCleared { plugin, component } => {
                vec![("plugin", Some(plugin.into())), ("component", component.map(Value::from))]
            }
            _ => return self.data_of_the_house(),
        };
        present(fields)
    }

    /// The same for what is about files, the bridge and nodes.
    fn data_of_the_house(&self) -> Map<String, Value> {
        present(match *self {
            Self::ReloadApplied { generation, elapsed_ms } => {
                vec![("generation", Some(generation.into())), ("elapsed_ms", Some(elapsed_ms.into()))]
            }
            Self::ReloadRejected { mistakes, first } => {
                vec![("mistakes", Some(mistakes.into())), ("first", Some(shorten(first).into()))]
            }
            Self::ReloadReverted { generation } => vec![("generation", Some(generation.into()))],
            Self::DeadLetter { id, on, to } => {
                vec![("id", Some(id.into())), ("on", Some(on.into())), ("to", Some(to.into()))]
            }
            Self::BrokerAway { link, why } => vec![("link", Some(link.into())), ("why", Some(shorten(why).into()))],
            Self::BrokerBack { link, gaps } => vec![("link", Some(link.into())), ("gaps", Some(gaps.into()))],
            Self::NodeDraining { connections } => vec![("connections", Some(connections.into()))],
            Self::NodeLeft { left } => vec![("left", Some(left.into()))],
            _ => Vec::new(),
        })
    }
}

/// The most characters of a text that the server did not make itself.
const TEXT_CHARS_MAX: usize = 300;

fn shorten(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn present(fields: Vec<(&str, Option<Value>)>) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

impl Gates {
    /// Takes note of something that happened to the server itself.
    pub fn saw(&self, event: OwnEvent<'_>) {
        self.ports.watch.saw(event);
    }

    /// From now on clients can connect to this node.
    pub fn serves(&self) {
        self.is_serving.store(true, Ordering::Release);
        self.tell_joined();
    }

    /// Tells once that this node serves and reaches the others.
    pub(super) fn tell_joined(&self) {
        let is_there = self.is_serving.load(Ordering::Acquire) && !self.is_broker_away();
        if is_there && !self.has_joined.swap(true, Ordering::AcqRel) {
            self.saw(OwnEvent::NodeJoined);
        }
    }

    /// Only events that a rule of the present generation takes are wanted.
    pub(super) fn want_own_events(&self) {
        let serving = self.serving();
        self.ports.watch.want(OwnTypes::of(|own| serving.catalog.bridge().lists(own.as_str())));
    }

    /// Keeps a dead letter, and tells of it: not of one of the server's own events, or a rule that fails on the news of a
    /// dead letter would go on for ever.
    pub(super) fn keep_dead_letter(&self, letter: DeadLetter) {
        if !letter.event.is_own() {
            self.saw(OwnEvent::DeadLetter { id: &letter.id, on: &letter.rule.on, to: &letter.rule.to });
        }
        let share = self.owner_of(&letter).and_then(|(team, channels)| self.ports.budgets.letters(team, &channels));
        self.ports.dead_letters.add(DeadLetter { share, ..letter });
    }

    /// A dead letter was taken out: it counts in no budget any more.
    pub fn dead_letter_gone(&self, letter: &DeadLetter) {
        if let Some((team, _)) = self.owner_of(letter) {
            self.ports.budgets.letter_gone(team);
        }
    }

    /// The team whose channel a dead letter was for, and all channels of that team.
    fn owner_of(&self, letter: &DeadLetter) -> Option<(TeamId, Arc<[String]>)> {
        if self.ports.budgets.is_empty() {
            return None;
        }
        let serving = self.serving();
        let team = serving.catalog.team_of_channel(&letter.rule.to)?;
        Some((team, serving.catalog.channels_of_team(team)?.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// One of each, with every field.
    const EACH: [OwnEvent<'static>; 17] = [
        OwnEvent::GateRefused {
            gate: Gate::Connect,
            code: Code::Forbidden,
            channel: "-",
            user: Some("u"),
            connection: Some("c"),
            origin: Some("o"),
        },
        OwnEvent::PluginFault { plugin: "p", version: Some("v"), kind: "trap", channel: "-", user: Some("u") },
        OwnEvent::PluginPaused { plugin: "p", class: "worker", pause_ms: 1 },
        OwnEvent::PluginResumed { plugin: "p", class: "worker" },
        OwnEvent::PluginFailing { plugin: "p", version: "v" },
        OwnEvent::PluginRolledBack { plugin: "p", from: "a", to: "b", generation: 2 },
        OwnEvent::PluginKeptOut { plugin: "p", component: "c", serving: Some("s") },
        OwnEvent::PluginCleared { plugin: "p", component: Some("c") },
        OwnEvent::ReloadApplied { generation: 2, elapsed_ms: 1 },
        OwnEvent::ReloadRejected { mistakes: 1, first: "f" },
        OwnEvent::ReloadReverted { generation: 2 },
        OwnEvent::DeadLetter { id: "i", on: "o", to: "t" },
        OwnEvent::BrokerAway { link: "in", why: "w" },
        OwnEvent::BrokerBack { link: "in", gaps: 0 },
        OwnEvent::NodeJoined,
        OwnEvent::NodeDraining { connections: 1 },
        OwnEvent::NodeLeft { left: "n" },
    ];

    #[test]
    fn the_table_in_the_manual_has_every_event_with_its_fields() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../channels/README.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, table) = page.split_once("### Events of the server\n").unwrap();
        let rows: Vec<(&str, Vec<&str>)> = table
            .lines()
            .skip_while(|line| !line.starts_with("| `tidegate."))
            .take_while(|line| line.starts_with("| `tidegate."))
            .map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                (cells[1].trim_matches('`'), cells[2].split_whitespace().map(|field| field.trim_matches('`')).collect())
            })
            .collect();
        let mut made: Vec<(&str, Vec<String>)> =
            EACH.iter().map(|event| (event.own_type().as_str(), event.data().keys().cloned().collect())).collect();
        made.iter_mut().for_each(|(_, fields)| fields.sort());
        let told: Vec<(&str, Vec<String>)> = rows
            .into_iter()
            .map(|(kind, fields)| {
                let mut fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
                fields.sort();
                (kind, fields)
            })
            .collect();
        assert_eq!(told, made, "the rows stand in the order of the list");
    }

    #[test]
    fn every_type_but_those_of_presence_is_made_here() {
        let made: Vec<OwnType> = EACH.iter().map(OwnEvent::own_type).collect();
        assert_eq!(made, OwnType::ALL[4..]);
    }

    #[test]
    fn a_text_of_a_client_is_cut() {
        let origin = "é".repeat(10_000);
        let (user, connection) = (None, None);
        let refused = OwnEvent::GateRefused {
            gate: Gate::Connect,
            code: Code::Forbidden,
            channel: "-",
            user,
            connection,
            origin: Some(&origin),
        };
        assert_eq!(refused.data()["origin"].as_str().unwrap().chars().count(), TEXT_CHARS_MAX);
    }
}
