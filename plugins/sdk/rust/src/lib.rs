//! Write Tidegate plugins in Rust.
//!
//! A plugin is a type that implements one or more of [`Handler`], [`Authorizer`], [`Snapshot`], [`Transform`] and
//! [`Connection`], and one [`register!`] line that says which:
//!
//! ```
//! use tidegate_plugin::prelude::*;
//!
//! #[derive(Deserialize)]
//! struct Ping {
//!     n: i64,
//! }
//!
//! #[derive(Serialize)]
//! struct Pong {
//!     pong: i64,
//! }
//!
//! struct PingPlugin;
//!
//! impl Handler for PingPlugin {
//!     type Payload = Ping;
//!
//!     fn handle(context: &Context, ping: Ping) -> Result<Outcome, Refusal> {
//!         let pong = Pong { pong: ping.n };
//!         Outcome::reply(&pong).emit(&context.topic, &pong).done()
//!     }
//! }
//!
//! register!(PingPlugin: handler);
//! # fn main() {}
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2`. The code is ordinary Rust: `cargo test` runs unit tests
//! on the machine itself, where [`testing`] stands in for the host.

mod authorizer;
mod bindings;
pub mod clock;
pub mod config;
mod connection;
mod crash;
mod effects;
mod handler;
pub mod http;
mod json;
pub mod kv;
pub mod log;
pub mod prelude;
pub mod queries;
pub mod random;
pub mod secrets;
mod snapshot;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod transform;

pub use authorizer::{Authorizer, Credential, Payload, Request};
pub use bindings::{Action, Context, Decision, Grant, Peer, Phase, Refusal, User};
pub use connection::Connection;
pub use effects::Effects;
pub use handler::{Handler, Outcome};
pub use snapshot::Snapshot;
pub use transform::{Crossing, Event, Transform};

#[doc(hidden)]
pub mod __private {
    pub use crate::authorizer::Exported as ExportedAuthorizer;
    pub use crate::bindings::{authorizer_world, connection_world, handler_world, snapshot_world, transform_world};
    pub use crate::connection::Exported as ExportedConnection;
    pub use crate::handler::Exported as ExportedHandler;
    pub use crate::snapshot::Exported as ExportedSnapshot;
    pub use crate::transform::Exported as ExportedTransform;
}

/// Says what the component is: `register!(MyPlugin: handler)`, or several of `handler`, `authorizer`, `snapshot`,
/// `transform` and `connection`: `register!(MyPlugin: handler, snapshot)`. Once a crate.
#[macro_export]
macro_rules! register {
    ($plugin:ident : $($kind:ident),+ $(,)?) => {
        $($crate::__register_kind!($plugin, $kind);)+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register_kind {
    ($plugin:ident, handler) => {
        const _: () = {
            type Exported = $crate::__private::ExportedHandler<$plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::handler_world::export_handler!(
                Exported with_types_in $crate::__private::handler_world
            );
            // Off wasm there is nothing to export to; that the type fits is checked all the same.
            let _ = ::core::marker::PhantomData::<Exported>;
        };
    };
    ($plugin:ident, authorizer) => {
        const _: () = {
            type Exported = $crate::__private::ExportedAuthorizer<$plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::authorizer_world::export_authorizer!(
                Exported with_types_in $crate::__private::authorizer_world
            );
            let _ = ::core::marker::PhantomData::<Exported>;
        };
    };
    ($plugin:ident, snapshot) => {
        const _: () = {
            type Exported = $crate::__private::ExportedSnapshot<$plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::snapshot_world::export_snapshot!(
                Exported with_types_in $crate::__private::snapshot_world
            );
            let _ = ::core::marker::PhantomData::<Exported>;
        };
    };
    ($plugin:ident, transform) => {
        const _: () = {
            type Exported = $crate::__private::ExportedTransform<$plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::transform_world::export_transform!(
                Exported with_types_in $crate::__private::transform_world
            );
            let _ = ::core::marker::PhantomData::<Exported>;
        };
    };
    ($plugin:ident, connection) => {
        const _: () = {
            type Exported = $crate::__private::ExportedConnection<$plugin>;
            #[cfg(target_arch = "wasm32")]
            $crate::__private::connection_world::export_connection!(
                Exported with_types_in $crate::__private::connection_world
            );
            let _ = ::core::marker::PhantomData::<Exported>;
        };
    };
    ($plugin:ident, $other:ident) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is no kind of plugin: write `handler`, `authorizer`, `snapshot`, `transform` or `connection`"
        ));
    };
}

/// The examples of the manual, which compile.
#[cfg(doctest)]
#[doc = include_str!("../../../RUST.md")]
struct Manual;
