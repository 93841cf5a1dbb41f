//! `bridge.yaml`: its keys, read and checked. Editors show what `#[schemars]` and the doc comments here say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bridge::Ends;
use super::compile::Missed;
use super::expression::{Expression, ExpressionMistake};
use super::manifest::{Declared, require, ticked};
use super::plugin_kinds::named;
use super::{BridgeRule, BridgeTable, PluginKind, RuleId, Scope, Sources, Template};
use crate::config::{Diagnostic, Entry, Node, Place, SourceFile, decode, nearest_name, parse_yaml};
use crate::protocol::{OWN_PREFIX, OwnType};

/// Keys about a payload. A rule that revokes has no payload.
const OF_PAYLOADS: [&str; 2] = ["payload", "transform"];

/// The bridge table: which bus events reach clients. Events without a rule do not.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tidegate bridge table", rename = "Bridge")]
pub(super) struct RawBridge {
    /// The rules. An event may match several rules; each of them makes its own publication.
    #[schemars(required, with = "Vec<RawRule>")]
    #[expect(dead_code, reason = "the rules are read one by one, from the tree")]
    rules: Option<Vec<IgnoredAny>>,
}

/// One rule. It publishes (`to`), takes a retained value away (`to`, `remove`), ends subscriptions (`revoke`) or ends
/// sessions (`end_sessions`). Expressions are CEL
/// and see the CloudEvent as `event`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule", extend("oneOf" = [{ "required": ["to"] }, { "required": ["revoke"] }, { "required": ["end_sessions"] }]))]
struct RawRule {
    /// The event type, or a prefix of it that ends in `.*`.
    #[schemars(required)]
    on: Option<String>,
    /// The channel to publish on, exactly as a manifest declares it.
    to: Option<String>,
    /// The channel whose subscriptions end, exactly as a manifest declares it.
    revoke: Option<String>,
    /// An expression for the user whose subscription ends. Default: the subscriptions of all users end.
    user: Option<String>,
    /// The sessions that end. The server refuses their credentials from then on.
    end_sessions: Option<RawEnds>,
    /// An expression: the rule applies only to events for which it is true.
    when: Option<String>,
    /// An expression for each param of `to` or `revoke`.
    #[expect(dead_code, reason = "the expressions are read from the tree, which has the places")]
    params: Option<BTreeMap<String, String>>,
    /// An expression for the payload to publish. Default: the event's data.
    payload: Option<String>,
    /// In place of `payload`: an expression for the key whose retained value is taken away from the topic. The rule
    /// publishes nothing.
    remove: Option<String>,
    /// A plugin that turns `payload` into the payload to publish, or drops the event.
    transform: Option<String>,
}

/// The sessions that end: name one of the two.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "EndSessions", extend("oneOf" = [{ "required": ["user"] }, { "required": ["token"] }]))]
struct RawEnds {
    /// An expression for a user: all current sessions of this user end.
    user: Option<String>,
    /// An expression for a credential: the `jti` of a token, or a session's id as the session's cookie holds it.
    token: Option<String>,
}

/// Reads the bridge table. `declared` holds all channels in the manifests by their templates, `missed` the templates that
/// may exist in manifests with errors.
pub(super) fn read(
    source: &Arc<SourceFile>,
    declared: &HashMap<&str, &Declared>,
    missed: &Missed,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> BridgeTable {
    let Some(tree) = parse_yaml(source, diagnostics) else { return BridgeTable::default() };
    if decode::<RawBridge>(&tree, diagnostics).is_some() {
        require(&["rules"], &tree, &tree.place, diagnostics);
    }
    // An empty rule was reported already.
    let items = tree.get("rules").map(Node::items).unwrap_or_default().iter().filter(|item| !item.is_null());
    let mut reader = Reader { declared, missed, sources, diagnostics, seen: HashMap::new() };
    BridgeTable::new(items.filter_map(|node| reader.rule(node)).map(Arc::new).collect())
}

struct Reader<'a> {
    declared: &'a HashMap<&'a str, &'a Declared>,
    missed: &'a Missed,
    sources: &'a Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    seen: HashMap<RuleId, Place>,
}

