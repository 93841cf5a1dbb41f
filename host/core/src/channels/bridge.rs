//! The compiled bridge table: which bus events cross, to which topics, and with which payload.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::Template;
use super::expression::{EventContext, Expression};
use crate::protocol::{BusEvent, Key, Payload, PluginName};

/// Every bridge rule, found by event type.
#[derive(Debug, Default)]
pub struct BridgeTable {
    /// In table order.
    rules: Vec<Arc<BridgeRule>>,
    /// Rules by the whole type that they match.
    exact: HashMap<String, Vec<usize>>,
    /// Rules by prefix, including its last dot.
    prefixes: HashMap<String, Vec<usize>>,
}

/// The identity of a rule across reloads: its `on`, what it does, and its `to`, its `revoke` or the key of `end_sessions`. Two rules
/// of a table never share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct RuleId {
    /// The event type or prefix.
    pub on: String,
    /// The channel template; for a rule that ends sessions `end_sessions.user` or `end_sessions.token`.
    pub to: String,
    /// Whether it ends subscriptions of the channel, and publishes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revokes: bool,
    /// Whether it ends sessions, and publishes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ends_sessions: bool,
    /// Whether it takes retained values of the channel away, and publishes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removes: bool,
}

impl RuleId {
    /// Whether it publishes.
    #[must_use]
    pub const fn publishes(&self) -> bool {
        !self.revokes && !self.ends_sessions && !self.removes
    }
}

/// The sessions that a rule ends.
#[derive(Debug)]
pub(super) enum Ends {
    /// The sessions of a user.
    User(Expression),
    /// The sessions of one credential.
    Token(Expression),
}

/// The sessions that end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The sessions of the user with this id.
    User(String),
    /// The sessions of the credential with this id: a token's `jti`, or a session's id.
    Token(String),
}

/// One rule, from a bus event to a topic.
#[derive(Debug)]
pub struct BridgeRule {
    pub(super) id: RuleId,
    /// `None` for a rule that ends sessions.
    pub(super) to: Option<Template>,
    pub(super) when: Option<Expression>,
    /// In the order of the template's params.
    pub(super) params: Vec<Expression>,
    /// `None` means `event.data`.
    pub(super) payload: Option<Expression>,
    pub(super) transform: Option<PluginName>,
    /// For a rule that takes a retained value away: its key.
    pub(super) remove: Option<Expression>,
    /// For a rule that revokes: the user whose subscription ends; `None` means all users.
    pub(super) user: Option<Expression>,
    /// For a rule that ends sessions.
    pub(super) ends: Option<Ends>,
}

/// Why a matching rule could not make a publication. For the dead letter: operators may see it, clients not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BridgeError(pub String);

impl BridgeTable {
    pub(super) fn new(rules: Vec<Arc<BridgeRule>>) -> Self {
        let mut table = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            let by_type = match rule.id.on.strip_suffix('*') {
                Some(prefix) => table.prefixes.entry(prefix.to_owned()),
                None => table.exact.entry(rule.id.on.clone()),
            };
            by_type.or_default().push(number);
        }
        Self { rules, ..table }
    }

    /// The rules for an event type, in table order: exact ones and prefixes. The cost grows with the type's dots and
    /// the rules found, not with the table.
    pub fn rules_for<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Arc<BridgeRule>> {
        let by_prefix = prefixes_of(kind).filter_map(|prefix| self.prefixes.get(prefix));
        let mut numbers: Vec<usize> = self.exact.get(kind).into_iter().chain(by_prefix).flatten().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| &self.rules[number])
    }

    /// Whether any rule matches this event type; an event without a rule cannot cross.
    #[must_use]
    pub fn lists(&self, kind: &str) -> bool {
        self.exact.contains_key(kind) || prefixes_of(kind).any(|prefix| self.prefixes.contains_key(prefix))
    }

    /// Every rule, in table order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Arc<BridgeRule>> {
        self.rules.iter()
    }
}

