//! A PostgreSQL as the store of a server: needed at the start, lived without for a while, and looked at by `check`.

use serde_json::{Value, json};

use crate::project::{Project, Server};
use tidegate_testkit::PostgresServer;

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];
const PASSWORD: &str = "a-postgres-password";

/// A server that has begun, as its operator reaches it.
struct Running {
    server: Server,
    url: String,
}

impl Running {
    fn of(mut server: Server) -> Self {
        let line: Value = serde_json::from_str(&server.wait_for("server.listening")).unwrap();
        let url = format!("http://{}", line["address"].as_str().unwrap());
        Self { server, url }
    }

    fn status(&self, path: &str) -> u16 {
        match ureq::get(format!("{}{path}", self.url)).call() {
            Ok(response) => response.status().as_u16(),
            Err(ureq::Error::StatusCode(status)) => status,
            Err(error) => panic!("{error}"),
        }
    }

    /// An event that cannot cross: the channel takes objects.
    fn have_one_die(&self, id: &str) {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/test", "type": "article.published", "data": "no object",
        });
        let sent = ureq::post(format!("{}/v1/events", self.url)).header("authorization", KEY).send_json(event);
        assert_eq!(sent.unwrap().status(), 202);
    }

    fn letters(&self) -> Value {
        let listed = ureq::get(format!("{}/v1/dead-letters", self.url)).header("authorization", KEY).call();
        listed.unwrap().body_mut().read_json().unwrap()
    }

    /// Waits until so many letters are listed, the newest of this event.
    fn until_letters(&self, count: u64, newest: &str) -> Value {
        self.until(|letters| letters["kept"] == count && letters["dead_letters"][0]["event"]["id"] == newest)
    }

    fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..600 {
            let letters = self.letters();
            if is_so(&letters) {
                return letters;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{}", self.letters())
    }
}

const KEY: &str = "Bearer a secret of thirty-two bytes and more";

#[test]
fn a_server_lives_through_the_end_of_its_database_and_keeps_what_died_meanwhile() {
    let mut postgres = PostgresServer::start();
    let project = Project::new().env("TIDEGATE__STORE", &postgres.url());
    let mut running = Running::of(project.spawn(&SERVE));
    assert_eq!(running.status("/readyz"), 200);
    running.have_one_die("1");
    assert_eq!(running.until_letters(1, "1")["complete"], Value::Null);

    postgres.kill();
    let away = running.server.wait_for("store.away");
    assert!(away.contains("postgres://tidegate@127.0.0.1:") && !away.contains(PASSWORD), "{away}");
    assert_eq!((running.status("/readyz"), running.status("/healthz")), (503, 200));
    running.have_one_die("2");
    // The first may have been killed on its way into the database, and is among those of this process then.
    running.until(|letters| letters["complete"] == false && letters["dead_letters"][0]["event"]["id"] == "2");

    postgres.restart();
    running.server.wait_for("store.back");
    assert_eq!(running.status("/readyz"), 200);
    running.until_letters(2, "2");
    let again = Running::of(running.server.restart(&SERVE));
    let letters = again.until_letters(2, "2");
    let id = letters["dead_letters"][1]["id"].as_str().unwrap();
    let retry = ureq::post(format!("{}/v1/dead-letters/{id}/retry", again.url)).header("authorization", KEY);
    let answer: Value = retry.send_empty().unwrap().body_mut().read_json().unwrap();
    assert_eq!(answer["outcome"], "dead", "{answer}");
    again.until_letters(2, "1");
}

#[test]
fn check_says_no_where_serve_does() {
    let mut postgres = PostgresServer::start();
    let project = Project::new().env("TIDEGATE__STORE", &postgres.url());
    let well = project.run(&["check"]);
    assert_eq!(well.exit, Some(0), "{}", well.shown());
    postgres.kill();
    let refused = |project: &Project, why: &str| {
        for command in [&["check"][..], &SERVE] {
            let output = project.run(command);
            let shown = output.shown();
            assert_eq!(output.exit, Some(69), "{shown}");
            assert!(shown.contains("error: failed to open the store `postgres://tidegate@127.0.0.1:"), "{shown}");
            assert!(shown.contains(why) && !shown.contains(PASSWORD), "{shown}");
        }
    };
    refused(&project, "Connection refused");
    postgres.restart();
    refused(&Project::new().env("TIDEGATE__STORE", &postgres.url_of("nowhere")), "does not exist");
    let wrong = project.env("TIDEGATE__STORE", &format!("{}?sslmod=require", postgres.url())).run(&["check"]);
    assert_eq!(wrong.exit, Some(78), "{}", wrong.shown());
    assert!(wrong.shown().contains("`sslmod`") && !wrong.shown().contains(PASSWORD), "{}", wrong.shown());
}
