//! From claims to a user, and back: the configuration says which claim contains what.

use serde_json::{Map, Value};

use tidegate_core::config::JwtProvider;
use tidegate_core::protocol::User;

/// The user of verified claims.
///
/// # Errors
/// What is wrong with them, for the log: it names claims but shows no values.
pub(super) fn user(provider: &JwtProvider, claims: &Value, expires_at: Option<u64>) -> Result<User, String> {
    let id = find(claims, &provider.user).and_then(text);
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| format!("claim `{}` names no user", provider.user))?;
    let roles = roles(find(claims, &provider.roles))
        .ok_or_else(|| format!("claim `{}` is neither a list of texts nor a text", provider.roles))?;
    let tenant = match provider.tenant.as_ref().and_then(|name| find(claims, name)) {
        None | Some(Value::Null) => None,
        Some(value) => Some(text(value).ok_or("the claim of the tenant is neither a text nor an integer")?),
    };
    // An unreadable id could not be revoked either.
    let token_id = match claims.get("jti") {
        None | Some(Value::Null) => None,
        Some(value) => Some(text(value).ok_or("claim `jti` is neither a text nor an integer")?),
    };
    let issued_at = time(claims, "iat")?;
    Ok(User { expires_at, token_id, issued_at, ..User::new(id, roles, tenant) })
}

/// Sets a claim by its name, or by its JSON Pointer, creating the objects on the way.
pub(super) fn set(claims: &mut Map<String, Value>, name: &str, value: Value) {
    let Some(path) = name.strip_prefix('/') else {
        claims.insert(name.to_owned(), value);
        return;
    };
    let mut steps = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).peekable();
    let mut at = claims;
    while let Some(step) = steps.next() {
        if steps.peek().is_none() {
            at.insert(step, value);
            return;
        }
        let below = at.entry(step).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(below) = below else { return };
        at = below;
    }
}

/// A NumericDate, RFC 7519 §2: seconds since the Unix epoch, possibly with a fraction.
pub(super) fn time(claims: &Value, name: &str) -> Result<Option<u64>, String> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // A time before the epoch is over: a cast turns a negative number into 0, and a huge one into the maximum.
            Some(seconds) => Ok(Some(value.as_u64().unwrap_or(seconds as u64))),
            None => Err(format!("claim `{name}` is not a number")),
        },
    }
}

fn find<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn roles(value: Option<&Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => {
            let names = text.split(|c: char| c.is_whitespace() || c == ',');
            Some(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
        }
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}
