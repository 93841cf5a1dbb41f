//! The layers of the configuration: defaults → file → environment → flags. A later layer overrides an earlier one; all
//! errors are reported in one run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{
    Config, Diagnostic, Failed, JwksPlace, Node, Place, Provider, PublicKeyPlace, Shape, SourceFile, StorePlace, check,
    decode, despite::good_sections, environment, parse_yaml, places::join, redact,
};

/// The configuration file if none is named.
pub const DEFAULT_FILE: &str = "config/tidegate.yaml";

/// A key set by a flag of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The flag, for errors: `--listen`.
    pub flag: &'static str,
    /// The keys that lead to it.
    pub path: &'static [&'static str],
    /// The text given.
    pub value: String,
}

impl Config {
    /// Loads the configuration. `file` is [`DEFAULT_FILE`] if none is named; `env` is the process's environment, or
    /// that of a test. Paths in the result are relative to the working directory or absolute.
    ///
    /// # Errors
    /// All errors of all layers, each with its place. None of them shows a secret.
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[Override],
    ) -> Result<Self, Vec<Diagnostic>> {
        Self::load_keys(None, file, env, overrides).map_err(|failed| failed.mistakes)
    }

    /// The same, but only these keys if there are some.
    pub(super) fn load_keys(
        only: Option<&[&str]>,
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[Override],
    ) -> Result<Self, Failed> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let source = read(path, file.is_some()).map_err(|mistake| Failed { mistakes: vec![mistake], rest: None })?;
        let env: BTreeMap<String, String> = env.into_iter().collect();
        let mut diagnostics = Vec::new();
        let parsed = parse_yaml(&source, &mut diagnostics);
        // Collected before other layers hide them, because an error shows a line of the file.
        let mut secrets = parsed.as_ref().map_or_else(|| redact::secrets_of_text(&source.text), redact::secrets);
        let is_yaml = parsed.is_some();
        let mut root = parsed.unwrap_or_else(|| Node::new(start_of(&source), Shape::Map(Vec::new())));
        secrets.extend(environment::set(&mut root, &env, &mut diagnostics));
        for Override { flag, path, value } in overrides {
            let place = start_of(&Arc::new(SourceFile { path: format!("flag `{flag}`"), text: value.clone() }));
            if value.trim().is_empty() {
                let mistake = Diagnostic::at(place, format!("flag `{flag}` has no value"));
                diagnostics.push(mistake.hint("leave it out, or give it a value"));
            } else {
                root.set(path, Node::text(place, value.clone()));
            }
        }
        if let (Some(only), Shape::Map(entries)) = (only, &mut root.shape) {
            entries.retain(|entry| only.contains(&entry.key.as_str()));
        }
        substitute(&mut root, &source, &env, &mut diagnostics);
        secrets.extend(redact::secrets(&root));
        let config = decode::<Self>(&root, &mut diagnostics);
        if let Some(config) = &config {
            check::check(config, &root, &mut diagnostics);
        }
        match config {
            Some(config) if diagnostics.is_empty() => Ok(config.resolve(path, &source, &root)),
            _ => {
                let rest = good_sections(&root, &diagnostics).filter(|_| is_yaml);
                let rest = rest.map(|(config, root)| Box::new(config.resolve(path, &source, &root)));
                let mistakes = diagnostics.into_iter().map(|diagnostic| redact::redact(diagnostic, &secrets)).collect();
                Err(Failed { mistakes, rest })
            }
        }
    }

    /// Notes where plugins and features are named, and makes the paths relative to the working directory. Paths in the file are
    /// relative to the file; those of the environment and of flags are relative to the working directory, as usual on a
    /// command line.
    fn resolve(mut self, file: &Path, source: &Arc<SourceFile>, root: &Node) -> Self {
        let directory = file.parent().unwrap_or(Path::new(""));
        let paths = [
            ("channels", &mut self.channels),
            ("plugins", &mut self.plugins),
            ("plugin_quarantine", &mut self.plugin_quarantine),
            ("bridge", &mut self.bridge),
        ];
        let store = match &mut self.store {
            StorePlace::Sqlite(path) => Some(("store", path)),
            StorePlace::Postgres(_) | StorePlace::Memory => None,
        };
        let cache = self.plugin_cache.as_mut().map(|path| ("plugin_cache", path));
        for (key, path) in paths.into_iter().chain(store).chain(cache) {
            if root.get(key).is_none_or(|node| Arc::ptr_eq(&node.place.source, source)) {
                *path = join(directory, path);
            }
        }
        self.teams.place(root);
        let is_of_file = |at: &str| Arc::ptr_eq(&root.nearest(at).place.source, source);
        for (index, provider) in self.auth.providers.iter_mut().enumerate() {
            let at = |key: &str| format!("/auth/providers/{index}/{key}");
            let place = |key: &str| Some(root.nearest(&at(key)).place.clone());
            match provider {
                Provider::Plugin(plugin) => plugin.place = place("plugin/name"),
                Provider::Session(session) => session.place = place("session/query"),
                Provider::Introspect(_) => {}
                Provider::Jwt(jwt) => {
                    let (key, file) = match (&mut jwt.public_key, &mut jwt.jwks) {
                        (Some(PublicKeyPlace::File(file)), _) => ("jwt/public_key", Some(file)),
                        (_, Some(JwksPlace::File(file))) => ("jwt/jwks", Some(file)),
                        (Some(PublicKeyPlace::Pem(_)), _) => ("jwt/public_key", None),
                        _ => ("jwt", None),
                    };
                    jwt.place = place(key);
                    if let Some(file) = file.filter(|_| is_of_file(&at(key))) {
                        *file = join(directory, file);
                    }
                }
            }
        }
        self
    }
}