/// Every prefix of an event type that ends in a dot and leaves something after it.
fn prefixes_of(kind: &str) -> impl Iterator<Item = &str> {
    kind.match_indices('.').filter(|(dot, _)| dot + 1 < kind.len()).map(|(dot, _)| &kind[..=dot])
}

impl BridgeRule {
    /// The rule's name.
    #[must_use]
    pub const fn id(&self) -> &RuleId {
        &self.id
    }

    /// The channel that it publishes on, or whose subscriptions it ends; `None` if it ends sessions.
    #[must_use]
    pub const fn to(&self) -> Option<&Template> {
        self.to.as_ref()
    }

    /// The plugin that makes the final payload.
    #[must_use]
    pub const fn transform(&self) -> Option<&PluginName> {
        self.transform.as_ref()
    }

    /// Applies the rule without its transform: `None` if its condition is false, otherwise the topic's name and the
    /// payload.
    ///
    /// # Errors
    /// [`BridgeError`] if an expression fails or a param is not a valid segment of a topic.
    pub fn apply(&self, event: &BusEvent) -> Result<Option<(String, Payload)>, BridgeError> {
        let payload = self.payload.as_ref().filter(|payload| !payload.is_the_data());
        if self.when.is_none() && self.params.is_empty() && payload.is_none() {
            return Ok(Some((self.topic_of(&[]), event.data.clone())));
        }
        let context = EventContext::new(event);
        let Some(topic) = self.topic(&context)? else { return Ok(None) };
        let payload = match payload {
            Some(payload) => {
                let made = payload.evaluate_payload(&context);
                made.map_err(|error| BridgeError(format!("`payload`: {error}")))?
            }
            None => event.data.clone(),
        };
        Ok(Some((topic, payload)))
    }
}

impl BridgeRule {
    /// Applies a rule that revokes: `None` if its condition is false, otherwise the topic's name and the user whose
    /// subscription ends (`None`: all users).
    ///
    /// # Errors
    /// [`BridgeError`] if an expression fails, a param is not a valid segment of a topic, or `user` is not a valid id:
    /// a missing field means nobody, never everybody.
    pub fn apply_revoking(&self, event: &BusEvent) -> Result<Option<(String, Option<String>)>, BridgeError> {
        let context = EventContext::new(event);
        let Some(topic) = self.topic(&context)? else { return Ok(None) };
        let Some(user) = &self.user else { return Ok(Some((topic, None))) };
        Ok(Some((topic, Some(id("user", user, &context)?))))
    }

    /// Applies a rule that takes a retained value away: `None` if its condition is false, otherwise the topic's name and
    /// the key.
    ///
    /// # Errors
    /// [`BridgeError`] if an expression fails, or a param is not a valid segment of a topic.
    pub fn apply_removing(&self, event: &BusEvent) -> Result<Option<(String, Key)>, BridgeError> {
        let context = EventContext::new(event);
        let Some((topic, remove)) = self.topic(&context)?.zip(self.remove.as_ref()) else { return Ok(None) };
        let key = remove.evaluate_payload(&context).map_err(|error| BridgeError(format!("`remove`: {error}")))?;
        Ok(Some((topic, Key::new(key.as_str()))))
    }

    /// Applies a rule that ends sessions: `None` if its condition is false, otherwise the sessions.
    ///
    /// # Errors
    /// [`BridgeError`] if an expression fails, or its value is not a valid id.
    pub fn apply_ending(&self, event: &BusEvent) -> Result<Option<Ended>, BridgeError> {
        let context = EventContext::new(event);
        if !self.is_meant(&context)? {
            return Ok(None);
        }
        match &self.ends {
            None => Ok(None),
            Some(Ends::User(user)) => Ok(Some(Ended::User(id("user", user, &context)?))),
            Some(Ends::Token(token)) => Ok(Some(Ended::Token(id("token", token, &context)?))),
        }
    }

    /// The value of the condition.
    fn is_meant(&self, context: &EventContext<'_>) -> Result<bool, BridgeError> {
        let Some(when) = &self.when else { return Ok(true) };
        match evaluate("when", when, context)? {
            Value::Bool(yes) => Ok(yes),
            other => Err(BridgeError(format!("`when`: expected a boolean, found {}", kind_of(&other)))),
        }
    }

