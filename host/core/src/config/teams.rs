//! Teams and their budgets: the `teams:` section.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::Told;
use super::{Limits, Node, Percent, Place, Rate};

/// Most teams, because each has its own series in the metrics.
const TEAMS_MAX: usize = 100;
/// The longest name of a team, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The teams by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Teams(BTreeMap<String, Team>);

/// The number of a team, in the order of names. It is the same as long as the configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TeamId(usize);

/// A team: the features that are its own, and its share of the server. A budget that is left out is none.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Its features, as channel manifests and `plugin.yaml` name them (`feature:`). A feature belongs to one team.
    pub features: Vec<String>,
    /// The CPU time of its plugins, as a share of all processors of the server: `25%`, over a second. A call beyond it is
    /// refused with `over_budget` before it begins.
    #[serde(default)]
    pub cpu: Option<Percent>,
    /// Instances of its plugins alive at once. A call that finds none free waits, at most its wall time, and is then
    /// refused with `over_budget`.
    #[serde(default)]
    pub instances: Option<NonZeroU32>,
    /// Publications on its channels, from clients, backends, plugins and the bridge: `500/s`, up to that many at once. One
    /// more is refused with `over_budget`; from the bridge it becomes a dead letter.
    #[serde(default)]
    pub publications: Option<Rate>,
    /// Subscriptions that connections hold on its channels. One more is refused with `over_budget`.
    #[serde(default)]
    pub subscriptions: Option<NonZeroU32>,
    /// Dead letters of bridge rules to its channels. One more replaces the oldest of them.
    #[serde(default)]
    pub dead_letters: Option<NonZeroU32>,
    /// Where the configuration names the features, in their order, for the note about one that nobody has.
    #[serde(skip)]
    pub places: Vec<Place>,
}

impl fmt::Debug for Team {
    /// Leaves out the text of the file that the places are in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { features, cpu, instances, publications, subscriptions, dead_letters, places: _ } = self;
        f.debug_struct("Team")
            .field("features", features)
            .field("cpu", cpu)
            .field("instances", instances)
            .field("publications", publications)
            .field("subscriptions", subscriptions)
            .field("dead_letters", dead_letters)
            .finish_non_exhaustive()
    }
}

impl TeamId {
    /// Its place in [`Teams::iter`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

impl Teams {
    /// Whether there is none: then nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every team with its name, in the order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TeamId, &str, &Team)> {
        self.0.iter().enumerate().map(|(index, (name, team))| (TeamId(index), name.as_str(), team))
    }

    /// The team that a feature belongs to.
    #[must_use]
    pub fn of_feature(&self, feature: &str) -> Option<TeamId> {
        let owns = |team: &Team| team.features.iter().any(|own| own == feature);
        self.iter().find(|(_, _, team)| owns(team)).map(|(id, ..)| id)
    }

    /// The name of a team.
    #[must_use]
    pub fn name(&self, id: TeamId) -> &str {
        self.0.keys().nth(id.0).map_or("", String::as_str)
    }

    /// Notes where the configuration names the features.
    pub(super) fn place(&mut self, root: &Node) {
        for (name, team) in &mut self.0 {
            let place = |index| root.nearest(&format!("/teams/{}/features/{index}", pointed(name))).place.clone();
            team.places = (0..team.features.len()).map(place).collect();
        }
    }
}

