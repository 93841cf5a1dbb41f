//! The catalog: all channels by template, found by topic.

use std::sync::Arc;

use super::index::Index;
use super::owners::Owners;
use super::{BridgeTable, DeliveryPolicy, HistoryPolicy, Keeping, PresencePolicy, Rate, Schema, Scope, Template};
use crate::config::{Diagnostic, Place, TeamId, Teams};
use crate::protocol::{Generation, Params, PluginName, Topic};

/// All declared channels and rules, compiled; immutable.
#[derive(Debug, Default)]
pub struct Catalog {
    generation: Generation,
    /// By their numbers in the index: in file order.
    channels: Vec<Arc<Channel>>,
    by_template: Vec<Arc<Channel>>,
    index: Index,
    bridge: BridgeTable,
    owners: Owners,
    notes: Vec<Diagnostic>,
}

/// One declared channel.
#[derive(Debug)]
pub struct Channel {
    /// The name template.
    pub template: Template,
    /// Where its manifest declares it.
    pub place: Place,
    /// The feature whose manifest declares it.
    pub feature: String,
    /// The team that the feature belongs to.
    pub team: Option<TeamId>,
    /// A description for people.
    pub description: Option<String>,
    /// Who may join.
    pub scope: Scope,
    /// Asked after the scope, at gates 2 and 3.
    pub authorizer: Option<PluginName>,
    /// Asked for the topic's state once gate 2 is cleared.
    pub snapshot: Option<PluginName>,
    /// How much is kept of the newest value of each key, for who subscribes later; `None`: nothing.
    pub retain: Option<Keeping>,
    /// What subscribers receive.
    pub payload: Schema,
    /// What clients may send, if anything.
    pub inbound: Option<Inbound>,
    /// How its members are told to one another; `None`: not at all.
    pub presence: Option<PresencePolicy>,
    /// How many publications of each topic are kept; `None`: none, and publications have no position.
    pub history: Option<HistoryPolicy>,
    /// What a client receives that is behind, and what tells publications apart.
    pub delivery: DeliveryPolicy,
}

/// What clients may send on a channel.
#[derive(Debug)]
pub struct Inbound {
    /// The schema of what clients may send; `None` for a relay without its own schema, which uses the channel's payload
    /// schema.
    pub payload: Option<Schema>,
    /// What happens with a message.
    pub action: InboundAction,
    /// How often one user may send on the channel, all its topics together; `None` is unlimited.
    pub rate: Option<Rate>,
}

/// What happens with a message that matches its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundAction {
    /// A plugin answers it.
    Handler(PluginName),
    /// It is published on the same topic, without a plugin.
    Relay {
        /// Leave the sender out.
        others_only: bool,
    },
}

/// A topic that a channel declares.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The topic, checked.
    pub topic: Topic,
    /// The channel.
    pub channel: Arc<Channel>,
    /// The values of the template's params in the topic.
    pub params: Params,
}

impl Channel {
    /// What is kept of each key: values, or versions only; `None`: nothing.
    #[must_use]
    pub fn keeping(&self) -> Option<Keeping> {
        self.retain.or_else(|| self.delivery.version.is_some().then_some(Keeping::VERSIONS))
    }

    /// Whether every publication gets a position, and all nodes deliver in the order of positions.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.history.is_some() || self.keeping().is_some()
    }

    /// The plugins that it needs.
    pub fn plugins(&self) -> impl Iterator<Item = &PluginName> {
        let handler = self.inbound.as_ref().and_then(|inbound| match &inbound.action {
            InboundAction::Handler(plugin) => Some(plugin),
            InboundAction::Relay { .. } => None,
        });
        self.authorizer.iter().chain(&self.snapshot).chain(handler)
    }
}

impl Catalog {
    /// `index` knows each channel by its position in `channels`.
    pub(super) fn new(
        generation: Generation,
        channels: Vec<Arc<Channel>>,
        index: Index,
        bridge: BridgeTable,
        owners: Owners,
        notes: Vec<Diagnostic>,
    ) -> Self {
        let mut by_template = channels.clone();
        by_template.sort_by(|one, two| one.template.as_str().cmp(two.template.as_str()));
        Self { generation, channels, by_template, index, bridge, owners, notes }
    }

    /// The catalog's number.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Notes that are not errors, in file and line order.
    #[must_use]
    pub fn notes(&self) -> &[Diagnostic] {
        &self.notes
    }

    /// Finds the channel of a topic. The cost grows with the topic's segments, not with the number of channels.
    #[must_use]
    pub fn resolve(&self, topic: &str) -> Option<Resolved> {
        let channel = self.channels.get(self.index.find(topic)?)?;
        let topic = Topic::parse(topic).ok()?;
        let params = channel.template.extract(topic.as_str());
        Some(Resolved { topic, channel: channel.clone(), params })
    }

    /// Every channel, ordered by template.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &Arc<Channel>> {
        self.by_template.iter()
    }

    /// The bridge table.
    #[must_use]
    pub const fn bridge(&self) -> &BridgeTable {
        &self.bridge
    }

    /// The teams of the configuration.
    #[must_use]
    pub const fn teams(&self) -> &Teams {
        self.owners.teams()
    }

    /// The team that the channel with this template belongs to.
    #[must_use]
    pub fn team_of_channel(&self, template: &str) -> Option<TeamId> {
        let at = self.by_template.binary_search_by(|channel| channel.template.as_str().cmp(template)).ok()?;
        self.by_template[at].team
    }

    /// The templates of a team's channels.
    #[must_use]
    pub fn channels_of_team(&self, team: TeamId) -> Option<&Arc<[String]>> {
        self.owners.channels(team)
    }

    /// The team that a plugin belongs to: that of the feature which its `plugin.yaml` names, else of all channels that
    /// use it.
    #[must_use]
    pub fn team_of_plugin(&self, plugin: &PluginName) -> Option<TeamId> {
        self.owners.plugin(plugin)
    }
}
