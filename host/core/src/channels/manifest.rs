//! One manifest file: its keys, read and checked. Editors show what `#[schemars]` and the doc comments here say.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::compile::Missed;
use super::delivery::RawDelivery;
use super::history::RawHistory;
use super::plugin_kinds::named;
use super::presence::RawPresence;
use super::retain::RawSnapshot;
use super::schema_files::SchemaFiles;
use super::{
    Channel, HistoryPolicy, Inbound, InboundAction, Keeping, PluginKind, PresencePolicy, Rate, Schema, Scope, Sources,
    Template,
};
use crate::config::{Diagnostic, Entry, Node, Place, Shape, SourceFile, decode, must_stay, nearest_name, parse_yaml};
use crate::protocol::PluginName;

/// A channel manifest: what a feature lets clients subscribe to, receive and send.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tidegate channel manifest", rename = "Manifest")]
pub(super) struct RawManifest {
    /// The feature that these channels belong to: for people, for logs, and for the budgets of teams.
    #[schemars(required, length(min = 1))]
    feature: Option<String>,
    /// The channels, by name template: segments separated by dots; `{name}` stands for one whole segment.
    #[schemars(required, with = "BTreeMap<String, RawChannel>")]
    #[expect(dead_code, reason = "the channels are read one by one, from the tree")]
    channels: Option<BTreeMap<String, IgnoredAny>>,
}

/// One channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Channel")]
struct RawChannel {
    /// The purpose of the channel.
    description: Option<String>,
    /// Who may join: `public`, `authenticated`, `{ role: … }`, `{ roles: […] }` or `{ user: … }`.
    #[schemars(required)]
    scope: Option<RawScope>,
    /// A plugin that decides after the scope, on every subscription and every message.
    authorizer: Option<String>,
    /// JSON Schema 2020-12 of what subscribers receive, inline or `$ref: schemas/name.json`.
    #[schemars(required, schema_with = "json_schema_schema")]
    #[expect(dead_code, reason = "the schema is read from the tree, which has the places")]
    payload: Option<IgnoredAny>,
    /// What clients may send. Without it clients may send nothing.
    inbound: Option<RawInbound>,
    /// The source of the topic's state, which a new subscriber receives in the ack.
    snapshot: Option<RawSnapshot>,
    /// Whether subscribers are told who else is there: `true`, or the rules.
    presence: Option<RawPresence>,
    /// How many publications of each topic are kept. Without it none are.
    history: Option<RawHistory>,
    /// What a client receives that reads slower than it is sent to, and what tells publications apart.
    delivery: Option<RawDelivery>,
}

/// Who may join a channel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Scope")]
enum RawScope {
    /// Anyone, with or without a user.
    Public,
    /// Any user.
    Authenticated,
    /// Users with this role.
    Role(String),
    /// Users with at least one of these roles.
    Roles(Vec<String>),
    /// The user whose id is the value of this param of the template.
    User(String),
}

/// What clients may send on a channel. Exactly one of `handler` and `relay` says what happens with it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Inbound")]
struct RawInbound {
    /// JSON Schema 2020-12 of what clients send. A relay may leave it out: then the channel's own `payload` applies.
    #[serde(default)]
    #[schemars(schema_with = "json_schema_schema")]
    #[expect(dead_code, reason = "the schema is read from the tree, which has the places")]
    payload: Option<IgnoredAny>,
    /// The plugin that handles the message and answers it.
    handler: Option<String>,
    /// Sends the message to the topic's subscribers, without a plugin.
    relay: Option<RawRelay>,
    /// How often one user may send on this channel: `20/s`, `100/m`, `1000/h`.
    rate: Option<Rate>,
}

/// Who receives a relayed message.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Relay")]
enum RawRelay {
    /// Every subscriber except the sender.
    Others,
    /// Every subscriber.
    All,
}

pub(super) fn json_schema_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": ["object", "boolean"] })
}

/// A channel as declared.
pub(super) struct Declared {
    pub(super) template: Template,
    /// The place of the template.
    pub(super) place: Place,
    /// `None` when the channel has another error, which has been reported already.
    pub(super) channel: Option<Arc<Channel>>,
}

