//! `redis-server`: with a password, because production has one.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, directory, free_port, program, unprivileged};

const PASSWORD: &str = "a-redis-password";

/// A Redis of one test.
pub struct RedisServer {
    process: Option<Process>,
    directory: TempDir,
    port: u16,
    is_persistent: bool,
}

impl RedisServer {
    /// Starts one that forgets everything when it ends.
    pub fn start() -> Self {
        Self::begin(false)
    }

    /// Starts one that keeps every write that it answered, killed or not.
    pub fn persistent() -> Self {
        Self::begin(true)
    }

    fn begin(is_persistent: bool) -> Self {
        let mut server = Self { process: None, directory: directory("redis"), port: 0, is_persistent };
        // Between asking for a free port and listening on it, another may take it.
        let started = (0..5).any(|_| {
            server.port = free_port();
            server.listen()
        });
        assert!(started, "redis-server found no port");
        server
    }

    fn listen(&mut self) -> bool {
        let folder = self.directory.path();
        let mut command = unprivileged(program("redis-server", "redis-server", &[]), folder);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--requirepass", PASSWORD]);
        command.args(["--save", "", "--daemonize", "no", "--dir"]).arg(folder);
        let (append_only, sync) = if self.is_persistent { ("yes", "always") } else { ("no", "no") };
        command.args(["--appendonly", append_only, "--appendfsync", sync]);
        let mut process = Process::spawn(command, &folder.join("log"));
        let answers = process.answers(|| pong(self.port).is_some());
        if answers {
            self.process = Some(process);
        }
        answers
    }

    /// `redis://default:password@127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://default:{PASSWORD}@127.0.0.1:{}", self.port)
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
        assert!(self.listen(), "redis-server does not start again");
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

/// Whether it answers, and has loaded what it kept.
fn pong(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("AUTH {PASSWORD}\r\nPING\r\n").as_bytes()).ok()?;
    let expected = b"+OK\r\n+PONG\r\n";
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    (answer == *expected).then_some(())
}
