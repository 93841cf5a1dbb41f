//! `nats-server` with JetStream: with a password, because production has one.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, directory, free_port, program};

const USER: &str = "tidegate";
const PASSWORD: &str = "a-nats-password";

/// The version that `tests/run.sh` installs.
const VERSION: &str = "2.15.1";

/// A NATS server of one test.
pub struct NatsServer {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
    is_persistent: bool,
}

impl NatsServer {
    /// Starts one that forgets everything when it ends.
    pub fn start() -> Self {
        Self::begin(false)
    }

    /// Starts one that keeps every write that it answered, killed or not.
    pub fn persistent() -> Self {
        Self::begin(true)
    }

    fn begin(is_persistent: bool) -> Self {
        let mut server = Self { process: None, directory: directory("nats"), port: 0, is_persistent };
        // Between asking for a free port and listening on it, another may take it.
        let started = (0..5).any(|_| {
            server.port = free_port();
            server.listen()
        });
        assert!(started, "nats-server found no port");
        server
    }

    fn listen(&mut self) -> bool {
        let folder = self.directory.path();
        let store = folder.join("jetstream");
        if !self.is_persistent {
            let _ = fs::remove_dir_all(&store);
        }
        let settings = folder.join("nats.conf");
        let sync = if self.is_persistent { "sync_interval: always" } else { "" };
        let text = format!(
            "listen: \"127.0.0.1:{}\"\nauthorization {{ user: {USER}, password: \"{PASSWORD}\" }}\n\
             jetstream {{ store_dir: {store:?}, {sync} }}\n",
            self.port
        );
        fs::write(&settings, text).unwrap();
        // It does not mind the rights of root, and its program may lie where nobody else may read.
        let mut command = Command::new(program("nats-server", "nats-server", &[installed()]));
        command.current_dir(folder).arg("-c").arg(&settings);
        let mut process = Process::spawn(command, &folder.join("log"));
        let answers = process.answers(|| pong(self.port).is_some());
        if answers {
            self.process = Some(process);
        }
        answers
    }

    /// `nats://tidegate:password@127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Its port, which it keeps.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Ends it in order, unless it was killed, and starts it again on the same port.
    pub fn restart(&mut self) {
        if let Some(process) = self.process.take() {
            process.end(Signal::TERM);
        }
        assert!(self.listen(), "nats-server does not start again");
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

/// Where `tests/run.sh` puts the program.
fn installed() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_default();
    cache.join(format!("tidegate/nats-server-{VERSION}/bin"))
}

/// Whether it answers.
fn pong(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let hello = format!(r#"CONNECT {{"verbose":false,"user":"{USER}","pass":"{PASSWORD}"}}"#);
    stream.write_all(format!("{hello}\r\nPING\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    let mut part = [0; 2048];
    // `INFO {…}` comes first.
    while !answer.ends_with(b"PONG\r\n") {
        let read = stream.read(&mut part).ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&part[..read]);
    }
    Some(())
}
