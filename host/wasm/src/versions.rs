//! The versions of the contract that this host supports, and the translation for components of an older one.
//!
//! A component's types must match the host's types exactly. The host supports two minor versions of `tidegate:plugin`;
//! they differ only in the answer of an authorizer, so every other export is called with the same types, under
//! whichever name the component has it.

use semver::Version;
use wasmtime::component::{Component, ComponentExportIndex, ComponentType, Lift};

use super::contract::authorizer;
use super::load::Mistake;
use tidegate_core::channels::PluginKind;

/// The prefix of all packages of the contract.
const OURS: &str = "tidegate:";
/// The package of a plugin's exports.
const PLUGIN: &str = "tidegate:plugin";

/// A version of the contract, major and minor; the patch number does not matter.
type Served = (u64, u64);

/// The versions of `tidegate:plugin`, the oldest first.
const OF_PLUGIN: [Served; 2] = [(0, 1), (0, 2)];
/// The versions of every other package.
const OF_IMPORTS: [Served; 1] = [(0, 1)];

/// Checks the version of an export or import of a component. Names of other packages, and invalid versions, are left to
/// the linker.
///
/// # Errors
/// [`Mistake`] that names the supported versions.
pub(super) fn check(how: &str, name: &str) -> Result<(), Mistake> {
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
    let noun = if numbers.len() == 1 { "version" } else { "versions" };
    format!("{noun} {}", numbers.join(" and "))
}

/// The function of a kind's export, in the newest version that the component has.
pub(super) fn function(
    component: &Component,
    kind: PluginKind,
    name: &str,
) -> Option<(Contract, ComponentExportIndex)> {
    [Contract::Current, Contract::First].into_iter().find_map(|contract| {
        let (major, minor) = contract.version();
        // Names with the same major and minor version match whatever their patch number.
        let interface = component.get_export_index(None, &*format!("{PLUGIN}/{}@{major}.{minor}.0", kind.as_str()))?;
        Some((contract, component.get_export_index(Some(&interface), name)?))
    })
}

/// A version of `tidegate:plugin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contract {
    /// 0.1: an authorizer says yes or no.
    First,
    /// 0.2: an authorizer may also say that it cannot decide.
    Current,
}

impl Contract {
    const fn version(self) -> Served {
        match self {
            Self::First => OF_PLUGIN[0],
            Self::Current => OF_PLUGIN[1],
        }
    }
}

/// The answer of an authorizer of 0.1.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(super) enum FirstDecision {
    /// Yes.
    #[component(name = "allow")]
    Allow(authorizer::Grant),
    /// No.
    #[component(name = "deny")]
    Deny(String),
}

impl From<FirstDecision> for authorizer::Decision {
    fn from(decision: FirstDecision) -> Self {
        match decision {
            FirstDecision::Allow(grant) => Self::Allow(grant),
            FirstDecision::Deny(reason) => Self::Deny(reason),
        }
    }
}
