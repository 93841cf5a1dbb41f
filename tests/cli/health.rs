//! `tidegate health`: what the health check of a container hears.

use crate::list::{SERVE, listening};
use crate::project::Project;

#[test]
fn a_server_that_answers_is_live_and_ready() {
    let mut server = Project::new().env("RUST_LOG", "info").spawn(&SERVE);
    let url = listening(&mut server);
    for (asked, answer) in
        [(&["health", "--url", &url] as &[&str], "live\n"), (&["health", "--ready", "--url", &url], "ready\n")]
    {
        let output = server.project.run(asked);
        assert_eq!((output.exit, output.stdout.as_str()), (Some(0), answer), "{}", output.shown());
    }
}

#[test]
fn a_server_whose_redis_is_away_is_live_and_not_ready_and_what_is_away_is_said() {
    // Nobody listens on a port that was just given up.
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let project = Project::new().env("RUST_LOG", "info").env("TIDEGATE__BROKER", &format!("redis://{away}"));
    let mut server = project.spawn(&SERVE);
    let url = listening(&mut server);
    assert_eq!(server.project.run(&["health", "--url", &url]).exit, Some(0));
    let output = server.project.run(&["health", "--ready", "--url", &url]);
    assert_eq!(output.exit, Some(69), "{}", output.shown());
    assert!(
        output.shown().contains("/readyz` answers 503: ") && output.shown().contains("(away: broker)"),
        "{}",
        output.shown()
    );
}

#[test]
fn without_a_server_the_place_is_told_where_the_configuration_has_it() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new();
    let config = project.read("config/tidegate.yaml") + &format!("listen: 0.0.0.0:{port}\n");
    let output = project.without_secrets().write("config/tidegate.yaml", &config).run(&["health"]);
    assert_eq!(output.exit, Some(69), "{}", output.shown());
    assert!(output.shown().contains(&format!("no server answers at `http://127.0.0.1:{port}`")), "{}", output.shown());
}
