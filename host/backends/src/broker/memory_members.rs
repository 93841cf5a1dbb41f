//! The members of a single node: there are no others.

use async_trait::async_trait;

use tidegate_core::flow::ports::{Elsewhere, MembersAway, MembersNews, MembersUpdate, SharedMembers};
use tidegate_core::protocol::Topic;

/// No other nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSharedMembers;

#[async_trait]
impl SharedMembers for NoSharedMembers {
    fn has_nodes(&self) -> bool {
        false
    }

    async fn exchange(&self, _: MembersUpdate) -> Result<MembersNews, MembersAway> {
        Ok(MembersNews::default())
    }

    async fn read(&self, _: &Topic) -> Result<Elsewhere, MembersAway> {
        Ok(Elsewhere::default())
    }
}
