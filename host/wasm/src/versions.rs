//! Which versions of the contract this host serves, and what it does for a component of an older one.
//!
//! A component's types must be the host's to the field. Of `tidegate:plugin` two minor versions are served side by side;
//! they differ in the answer of an authorizer and in nothing else, so every other export is called with the same types,
//! under whichever name the component gives it.

use semver::Version;
use wasmtime::component::{Component, ComponentExportIndex, ComponentType, Lift};

use super::contract::authorizer;
use super::load::Mistake;
use tidegate_core::channels::PluginKind;

/// What every package of the contract begins with.
const OURS: &str = "tidegate:";
/// The package of what plugins export.
const PLUGIN: &str = "tidegate:plugin";

/// A version of the contract, major and minor; the patch makes no difference.
type Served = (u64, u64);

/// The versions of `tidegate:plugin`, the oldest first.
const OF_PLUGIN: [Served; 2] = [(0, 1), (0, 2)];
/// The versions of every other package.
const OF_IMPORTS: [Served; 1] = [(0, 1)];

/// Checks the version of what a component exports or imports. A name of another's package, and a version that is none, are
/// for the linker to judge.
///
/// # Errors
/// [`Mistake`] that names what is served.
pub(super) fn check(how: &str, name: &str) -> Result<(), Mistake> {
    let Some((interface, version)) = name.split_once('@').filter(|_| name.starts_with(OURS)) else { return Ok(()) };
    let Ok(version) = version.parse::<Version>() else { return Ok(()) };
    let package = interface.split('/').next().unwrap_or(interface);
    let served = served(package);
    if served.contains(&(version.major, version.minor)) {
        return Ok(());
    }
    let message = format!("{how} `{name}`, this host serves {} of `{package}`", in_words(served));
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

/// The function of a kind's export, under the newest version that the component has it in.
pub(super) fn function(
    component: &Component,
    kind: PluginKind,
    name: &str,
) -> Option<(Contract, ComponentExportIndex)> {
    [Contract::Current, Contract::First].into_iter().find_map(|contract| {
        let (major, minor) = contract.version();
        // Names of one major and minor version are found whatever their patch.
        let interface = component.get_export_index(None, &*format!("{PLUGIN}/{}@{major}.{minor}.0", kind.as_str()))?;
        Some((contract, component.get_export_index(Some(&interface), name)?))
    })
}

/// A version of `tidegate:plugin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contract {
    /// 0.1: an authorizer says yes or no.
    First,
    /// 0.2: or that it cannot tell.
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

/// What an authorizer of 0.1 answers.
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
