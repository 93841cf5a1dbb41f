//! The inputs of a build: the build command, the files of the plugin's directory, files elsewhere that cargo read, and
//! the SDK that the command runs. A digest of them lies beside each component, so that nothing is built twice.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use sha2::{Digest as _, Sha256};

use super::build::{self, WASM_TARGET};
use crate::manifest::PluginManifest;
use crate::version::Digest;

/// How deep the walk through a directory goes.
const DEPTH_MAX: usize = 8;
/// Largest file that the digest covers by content, in bytes. A larger file counts by size and time.
const CONTENT_BYTES_MAX: u64 = 4 << 20;
/// Directories of build output.
const BUILD_TREES: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// The file that makes a directory a cargo package.
const CARGO_MANIFEST: &str = "Cargo.toml";
/// Files of a plugin that do not change its component: the manifest, except for its build command, and the golden
/// vectors, except for files that cargo read.
const MANIFEST: &str = "plugin.yaml";
const VECTORS: &str = "tests";
/// Files above a cargo package that change its build.
const ABOVE: [&str; 4] = ["Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml"];
/// The directory beside an SDK with code that SDKs share, and the contract above it.
const SHARED: &str = "componentize";
const CONTRACT: &str = "wit";
/// The format of the digest. A new number changes all digests.
const FORM: &str = "tidegate build 1";

/// The inputs of the build of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildInputs {
    /// The build command and the component's name.
    command: [String; 2],
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
    /// Whether the files elsewhere are known. Cargo lists them after a successful build.
    complete: bool,
}

impl BuildInputs {
    /// The inputs of the plugin in `dir`, which builds into `target_dir`. Left out are hidden files, build output
    /// (`target/`, `node_modules/`, `__pycache__/`), backups of editors, components, `plugin.yaml`, golden vectors, and
    /// files that the command writes (`> ../log`).
    #[must_use]
    pub fn of(dir: &Path, manifest: &PluginManifest, target_dir: &Path) -> Self {
        let command = manifest.build.clone().unwrap_or_default();
        let mut inputs = Self { command: [command.clone(), manifest.component.clone()], ..Self::default() };
        inputs.walk(dir, 0);
        inputs.files.remove(&dir.join(MANIFEST));
        let vectors = dir.join(VECTORS);
        let is_vector =
            |file: &Path| file.parent() == Some(&vectors) && file.extension().is_some_and(|it| it == "json");
        inputs.files.retain(|file| !is_vector(file));
        let words: Vec<&str> = command.split([' ', ';', '&', '|', '\'', '"']).filter(|word| !word.is_empty()).collect();
        let is_written = |at: usize| at > 0 && words[at - 1].ends_with('>');
        for (at, word) in words.iter().enumerate().filter(|(_, word)| word.starts_with("../")) {
            // The output of the build would start the next build.
            if !is_written(at) {
                inputs.add_sdk(&dir.join(word), dir);
            }
        }
        let dep_info = target_dir.join(WASM_TARGET).join("release").join(&manifest.component).with_extension("d");
        let is_cargo = dir.join(CARGO_MANIFEST).is_file();
        if let (true, Ok(text)) = (is_cargo, fs::read_to_string(dep_info)) {
            inputs.complete = true;
            for file in prerequisites(&text) {
                inputs.add_package_of(&file);
                inputs.add(file);
            }
            inputs.add_package_of(&dir.join(CARGO_MANIFEST));
            let above = dir.ancestors().flat_map(|above| ABOVE.map(|name| above.join(name)));
            inputs.files.extend(above.filter(|file| file.is_file()));
        } else {
            inputs.complete = !is_cargo;
        }
        inputs
    }

