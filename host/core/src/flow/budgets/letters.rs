//! The part of the dead letters that a team may fill.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Budget, TeamBudget};
use crate::flow::DeadLetter;

/// The share of a team in the dead letters: those of bridge rules to its channels. Who keeps a letter makes room for it
/// among these, and tells how many there are.
#[derive(Debug, Clone)]
pub struct LetterShare {
    pub(super) team: Arc<TeamBudget>,
    /// The templates of the team's channels.
    pub(super) channels: Arc<[String]>,
    pub(super) max: usize,
}

impl LetterShare {
    /// The team's name.
    #[must_use]
    pub fn team(&self) -> &str {
        self.team.name()
    }

    /// The templates of the team's channels.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Most letters.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// So many of the team's letters are kept now, and newer ones replaced so many.
    pub fn note(&self, kept: usize, replaced: u64) {
        self.team.keeps_letters(kept);
        self.replaced(replaced);
    }

    /// Newer letters replaced so many of the team's.
    pub fn replaced(&self, replaced: u64) {
        (0..replaced).for_each(|_| self.team.refused(Budget::DeadLetters));
    }

    /// Drops the team's oldest letters in a list, from the oldest to the newest, until no more than its share are there.
    /// Returns how many of them are there, and how many were dropped.
    pub fn make_room(&self, letters: &mut VecDeque<DeadLetter>) -> (usize, u64) {
        let is_own = |letter: &DeadLetter| self.channels.contains(&letter.rule.to);
        let kept = letters.iter().filter(|letter| is_own(letter)).count();
        let over = kept.saturating_sub(self.max);
        for _ in 0..over {
            if let Some(oldest) = letters.iter().position(is_own) {
                letters.remove(oldest);
            }
        }
        (kept - over, over as u64)
    }
}
