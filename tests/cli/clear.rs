//! `tidegate plugin clear` where no server runs.

use crate::project::Project;

/// A URL at which nobody answers: the port was just given up.
fn nobody() -> String {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}")
}

fn kept_out(plugin: &str, digit: char) -> String {
    let digest = digit.to_string().repeat(64);
    format!(
        "{{\"plugin\":\"{plugin}\",\"scope\":\"component\",\"digest\":\"{digest}\",\"version\":\"{digest}\",\
         \"since_unix_s\":1,\"reason\":\"taken back\"}}\n"
    )
}

#[test]
fn plugin_clear_edits_the_file_where_no_server_answers() {
    let url = nobody();
    let file = "tidegate.quarantine.json";
    let project = Project::new().hide(&url, "URL").write(file, &(kept_out("ping", 'a') + &kept_out("pong", 'b')));
    shown!(project.run(&["plugin", "clear", "ping", "--url", &url]));
    assert_eq!(project.read(file), kept_out("pong", 'b'));
    let again = project.run(&["plugin", "clear", "bbbbbbbbbbbb", "--url", &url, "--format", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(answer["cleared"][0]["plugin"], "pong", "{}", again.shown());
    assert_eq!(project.read(file), "");
}

#[test]
fn plugin_clear_says_that_nothing_of_it_is_quarantined() {
    let url = nobody();
    shown!(Project::new().hide(&url, "URL").run(&["plugin", "clear", "ping", "--url", &url]));
}

#[test]
fn plugin_clear_leaves_the_file_alone_where_a_server_may_still_be() {
    let file = "tidegate.quarantine.json";
    let project = Project::new().write(file, &kept_out("ping", 'a'));
    // No URL, not of ours, and a host that nobody knows.
    for (url, exit, why) in [
        ("localhost:3000", 2, "not a valid `http` or `https` URL"),
        ("https://127.0.0.1:3000", 2, "plain HTTP"),
        ("http://nowhere.invalid:3000", 69, "no server answers at"),
    ] {
        let output = project.run(&["plugin", "clear", "ping", "--url", url]);
        assert_eq!(output.exit, Some(exit), "{}", output.shown());
        assert!(output.shown().contains(why), "{}", output.shown());
        assert_eq!(project.read(file), kept_out("ping", 'a'), "{url}");
    }
}

#[test]
fn plugin_clear_says_how_many_digits_a_digest_needs() {
    let url = nobody();
    let project = Project::new().write("tidegate.quarantine.json", &kept_out("ping", 'a'));
    let output = project.run(&["plugin", "clear", "aaaaaaaaaaa", "--url", &url]);
    assert_eq!(output.exit, Some(1));
    let hint = "hint: give at least 12 digits of the digest; these are 11";
    assert!(output.shown().contains(hint), "{}", output.shown());
}