    fn topic_of(&self, values: &[String]) -> String {
        self.to.as_ref().map(|to| to.fill(values)).unwrap_or_default()
    }

    /// The topic's name, if the condition is true.
    fn topic(&self, context: &EventContext<'_>) -> Result<Option<String>, BridgeError> {
        if !self.is_meant(context)? {
            return Ok(None);
        }
        let params = self.to.iter().flat_map(|to| to.params()).zip(&self.params);
        let values: Result<Vec<String>, BridgeError> =
            params.map(|(name, expression)| segment(name, &evaluate_param(name, expression, context)?)).collect();
        Ok(Some(self.topic_of(&values?)))
    }
}

fn evaluate(key: &str, expression: &Expression, context: &EventContext<'_>) -> Result<Value, BridgeError> {
    expression.evaluate(context).map_err(|error| BridgeError(format!("`{key}`: {error}")))
}

/// An id from an expression. A missing field means nobody, never everybody.
fn id(key: &str, expression: &Expression, context: &EventContext<'_>) -> Result<String, BridgeError> {
    match evaluate(key, expression, context)? {
        Value::String(id) if !id.is_empty() => Ok(id),
        Value::String(_) => Err(BridgeError(format!("`{key}` is empty"))),
        other => whole(&other)
            .ok_or_else(|| BridgeError(format!("`{key}`: expected a text or an integer, found {}", kind_of(&other)))),
    }
}

fn evaluate_param(name: &str, expression: &Expression, context: &EventContext<'_>) -> Result<Value, BridgeError> {
    expression.evaluate(context).map_err(|error| BridgeError(format!("param `{name}`: {error}")))
}

/// A value as one segment of a topic. Other rules for topics are checked when the topic is resolved.
fn segment(name: &str, value: &Value) -> Result<String, BridgeError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(bool) => bool.to_string(),
        other => whole(other).ok_or_else(|| {
            let found = kind_of(other);
            BridgeError(format!("param `{name}`: expected a text, an integer or a boolean, found {found}"))
        })?,
    };
    if text.is_empty() {
        return Err(BridgeError(format!("param `{name}` is empty")));
    }
    if text.contains('.') {
        return Err(BridgeError(format!("param `{name}` contains a dot, so it would become two segments")));
    }
    Ok(text)
}

