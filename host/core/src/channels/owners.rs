//! Which team owns what is declared: a channel by the feature of its manifest, a plugin by the feature that its
//! `plugin.yaml` names, else by the channels that use it. The one place that knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{BridgeTable, Channel, Sources};
use crate::config::{Diagnostic, TeamId, Teams};
use crate::protocol::PluginName;

/// What the teams own in one generation. The team of a channel stands in the channel.
#[derive(Debug, Default)]
pub(super) struct Owners {
    teams: Teams,
    plugins: BTreeMap<PluginName, TeamId>,
    /// The templates of each team's channels.
    channels: BTreeMap<TeamId, Arc<[String]>>,
}

impl Owners {
    /// What the teams of the configuration own of these. Features that nobody has, and plugins that several own, are
    /// noted.
    pub(super) fn of(
        sources: &Sources,
        channels: &[Arc<Channel>],
        bridge: &BridgeTable,
        notes: &mut Vec<Diagnostic>,
    ) -> Self {
        let teams = sources.teams.clone();
        if teams.is_empty() {
            return Self::default();
        }
        note_unknown(sources, channels, notes);
        let users = users(channels, bridge);
        let mut plugins = BTreeMap::new();
        for plugin in sources.plugins.keys().chain(&sources.unloadable) {
            let owner = match sources.features.get(plugin) {
                Some(feature) => teams.of_feature(feature),
                None => common(plugin, users.get(plugin), &teams, notes),
            };
            plugins.extend(owner.map(|owner| (plugin.clone(), owner)));
        }
        let own = |id| channels.iter().filter(move |channel| channel.team == Some(id));
        let templates = |id| own(id).map(|channel| channel.template.to_string()).collect();
        let templates = teams.iter().map(|(id, ..)| (id, templates(id))).collect();
        Self { teams, plugins, channels: templates }
    }

    pub(super) const fn teams(&self) -> &Teams {
        &self.teams
    }

    pub(super) fn channels(&self, team: TeamId) -> Option<&Arc<[String]>> {
        self.channels.get(&team)
    }

    pub(super) fn plugin(&self, plugin: &PluginName) -> Option<TeamId> {
        self.plugins.get(plugin).copied()
    }
}

/// The teams of the channels that use each plugin.
fn users(channels: &[Arc<Channel>], bridge: &BridgeTable) -> BTreeMap<PluginName, BTreeSet<Option<TeamId>>> {
    let mut users: BTreeMap<PluginName, BTreeSet<Option<TeamId>>> = BTreeMap::new();
    for channel in channels {
        for plugin in channel.plugins() {
            users.entry(plugin.clone()).or_default().insert(channel.team);
        }
    }
    for rule in bridge.rules() {
        let Some(plugin) = rule.transform() else { continue };
        let team =
            channels.iter().find(|channel| channel.template.as_str() == rule.id().to).map(|channel| channel.team);
        users.entry(plugin.clone()).or_default().extend(team);
    }
    users
}

/// The team of all channels that use a plugin, if it is one.
fn common(
    plugin: &PluginName,
    users: Option<&BTreeSet<Option<TeamId>>>,
    teams: &Teams,
    notes: &mut Vec<Diagnostic>,
) -> Option<TeamId> {
    let users = users?;
    if users.len() <= 1 {
        return users.first().copied().flatten();
    }
    let named =
        |team: &Option<TeamId>| team.map_or("no team".to_owned(), |team| format!("team `{}`", teams.name(team)));
    let named: Vec<String> = users.iter().map(named).collect();
    let message = format!("plugin `{plugin}` serves channels of {}, and belongs to no team", named.join(" and of "));
    let hint = format!("name its feature in the `plugin.yaml` of `{plugin}`: `feature: …`");
    notes.push(Diagnostic::new(message).hint(hint));
    None
}

/// Notes features of teams that no manifest and no plugin has, unless a file that may have them could not be read.
fn note_unknown(sources: &Sources, channels: &[Arc<Channel>], notes: &mut Vec<Diagnostic>) {
    if sources.unread.manifests || sources.unread.plugins || !sources.unloadable.is_empty() {
        return;
    }
    let known: BTreeSet<&str> = channels
        .iter()
        .map(|channel| channel.feature.as_str())
        .chain(sources.features.values().map(String::as_str))
        .collect();
    for (_, name, team) in sources.teams.iter() {
        for (index, feature) in
            team.features.iter().enumerate().filter(|(_, feature)| !known.contains(feature.as_str()))
        {
            let message = format!("no channel and no plugin belongs to feature `{feature}` of team `{name}`");
            let note = match team.places.get(index) {
                Some(place) => Diagnostic::at(place.clone(), message),
                None => Diagnostic::new(message),
            };
            notes.push(note.hint("it begins to count with a manifest or a `plugin.yaml` that names it"));
        }
    }
}
