//! The plugins of one generation, as the flow sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::plugin::Plugin;
use tidegate_core::channels::PluginKinds;
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{
    Answer, AuthorizerCall, ConnectionCall, Decision, Fault, FaultKind, HandlerCall, IdentifyCall, PluginEffect,
    PluginVersion, Plugins, Recognition, TransformCall,
};
use tidegate_core::protocol::{Payload, PluginName};
use tidegate_core::telemetry;

/// Plugins by name. Immutable: the next generation has its own set, which shares the plugins that did not change.
#[derive(Debug, Default, Clone)]
pub struct PluginSet(BTreeMap<PluginName, Arc<Plugin>>);

impl PluginSet {
    /// The set of these plugins. Of two plugins with one name, the last stays.
    #[must_use]
    pub fn new(plugins: impl IntoIterator<Item = Arc<Plugin>>) -> Self {
        Self(plugins.into_iter().map(|plugin| (plugin.name().clone(), plugin)).collect())
    }

    /// The plugin of this name.
    #[must_use]
    pub fn get(&self, name: &PluginName) -> Option<&Arc<Plugin>> {
        self.0.get(name)
    }

    /// Every plugin, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.0.values()
    }

    /// The kinds of each plugin, for the catalog.
    #[must_use]
    pub fn kinds(&self) -> BTreeMap<PluginName, PluginKinds> {
        self.0.iter().map(|(name, plugin)| (name.clone(), plugin.kinds())).collect()
    }

    fn find(&self, name: &PluginName, channel: &str) -> Result<&Plugin, Fault> {
        self.get(name).map(AsRef::as_ref).ok_or_else(|| {
            let fault = Fault { plugin: name.clone(), kind: FaultKind::Missing, detail: "is not loaded".to_owned() };
            fault.tell(None, channel, None);
            fault
        })
    }
}

#[async_trait]
impl Plugins for PluginSet {
    fn version(&self, plugin: &PluginName) -> Option<PluginVersion> {
        self.get(plugin).map(|plugin| plugin.version)
    }

    async fn authorize(&self, plugin: &PluginName, call: AuthorizerCall<'_>) -> Result<Decision, Fault> {
        self.find(plugin, call.context.channel())?.authorize(call).await
    }

    async fn identify(&self, plugin: &PluginName, call: IdentifyCall<'_>) -> Result<Recognition, Fault> {
        self.find(plugin, telemetry::NO_CHANNEL)?.identify(call).await
    }

    async fn handle(&self, plugin: &PluginName, call: HandlerCall<'_>) -> Result<Answer, Fault> {
        self.find(plugin, call.context.channel())?.handle(call).await
    }

    async fn provide(&self, plugin: &PluginName, context: &CallContext) -> Result<Vec<Payload>, Fault> {
        self.find(plugin, context.channel())?.provide(context).await
    }

    async fn transform(&self, plugin: &PluginName, call: TransformCall<'_>) -> Result<Option<Payload>, Fault> {
        self.find(plugin, call.channel)?.transform(call).await
    }

    fn listeners(&self) -> Vec<PluginName> {
        self.iter().filter(|plugin| plugin.kinds().connection).map(|plugin| plugin.name().clone()).collect()
    }

    async fn changed(&self, plugin: &PluginName, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault> {
        self.find(plugin, telemetry::NO_CHANNEL)?.changed(call).await
    }
}
