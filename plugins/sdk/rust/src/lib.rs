//! Write Tidegate plugins in Rust.
//!
//! A plugin is a type that implements [`Handler`], [`Authorizer`] or both, and one [`register!`] line that says which:
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
mod handler;
pub mod kv;
pub mod log;
pub mod prelude;
pub mod random;
pub mod secrets;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use authorizer::{Authorizer, Payload, Request};
pub use bindings::{Action, Context, Decision, Grant, Refusal, User};
pub use handler::{Handler, Outcome};

#[doc(hidden)]
pub mod __private {
    pub use crate::authorizer::Exported as ExportedAuthorizer;
    pub use crate::bindings::{authorizer_world, handler_world};
    pub use crate::handler::Exported as ExportedHandler;
}

/// Says what the component is: `register!(MyPlugin: handler)`, `register!(MyPlugin: authorizer)`, or
/// `register!(MyPlugin: handler, authorizer)`. Once a crate.
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
    ($plugin:ident, $other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is no kind of plugin: write `handler` or `authorizer`"));
    };
}
