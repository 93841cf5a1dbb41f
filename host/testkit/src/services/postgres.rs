//! `postgres`: from a template that is made once, with a password, because production has one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, directory, free_port, give_away, program, unprivileged};

const USER: &str = "tidegate";
const PASSWORD: &str = "a-postgres-password";

/// A PostgreSQL of one test. It keeps what it committed, killed or not, and would not survive the loss of the machine.
pub struct PostgresServer {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
}

impl PostgresServer {
    /// Starts one, with an empty database `tidegate`.
    pub fn start() -> Self {
        let mut server = Self { process: None, directory: directory("postgres"), port: 0 };
        copy(&template(), &server.data());
        give_away(&server.data());
        // Between asking for a free port and listening on it, another may take it.
        let started = (0..5).any(|_| {
            server.port = free_port();
            server.listen()
        });
        assert!(started, "postgres found no port");
        server.sql_in("postgres", "create database tidegate");
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn listen(&mut self) -> bool {
        let folder = self.directory.path();
        let state = self.data().join("postmaster.pid");
        // One that was killed left it behind.
        let _ = fs::remove_file(&state);
        let mut command = unprivileged(binary("postgres"), folder);
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=16MB"];
        // What was committed is with the operating system: it outlives the process.
        let quick = ["fsync=off", "full_page_writes=off", "log_min_messages=fatal"];
        settings.iter().chain(&quick).for_each(|setting| {
            command.args(["-c", setting]);
        });
        let mut process = Process::spawn(command, &folder.join("log"));
        // As `pg_ctl` finds out: the eighth line says so.
        let ready = || fs::read_to_string(&state).is_ok_and(|text| text.lines().nth(7).map(str::trim) == Some("ready"));
        let answers = process.answers(ready);
        if answers {
            self.process = Some(process);
        }
        answers
    }

    /// `postgres://tidegate:password@127.0.0.1:port/tidegate`: a superuser.
    pub fn url(&self) -> String {
        self.url_of("tidegate")
    }

    /// The URL of another database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port, which it keeps.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `psql` prints for statements, a row a line and its columns separated by `|`; fails when one does.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in("tidegate", statements)
    }

    fn sql_in(&self, database: &str, statements: &str) -> String {
        let output = self.psql_in(database).args(["-c", statements]).output().unwrap();
        assert!(output.status.success(), "{statements}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// `psql` as [`Self::sql`] runs it, for a session that stays open: it reads statements from its input.
    pub fn psql(&self) -> Command {
        self.psql_in("tidegate")
    }

    fn psql_in(&self, database: &str) -> Command {
        let mut command = Command::new(binary("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.url_of(database)]);
        command
    }

    /// SIGKILL, with every process of its own.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Ends it in order, cutting connections, unless it was killed, and starts it again on the same port.
    pub fn restart(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(Signal::INT);
        }
        assert!(self.listen(), "postgres does not start again");
    }

    /// It answers nothing, and its connections stay.
    pub fn freeze(&self) {
        self.process.as_ref().expect("it was killed").freeze();
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.process.as_ref().expect("it was killed").thaw();
    }
}

/// Debian keeps the programs of each version apart, off the path.
fn binary(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| {
        let version = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    let folders: Vec<PathBuf> = versions.into_iter().map(|path| path.join("bin")).collect();
    program(name, "postgresql", &folders)
}

/// `tmp/` of the target directory that the running test was built into.
fn kept_between_runs() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    // TARGET/PROFILE/deps/TEST
    let kept = program.ancestors().nth(3).unwrap().join("tmp");
    fs::create_dir_all(&kept).unwrap();
    kept
}

/// A fresh cluster, made once for all tests of this target directory: `initdb` takes a second or more.
fn template() -> PathBuf {
    let version = Command::new(binary("initdb")).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let version = version.split_whitespace().nth(2).unwrap_or("unknown");
    let kept = kept_between_runs();
    let template = kept.join(format!("postgres-{version}-template"));
    if template.exists() {
        return template;
    }
    let made = directory("initdb");
    let password = made.path().join("password");
    fs::write(&password, PASSWORD).unwrap();
    give_away(&password);
    let mut command = unprivileged(binary("initdb"), made.path());
    command.args(["-D", "data", "-U", USER, "--pwfile=password", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]);
    // A small log: a copy is quick.
    let output = command.args(["--wal-segsize=1", "--no-sync", "--no-instructions"]).output().unwrap();
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    // In one step: other tests look for it at the same time, and one of them comes first.
    let aside = tempfile::tempdir_in(&kept).unwrap();
    copy(&made.path().join("data"), &aside.path().join("data"));
    let _ = fs::rename(aside.path().join("data"), &template);
    template
}

/// Copies a tree; what is private stays private.
fn copy(from: &Path, into: &Path) {
    fs::create_dir(into).unwrap();
    fs::set_permissions(into, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = into.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
