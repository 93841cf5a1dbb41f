//! The exit codes, as sysexits names them where it has a name.

/// Done; of `explain`: yes.
pub const OK: u8 = 0;
/// Of `explain`: no; of `plugin test`: an answer differs.
pub const NO: u8 = 1;
/// The command line is wrong (clap's own).
pub const USAGE: u8 = 2;
/// A plugin does not build or does not load.
pub const PLUGIN: u8 = 65;
/// The address is taken, or something else the server needs is not there.
pub const UNAVAILABLE: u8 = 69;
/// A bug in Tidegate.
pub const BUG: u8 = 70;
/// The configuration, a manifest or the bridge table has mistakes.
pub const CONFIG: u8 = 78;
