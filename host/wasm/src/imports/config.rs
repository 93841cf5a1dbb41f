//! `tidegate:host/config`: the `config:` section of `plugin.yaml`.

use super::super::contract::host;
use super::super::guest::Guest;
use super::super::recording;

impl host::config::Host for Guest {
    fn get(&mut self, key: String) -> Option<String> {
        recording::host_call("config");
        self.config.get(&key).cloned()
    }
}