fn read(path: &Path, named: bool) -> Result<Arc<SourceFile>, Diagnostic> {
    let shown = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Arc::new(SourceFile { path: shown, text })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Err(Diagnostic::new(format!(
            "there is no `{shown}` in this directory"
        ))
        .hint(
            "run the command in a directory that has this file, name a file with `--config FILE`, or create a project \
                 with `tidegate init DIR`",
        )),
        Err(error) => Err(Diagnostic::new(format!("cannot read the configuration `{shown}`: {error}"))),
    }
}

pub(super) fn start_of(source: &Arc<SourceFile>) -> Place {
    Place { source: source.clone(), line: 1, column: 1, width: 1 }
}

/// Replaces `${NAME}` in the texts of the file with variables; `$${` stands for `${`. Values from the environment and
/// flags are not changed.
fn substitute(
    root: &mut Node,
    file: &Arc<SourceFile>,
    env: &BTreeMap<String, String>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    root.for_each_text(&mut |place, text| {
        if Arc::ptr_eq(&place.source, file) && text.contains("${") {
            match expand(text, env) {
                Ok(expanded) => *text = expanded,
                Err((message, hint)) => diagnostics.push(Diagnostic::at(place.clone(), message).hint(hint)),
            }
        }
    });
}

fn expand(text: &str, env: &BTreeMap<String, String>) -> Result<String, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out += &rest[..at];
            out += "{";
            rest = &rest[at + 2..];
            continue;
        }
        out += &rest[..at];
        let Some((name, after)) = rest[at + 2..].split_once('}') else {
            return Err(("`${` without a `}`".to_owned(), "write `$${` for a literal `${`".to_owned()));
        };
        match env.get(name).map(String::as_str) {
            Some("") => return Err((format!("environment variable `{name}` is empty"), how_to_set(name))),
            Some(value) => out += value,
            None => return Err((format!("environment variable `{name}` is not set"), how_to_set(name))),
        }
        rest = after;
    }
    Ok(out + rest)
}

