//! `tidegate:host/config`: the `config:` section of `plugin.yaml`.

use crate::contract::host;
use crate::run::Guest;
use crate::tape::record;

impl host::config::Host for Guest {
    fn get(&mut self, key: String) -> Option<String> {
        record::host_call("config");
        self.config.get(&key).cloned()
    }
}
