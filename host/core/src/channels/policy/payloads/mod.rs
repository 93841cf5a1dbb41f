//! Payloads that show how two schemas differ: made of both texts, judged by both validators. What is told is true; where
//! nothing is found, nothing is claimed.

mod make;
mod mutate;
mod numbers;
mod objects;
mod pattern;
mod texts;

use std::collections::HashMap;

use serde_json::Value;

use super::super::schema_keywords::has_reference;
use super::super::{Schema, Violation};
use super::proof::{Proof, plain};
use make::Maker;

/// Most payloads that are judged for one pair of schemas.
const JUDGED_MAX: usize = 1_500;
/// Most payloads that are judged for all pairs of one comparison; beyond them only proofs are tried.
const JUDGED_IN_ALL_MAX: usize = 200_000;
/// Largest payload that is tried, as JSON text in bytes.
const PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Whether one schema refuses something that another one accepts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// It refuses nothing: shown by their texts.
    Nothing,
    /// It refuses this.
    Refused(Refused),
    /// No payload was found, and their texts show nothing.
    Unknown,
}

/// A payload that one schema accepts and another one refuses.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refused {
    pub(super) payload: Value,
    /// What the one that refuses it says.
    pub(super) violations: Vec<Violation>,
}

/// How two schemas differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// What the new one refuses of the old one.
    pub(super) stricter: Found,
    /// What the old one refuses of the new one.
    pub(super) looser: Found,
}

/// Compares schemas, each pair once: many channels share one.
#[derive(Debug)]
pub(super) struct Comparer {
    /// Most payloads of a pair.
    judged_max: usize,
    judged: usize,
    by_pair: HashMap<(usize, usize), Difference>,
}

impl Default for Comparer {
    fn default() -> Self {
        Self::judging(JUDGED_MAX)
    }
}

impl Comparer {
    /// One that judges at most this many payloads of a pair.
    pub(super) fn judging(judged_max: usize) -> Self {
        Self { judged_max, judged: 0, by_pair: HashMap::new() }
    }

    /// How two schemas differ; `None` if they are the same.
    pub(super) fn compare(&mut self, old: &Schema, new: &Schema) -> Option<Difference> {
        if old.is_the_same(new) {
            return None;
        }
        // Both live as long as the policies that are compared.
        let address = |schema: &Schema| std::ptr::from_ref(schema.written()) as usize;
        let pair = (address(old), address(new));
        if let Some(known) = self.by_pair.get(&pair) {
            return Some(known.clone());
        }
        let difference = self.judge(old, new);
        self.by_pair.insert(pair, difference.clone());
        Some(difference)
    }

    fn judge(&mut self, old: &Schema, new: &Schema) -> Difference {
        let [one, other] = [old, new].map(|schema| plain(schema.written()));
        let references_agree = old.leads_where(new);
        let references = has_reference(&one) || has_reference(&other);
        if one == other && (references_agree || !references) {
            return Difference { stricter: Found::Nothing, looser: Found::Nothing };
        }
        let shown = |wide: &Value, narrow: &Value| {
            let is_shown = Proof::new(references_agree).includes(wide, narrow);
            if is_shown { Found::Nothing } else { Found::Unknown }
        };
        let mut difference = Difference { stricter: shown(&other, &one), looser: shown(&one, &other) };
        let most = self.judged_max.min(JUDGED_IN_ALL_MAX.saturating_sub(self.judged));
        let mut search = Search { old, new, left: most, difference: &mut difference };
        search.run();
        self.judged += most - search.left;
        difference
    }
}

/// A search for payloads.
struct Search<'a> {
    old: &'a Schema,
    new: &'a Schema,
    left: usize,
    difference: &'a mut Difference,
}

impl Search<'_> {
    fn run(&mut self) {
        let (old, new) = (self.old.written(), self.new.written());
        let mut tried = Vec::new();
        let ways = [(old, new), (new, old)];
        let differences = ways.map(|(root, other)| (Maker::of_differences(root), root, other));
        let all = ways.map(|(root, other)| (Maker::of_all(root), root, other));
        for (mut maker, root, other) in differences.into_iter().chain(all) {
            if self.is_over() {
                return;
            }
            for payload in maker.payloads(root, other) {
                if self.try_one(&payload) {
                    return;
                }
                tried.push(payload);
            }
        }
        let atoms = mutate::atoms(&tried);
        let mut dice = mutate::Dice::default();
        while !self.is_over() && !tried.is_empty() {
            let from = &tried[dice.below(tried.len())];
            let payload = mutate::mutated(from, &atoms, &mut dice);
            if self.try_one(&payload) {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        let Difference { stricter, looser } = &*self.difference;
        self.left == 0 || *stricter != Found::Unknown && *looser != Found::Unknown
    }

    /// Judges a payload; whether the search is over.
    fn try_one(&mut self, payload: &Value) -> bool {
        if self.is_over() {
            return true;
        }
        self.left -= 1;
        if self.difference.stricter == Found::Unknown
            && let Some(refused) = shown(self.old, self.new, payload)
        {
            self.difference.stricter = Found::Refused(refused);
        }
        if self.difference.looser == Found::Unknown
            && let Some(refused) = shown(self.new, self.old, payload)
        {
            self.difference.looser = Found::Refused(refused);
        }
        self.is_over()
    }
}

/// What shows that one schema accepts something that another one refuses, as small as it gets.
fn shown(accepts: &Schema, refuses: &Schema, payload: &Value) -> Option<Refused> {
    let is_shown = |payload: &Value| accepts.check(payload).is_ok() && refuses.check(payload).is_err();
    if mutate::bytes(payload) > PAYLOAD_BYTES_MAX || !is_shown(payload) {
        return None;
    }
    let payload = mutate::smallest(payload, &is_shown);
    let violations = refuses.check(&payload).err()?;
    Some(Refused { payload, violations })
}
