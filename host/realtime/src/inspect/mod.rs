//! What operators see of this node's topics and clients: pages in the order of their names, with bounded work for each
//! entry under a lock, so that a look never stalls deliveries.

mod act;
mod clients;
mod page;
mod topics;

pub use clients::{Client, ClientsAsked};
pub use page::Page;
pub use topics::{ListedTopic, Subscriber, Subscribers, TopicCounts, TopicsAsked};