    /// Whether a path may be an input or a directory of inputs, by its name.
    #[must_use]
    pub fn may_hold(path: &Path) -> bool {
        // The links of a mounted volume (`..data`) lead to inputs.
        is_source(path) || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".."))
    }

    /// The directories of the files. A changed or new input changes one of them.
    #[must_use]
    pub const fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.directories
    }

    /// Whether all files are known. Files elsewhere are unknown before the first successful build.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// A digest of the command, of every file, and of the version of Rust if cargo builds.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut feed = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        feed(FORM.as_bytes());
        self.command.iter().for_each(|text| feed(text.as_bytes()));
        if self.command[0].contains(WASM_TARGET) {
            feed(rust_version().as_bytes());
        }
        for path in &self.files {
            feed(path.as_os_str().as_encoded_bytes());
            match fs::metadata(path) {
                Ok(metadata) if metadata.len() <= CONTENT_BYTES_MAX => feed(&fs::read(path).unwrap_or_default()),
                Ok(metadata) => feed(state(&metadata).as_bytes()),
                Err(_) => {}
            }
        }
        Digest::hexadecimal(&hash.finalize())
    }

    /// Whether a build from inputs with this digest made the component, and nobody changed it since.
    #[must_use]
    pub fn made(digest: &str, component: &Path) -> bool {
        let Ok(metadata) = fs::metadata(component) else { return false };
        fs::read_to_string(kept_beside(component)).is_ok_and(|kept| kept == note(digest, &metadata))
    }

    /// Writes the digest of the inputs beside the component.
    ///
    /// # Errors
    /// The error of the operating system; then the next `dev` builds the plugin again.
    pub fn keep(digest: &str, component: &Path) -> io::Result<()> {
        fs::write(kept_beside(component), note(digest, &fs::metadata(component)?))
    }

    fn walk(&mut self, directory: &Path, depth: usize) {
        self.directories.insert(directory.to_path_buf());
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_source(path)) {
            let Ok(kind) = fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) else { continue };
            if kind.is_dir() && depth < DEPTH_MAX {
                self.walk(&path, depth + 1);
            } else if kind.is_symlink() && path.is_dir() && depth < DEPTH_MAX {
                self.walk_link(&path, directory, depth);
            } else if !kind.is_dir() {
                self.files.insert(path);
            }
        }
    }

    /// Walks the directory behind a link, if it lies beside the link or below. Other directories do not belong to the
    /// plugin.
    fn walk_link(&mut self, link: &Path, directory: &Path, depth: usize) {
        let (Ok(real), Ok(home)) = (link.canonicalize(), directory.canonicalize()) else { return };
        if real.starts_with(&home) && real != home && !self.directories.contains(&real) {
            self.walk(&real, depth + 1);
        }
    }

    /// Adds a script elsewhere that the command names, and its SDK: the files beside and below the script, the code
    /// that SDKs share, the contract above. A script in build output, or in a directory around the plugin in `dir`, has
    /// no SDK.
    fn add_sdk(&mut self, script: &Path, dir: &Path) {
        if !script.is_file() {
            return;
        }
        self.add(script.to_path_buf());
        let is_built = |part: Component<'_>| BUILD_TREES.iter().any(|tree| part.as_os_str() == *tree);
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let is_around = |sdk: &Path| whole(dir).starts_with(whole(sdk));
        let sdk = script.parent().filter(|sdk| !sdk.components().any(is_built) && !is_around(sdk));
        let Some(sdk) = sdk else { return };
        self.walk(sdk, 0);
        let shared = sdk.join("..").join(SHARED);
        let contracts = ["../..", "../../.."].map(|above| sdk.join(above).join(CONTRACT));
        for directory in contracts.into_iter().chain([shared]).filter(|directory| directory.is_dir()) {
            self.walk(&directory, 0);
        }
    }

    fn add(&mut self, file: PathBuf) {
        self.directories.extend(file.parent().map(Path::to_path_buf));
        self.files.insert(file);
    }

    /// Adds the manifests above a file: of its package, and of its workspace.
    fn add_package_of(&mut self, file: &Path) {
        let manifests = file.ancestors().skip(1).map(|above| above.join(CARGO_MANIFEST));
        for manifest in manifests.filter(|manifest| manifest.is_file()).take(2).collect::<Vec<_>>() {
            self.add(manifest);
        }
    }
}

