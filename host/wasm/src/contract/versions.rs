//! The versions of the contract that this host serves.
//!
//! The types of a component must match those of the host, field by field. The host serves three minor versions of
//! `tidegate:plugin`. They differ in the answer of an authorizer (`kinds/authorizer.rs`) and in the effects
//! (`kinds/effects.rs`), so the host calls every other export with the same types, whichever version its name has.

use semver::Version;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::mistake::Mistake;
use tidegate_core::channels::PluginKind;

/// The beginning of the name of every package of the contract.
const OURS: &str = "tidegate:";
/// The package that plugins export.
const PLUGIN: &str = "tidegate:plugin";

/// A major and minor version of the contract; the patch version makes no difference.
type Served = (u64, u64);

/// The versions of `tidegate:plugin`, the oldest first.
const OF_PLUGIN: [Served; 3] = [(0, 1), (0, 2), (0, 3)];
/// The versions of every other package.
const OF_IMPORTS: [Served; 1] = [(0, 1)];

/// Checks the version of an export or import. The linker judges names of other packages, and names with an invalid
/// version.
///
/// # Errors
/// [`Mistake`] with the versions that the host serves.
pub(crate) fn check(how: &str, name: &str) -> Result<(), Mistake> {
    let Some((interface, version)) = name.split_once('@').filter(|_| name.starts_with(OURS)) else { return Ok(()) };
    let Ok(version) = version.parse::<Version>() else { return Ok(()) };
    let package = interface.split('/').next().unwrap_or(interface);
    let served = served(package);
    if served.contains(&(version.major, version.minor)) {
        return Ok(());
    }
    let message = format!("{how} `{name}`, but this server supports {} of `{package}`", in_words(served));
    Err(Mistake::new(message).hint("build it with the SDK of this server's version"))
}

fn served(package: &str) -> &'static [Served] {
    if package == PLUGIN { &OF_PLUGIN } else { &OF_IMPORTS }
}

fn in_words(served: &[Served]) -> String {
    let numbers: Vec<_> = served.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
    match numbers.split_last() {
        Some((newest, before)) if !before.is_empty() => format!("versions {} and {newest}", before.join(", ")),
        _ => format!("version {}", numbers.concat()),
    }
}

/// Finds the function of a kind, in the newest version that the component exports.
pub(crate) fn function(
    component: &Component,
    kind: PluginKind,
    name: &str,
) -> Option<(Contract, ComponentExportIndex)> {
    [Contract::Current, Contract::Second, Contract::First].into_iter().find_map(|contract| {
        let (major, minor) = contract.version();
        // Wasmtime finds a name of this major and minor version with any patch version.
        let interface = component.get_export_index(None, &*format!("{PLUGIN}/{}@{major}.{minor}.0", kind.as_str()))?;
        Some((contract, component.get_export_index(Some(&interface), name)?))
    })
}

/// A version of `tidegate:plugin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contract {
    /// 0.1: an authorizer answers yes or no.
    First,
    /// 0.2: an authorizer answers yes, no, or that it cannot tell.
    Second,
    /// 0.3: an effect may also take retained values away.
    Current,
}

impl Contract {
    const fn version(self) -> Served {
        match self {
            Self::First => OF_PLUGIN[0],
            Self::Second => OF_PLUGIN[1],
            Self::Current => OF_PLUGIN[2],
        }
    }
}
