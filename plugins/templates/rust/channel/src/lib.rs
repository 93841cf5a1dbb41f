//! Answers what clients send on `{{channel}}`.

use tidegate_plugin::prelude::*;

#[allow(dead_code, reason = "of all types of the channel, those that are needed are used")]
mod types;

use types::{{inbound}};

struct Plugin;

impl Handler for Plugin {
    type Payload = {{inbound}};

    // To publish a `types::{{payload}}` to the subscribers: `Outcome::none().emit(&context.topic, &payload)`, and the grant in
    // plugin.yaml.
    fn handle(_context: &Context, message: {{inbound}}) -> Result<Outcome, Refusal> {
        Outcome::reply(&message).done()
    }
}

register!(Plugin: handler);
