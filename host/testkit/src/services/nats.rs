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

use super::cable::Cable;
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
    /// Its part of a cluster, as its configuration has it.
    cluster: String,
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
        let mut server = Self::new(is_persistent, String::new());
        // Between asking for a free port and listening on it, another may take it.
        let started = (0..5).any(|_| {
            server.port = free_port();
            server.listen()
        });
        assert!(started, "nats-server found no port");
        server
    }

    fn new(is_persistent: bool, cluster: String) -> Self {
        Self { process: None, directory: directory("nats"), port: free_port(), is_persistent, cluster }
    }

    fn listen(&mut self) -> bool {
        let mut process = self.spawn();
        let answers = process.answers(|| pong(self.port).is_some());
        if answers {
            self.process = Some(process);
        }
        answers
    }

    fn spawn(&self) -> Process {
        let folder = self.directory.path();
        let store = folder.join("jetstream");
        if !self.is_persistent {
            let _ = fs::remove_dir_all(&store);
        }
        let settings = folder.join("nats.conf");
        // In a cluster the others have what one of them loses.
        let sync = if self.is_persistent && self.cluster.is_empty() { "sync_interval: always" } else { "" };
        let text = format!(
            "listen: \"127.0.0.1:{}\"\nauthorization {{ user: {USER}, password: \"{PASSWORD}\" }}\n\
             jetstream {{ store_dir: {store:?}, {sync} }}\n{}",
            self.port, self.cluster
        );
        fs::write(&settings, text).unwrap();
        // It does not mind the rights of root, and its program may lie where nobody else may read.
        let mut command = Command::new(program("nats-server", "nats-server", &[installed()]));
        command.current_dir(folder).arg("-c").arg(&settings);
        Process::spawn(command, &folder.join("log"))
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

/// Three NATS servers that are one cluster and keep what they have. The third can be cut off from the other two.
pub struct NatsCluster {
    servers: Vec<NatsServer>,
    cables: Vec<Cable>,
}

impl NatsCluster {
    /// Starts them.
    pub fn start() -> Self {
        (0..5).find_map(|_| Self::begin()).expect("nats-server found no ports")
    }

    fn begin() -> Option<Self> {
        let ports = [free_port(), free_port(), free_port()];
        let cables: Vec<Cable> = ports.iter().map(|port| Cable::to(*port)).collect();
        // The first two reach each other without a cable; each reaches the third by one, and the third both.
        let route = |from: usize, to: usize| if from.max(to) == 2 { cables[to].port() } else { ports[to] };
        let servers = (0..3).map(|at| {
            let routes: Vec<String> = (0..3)
                .filter(|other| *other != at)
                .map(|other| format!("\"nats-route://127.0.0.1:{}\"", route(at, other)))
                .collect();
            let (port, advertised, routes) = (ports[at], cables[at].port(), routes.join(", "));
            let cluster = format!(
                "server_name: n{at}\ncluster {{ name: test, listen: \"127.0.0.1:{port}\", \
                 advertise: \"127.0.0.1:{advertised}\", routes: [{routes}] }}\n"
            );
            NatsServer::new(true, cluster)
        });
        let mut servers: Vec<NatsServer> = servers.collect();
        for server in &mut servers {
            server.process = Some(server.spawn());
        }
        let answer = servers.iter_mut().all(|server| {
            let port = server.port;
            server.process.as_mut().is_some_and(|process| process.answers(|| pong(port).is_some()))
        });
        answer.then_some(Self { servers, cables })
    }

    /// One of them.
    pub fn server(&mut self, at: usize) -> &mut NatsServer {
        &mut self.servers[at]
    }

    /// The URL of one of them; who connects there learns of the others.
    pub fn url(&self, at: usize) -> String {
        self.servers[at].url()
    }

    /// Cuts the third off from the other two.
    pub fn part(&self) {
        self.cables.iter().for_each(Cable::cut);
    }

    /// Takes it back.
    pub fn rejoin(&self) {
        self.cables.iter().for_each(Cable::mend);
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