/// A whole number as a text without a point; also from a double with a whole value, in the range where doubles
/// represent every whole number.
fn whole(value: &Value) -> Option<String> {
    const DOUBLES_COUNT_TO: f64 = 9_007_199_254_740_992.0;
    let number = value.as_number()?;
    if number.is_i64() || number.is_u64() {
        return Some(number.to_string());
    }
    let double = number.as_f64().filter(|double| double.fract() == 0.0 && double.abs() <= DOUBLES_COUNT_TO)?;
    // Not `-0`.
    Some(format!("{}", double + 0.0))
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(on: &str, to: &str, when: Option<&str>, params: &[&str], payload: Option<&str>) -> Arc<BridgeRule> {
        let expression = |text: &str| Expression::compile(text).unwrap();
        Arc::new(BridgeRule {
            id: RuleId { on: on.to_owned(), to: to.to_owned(), revokes: false, ends_sessions: false, removes: false },
            to: Some(Template::parse(to).unwrap()),
            when: when.map(expression),
            params: params.iter().map(|text| expression(text)).collect(),
            payload: payload.map(expression),
            transform: None,
            remove: None,
            user: None,
            ends: None,
        })
    }

    fn event(data: impl Into<Payload>) -> BusEvent {
        BusEvent::new("1".to_owned(), "/test".to_owned(), "vault.source.added".to_owned(), data)
    }

    fn crossed(rule: &BridgeRule, data: Value) -> Result<Option<(String, Value)>, String> {
        let made = rule.apply(&event(data)).map_err(|error| error.0)?;
        Ok(made.map(|(topic, payload)| (topic, payload.value().unwrap().clone())))
    }

    #[test]
    fn exact_types_and_prefixes_are_found_in_table_order() {
        let table = BridgeTable::new(vec![
            rule("a.*", "one", None, &[], None),
            rule("a.b", "two", None, &[], None),
            rule("a.b.*", "three", None, &[], None),
            rule("a.*", "four", None, &[], None),
        ]);
        let found = |kind: &str| table.rules_for(kind).map(|rule| rule.id().to.clone()).collect::<Vec<_>>();
        assert_eq!(found("a.b"), ["one", "two", "four"]);
        assert_eq!(found("a.b.c"), ["one", "three", "four"]);
        assert!(found("a").is_empty());
        assert!(found("a.").is_empty());
        assert!(found("ab.c").is_empty());
    }

    #[test]
    fn a_rule_makes_topic_and_payload_of_the_event() {
        let rule = rule(
            "vault.source.*",
            "vault.{vaultId}.{n}",
            Some("event.data.status != 'draft'"),
            &["event.data.vaultId", "event.data.n + 1"],
            Some("{'kind': event.type}"),
        );
        let apply = |data| crossed(&rule, data);
        let crossed = apply(json!({ "status": "live", "vaultId": "v1", "n": 1 }));
        assert_eq!(crossed, Ok(Some(("vault.v1.2".to_owned(), json!({ "kind": "vault.source.added" })))));
        assert_eq!(apply(json!({ "status": "draft" })), Ok(None));
        assert!(apply(json!({})).unwrap_err().starts_with("`when`: "));
        assert!(apply(json!({ "status": "live" })).unwrap_err().starts_with("param `vaultId`: "));
        let with_id = |id: Value| apply(json!({ "status": "live", "vaultId": id, "n": 1 })).unwrap_err();
        assert_eq!(with_id(json!("a.b")), "param `vaultId` contains a dot, so it would become two segments");
        assert_eq!(with_id(json!("")), "param `vaultId` is empty");
        assert_eq!(with_id(json!(1.5)), "param `vaultId`: expected a text, an integer or a boolean, found a number");
    }

    #[test]
    fn without_expressions_the_data_crosses_as_it_is() {
        let rule = rule("vault.source.*", "blog.feed", None, &[], None);
        assert_eq!(crossed(&rule, json!([1])), Ok(Some(("blog.feed".to_owned(), json!([1])))));
    }

    #[test]
    fn what_no_expression_touches_crosses_letter_by_letter() {
        let data = r#"{ "price": 7.10, "id": 123456789012345678901234567890, "n": [7.0, 1E2, -0] }"#;
        let event = event(Payload::read(data.to_owned()).unwrap());
        let always = Some("event.data.n[0] == 7");
        for (when, payload) in
            [(None, None), (None, Some("event.data")), (always, None), (always, Some(" event . data "))]
        {
            let (_, made) = rule("vault.source.*", "blog.feed", when, &[], payload).apply(&event).unwrap().unwrap();
            assert_eq!(made.as_str(), data, "{when:?} {payload:?}");
        }
    }

    #[test]
    fn a_whole_number_names_a_topic_without_a_point() {
        let topic = |text: &str, expression: &str| {
            let event = event(Payload::read(text.to_owned()).unwrap());
            let made = rule("vault.source.*", "vault.{vaultId}", None, &[expression], None).apply(&event);
            made.map(|made| made.unwrap().0).map_err(|error| error.0)
        };
        for seven in ["7", "7.0", "7.00", "0.7e1"] {
            assert_eq!(topic(seven, "event.data").as_deref(), Ok("vault.7"), "{seven}");
        }
        assert_eq!(topic("-0.0", "event.data").as_deref(), Ok("vault.0"));
        assert_eq!(topic("3.5", "event.data * 2.0").as_deref(), Ok("vault.7"));
        assert_eq!(topic("-0.5", "event.data * 0.0").as_deref(), Ok("vault.0"));
        for broken in ["7.5", "1e20", "123456789012345678901234567890"] {
            let why = "param `vaultId`: expected a text, an integer or a boolean, found a number";
            assert_eq!(topic(broken, "event.data"), Err(why.to_owned()), "{broken}");
        }
    }

    #[test]
    fn a_rule_that_revokes_names_topic_and_user_and_a_missing_user_is_not_everybody() {
        let revoking = |user: Option<&str>| {
            let rule = Arc::into_inner(rule("x", "vault.{vaultId}", None, &["event.data.vault"], None)).unwrap();
            BridgeRule { user: user.map(|text| Expression::compile(text).unwrap()), ..rule }
        };
        let apply = |rule: &BridgeRule, data| rule.apply_revoking(&event(data)).map_err(|error| error.0);
        let rule = revoking(Some("event.data.user"));
        let of = |user: &str| Ok(Some(("vault.v1".to_owned(), Some(user.to_owned()))));
        assert_eq!(apply(&rule, json!({ "vault": "v1", "user": "u1" })), of("u1"));
        assert_eq!(apply(&rule, json!({ "vault": "v1", "user": 42 })), of("42"));
        assert_eq!(apply(&rule, json!({ "vault": "v1", "user": "" })), Err("`user` is empty".to_owned()));
        let no_text = Err("`user`: expected a text or an integer, found null".to_owned());
        assert_eq!(apply(&rule, json!({ "vault": "v1", "user": null })), no_text);
        assert!(apply(&rule, json!({ "vault": "v1" })).unwrap_err().starts_with("`user`: "));
        assert!(apply(&rule, json!({ "user": "u1" })).unwrap_err().starts_with("param `vaultId`: "));
        assert_eq!(apply(&revoking(None), json!({ "vault": "v1" })), Ok(Some(("vault.v1".to_owned(), None))));
    }

    #[test]
    fn a_rule_that_removes_names_topic_and_key() {
        let compiled = |text: &str| Some(Expression::compile(text).unwrap());
        let rule = Arc::into_inner(rule("x", "vault.{vaultId}", None, &["event.data.vault"], None)).unwrap();
        let rule = BridgeRule { remove: compiled("event.data.device"), ..rule };
        let apply = |text: &str| rule.apply_removing(&event(Payload::read(text.to_owned()).unwrap()));
        for (device, key) in [(r#""d\u0031""#, r#""d1""#), ("7", "7"), ("null", "null")] {
            let removed = apply(&format!(r#"{{"vault": "v1", "device": {device}}}"#));
            assert_eq!(removed, Ok(Some(("vault.v1".to_owned(), Key::new(key)))), "{device}");
        }
        assert!(apply(r#"{"vault": "v1"}"#).unwrap_err().0.starts_with("`remove`: "));
    }

    #[test]
    fn a_rule_that_ends_sessions_names_a_user_or_a_credential_and_never_nobody() {
        let ending = |ends: Ends| {
            let rule = Arc::into_inner(rule("x", "a", Some("event.data.why != 'no'"), &[], None)).unwrap();
            BridgeRule { to: None, ends: Some(ends), ..rule }
        };
        let expression = || Expression::compile("event.data.id").unwrap();
        let (user, token) = (ending(Ends::User(expression())), ending(Ends::Token(expression())));
        let apply = |rule: &BridgeRule, data| rule.apply_ending(&event(data)).map_err(|error| error.0);
        assert_eq!(apply(&user, json!({ "why": "", "id": 7 })), Ok(Some(Ended::User("7".to_owned()))));
        assert_eq!(apply(&token, json!({ "why": "", "id": "s1" })), Ok(Some(Ended::Token("s1".to_owned()))));
        assert_eq!(apply(&token, json!({ "why": "no", "id": "s1" })), Ok(None));
        assert_eq!(apply(&token, json!({ "why": "", "id": "" })), Err("`token` is empty".to_owned()));
        assert!(apply(&user, json!({ "why": "" })).unwrap_err().starts_with("`user`: "));
    }

    #[test]
    fn a_condition_that_is_no_boolean_is_an_error() {
        let rule = rule("x", "blog.feed", Some("event.data"), &[], None);
        assert_eq!(
            rule.apply(&event(json!(1))),
            Err(BridgeError("`when`: expected a boolean, found a number".to_owned()))
        );
    }
}
