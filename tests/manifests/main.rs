//! Golden pairs: each directory of `cases/` is a channels directory, with what `compile` makes of it in `expected.txt`.
//!
//! A case holds `*.yaml` manifests, `schemas/…`, `bridge.yaml` if it has one, and `plugins.txt` (a line each: a name
//! and what it exports, or `did-not-load`) if it has any, `ack_bytes.txt` (`limits.ack_bytes`), and
//! `teams.txt` (the `teams:` of a configuration) with `features.txt` (a line each: a plugin, and the feature that its
//! `plugin.yaml` names). `TIDEGATE_UPDATE=1 cargo test --workspace --test manifests` writes what is expected anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its case has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_core::channels::{
    self, Catalog, Channel, DeliveryPolicy, HistoryPolicy, InboundAction, Keeping, PluginKind, PluginKinds, Sources,
};
use tidegate_core::config::{Config, SourceFile};
use tidegate_core::protocol::{Generation, PluginName};

#[path = "../fuzz/bodies.rs"]
mod bodies;
mod holes;
mod nothing;

mod answers;
mod patterns;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn updating() -> bool {
    std::env::var_os("TIDEGATE_UPDATE").is_some()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Compares with the file, or writes it.
fn assert_golden(path: &Path, found: &str) -> Result<(), String> {
    if updating() {
        std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == found { Ok(()) } else { Err(format!("{}:\n{found}\n", path.display())) }
}

/// A channels directory, read.
fn sources(directory: &Path) -> Sources {
    let file = |path: &Path, shown: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        Arc::new(SourceFile { path: shown.to_owned(), text })
    };
    let mut sources = Sources::default();
    for path in entries(directory) {
        let shown = name(&path);
        if shown == "bridge.yaml" {
            sources.bridge = Some(file(&path, shown));
        } else if shown == "ack_bytes.txt" {
            sources.ack_bytes_max = Some(std::fs::read_to_string(&path).unwrap().trim().parse().unwrap());
        } else if shown == "teams.txt" {
            sources.teams = Config::load(Some(&path), [], &[]).unwrap().teams;
        } else if shown == "features.txt" {
            let text = std::fs::read_to_string(&path).unwrap();
            let pair = |line: &str| line.split_once(' ').map(|(plugin, of)| (PluginName::new(plugin), of.to_owned()));
            sources.features = text.lines().filter_map(pair).collect();
        } else if shown.ends_with(".yaml") {
            sources.manifests.push(file(&path, shown));
        } else if shown == "plugins.txt" {
            let text = std::fs::read_to_string(&path).unwrap();
            sources.plugins = plugins(&text);
            let broken = text.lines().filter_map(|line| line.strip_suffix(" did-not-load"));
            sources.unloadable = broken.map(PluginName::new).collect();
            sources.plugins.retain(|name, _| !sources.unloadable.contains(name));
        }
    }
    for path in entries(&directory.join("schemas")) {
        let shown = format!("schemas/{}", name(&path));
        sources.schemas.insert(shown.clone(), file(&path, &shown));
    }
    sources
}

fn plugins(text: &str) -> BTreeMap<PluginName, PluginKinds> {
    let plugin = |line: &str| {
        let mut words = line.split_whitespace();
        let name = PluginName::new(words.next().unwrap());
        let kinds: Vec<&str> = words.collect();
        (name, PluginKind::ALL.into_iter().filter(|kind| kinds.contains(&kind.as_str())).collect())
    };
    text.lines().map(plugin).collect()
}

fn show(catalog: &Catalog, plugins: &[PluginName]) -> String {
    let mut out = String::new();
    for channel in catalog.channels() {
        write!(out, "{} ({}): {:?}", channel.template, channel.feature, channel.scope).unwrap();
        if let Some(authorizer) = &channel.authorizer {
            write!(out, ", authorizer {authorizer}").unwrap();
        }
        if let Some(snapshot) = &channel.snapshot {
            write!(out, ", snapshot {snapshot}").unwrap();
        }
        if let Some(Keeping { keys_max, bytes_max, ttl, .. }) = channel.retain {
            write!(out, ", retains {keys_max} in {bytes_max} bytes for {ttl:?}").unwrap();
        }
        if let Some(HistoryPolicy { messages_max, bytes_max, ttl }) = channel.history {
            write!(out, ", history {messages_max} in {bytes_max} bytes for {ttl:?}").unwrap();
        }
        if channel.delivery != DeliveryPolicy::default() {
            write!(out, ", {:?}", channel.delivery).unwrap();
        }
        if let Some(inbound) = &channel.inbound {
            match &inbound.action {
                InboundAction::Handler(plugin) => write!(out, ", handler {plugin}").unwrap(),
                InboundAction::Relay { others_only } => write!(out, ", relay others_only={others_only}").unwrap(),
            }
            if let Some(rate) = inbound.rate {
                write!(out, ", {} in {:?}", rate.messages, rate.per).unwrap();
            }
        }
        out.push('\n');
    }
    for rule in catalog.bridge().rules() {
        let id = rule.id();
        let does = match id {
            _ if id.publishes() => "->",
            _ if id.revokes => "revokes",
            _ if id.removes => "removes from",
            _ => "by",
        };
        write!(out, "{} {does} {}", id.on, id.to).unwrap();
        if let Some(transform) = rule.transform() {
            write!(out, " by {transform}").unwrap();
        }
        out.push('\n');
    }
    for (_, name, team) in catalog.teams().iter() {
        let own = |channel: &&Arc<Channel>| channel.team.is_some_and(|id| catalog.teams().name(id) == name);
        let channels: Vec<&str> = catalog.channels().filter(own).map(|channel| channel.template.as_str()).collect();
        let own =
            |plugin: &&PluginName| catalog.team_of_plugin(plugin).is_some_and(|id| catalog.teams().name(id) == name);
        let plugins: Vec<&str> = plugins.iter().filter(own).map(PluginName::as_str).collect();
        writeln!(out, "team {name} of {}: {channels:?} {plugins:?}", team.features.join(", ")).unwrap();
    }
    for note in catalog.notes() {
        write!(out, "\n{}", note.render_as("note")).unwrap();
    }
    out
}

#[test]
fn every_case_compiles_to_what_is_expected() {
    let cases = entries(&root().join("tests/manifests/cases"));
    assert!(cases.len() > 30, "{} cases", cases.len());
    let mut failures = String::new();
    for case in cases {
        let sources = sources(&case);
        let plugins: Vec<PluginName> = sources.plugins.keys().cloned().collect();
        let found = match channels::compile(&sources, Generation(1)) {
            Ok(catalog) => show(&catalog, &plugins),
            Err(diagnostics) => diagnostics.iter().map(|d| d.render()).collect::<Vec<_>>().join("\n"),
        };
        // The configuration's file is read from where it is.
        let found = found.replace(&format!("{}/", case.display()), "");
        if let Err(failure) = assert_golden(&case.join("expected.txt"), &found) {
            failures += &failure;
        }
    }
    assert!(failures.is_empty(), "not as expected; TIDEGATE_UPDATE=1 writes it anew\n{failures}");
}

#[test]
fn the_shipped_manifests_and_bridge_table_compile() {
    let mut shipped = sources(&root().join("channels"));
    let bridge = std::fs::read_to_string(root().join("config/bridge.yaml")).unwrap();
    shipped.bridge = Some(Arc::new(SourceFile { path: "config/bridge.yaml".to_owned(), text: bridge }));
    shipped.schemas.retain(|path, _| path.ends_with(".json"));
    shipped.plugins = plugins("ping handler\nvault-members authorizer");
    let catalog = channels::compile(&shipped, Generation(1))
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.iter().map(|d| d.render()).collect::<String>()));
    assert_eq!(catalog.channels().len(), 4);
    assert_eq!(catalog.bridge().rules().len(), 2);
}

