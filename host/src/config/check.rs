//! What a configuration must be beyond its types.

use super::{Anonymous, Config, Diagnostic, Node, Provider, check_bus};
use crate::telemetry;

/// Shortest API key, in bytes.
const API_KEY_BYTES_MIN: usize = 16;

/// Adds what is wrong with values that decoded well.
pub(super) fn check(config: &Config, root: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let mut told = Told { root, diagnostics };
    check_auth(config, &mut told);
    check_api_keys(config, &mut told);
    check_bus::check(config, &mut told);
    let (frame, payload) = (config.limits.frame_bytes_max, config.limits.payload_bytes_max);
    if frame < payload && !told.mistaken("/limits/payload") {
        told.add("/limits/frame", "`frame` is smaller than `payload`: a payload of that size could never arrive", None);
    }
    let (instances, reserved) = (config.limits.plugin_instances_max, config.limits.plugin_authorizer_instances);
    if reserved.is_some_and(|reserved| reserved >= instances) && !told.mistaken("/limits/plugin_instances") {
        let message = "`plugin_authorizer_instances` leaves no other plugin an instance";
        let hint = format!("`plugin_instances` is {instances}: reserve fewer, or leave it out for one in eight");
        told.add("/limits/plugin_authorizer_instances", message, Some(&hint));
    }
    if let Err(error) = telemetry::check_filter(&config.log.filter) {
        told.add("/log/filter", &error.to_string(), Some("a level, or levels by module: `info,tidegate::flow=debug`"));
    }
}

pub(super) struct Told<'a> {
    root: &'a Node,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Told<'_> {
    /// Whether a mistake was told of this place.
    fn mistaken(&self, pointer: &str) -> bool {
        let place = &self.root.nearest(pointer).place;
        self.diagnostics.iter().any(|told| told.place.as_ref() == Some(place))
    }

    /// Adds a mistake at a JSON Pointer, unless another was told of the same place: a mended value is not judged.
    pub(super) fn add(&mut self, pointer: &str, message: &str, hint: Option<&str>) {
        if self.mistaken(pointer) {
            return;
        }
        let diagnostic = Diagnostic::at(self.root.nearest(pointer).place.clone(), message);
        self.diagnostics.push(match hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }
}

fn check_provider(provider: &Provider, index: usize, before: &[Provider], told: &mut Told<'_>) {
    let at = format!("/auth/providers/{index}");
    if before.iter().any(|other| matches!(other, Provider::Plugin(_))) {
        let hint = "put the `plugin` last";
        told.add(&at, "a provider after a `plugin` is never asked: the plugin decides on every credential", Some(hint));
    }
    match provider {
        Provider::Jwt(jwt) => {
            let at = format!("{at}/jwt");
            if before.iter().any(|other| matches!(other, Provider::Jwt(_))) {
                told.add(&at, "a second `jwt` provider is never asked: the first decides on every JWT", None);
            }
            let (bytes, bytes_min) = (jwt.secret.expose().len(), jwt.algorithm.secret_bytes_min());
            if bytes < bytes_min {
                let name = jwt.algorithm.as_str();
                let message = format!("the secret has {bytes} bytes, {name} needs at least {bytes_min}");
                told.add(&format!("{at}/secret"), &message, Some("`openssl rand -base64 48` makes one"));
            }
            for (key, claim) in [("user", &jwt.user), ("roles", &jwt.roles)] {
                if claim.is_empty() {
                    told.add(&format!("{at}/{key}"), &format!("`{key}` names no claim"), None);
                }
            }
        }
        Provider::Plugin(plugin) => {
            for (number, cookie) in plugin.cookies.iter().enumerate().filter(|(_, cookie)| !is_cookie(cookie)) {
                told.add(&format!("{at}/plugin/cookies/{number}"), &format!("`{cookie}` is no name of a cookie"), None);
            }
        }
    }
}

fn is_cookie(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"=;,\"\\".contains(&b))
}

fn check_auth(config: &Config, told: &mut Told<'_>) {
    let auth = &config.auth;
    for (index, origin) in auth.origins.iter().enumerate() {
        if origin != "*" && !is_origin(origin) {
            let message = format!("`{origin}` is no origin");
            let hint = "an origin is a scheme, a host in lower case and perhaps a port: `https://app.example.com`";
            told.add(&format!("/auth/origins/{index}"), &message, Some(hint));
        }
    }
    if !is_cookie(&auth.cookie) {
        told.add("/auth/cookie", &format!("`{}` is no name of a cookie", auth.cookie), None);
    }
    for (index, provider) in auth.providers.iter().enumerate() {
        check_provider(provider, index, &auth.providers[..index], told);
    }
    // A provider that was refused is none here, and is what must be mended.
    if auth.anonymous == Anonymous::Deny && auth.providers.is_empty() && told.diagnostics.is_empty() {
        let hint = "list a provider, or allow anonymous connections";
        told.add("/auth/anonymous", "nobody could connect: `anonymous: deny` without a provider", Some(hint));
    }
}

/// As browsers send it, RFC 6454 §6.2.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let scheme_fits =
        !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_lowercase() || b"+-.0123456789".contains(&b));
    let host_fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._:[]".contains(&b);
    scheme_fits && !host.is_empty() && host.bytes().all(host_fits)
}

fn check_api_keys(config: &Config, told: &mut Told<'_>) {
    let keys = &config.api_keys.0;
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].iter().any(|other| other.name == key.name) {
            let message = format!("two API keys are named `{}`", key.name);
            told.add(&format!("/api_keys/{index}/name"), &message, None);
        }
        let at = format!("/api_keys/{index}/key");
        let bytes = key.key.expose().len();
        if bytes < API_KEY_BYTES_MIN {
            let message = format!("the key has {bytes} bytes, at least {API_KEY_BYTES_MIN} are needed");
            told.add(&at, &message, Some("`openssl rand -base64 48` makes one"));
        }
        if let Some(other) = keys[..index].iter().find(|other| other.key == key.key) {
            told.add(&at, &format!("the same key as `{}` has", other.name), None);
        }
        if key.may.is_empty() {
            told.add(&format!("/api_keys/{index}/may"), "a key that may do nothing", Some("leave `may` out for all"));
        }
    }
}