/// `.hello.wasm.built`: hidden, because no build reads it.
fn kept_beside(component: &Path) -> PathBuf {
    let name = component.file_name().unwrap_or_default().to_string_lossy();
    component.with_file_name(format!(".{name}.built"))
}

fn note(digest: &str, component: &Metadata) -> String {
    format!("{digest} {}\n", state(component))
}

/// Size and time of a file. Every build and every edit changes them.
fn state(file: &Metadata) -> String {
    let modified = file.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{} {}", file.len(), modified.as_nanos())
}

/// The version of Rust, read once.
fn rust_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(build::rust_version)
}

/// Whether a file is a source, and not left by builds, editors or version control.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_component = name.ends_with(".wasm") || name.ends_with(".wasm.new");
    !name.starts_with('.') && !name.ends_with('~') && !is_component && !BUILD_TREES.contains(&&*name)
}

/// The files after the first `: ` of cargo's dep-info, which writes a space of a path as `\ `.
/// <https://doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files>
fn prerequisites(dep_info: &str) -> Vec<PathBuf> {
    let Some((_, listed)) = dep_info.lines().next().and_then(|line| line.split_once(": ")) else { return Vec::new() };
    let mut files = vec![String::new()];
    let mut escaped = false;
    for letter in listed.chars() {
        match (letter, escaped) {
            ('\\', false) => escaped = true,
            (' ', false) => files.push(String::new()),
            (letter, was_escaped) => {
                if let Some(file) = files.last_mut() {
                    if was_escaped && letter != ' ' {
                        file.push('\\');
                    }
                    file.push(letter);
                }
                escaped = false;
            }
        }
    }
    files.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::read_manifest;
    use tidegate_core::config::SourceFile;

    fn sources(root: &Path) -> BuildInputs {
        let text = "component: p.wasm\nbuild: cargo build\n".to_owned();
        let manifest = read_manifest(&Arc::new(SourceFile { path: "plugin.yaml".to_owned(), text })).unwrap();
        BuildInputs::of(&root.join("p"), &manifest, &root.join("target"))
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn only_a_change_of_a_source_changes_the_fingerprint() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "p/src/main.py", "1");
        let first = sources(root.path()).digest();
        for built in ["p/p.wasm", "p/target/x", "p/node_modules/x/y.js", "p/.venv/z", "p/src/main.py~", "p/.main.swp"] {
            write(root.path(), built, "built");
        }
        // Files that do not change the component.
        for read in ["p/plugin.yaml", "p/tests/answers.json"] {
            write(root.path(), read, "read");
        }
        assert_eq!(sources(root.path()).digest(), first);
        write(root.path(), "p/src/more.py", "2");
        let second = sources(root.path()).digest();
        assert_ne!(second, first);
        write(root.path(), "p/src/main.py", "3");
        assert_ne!(sources(root.path()).digest(), second);
        write(root.path(), "p/tests/test_main.py", "4");
        assert_ne!(sources(root.path()).digest(), second);
    }

    #[test]
    fn what_links_inside_the_directory_lead_to_is_a_source_too() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "p/..1/src/main.py", "1");
        write(root.path(), "elsewhere/x.py", "1");
        for (to, link) in [("..1", "p/..data"), ("..data/src", "p/src"), (".", "p/again"), ("../elsewhere", "p/out")] {
            std::os::unix::fs::symlink(to, root.path().join(link)).unwrap();
        }
        let first = sources(root.path()).digest();
        write(root.path(), "elsewhere/x.py", "2");
        assert_eq!(sources(root.path()).digest(), first);
        write(root.path(), "p/..1/src/main.py", "2");
        assert_ne!(sources(root.path()).digest(), first);
        assert!(BuildInputs::may_hold(Path::new("p/..data")) && !BuildInputs::may_hold(Path::new("p/.git")));
    }

    #[test]
    fn the_sdk_that_a_build_runs_is_a_source_and_so_is_the_command() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "p/plugin.c", "1");
        for file in ["sdk/c/build.mjs", "sdk/c/call.c", "sdk/componentize/index.mjs", "sdk/go/abi.go"] {
            write(root.path(), file, "");
        }
        let of = |build: &str| {
            let text = format!("component: p.wasm\nbuild: {build}\n");
            let manifest = read_manifest(&Arc::new(SourceFile { path: "plugin.yaml".to_owned(), text })).unwrap();
            BuildInputs::of(&root.path().join("p"), &manifest, &root.path().join("target"))
        };
        let build = "node ../sdk/c/build.mjs plugin.c p.wasm handler";
        let first = of(build).digest();
        assert_ne!(of(&format!("{build} authorizer")).digest(), first);
        for file in ["sdk/c/call.c", "sdk/componentize/index.mjs"] {
            let before = of(build).digest();
            write(root.path(), file, "changed");
            assert_ne!(of(build).digest(), before, "{file}");
        }
        let before = of(build).digest();
        write(root.path(), "sdk/go/abi.go", "another language's");
        assert_eq!(of(build).digest(), before);
        write(root.path(), "target/release/other.wasm", "1");
        let copied = of("cp ../target/release/other.wasm p.wasm");
        write(root.path(), "target/release/more", "no source");
        assert_eq!(of("cp ../target/release/other.wasm p.wasm"), copied);
        let before = copied.digest();
        write(root.path(), "target/release/other.wasm", "2");
        assert_ne!(copied.digest(), before);
        write(root.path(), "build.log", "1");
        for build in ["sh build.sh > ../build.log", "sh build.sh 2>> ../build.log"] {
            let before = of(build).digest();
            write(root.path(), "build.log", build);
            assert_eq!(of(build).digest(), before, "{build}");
        }
        write(root.path(), "build.sh", "1");
        let before = of("sh ../build.sh").digest();
        write(root.path(), "another/plugin.c", "beside it");
        assert_eq!(of("sh ../build.sh").digest(), before);
    }

    #[test]
    fn a_component_is_made_of_its_sources_until_either_changes() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "p/main.py", "1");
        write(root.path(), "p/p.wasm", "component");
        let component = root.path().join("p/p.wasm");
        let digest = sources(root.path()).digest();
        assert!(!BuildInputs::made(&digest, &component), "nobody said so");
        BuildInputs::keep(&digest, &component).unwrap();
        assert!(BuildInputs::made(&digest, &component));
        assert_eq!(sources(root.path()).digest(), digest, "what is kept beside it is no source");
        assert!(!BuildInputs::made("another", &component));
        write(root.path(), "p/p.wasm", "another component");
        assert!(!BuildInputs::made(&digest, &component));
    }

    #[test]
    fn the_files_cargo_read_elsewhere_are_sources_once_it_told_them() {
        let root = tempfile::tempdir().unwrap();
        for file in ["p/Cargo.toml", "p/src/lib.rs", "s d k/src/lib.rs", "s d k/Cargo.toml", "wit/plugin.wit"] {
            write(root.path(), file, "");
        }
        assert!(!sources(root.path()).is_complete());
        let at = root.path().display();
        let told = format!("{at}/p.wasm: {at}/p/src/lib.rs {at}/s\\ d\\ k/src/lib.rs {at}/wit/plugin.wit\n");
        write(root.path(), "target/wasm32-wasip2/release/p.d", &told);
        let found = sources(root.path());
        assert!(found.is_complete());
        for file in ["p/Cargo.toml", "s d k/src/lib.rs", "s d k/Cargo.toml", "wit/plugin.wit"] {
            assert!(found.files.contains(&root.path().join(file)), "{file}: {found:?}");
        }
        assert!(found.directories().contains(&root.path().join("wit")));
    }
}