fn how_to_set(name: &str) -> String {
    if super::DEV_SECRETS.contains(&name) {
        format!("`export {name}=\"$(openssl rand -base64 48)\"`, or run `tidegate dev`, which generates its own")
    } else {
        format!("`export {name}=…`")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Broker, Limits, Provider};

    const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";

    fn load(text: &str, env: &[(&str, &str)], overrides: &[Override]) -> Result<Config, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tidegate.yaml");
        std::fs::write(&file, text).unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(&file), env, overrides).map_err(|diagnostics| {
            let directory = format!("{}/", directory.path().display());
            diagnostics.iter().map(|diagnostic| diagnostic_line(diagnostic).replace(&directory, "")).collect()
        })
    }

    fn diagnostic_line(diagnostic: &Diagnostic) -> String {
        let place = diagnostic.place.as_ref();
        let place = place.map(|place| format!("{}:{}:{} ", place.source.path, place.line, place.column));
        let hint = diagnostic.hint.as_ref().map(|hint| format!(" ({hint})"));
        format!("{}{}{}", place.unwrap_or_default(), diagnostic.message, hint.unwrap_or_default())
    }

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
    }

    fn dev_secrets() -> [(String, String); 2] {
        crate::config::DEV_SECRETS.map(|name| (name.to_owned(), format!("{name} {SECRET}")))
    }

    #[test]
    fn the_shipped_file_shows_every_key_at_its_default() {
        let file = shipped().join("tidegate.yaml");
        let mut config = Config::load(Some(&file), dev_secrets(), &[]).unwrap();
        assert_eq!(config.auth.providers.len(), 1);
        assert_eq!(config.api_keys.0.len(), 1);
        config.auth.providers.clear();
        config.api_keys.0.clear();
        let mut default = Config::default();
        let Config { channels, plugins, plugin_quarantine, bridge, .. } = &mut default;
        for path in [channels, plugins, plugin_quarantine, bridge] {
            *path = join(&shipped(), path);
        }
        default.store = StorePlace::Sqlite(join(&shipped(), Path::new("../tidegate.db")));
        assert_eq!(config, default);
        let text = std::fs::read_to_string(&file).unwrap();
        let schema = crate::config::schema();
        let sections = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        for key in sections.filter_map(|section| section["properties"].as_object()).flat_map(|keys| keys.keys()) {
            assert!(text.contains(&format!("{key}:")), "`{key}` is missing from config/tidegate.yaml");
        }
    }

    #[test]
    fn the_committed_schema_is_the_one_of_the_types() {
        let committed = std::fs::read_to_string(shipped().join("tidegate.schema.json")).unwrap();
        let committed: serde_json::Value = serde_json::from_str(&committed).unwrap();
        assert_eq!(committed, crate::config::schema(), "run `tidegate schema --write`");
    }

    #[test]
    fn a_later_layer_wins() {
        let file = "listen: 127.0.0.1:1\nlimits: { payload: 1KiB, connections: 7 }\n";
        let env = [("TIDEGATE__LISTEN", "127.0.0.1:2"), ("TIDEGATE__LIMITS__PAYLOAD", "2KiB"), ("UNRELATED", "x")];
        let flag = Override { flag: "--listen", path: &["listen"], value: "127.0.0.1:3".to_owned() };
        let config = load(file, &env, &[flag]).unwrap();
        assert_eq!(config.listen.port(), 3);
        let limits = Limits { payload_bytes_max: 2048, connections_max: 7, ..Limits::default() };
        assert_eq!(config.limits, limits);
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(load("", &[], &[]).unwrap().limits, Limits::default());
    }

    #[test]
    fn an_unknown_key_is_an_error_in_each_layer_with_the_nearest_name() {
        let env = [("TIDEGATE__LIMITS__PAYLODA", "1KiB"), ("TIDEGATE____X", "1")];
        assert_eq!(
            load("listn: 127.0.0.1:1\n", &env, &[]).unwrap_err(),
            [
                "environment variable `TIDEGATE____X`:1:1 `TIDEGATE____X` does not name a key \
                 (join keys with two underscores: `TIDEGATE__LIMITS__PAYLOAD`)",
                "tidegate.yaml:1:1 unknown key `listn` (did you mean `listen`?)",
                "environment variable `TIDEGATE__LIMITS__PAYLODA`:1:1 unknown key `payloda` (did you mean `payload`?)",
            ]
        );
    }

    #[test]
    fn every_mistake_is_told_in_one_run() {
        let file = "listen: localhost\nlimits: { payload: much, connections: 0, frame: 1KiB }\nauth:\n  anonymous: maybe\n  \
                    origins: [https://App.example.com/]\n  providers:\n    - jwt: { secret: short }\napi_keys:\n  \
                    - { name: a, key: also-short }\nlog: { filter: tidegate=loud }\n";
        let flag = Override { flag: "--listen", path: &["listen"], value: "here".to_owned() };
        let told = load(file, &[], &[flag]).unwrap_err();
        let expected = [
            "flag `--listen`:1:1 `listen`: expected an IP address and a port like `127.0.0.1:3000`, found `here`",
            "`anonymous`: expected `allow` or `deny`, found `maybe`",
            "`payload`: expected a size like `64KiB`, or a number of bytes, found string \"much\"",
            "`connections`: expected at least 1",
            "`https://App.example.com/` is not a valid origin",
            "the secret has 5 bytes, but HS256 needs at least 32",
            "the key has 10 bytes, but needs at least 16",
            "log filter `tidegate=loud`",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for mistake in expected {
            assert!(told.iter().any(|line| line.contains(mistake)), "{mistake}: {told:#?}");
        }
    }

    #[test]
    fn a_variable_is_put_in_place_and_a_missing_one_is_told_once_with_the_way_out() {
        let file = "auth: { cookie: '${A}-$${B}', providers: [jwt: { secret: '${TIDEGATE_JWT_SECRET}' }] }";
        let config = load(file, &[("A", "a"), ("TIDEGATE_JWT_SECRET", SECRET)], &[]).unwrap();
        assert_eq!(config.auth.cookie, "a-${B}");
        let Provider::Jwt(jwt) = &config.auth.providers[0] else { panic!("{config:?}") };
        assert_eq!(jwt.secret.as_ref().map(crate::config::Secret::expose), Some(SECRET));
        let way_out = "(`export TIDEGATE_JWT_SECRET=\"$(openssl rand -base64 48)\"`, or run `tidegate dev`, which generates its own)";
        for (value, what) in [(None, "not set"), (Some(""), "empty")] {
            let env: Vec<_> =
                [("A", "a")].into_iter().chain(value.map(|value| ("TIDEGATE_JWT_SECRET", value))).collect();
            let expected = format!("tidegate.yaml:1:58 environment variable `TIDEGATE_JWT_SECRET` is {what} {way_out}");
            assert_eq!(load(file, &env, &[]).unwrap_err(), [expected]);
        }
    }

    #[test]
    fn the_store_is_a_file_named_from_the_configuration_or_a_server_or_in_memory() {
        let store = |value: &str| load(&format!("store: '{value}'"), &[], &[]).map(|config| config.store);
        assert_eq!(store("sqlite::memory:").unwrap(), StorePlace::Memory);
        assert_eq!(store("sqlite:/var/t.db").unwrap(), StorePlace::Sqlite("/var/t.db".into()));
        let StorePlace::Sqlite(path) = store("sqlite:keys/t.db").unwrap() else { panic!("in memory") };
        assert!(path.is_absolute() && path.ends_with("keys/t.db"), "{}", path.display());
        for env in ["sqlite::memory:", "'sqlite::memory:'"] {
            assert_eq!(load("", &[("TIDEGATE__STORE", env)], &[]).unwrap().store, StorePlace::Memory);
        }
        let told = load("store: sqlite::memory:", &[], &[]).unwrap_err();
        assert!(told[0].ends_with("(quote the whole value: `store: 'sqlite::memory:'`)"), "{told:#?}");
        let told = load("{ store: sqlite::memory: }", &[], &[]).unwrap_err();
        assert!(told[0].ends_with("end of a key (quote the whole value)"), "{told:#?}");
        let told = load("store:\n  sqlite::memory:", &[], &[]).unwrap_err();
        assert!(told[0].contains("as a key without a value"), "{told:#?}");
        for secret in
            ["store:\n  postgres://u:hunter2@h/d:", "api_keys:\n- name: a\n  key:\n    hunter2hunter2hunter2:"]
        {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), secret).unwrap();
            let told = Config::load(Some(file.path()), [], &[]).unwrap_err();
            let shown = told.iter().map(Diagnostic::render).collect::<String>();
            assert!(!shown.contains("hunter2") && shown.contains("quote"), "{shown}");
        }
        for wrong in ["sqlite:", "sqlite://t.db", "sqlite:t.db?mode=ro"] {
            let told = store(wrong).unwrap_err();
            assert!(told[0].contains("expected `sqlite:PATH`, `\"sqlite::memory:\"` or `postgres://"), "{told:#?}");
        }
        let env = [("DB_PASSWORD", "hunter2")];
        let config = load("store: 'postgresql://t:${DB_PASSWORD}@db/app?sslmode=require'", &env, &[]).unwrap();
        let StorePlace::Postgres(url) = &config.store else { panic!("{config:?}") };
        assert_eq!(url.expose(), "postgresql://t:hunter2@db/app?sslmode=require");
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        for wrong in ["postgres://t:hunter2@db", "postgres://t:hunter2@db/app?x=1", "mysql://t:hunter2@db/app"] {
            let told = store(wrong).unwrap_err();
            assert!(told[0].starts_with("tidegate.yaml:1:8 ") && !format!("{told:?}").contains("hunter2"), "{told:#?}");
        }
    }

    #[test]
    fn a_plugin_that_authenticates_knows_where_it_is_named() {
        let file = "auth:\n  providers:\n  - plugin: { name: my-auth, cookies: [sid] }\n";
        let config = load(file, &[], &[]).unwrap();
        let Provider::Plugin(plugin) = &config.auth.providers[0] else { panic!("{config:?}") };
        assert_eq!((plugin.name.as_str(), plugin.cookies.as_slice()), ("my-auth", &["sid".to_owned()][..]));
        assert_eq!(plugin.place.as_ref().map(|place| (place.line, place.column)), Some((3, 21)));
        assert!(!format!("{config:?}").contains("providers:\\n"), "the text of the file is no part of what is shown");
    }

    #[test]
    fn no_error_shows_a_secret() {
        let file = format!(
            "auth: {{ providers: [jwt: {{ algorithm: HS1, secret: {SECRET} }}] }}\napi_keys: [{{ key: 1234567, nam: x }}]\n"
        );
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tidegate.yaml");
        std::fs::write(&path, file).unwrap();
        let env = [("TIDEGATE__API_KEYS".to_owned(), "hunter2-hunter2".to_owned())];
        for env in [Vec::new(), env.to_vec()] {
            let shown: String =
                Config::load(Some(&path), env, &[]).unwrap_err().iter().map(|d| format!("{d:?}")).collect();
            assert!(shown.contains("HS1") && shown.contains("*******"), "{shown}");
            for secret in [SECRET, "1234567", "hunter2-hunter2"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn the_broker_is_one_node_a_redis_or_a_nats_whose_password_no_error_shows() {
        let broker = |value: &str| load(&format!("broker: '{value}'"), &[], &[]).map(|config| config.broker);
        assert_eq!(broker("memory").unwrap(), Broker::Memory);
        let Broker::Redis(url) = broker("rediss://:hunter2@redis.example.com/1").unwrap() else { panic!("memory") };
        assert_eq!(url.expose(), "rediss://:hunter2@redis.example.com/1");
        let Broker::Nats(url) = broker("nats://u:hunter2@a,nats://u:hunter2@b").unwrap() else { panic!("no NATS") };
        assert_eq!(url.to_string(), "nats://a:4222,nats://b:4222");
        let told = load("broker: 'nats://u:hunter2@h/x'", &[], &[]).unwrap_err();
        assert!(told[0].contains("expected `nats://[user:password@]host[:port]`") && !told[0].contains("hunter2"));
        for wrong in ["redis://u:hunter2@", "http://u:hunter2@h", "redis://u:hunter2@h/x", "valkey"] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), format!("broker: {wrong}\n")).unwrap();
            let told = Config::load(Some(file.path()), [], &[]).unwrap_err();
            let shown = told.iter().map(Diagnostic::render).collect::<String>();
            assert!(shown.contains("expected `redis://[user:password@]host[:port][/database]`"), "{shown}");
            assert!(shown.contains(":1:9") && !shown.contains("hunter2"), "{shown}");
        }
        let told = load("broker_prefix: 'a:b'", &[], &[]).unwrap_err();
        assert!(told[0].contains("expected 1 to 64 letters, digits, `-` or `_`"), "{told:#?}");
    }

    #[test]
    fn paths_of_the_file_are_relative_to_it_and_those_of_other_layers_to_the_working_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("config")).unwrap();
        let file = directory.path().join("config/tidegate.yaml");
        std::fs::write(&file, "channels: ../declared\n").unwrap();
        let env = [("TIDEGATE__PLUGINS".to_owned(), "here/plugins".to_owned())];
        let config = Config::load(Some(&file), env, &[]).unwrap();
        assert_eq!(config.channels, directory.path().join("declared"));
        assert_eq!(config.bridge, directory.path().join("config/bridge.yaml"));
        assert_eq!(config.plugins, Path::new("here/plugins"));
    }

    #[test]
    fn some_instances_are_left_for_others_than_authorizers() {
        let told = load("limits: { plugin_instances: 4, plugin_authorizer_instances: 4 }\n", &[], &[]).unwrap_err();
        assert_eq!(
            told,
            ["tidegate.yaml:1:61 `plugin_authorizer_instances` leaves no instance for other plugins \
              (`plugin_instances` is 4: reserve fewer, or leave it out to reserve one in eight)"]
        );
        let reserved = load("limits: { plugin_instances: 4, plugin_authorizer_instances: 0 }\n", &[], &[]).unwrap();
        assert_eq!(reserved.limits.plugin_authorizer_instances, Some(0));
    }

    #[test]
    fn a_list_has_no_keys_to_set_from_the_environment() {
        let env = [("TIDEGATE__AUTH__ORIGINS__0", "https://a"), ("TIDEGATE__AUTH__COOKIE", "c")];
        let told = load("auth: { origins: [] }\n", &env, &[]).unwrap_err();
        assert!(
            told[0].ends_with("`auth.origins` is a list, so it has no keys to set (set the whole list, like `[a, b]`)")
        );
        let env = [("TIDEGATE__AUTH__ORIGINS", "[https://a, https://b]")];
        assert_eq!(load("", &env, &[]).unwrap().auth.origins, ["https://a", "https://b"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_with_the_way_to_one() {
        let missing = Config::load(Some(Path::new("no/such.yaml")), [], &[]).unwrap_err();
        assert!(missing[0].message.starts_with("cannot read the configuration `no/such.yaml`: "));
    }
}
