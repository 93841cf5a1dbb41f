//! A project of its own for each test: a configuration and channels in a directory that goes with the test.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tidegate_core::config::SourceFile;
use tidegate_wasm::{BuildOutput, Digest, Fingerprint, build, ensure_wasm_target, read_manifest};

const CONFIG: &str = "\
auth:
  providers:
    - jwt: { secret: '${TIDEGATE_JWT_SECRET}' }
api_keys:
  - { name: backend, key: '${TIDEGATE_API_KEY}' }
";

const ROOM: &str = "\
feature: room
channels:
  room.{roomId}:
    description: Where people talk.
    scope: authenticated
    payload:
      type: object
      required: [text]
      properties: { text: { type: string } }
      additionalProperties: false
    inbound: { relay: others, rate: 20/s }
  inbox.{userId}:
    scope: { user: userId }
    payload: { type: object }
  news:
    scope: public
    payload: { type: object }
  desk:
    scope: { roles: [editor, admin] }
    payload: { type: object }
";

const BRIDGE: &str = "rules:\n  - on: article.published\n    to: news\n";

/// A directory and an environment to run `tidegate` in.
pub(crate) struct Project {
    directory: TempDir,
    env: Vec<(String, String)>,
    hidden: Vec<(String, String)>,
}

/// What a command said.
pub(crate) struct Output {
    /// The exit code.
    pub(crate) exit: Option<i32>,
    /// Its answer.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that goes on.
pub(crate) struct Server {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    /// Where it serves.
    pub(crate) project: Project,
}

impl Project {
    /// Nothing at all.
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), env: Vec::new(), hidden: Vec::new() }
    }

    /// Four channels, a bridge rule, and the secrets set.
    pub(crate) fn new() -> Self {
        let secret = "a secret of thirty-two bytes and more";
        let project = Self::empty().env("TIDEGATE_JWT_SECRET", secret).env("TIDEGATE_API_KEY", secret);
        std::fs::create_dir(project.directory.path().join("plugins")).unwrap();
        project
            .write("config/tidegate.yaml", CONFIG)
            .write("channels/room.yaml", ROOM)
            .write("config/bridge.yaml", BRIDGE)
    }

    pub(crate) fn without_secrets(mut self) -> Self {
        self.env.clear();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Shows `text` as `name`: what differs between runs.
    pub(crate) fn hide(mut self, text: &str, name: &str) -> Self {
        self.hidden.push((text.to_owned(), name.to_owned()));
        self
    }

    pub(crate) fn write(self, path: &str, text: &str) -> Self {
        self.replace(path, text);
        self
    }

    pub(crate) fn write_bytes(self, path: &str, bytes: &[u8]) -> Self {
        self.put(path, bytes);
        self
    }

    /// Writes a file while a server runs.
    pub(crate) fn replace(&self, path: &str, text: &str) {
        self.put(path, text.as_bytes());
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A shipped plugin, built from source, in the project's `plugins/`.
    pub(crate) fn with_plugin(self, name: &str) -> Self {
        let manifest = committed(&format!("plugins/{name}/plugin.yaml"));
        self.with_built(name, &format!("plugins/{name}"), &manifest)
    }

    /// A guest of the plugin tests, built from source, in the project's `plugins/`.
    pub(crate) fn with_guest(self, name: &str, manifest: &str) -> Self {
        self.with_built(name, &format!("tests/plugins/guests/{name}"), manifest)
    }

    fn with_built(self, name: &str, from: &str, text: &str) -> Self {
        static BUILDING: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _one_at_a_time = BUILDING.lock().unwrap();
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(from);
        let source = SourceFile { path: "plugin.yaml".to_owned(), text: text.to_owned() };
        let manifest = read_manifest(&source.into()).unwrap();
        ensure_wasm_target(&directory).unwrap();
        let report =
            build(&directory, &manifest, &Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"), BuildOutput::Inherit)
                .unwrap();
        let component = std::fs::read(report.component).unwrap();
        // Builds differ from machine to machine, by their paths.
        let digest = Digest::of(&component);
        let version = Fingerprint::of(text, &component).version();
        let hidden =
            self.hide(digest.as_str(), "DIGEST").hide(digest.short(), "DIGEST").hide(&version.short(), "VERSION");
        let to = format!("plugins/{name}");
        let project = hidden.write(&format!("{to}/plugin.yaml"), text);
        std::fs::write(project.directory.path().join(&to).join(&manifest.component), component).unwrap();
        project
    }

    /// The golden vectors of a shipped plugin.
    pub(crate) fn with_vectors(self, name: &str) -> Self {
        let directory = format!("plugins/{name}/tests");
        let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let paths = names.map(|name| format!("{directory}/{name}"));
        paths.fold(self, |project, path| project.write(&path, &committed(&path)))
    }

    /// Where a file of the project is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(path)).unwrap()
    }

    /// Every file with its text, by path; what is no text by its size.
    pub(crate) fn listing(&self) -> Vec<(String, String)> {
        let (mut files, mut waiting) = (Vec::new(), vec![self.directory.path().to_path_buf()]);
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap();
                    let size = bytes.len();
                    let text = String::from_utf8(bytes).unwrap_or_else(|_| format!("{size} bytes"));
                    files.push((path.display().to_string(), text));
                }
            }
        }
        files.sort();
        files
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.output(&mut self.command(arguments))
    }

    /// Runs a command in a folder of the project.
    pub(crate) fn run_in(&self, folder: &str, arguments: &[&str]) -> Output {
        self.output(self.command(arguments).current_dir(self.path(folder)))
    }

    /// Runs a command that finds no other program.
    pub(crate) fn run_alone(&self, arguments: &[&str]) -> Output {
        self.output(self.command(arguments).env("PATH", self.path("no-programs")))
    }

    /// Runs a command whose standard output nobody reads any more.
    pub(crate) fn run_unread(&self, arguments: &[&str]) -> Output {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.output(self.command(arguments).stdout(writer))
    }

    /// Runs a command of which nobody reads anything any more; its exit code.
    pub(crate) fn run_unheard(&self, arguments: &[&str]) -> Option<i32> {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(arguments);
        command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap().code()
    }

    fn output(&self, command: &mut Command) -> Output {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            let text = self.hidden.iter().fold(text, |text, (hidden, name)| text.replace(hidden, name));
            without_measures(&text)
        };
        Output { exit: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn spawn(self, arguments: &[&str]) -> Server {
        let mut child = self.command(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Server { child, stderr, project: self }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        let inherited = std::env::vars().map(|(name, _)| name);
        for name in inherited.filter(|name| name.starts_with("TIDEGATE") || name == "RUST_LOG" || name == "COLUMNS") {
            command.env_remove(name);
        }
        command.env("TIDEGATE__PLUGIN_CACHE", self.directory.path().join("cache"));
        command.envs(self.env.iter().cloned());
        command
    }
}

impl Output {
    /// All of it, as a snapshot keeps it.
    pub(crate) fn shown(&self) -> String {
        let exit = self.exit.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
        format!("exit: {exit}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

impl Server {
    /// Reads the log until a line holds the text, and returns the line.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while self.stderr.read_line(&mut seen).unwrap() > 0 {
            if let Some(line) = seen.lines().next_back().filter(|line| line.contains(text)) {
                return line.to_owned();
            }
        }
        panic!("`{text}` was not logged before the end: {seen}");
    }

    /// Ends it as SIGTERM does, and starts another over the same files.
    pub(crate) fn restart(mut self, arguments: &[&str]) -> Self {
        let project = std::mem::replace(&mut self.project, Project::empty());
        assert_eq!(self.terminate(), Some(0));
        project.spawn(arguments)
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.end()
    }

    /// The same, with the project's files kept.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already, if the test got so far.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `36.2 ms` as `TIME`, `84.3 KiB` as `SIZE`: what differs from machine to machine.
fn without_measures(text: &str) -> String {
    let mut shown = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            shown.push('\n');
        }
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in (1..words.len()).rev() {
            let (unit, tail) = words[at].split_at(words[at].trim_end_matches([',', '.', ';', ')']).len());
            let name = match unit {
                "µs" | "ms" | "s" => "TIME",
                "B" | "KiB" | "MiB" => "SIZE",
                _ => continue,
            };
            let (opening, number) =
                words[at - 1].split_at(words[at - 1].len() - words[at - 1].trim_start_matches('(').len());
            if number.contains('.') && number.parse::<f64>().is_ok() {
                words[at - 1] = format!("{opening}{name}{tail}");
                words.remove(at);
            }
        }
        shown.push_str(&words.join(" "));
    }
    shown
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository.
pub(crate) fn committed(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}
