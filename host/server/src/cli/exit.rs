//! The exit codes. Where sysexits has a name for a code, it is used.

/// Success; for `explain`: yes.
pub const OK: u8 = 0;
/// For `explain`: no. For `diff`: a change is of a kind that `--fail-on` names. For `plugin test` and `plugin call`: an answer differs, or is a fault.
pub const NO: u8 = 1;
/// The command line is not valid (clap's own code).
pub const USAGE: u8 = 2;
/// A plugin does not build or does not load.
pub const PLUGIN: u8 = 65;
/// The address is in use, or something else that the server needs is missing.
pub const UNAVAILABLE: u8 = 69;
/// A bug in Tidegate.
pub const BUG: u8 = 70;
/// The configuration, a manifest or the bridge table has errors.
pub const CONFIG: u8 = 78;
