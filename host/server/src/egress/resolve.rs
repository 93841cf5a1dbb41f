//! From a host name to addresses.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Most concurrent lookups. An abandoned lookup still holds its thread until the system gives up.
const LOOKUPS_MAX: usize = 32;

/// Knows the addresses behind a host name.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Every address of a host, best first.
    ///
    /// # Errors
    /// The resolver's error, if there is no such host or no resolver.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system: `/etc/hosts`, DNS and whatever else is set up.
#[derive(Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let place = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            // The thread holds it and not the caller, who may be gone long before the system answers.
            let _place = place;
            (host.as_str(), 0).to_socket_addrs().map(|addresses| addresses.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}