impl Reader<'_> {
    fn rule(&mut self, node: &Node) -> Option<BridgeRule> {
        let (revokes, removes) = (node.entry("revoke").is_some(), node.entry("remove").is_some());
        let raw: RawRule = decode(node, self.diagnostics)?;
        if let Some(entry) = node.entry("end_sessions") {
            // A key without a value was reported already.
            return if entry.value.is_null() { None } else { self.ending_rule(raw, node) };
        }
        let required: &[&str] = if revokes { &["on"] } else { &["on", "to"] };
        require(required, node, &node.place, self.diagnostics);
        self.one_purpose(node, revokes);
        let on = self.on(raw.on, node.get("on"));
        let (to, key) = if revokes { (raw.revoke, "revoke") } else { (raw.to, "to") };
        let to = self.to(to, node.get(key), key);
        if removes && node.get("remove").is_some_and(|remove| !remove.is_null()) {
            self.can_remove_from(to.as_ref(), node);
        }
        if !revokes {
            self.own_event_stays_with_a_role(on.as_deref(), to.as_ref(), node);
        }
        let user = self.optional(node.get("user"), raw.user.as_deref());
        let when = self.optional(node.get("when"), raw.when.as_deref());
        let payload = self.optional(node.get("payload"), raw.payload.as_deref());
        let remove = self.optional(node.get("remove"), raw.remove.as_deref());
        let params = self.params(to.as_ref(), node);
        let transform = raw
            .transform
            .as_deref()
            .zip(node.get("transform"))
            .map(|(name, node)| named(name, PluginKind::Transform, &node.place, self.sources, self.diagnostics));
        let (on, to) = (on?, to?);
        let id = RuleId { on, to: to.as_str().to_owned(), revokes, ends_sessions: false, removes };
        self.once(&id, node);
        let (when, params, payload, remove, user, to) = (when?, params?, payload?, remove?, user?, Some(to));
        Some(BridgeRule { id, to, when, params, payload, transform, remove, user, ends: None })
    }

    /// A rule that ends sessions.
    fn ending_rule(&mut self, raw: RawRule, node: &Node) -> Option<BridgeRule> {
        require(&["on"], node, &node.place, self.diagnostics);
        for entry in node.entries() {
            let (message, hint) = match entry.key.as_str() {
                "to" | "revoke" => (
                    "a rule may do only one of these: publish (`to`), revoke (`revoke`) or end sessions (`end_sessions`)"
                        .to_owned(),
                    "split it into two rules",
                ),
                "user" => (
                    "`user` names the user whose subscription ends, but this rule ends sessions".to_owned(),
                    "name the user in `end_sessions`: `end_sessions: { user: event.data.user }`",
                ),
                key @ ("params" | "payload" | "transform" | "remove") => {
                    (format!("`{key}` has no effect with `end_sessions`: the rule publishes nothing"), "leave it out")
                }
                _ => continue,
            };
            self.diagnostics.push(Diagnostic::at(entry.key_place.clone(), message).hint(hint));
        }
        let on = self.on(raw.on, node.get("on"));
        let when = self.optional(node.get("when"), raw.when.as_deref());
        let (to, ends) = self.ends(raw.end_sessions.unwrap_or_default(), node.entry("end_sessions")?)?;
        let id = RuleId { on: on?, to: to.to_owned(), revokes: false, ends_sessions: true, removes: false };
        self.once(&id, node);
        let (params, payload, transform, remove, user) = (Vec::new(), None, None, None, None);
        Some(BridgeRule { id, to: None, when: when?, params, payload, transform, remove, user, ends: Some(ends) })
    }

    /// Which sessions end, and the name of a rule that ends them.
    fn ends(&mut self, raw: RawEnds, entry: &Entry) -> Option<(&'static str, Ends)> {
        let of = |key| entry.value.get(key);
        match (raw.user, raw.token) {
            (Some(user), None) => Some(("end_sessions.user", Ends::User(self.expression(of("user")?, &user)?))),
            (None, Some(token)) => Some(("end_sessions.token", Ends::Token(self.expression(of("token")?, &token)?))),
            // A key without a value was reported already.
            (None, None) if of("user").or(of("token")).is_some() => None,
            _ => {
                let message = "`end_sessions` needs exactly one of `user` and `token`";
                let hint = "write, for example, `end_sessions: { user: event.data.user }`";
                self.diagnostics.push(Diagnostic::at(entry.key_place.clone(), message).hint(hint));
                None
            }
        }
    }

    /// Reports two rules with the same name.
    fn once(&mut self, id: &RuleId, node: &Node) {
        let Some(first) = self.seen.get(id) else {
            self.seen.insert(id.clone(), node.place.clone());
            return;
        };
        let what = match id {
            RuleId { revokes: true, .. } => "that revokes",
            RuleId { ends_sessions: true, .. } => "with",
            RuleId { removes: true, .. } => "that removes from",
            _ => "to",
        };
        let message = format!("a second rule from `{}` {what} `{}`", id.on, id.to);
        let diagnostic = Diagnostic::at(node.place.clone(), message).also("the first rule is here", first.clone());
        self.diagnostics.push(diagnostic.hint("join their conditions with `||` in one `when`"));
    }

    /// Checks that a rule either publishes or revokes, and has only the keys of that one.
    fn one_purpose(&mut self, node: &Node, revokes: bool) {
        let stands = |key: &str| node.get(key).is_some_and(|value| !value.is_null());
        let mut refuse = |entry: &Entry, message: &str, hint: &str| {
            self.diagnostics.push(Diagnostic::at(entry.key_place.clone(), message).hint(hint));
        };
        if !revokes {
            if let Some(user) = node.entry("user").filter(|user| !user.value.is_null()) {
                refuse(
                    user,
                    "`user` names the user whose subscription ends, but this rule revokes nothing",
                    "leave it out",
                );
            }
            for entry in OF_PAYLOADS.iter().filter_map(|key| node.entry(key)).filter(|_| stands("remove")) {
                let message = format!("`{}` has no effect with `remove`: the rule publishes nothing", entry.key);
                refuse(entry, &message, "leave it out, or split it into two rules");
            }
            return;
        }
        if let Some(remove) = node.entry("remove").filter(|remove| !remove.value.is_null()) {
            let message = "a rule either takes a retained value away (`to`, `remove`) or revokes (`revoke`), not both";
            refuse(remove, message, "split it into two rules");
        }
        if let Some(to) = node.entry("to").filter(|to| !to.value.is_null() && stands("revoke")) {
            refuse(to, "a rule either publishes (`to`) or revokes (`revoke`), not both", "split it into two rules");
        }
        for key in OF_PAYLOADS {
            if let Some(entry) = node.entry(key).filter(|entry| !entry.value.is_null()) {
                refuse(
                    entry,
                    &format!("`{key}` has no effect with `revoke`: the rule publishes nothing"),
                    "leave it out",
                );
            }
        }
    }

    fn on(&mut self, on: Option<String>, node: Option<&Node>) -> Option<String> {
        let (on, node) = (on?, node?);
        let stem = on.strip_suffix(".*").unwrap_or(&on);
        if stem.is_empty() || stem.contains('*') || stem.contains(char::is_whitespace) {
            let message = format!("`{on}` is neither an event type nor a prefix");
            let hint = "write an exact type like `article.published`, or a prefix like `article.*`";
            self.diagnostics.push(Diagnostic::at(node.place.clone(), message).hint(hint));
            return None;
        }
        self.own_type_is_known(&on, node);
        Some(on)
    }

    /// Checks that a rule for events of the server itself names types that there are: the list is closed.
    fn own_type_is_known(&mut self, on: &str, node: &Node) {
        let prefix = on.strip_suffix('*');
        let matches = |own: &OwnType| prefix.map_or(own.as_str() == on, |prefix| own.as_str().starts_with(prefix));
        if !on.starts_with(OWN_PREFIX) || OwnType::ALL.iter().any(matches) {
            return;
        }
        let message = format!("the server itself makes no event of the type `{on}`");
        let diagnostic = Diagnostic::at(node.place.clone(), message);
        self.diagnostics.push(match nearest_name(on, &OwnType::ALL.map(OwnType::as_str)) {
            Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
            None => diagnostic.hint("channels/README.md lists the events of the server itself"),
        });
    }

    fn to(&mut self, to: Option<String>, node: Option<&Node>, key: &str) -> Option<Template> {
        let (to, node) = (to?, node?);
        if let Some(declared) = self.declared.get(to.as_str()) {
            return Some(declared.template.clone());
        }
        if self.missed.all || self.missed.names.contains(&to) {
            return None;
        }
        let mut known: Vec<&str> = self.declared.keys().copied().collect();
        known.sort_unstable();
        let diagnostic = Diagnostic::at(node.place.clone(), format!("no manifest declares a channel `{to}`"));
        let same = Template::parse(&to).ok().and_then(|template| {
            known.iter().find(|other| self.declared[**other].template.overlaps(&template)).copied()
        });
        self.diagnostics.push(match same.or_else(|| nearest_name(&to, &known)) {
            Some(nearest) => diagnostic.hint(format!("did you mean `{nearest}`?")),
            None => diagnostic
                .hint(format!("`{key}` must name a channel exactly as its manifest does, including its params")),
        });
        None
    }

    /// Checks that the channel of a rule that removes retains something.
    fn can_remove_from(&mut self, to: Option<&Template>, node: &Node) {
        let Some(channel) = to.and_then(|to| self.declared.get(to.as_str())?.channel.as_ref()) else { return };
        if channel.retain.is_none() {
            let place = node.get("to").map_or(&node.place, |to| &to.place).clone();
            let message = format!("`{}` retains no values, so there is nothing to remove", channel.template);
            let hint = "add `snapshot: { retain: latest }` to the channel";
            self.diagnostics.push(Diagnostic::at(place, message).hint(hint));
        }
    }

    /// Checks that an event of the server itself, which says who is where, goes only to a channel for a role.
    fn own_event_stays_with_a_role(&mut self, on: Option<&str>, to: Option<&Template>, node: &Node) {
        let Some(channel) = to.and_then(|to| self.declared.get(to.as_str())?.channel.as_ref()) else { return };
        if on.is_some_and(|on| on.starts_with(OWN_PREFIX)) && !matches!(channel.scope, Scope::AnyRole(_)) {
            let place = node.get("to").map_or(&node.place, |to| &to.place).clone();
            let message = format!("an event of the server itself may not reach everybody on `{}`", channel.template);
            let hint = format!("types that begin with `{OWN_PREFIX}` go to a channel whose scope names a role");
            self.diagnostics.push(Diagnostic::at(place, message).hint(hint));
        }
    }

    /// `None` when the expression has an error, `Some(None)` when there is no expression.
    fn optional(&mut self, node: Option<&Node>, text: Option<&str>) -> Option<Option<Expression>> {
        match (node, text) {
            (Some(node), Some(text)) => self.expression(node, text).map(Some),
            _ => Some(None),
        }
    }

    fn expression(&mut self, node: &Node, text: &str) -> Option<Expression> {
        match Expression::compile(text) {
            Ok(expression) => Some(expression),
            Err(mistakes) => {
                let told = |mistake: &ExpressionMistake| {
                    let place = place_in(node, text, mistake.at);
                    let diagnostic = Diagnostic::at(place, format!("not a CEL expression: {}", mistake.message));
                    match mistake.hint {
                        Some(hint) => diagnostic.hint(hint),
                        None => diagnostic,
                    }
                };
                self.diagnostics.extend(mistakes.iter().map(told));
                None
            }
        }
    }

    /// One expression for each param of the template, in its order.
    fn params(&mut self, to: Option<&Template>, node: &Node) -> Option<Vec<Expression>> {
        let entries = node.get("params").map(Node::entries).unwrap_or_default();
        let mut compiled = HashMap::new();
        for Entry { key, value, .. } in entries {
            if let Some(expression) = value.as_str().and_then(|text| self.expression(value, text)) {
                compiled.insert(key.as_str(), expression);
            }
        }
        let to = to?;
        let names: Vec<&str> = to.params().collect();
        for entry in entries.iter().filter(|entry| !names.contains(&entry.key.as_str())) {
            let message = format!("`{to}` has no param `{}`", entry.key);
            let diagnostic = Diagnostic::at(entry.key_place.clone(), message);
            self.diagnostics.push(match (nearest_name(&entry.key, &names), names.is_empty()) {
                (Some(nearest), _) => diagnostic.hint(format!("did you mean `{nearest}`?")),
                (None, true) => diagnostic.hint("the channel has no params: leave it out"),
                (None, false) => diagnostic.hint(format!("its params: {}", ticked(&names))),
            });
        }
        let place = node
            .entry("params")
            .or_else(|| node.entry("to"))
            .or_else(|| node.entry("revoke"))
            .map_or(&node.place, |entry| &entry.key_place);
        let is_told = node.get("params").is_some_and(Node::is_null);
        for name in names.iter().filter(|name| !is_told && !entries.iter().any(|entry| entry.key == **name)) {
            let diagnostic = Diagnostic::at(place.clone(), format!("param `{name}` of `{to}` has no expression"));
            self.diagnostics
                .push(diagnostic.hint(format!("add it to `params`, for example `{name}: event.data.{name}`")));
        }
        names.iter().map(|name| compiled.remove(name)).collect()
    }
}

/// The place of an error inside an expression: exact if the expression stands in the file literally and on one line.
fn place_in(node: &Node, text: &str, at: Option<(usize, usize)>) -> Place {
    let whole = node.place.clone();
    let quotes = match whole.width.checked_sub(text.chars().count()) {
        Some(0) => 0,
        Some(2) => 1,
        _ => return whole,
    };
    match at {
        Some((1, column)) => Place { column: whole.column + quotes + column - 1, width: 1, ..whole },
        _ => whole,
    }
}