/// Reads one manifest.
pub(super) fn read(
    source: &Arc<SourceFile>,
    sources: &Sources,
    schemas: &mut SchemaFiles<'_>,
    missed: &mut Missed,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Declared> {
    let Some(tree) = parse_yaml(source, diagnostics) else {
        missed.all = true;
        return Vec::new();
    };
    let manifest: Option<RawManifest> = decode(&tree, diagnostics);
    if manifest.is_some() {
        require(&["feature", "channels"], &tree, &tree.place, diagnostics);
    }
    let feature = manifest.and_then(|manifest| manifest.feature).unwrap_or_default();
    if let Some(node) = tree.get("feature")
        && node.as_str().is_some_and(|feature| feature.trim().is_empty())
    {
        diagnostics.push(Diagnostic::at(node.place.clone(), "`feature` is empty"));
    }
    let entries = tree.get("channels").map(Node::entries).unwrap_or_default();
    // Channels may be there in another form, or under a misspelt key.
    missed.all |= tree.get("channels").is_none_or(|channels| !matches!(channels.shape, Shape::Map(_)));
    // An empty channel was reported already.
    missed.names.extend(entries.iter().filter(|entry| entry.value.is_null()).map(|entry| entry.key.clone()));
    let entries = entries.iter().filter(|entry| !entry.value.is_null());
    let mut reader = Reader { sources, schemas, missed, diagnostics };
    entries.filter_map(|entry| reader.declared(entry, &feature)).collect()
}

/// Reports which of these keys a mapping lacks, except for misspelt keys, which have been reported already.
pub(super) fn require(keys: &[&str], node: &Node, place: &Place, diagnostics: &mut Vec<Diagnostic>) {
    let misspelt = |key: &str| {
        let hint = format!("did you mean `{key}`?");
        node.entries().iter().any(|entry| {
            let at = Some(&entry.key_place);
            diagnostics.iter().any(|told| told.place.as_ref() == at && told.hint.as_ref() == Some(&hint))
        })
    };
    let missing: Vec<&&str> = keys.iter().filter(|key| node.entry(key).is_none() && !misspelt(key)).collect();
    let told: Vec<Diagnostic> = missing.into_iter().map(|key| missing_key(place, key)).collect();
    diagnostics.extend(told);
    // Keys without a value were reported as if they could be left out.
    for entry in keys.iter().filter_map(|key| node.entry(key)).filter(|entry| entry.value.is_null()) {
        let told = diagnostics.iter_mut().find(|told| told.place.as_ref() == Some(&entry.key_place));
        if let Some(told) = told {
            must_stay(told);
            let is_known = told.hint.as_deref().is_some_and(|hint| hint.starts_with("give it"));
            told.hint = hint_for(&entry.key).filter(|_| is_known).map(str::to_owned).or(told.hint.take());
        }
    }
}

fn missing_key(place: &Place, key: &str) -> Diagnostic {
    let diagnostic = Diagnostic::at(place.clone(), format!("key `{key}` is missing"));
    match hint_for(key) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

fn hint_for(key: &str) -> Option<&'static str> {
    Some(match key {
        "rules" => "`rules: []` is a table without rules",
        "feature" => "add `feature: name`, the feature that these channels belong to",
        "channels" => "add `channels:` with one entry for each channel, by its name template",
        "scope" => "use `public`, `authenticated`, `{ role: name }`, `{ roles: [a, b] }` or `{ user: param }`",
        "messages" => "add `messages: 100`, the most publications of a topic that are kept",
        "plugin" => "add `plugin: name`, a plugin that exports `snapshot`, or `retain: latest`",
        "payload" => "add a JSON Schema; `payload: true` accepts any payload",
        _ => return None,
    })
}

struct Reader<'a, 'f> {
    sources: &'a Sources,
    schemas: &'a mut SchemaFiles<'f>,
    missed: &'a mut Missed,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reader<'_, '_> {
    fn declared(&mut self, entry: &Entry, feature: &str) -> Option<Declared> {
        let told = self.diagnostics.len();
        let template = match Template::parse(&entry.key) {
            Ok(template) => Some(template),
            Err(error) => {
                let message = format!("`{}` is not a valid channel name: {error}", entry.key);
                self.diagnostics.push(Diagnostic::at(entry.key_place.clone(), message));
                self.missed.names.insert(entry.key.clone());
                None
            }
        };
        let channel = self.channel(entry, template.as_ref(), feature);
        let channel = channel.filter(|_| self.diagnostics.len() == told).map(Arc::new);
        template.map(|template| Declared { template, place: entry.key_place.clone(), channel })
    }

    fn channel(&mut self, entry: &Entry, template: Option<&Template>, feature: &str) -> Option<Channel> {
        let node = &entry.value;
        // A value that cannot be a channel at all is reported by its type, without a list of missing keys.
        let raw: RawChannel = decode(node, self.diagnostics)?;
        require(&["scope", "payload"], node, &entry.key_place, self.diagnostics);
        let scope = self.scope(raw.scope, node, template);
        let authorizer = self.plugin(raw.authorizer, node.get("authorizer"), PluginKind::Authorizer);
        let payload = self.schema(node.get("payload"));
        let inbound = self.inbound(raw.inbound, node.entry("inbound"));
        let (snapshot, retain) = self.snapshot(raw.snapshot, node.entry("snapshot"));
        let presence = self.presence(raw.presence, node.get("presence"));
        let history = self.history(raw.history, node.entry("history"));
        let delivery = raw.delivery.and_then(|delivery| delivery.read(node, self.diagnostics)).unwrap_or_default();
        Some(Channel {
            template: template?.clone(),
            place: entry.key_place.clone(),
            feature: feature.to_owned(),
            team: self.sources.teams.of_feature(feature),
            description: raw.description,
            scope: scope?,
            authorizer,
            snapshot,
            retain,
            payload: payload?,
            inbound,
            presence,
            history,
            delivery,
        })
    }

    fn scope(&mut self, raw: Option<RawScope>, node: &Node, template: Option<&Template>) -> Option<Scope> {
        let value = node.get("scope")?;
        let place_of = |key: &str| value.get(key).map_or(&value.place, |node| &node.place).clone();
        // From the tree and not from the decoded value: a value of the wrong type was reported and replaced.
        let role_nodes = value.get("role").into_iter().chain(value.get("roles").map(Node::items).unwrap_or_default());
        let empty = role_nodes.filter(|node| node.as_str() == Some(""));
        self.diagnostics.extend(empty.map(|node| Diagnostic::at(node.place.clone(), "a role is empty")));
        Some(match raw? {
            RawScope::Public => Scope::Public,
            RawScope::Authenticated => Scope::Authenticated,
            RawScope::Role(role) => Scope::AnyRole(vec![role]),
            RawScope::Roles(roles) => {
                if value.get("roles").is_some_and(Node::is_empty) {
                    let diagnostic = Diagnostic::at(place_of("roles"), "`roles` is empty: nobody could join");
                    self.diagnostics.push(diagnostic);
                }
                Scope::AnyRole(roles)
            }
            RawScope::User(param) => {
                let params: Vec<&str> = template?.params().collect();
                let given = value.get("user").is_some_and(|node| node.as_str().is_some());
                if given && !params.contains(&param.as_str()) {
                    let message = format!("scope `user`: the channel's name has no param `{param}`");
                    let hint = match (nearest_name(&param, &params), params.is_empty()) {
                        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
                        (None, true) => format!("the name needs a segment `{{{param}}}`"),
                        (None, false) => format!("its params: {}", ticked(&params)),
                    };
                    self.diagnostics.push(Diagnostic::at(place_of("user"), message).hint(hint));
                }
                Scope::User { param }
            }
        })
    }

    /// Returns a plugin that exists and is of the required kind.
    fn plugin(&mut self, name: Option<String>, node: Option<&Node>, kind: PluginKind) -> Option<PluginName> {
        Some(named(&name?, kind, &node?.place, self.sources, self.diagnostics))
    }

    fn snapshot(&mut self, raw: Option<RawSnapshot>, entry: Option<&Entry>) -> (Option<PluginName>, Option<Keeping>) {
        let (Some(raw), Some(entry)) = (raw, entry) else { return (None, None) };
        let retain = raw.read(entry, self.sources.ack_bytes_max, self.diagnostics);
        (self.plugin(raw.plugin, entry.value.get("plugin"), PluginKind::Snapshot), retain)
    }

    fn presence(&mut self, raw: Option<RawPresence>, node: Option<&Node>) -> Option<PresencePolicy> {
        let (raw, node) = (raw?, node?);
        let info = self.schema(node.get("info"));
        raw.read(node, info, self.diagnostics)
    }

    fn history(&mut self, raw: Option<RawHistory>, entry: Option<&Entry>) -> Option<HistoryPolicy> {
        let (raw, entry) = (raw?, entry?);
        require(&["messages"], &entry.value, &entry.key_place, self.diagnostics);
        raw.read(&entry.value, self.diagnostics)
    }

    fn schema(&mut self, node: Option<&Node>) -> Option<Schema> {
        self.schemas.compile(node.filter(|node| !node.is_null())?, self.diagnostics)
    }

    fn inbound(&mut self, raw: Option<RawInbound>, entry: Option<&Entry>) -> Option<Inbound> {
        let (raw, entry) = (raw?, entry?);
        let node = &entry.value;
        let payload = self.schema(node.get("payload"));
        match (node.entry("handler"), node.entry("relay")) {
            (Some(handler), Some(relay)) => {
                let message = "`handler` and `relay` cannot be used together";
                let diagnostic = Diagnostic::at(relay.key_place.clone(), message);
                self.diagnostics.push(diagnostic.also("the handler is here", handler.key_place.clone()));
            }
            (None, None) => {
                let message = "`inbound` has neither `handler` nor `relay`";
                let hint = "add `handler: plugin`, or, without a plugin, `relay: others` or `relay: all`";
                self.diagnostics.push(Diagnostic::at(entry.key_place.clone(), message).hint(hint));
            }
            (Some(_), None) => require(&["payload"], node, &entry.key_place, self.diagnostics),
            (None, Some(_)) => {}
        }
        let handler = self.plugin(raw.handler, node.get("handler"), PluginKind::Handler);
        let action = match (handler, raw.relay) {
            (Some(plugin), _) => InboundAction::Handler(plugin),
            (None, relay) => InboundAction::Relay { others_only: matches!(relay?, RawRelay::Others) },
        };
        Some(Inbound { payload, action, rate: raw.rate })
    }
}

pub(super) fn ticked<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}
