//! Tells the bus who came and who went.

use tidegate_plugin::prelude::*;

#[derive(Serialize)]
struct Visitor<'a> {
    user: Option<&'a str>,
}

struct Plugin;

impl Connection for Plugin {
    fn changed(peer: &Peer, phase: Phase) -> Result<Effects, String> {
        let visitor = Visitor { user: peer.user_id() };
        Effects::none().publish(event(phase), &visitor).done()
    }
}

fn event(phase: Phase) -> &'static str {
    match phase {
        Phase::Connected => "visitor.came",
        Phase::Disconnected => "visitor.went",
    }
}

register!(Plugin: connection);

#[cfg(test)]
mod tests {
    use tidegate_plugin::testing;

    use super::*;

    #[test]
    fn coming_and_going_are_two_events() {
        assert_eq!([event(Phase::Connected), event(Phase::Disconnected)], ["visitor.came", "visitor.went"]);
        assert!(Plugin::changed(&testing::peer(Some("ada")), Phase::Connected).is_ok());
    }
}