/// Reports errors in values that were decoded.
pub(super) fn check(teams: &Teams, limits: &Limits, told: &mut Told<'_>) {
    if teams.0.len() > TEAMS_MAX {
        told.add("/teams", &format!("there are {} teams, at most {TEAMS_MAX} are allowed", teams.0.len()), None);
    }
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, name, team) in teams.iter() {
        let at = format!("/teams/{}", pointed(name));
        if name.trim().is_empty() || name.len() > NAME_BYTES_MAX {
            let hint = format!("use 1 to {NAME_BYTES_MAX} bytes");
            told.add(&at, &format!("a team cannot be named `{name}`"), Some(&hint));
        }
        // One mistake for one value.
        if team.features.is_empty() && told.is_empty() {
            let hint = "name what belongs to the team, by the `feature:` of its manifests: `features: [blog]`";
            told.add(&format!("{at}/features"), "`features` is empty: the team would own nothing", Some(hint));
        }
        for (index, feature) in team.features.iter().enumerate() {
            let at = format!("{at}/features/{index}");
            if feature.trim().is_empty() {
                told.add(&at, "a feature is empty", None);
                continue;
            }
            match owners.insert(feature, name) {
                Some(owner) if owner == name => told.add(&at, &format!("feature `{feature}` is listed twice"), None),
                Some(owner) => {
                    let message = format!("feature `{feature}` belongs to team `{owner}` already");
                    told.add(&at, &message, Some("a feature belongs to one team"));
                }
                None => {}
            }
        }
        for (key, share, limit, all) in [
            ("instances", team.instances, "plugin_instances", limits.plugin_instances_max),
            ("dead_letters", team.dead_letters, "dead_letters", limits.dead_letters_max),
        ] {
            if let Some(share) = share.filter(|share| share.get() as usize > all) {
                let message = format!("`{key}` is {share}, more than the whole server has (`limits.{limit}`: {all})");
                told.add(&format!("{at}/{key}"), &message, None);
            }
        }
    }
}

/// A name in a JSON Pointer.
fn pointed(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn mistakes(teams: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("teams:\n{teams}")).unwrap();
        let told = Config::load(Some(file.path()), [], &[]).err().unwrap_or_default();
        let line = |place: Option<&crate::config::Place>| place.map_or(0, |place| place.line);
        told.iter().map(|one| format!("{}: {}", line(one.place.as_ref()), one.message)).collect()
    }

    #[test]
    fn each_budget_may_be_left_out() {
        let all = "  growth: { features: [blog], cpu: 25%, instances: 64, publications: 500/s, subscriptions: 20000, \
                   dead_letters: 200 }\n";
        assert_eq!(mistakes(all), [""; 0]);
        assert_eq!(mistakes("  growth: { features: [blog, notifications] }\n"), [""; 0]);
    }

    #[test]
    fn a_feature_belongs_to_one_team() {
        let told = mistakes("  growth: { features: [blog, blog] }\n  platform: { features: [vault, blog] }\n");
        assert_eq!(told, ["2: feature `blog` is listed twice", "3: feature `blog` belongs to team `growth` already"]);
    }

    #[test]
    fn a_team_owns_something_and_has_a_name_for_metrics() {
        let told = mistakes("  growth: { features: [] }\n  ' ': { features: [a, ' '] }\n");
        assert_eq!(told, ["3: a team cannot be named ` `", "3: a feature is empty"]);
        assert_eq!(mistakes("  growth: { features: [] }\n"), ["2: `features` is empty: the team would own nothing"]);
        assert_eq!(mistakes("  growth: {}\n"), ["2: key `features` is missing"]);
    }

    #[test]
    fn a_share_is_neither_nothing_nor_more_than_there_is() {
        let told = mistakes(
            "  a: { features: [a], cpu: 0%, instances: 0 }\n  b: { features: [b], cpu: 101%, publications: 0/s }\n  \
             c: { features: [c], cpu: 25, subscriptions: 0, dead_letters: 0 }\n  \
             d: { features: [d], instances: 257, dead_letters: 1001 }\n",
        );
        for expected in [
            "2: `0%` is not a valid share",
            "2: `instances`: expected a whole number, 1 or more, found integer `0`",
            "3: `101%` is not a valid share",
            "3: `0/s` is not a valid rate",
            "4: `cpu`: expected a share like `25%`, found integer `25`",
            "4: `subscriptions`: expected a whole number, 1 or more, found integer `0`",
            "4: `dead_letters`: expected a whole number, 1 or more, found integer `0`",
            "5: `instances` is 257, more than the whole server has (`limits.plugin_instances`: 256)",
            "5: `dead_letters` is 1001, more than the whole server has (`limits.dead_letters`: 1000)",
        ] {
            assert!(told.iter().any(|line| line == expected), "{expected} in {told:#?}");
        }
        assert_eq!(told.len(), 9, "{told:#?}");
    }
}
