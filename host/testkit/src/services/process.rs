//! A child process of a test: without the rights of root, with its output in a file, stopped and killed with its own children.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longer than any server takes to start or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first port for a server of a test; the system's own servers have those below.
const PORT_MIN: u16 = 12_000;
/// How often is looked whether something has happened.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A server that runs. Dropped, it is killed.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it, with its output at the end of `log`.
    pub(super) fn spawn(mut command: Command, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let errors = output.try_clone().unwrap();
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Waits until it answers. `false` when it ended before: its port was taken, as a rule.
    pub(super) fn answers(&mut self, ready: impl Fn() -> bool) -> bool {
        let mut ended = false;
        wait_until(&self.log, || {
            ended = self.child.try_wait().unwrap().is_some();
            ended || ready()
        });
        !ended
    }

    /// Stops it, and every child of its own: it keeps its connections and answers nothing.
    pub(super) fn freeze(&self) {
        // First itself: what does not run makes no more children.
        self.signal(Signal::STOP);
        // Its threads stop when they are scheduled next: until then they still answer.
        wait_until(&self.log, || is_stopped(self.child.id()));
        self.signal_children(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        self.signal_children(Signal::CONT);
        self.signal(Signal::CONT);
    }

    /// Ends it with this signal, and waits for it.
    pub(super) fn end(mut self, signal: Signal) {
        self.thaw();
        self.signal(signal);
        wait_until(&self.log, || self.child.try_wait().unwrap().is_some());
    }

    /// Kills it and its children: nothing is said, nothing is put in order.
    pub(super) fn kill(&mut self) {
        self.freeze();
        let children = children(self.child.id());
        for child in &children {
            send(*child, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // They hold the memory that the next one of the same directory would share.
        wait_until(&self.log, || !children.iter().any(|child| is_alive(*child)));
    }

    fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    fn signal_children(&self, signal: Signal) {
        for child in children(self.child.id()) {
            send(child, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

fn send(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = kill_process(pid, signal);
    }
}

/// The state and the parent of a process, from `/proc/PID/stat`.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether it runs, or is stopped; one that ended and whose parent has not asked yet is not alive.
fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Whether no thread of it runs.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    let mut states = threads.flatten().filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    });
    states.all(|state| matches!(state, 'T' | 't' | 'Z' | 'X'))
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id| stat(*id).is_some_and(|(_, of)| of == parent)).collect()
}

/// Looks again and again, and fails with what a server wrote when it takes too long.
pub(super) fn wait_until(log: &Path, mut happened: impl FnMut() -> bool) {
    let started = SystemTime::now();
    while !happened() {
        let waited = started.elapsed().unwrap_or_default();
        assert!(waited < PATIENCE, "nothing for {waited:?}\n{}", fs::read_to_string(log).unwrap_or_default());
        sleep(LOOK_INTERVAL);
    }
}

/// A port of 127.0.0.1 that nobody listens on now, and that the system gives to no outgoing connection: while a server is
/// down, nothing takes its port. Who looks for a server that is down could even be connected to itself.
pub(super) fn free_port() -> u16 {
    let first_of_system = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(32_768);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    if first_of_system <= PORT_MIN {
        return TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    }
    let ports = std::iter::repeat_with(|| {
        // Of the standard library; each of its hashers is made with keys of its own.
        let random = RandomState::new().hash_one(std::process::id());
        PORT_MIN + u16::try_from(random % u64::from(first_of_system - PORT_MIN)).unwrap()
    });
    ports.take(1_000).find(is_free).expect("no port is free")
}

/// Where a program is: on the path, or where distributions hide it.
pub(super) fn program(name: &str, package: &str, elsewhere: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(elsewhere.iter().cloned()).map(|folder| folder.join(name));
    places.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("`{name}` is not installed\nhint: `tests/run.sh rust` installs it, or: apt-get install {package}")
    })
}

/// A command, run without the rights of root: servers refuse them.
pub(super) fn unprivileged(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some((user, group)) = nobody() {
        command.uid(user).gid(group);
    }
    command
}

/// A directory that an unprivileged server may write to.
pub(super) fn directory(what: &str) -> TempDir {
    let directory = tempfile::Builder::new().prefix(&format!("tidegate-{what}-")).tempdir().unwrap();
    give_away(directory.path());
    directory
}

/// Gives a tree to the user that servers run as.
pub(super) fn give_away(path: &Path) {
    let Some((user, group)) = nobody() else { return };
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give_away(&entry.unwrap().path()));
    }
}

/// Whom root becomes; `None` for anybody else.
fn nobody() -> Option<(u32, u32)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<&str> = users.lines().find(|line| line.starts_with("nobody:"))?.split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}