#[test]
fn the_committed_schemas_for_editors_are_those_of_the_types() {
    let committed = [
        ("channels/channel.schema.json", channels::manifest_schema()),
        ("config/bridge.schema.json", channels::bridge_schema()),
    ];
    for (path, schema) in committed {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        assert_golden(&root().join(path), &text)
            .unwrap_or_else(|_| panic!("{path} is stale, TIDEGATE_UPDATE=1 renews it"));
    }
}

#[test]
fn the_schema_for_editors_takes_every_case_that_compiles() {
    let schema = jsonschema::validator_for(&channels::manifest_schema()).unwrap();
    let bridge = jsonschema::validator_for(&channels::bridge_schema()).unwrap();
    let mut taken = 0;
    for case in entries(&root().join("tests/manifests/cases")) {
        let sources = sources(&case);
        if channels::compile(&sources, Generation(1)).is_err() {
            continue;
        }
        let json = |file: &Arc<SourceFile>| tidegate_core::config::parse_yaml(file, &mut Vec::new()).unwrap().to_json();
        for manifest in &sources.manifests {
            schema.validate(&json(manifest)).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
            taken += 1;
        }
        if let Some(table) = &sources.bridge {
            bridge.validate(&json(table)).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
        }
    }
    assert!(taken > 0);
}

#[test]
fn the_corpus_of_the_fuzz_targets_does_no_harm() {
    for path in entries(&root().join("tests/fuzz/corpus/manifests")) {
        bodies::manifests(&std::fs::read(path).unwrap());
    }
    for path in entries(&root().join("tests/fuzz/corpus/envelope")) {
        bodies::envelope(&std::fs::read(path).unwrap());
    }
    for path in entries(&root().join("tests/fuzz/corpus/words")) {
        bodies::words(&std::fs::read(path).unwrap());
    }
}
