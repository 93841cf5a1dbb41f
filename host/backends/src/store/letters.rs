//! Dead letters in a database. They are accepted at once and written by a separate task, so that nobody waits for a
//! disk.
//!
//! Unwritten letters wait in memory, at most `limits.dead_letters`, also while the store is away.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::availability::Watching;
use tidegate_core::channels::RuleId;
use tidegate_core::flow::ports::{DeadLetters, Letters, LettersAway};
use tidegate_core::flow::{DeadLetter, LetterShare};
use tidegate_core::protocol::BusEvent;
use tidegate_core::telemetry;

/// How long a caller waits at most until letters are written.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a failed write is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Letters of one write.
const BATCH_MAX: usize = 100;

/// The table of dead letters in one database. Calls have a limited time.
#[async_trait]
pub(super) trait LetterTable: Send + Sync + 'static {
    /// Opens the table, if it exists or `make` says to create it. Returns whether it exists.
    async fn open(&self, make: bool) -> Result<bool, String>;

    /// Writes the letters that were not written before, and drops the oldest of each team beyond its share, then the oldest
    /// of all beyond `max`.
    async fn insert(&self, letters: &[DeadLetter], max: usize) -> Result<Written, String>;

    /// The newest letters before the one with this id, newest first, and the total number.
    async fn newest(&self, before: Option<&str>, limit: usize) -> Result<(Vec<DeadLetter>, usize), String>;

    /// One of them.
    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, String>;

    /// Takes one out; of several concurrent callers only one gets it.
    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, String>;
}

/// The result of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// How many of the oldest were dropped.
    pub(super) dropped: u64,
    /// How many there are now.
    pub(super) kept: usize,
    /// For each of [`shares`], how many there are and how many were dropped.
    pub(super) of_teams: Vec<(usize, u64)>,
}

/// The shares of the teams that have some of these letters, each once.
pub(super) fn shares(letters: &[DeadLetter]) -> Vec<&LetterShare> {
    let shares = letters.iter().filter_map(|letter| letter.share.as_ref());
    shares.map(|share| (share.team(), share)).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// What stands in the rows of rules to the channels of a share, whatever the rules do.
pub(super) fn rows_of(share: &LetterShare) -> Vec<String> {
    let does = ["", REVOKES, ENDS_SESSIONS, REMOVES];
    share.channels().iter().flat_map(|to| does.map(|does| format!("{does}{to}"))).collect()
}

/// Dead letters that survive the process. Nodes with a shared database share them.
pub struct KeptDeadLetters {
    kept: Arc<Kept>,
    _writing: Watching,
}

struct Kept {
    table: Arc<dyn LetterTable>,
    max: usize,
    /// Unwritten letters, oldest first.
    waiting: Mutex<VecDeque<DeadLetter>>,
    /// Wakes the writer.
    added: Arc<Notify>,
    /// Whether the last write failed, and was reported.
    is_failing: AtomicBool,
    /// Held while letters move from memory into the table: whoever takes one must find it in only one of the two.
    moving: tokio::sync::Mutex<()>,
}

impl KeptDeadLetters {
    /// Letters in this table, at most `max` of them (`limits.dead_letters`); with 0 each is counted and dropped. Needs
    /// a runtime: the writer starts at once.
    pub(super) fn new(table: Arc<dyn LetterTable>, max: usize) -> Self {
        let added = Arc::new(Notify::new());
        let kept = Arc::new(Kept {
            table,
            max,
            waiting: Mutex::default(),
            added: added.clone(),
            is_failing: AtomicBool::new(false),
            moving: tokio::sync::Mutex::default(),
        });
        let writing = Watching::over(write(Arc::downgrade(&kept), added));
        Self { kept, _writing: writing }
    }
}

#[async_trait]
impl DeadLetters for KeptDeadLetters {
    fn add(&self, letter: DeadLetter) {
        self.kept.add(letter);
    }

    async fn flush(&self) {
        // Tried now, because the store may be back since the writer's last attempt. Otherwise the letters are written
        // later.
        let _ = timeout(SETTLE_TIMEOUT, self.kept.write_all()).await;
    }

    async fn before(&self, id: Option<&str>, limit: usize) -> Letters {
        let mut letters = self.kept.waiting_newest();
        let (table, complete) = match self.kept.newest_of_table(id, limit).await {
            Ok(found) => (found, true),
            Err(_) => ((Vec::new(), 0), false),
        };
        // Some may have been written meanwhile.
        let written: HashSet<&str> = table.0.iter().map(|letter| letter.id.as_str()).collect();
        letters.retain(|letter| !written.contains(letter.id.as_str()));
        let kept = letters.len() + table.1;
        letters.retain(|letter| id.is_none_or(|id| letter.id.as_str() < id));
        letters.extend(table.0);
        letters.truncate(limit);
        Letters { letters, kept, complete }
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway> {
        let waiting = self.kept.waiting.lock().iter().find(|letter| letter.id == id).cloned();
        if waiting.is_some() || !self.kept.open(false).await? {
            return Ok(waiting);
        }
        self.kept.table.find(id).await.map_err(LettersAway)
    }

    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway> {
        let still = timeout(SETTLE_TIMEOUT, self.kept.moving.lock()).await;
        let _still = still.map_err(|_| LettersAway("the store does not answer".to_owned()))?;
        let waiting = self.kept.take_waiting(id);
        if waiting.is_some() || !self.kept.open(false).await? {
            return Ok(waiting);
        }
        let taken = self.kept.table.take(id).await.map_err(LettersAway)?;
        if let Ok((_, kept)) = self.kept.table.newest(None, 0).await {
            telemetry::dead_letters(kept);
        }
        Ok(taken)
    }
}

impl Kept {
    fn add(&self, letter: DeadLetter) {
        let mut waiting = self.waiting.lock();
        // Under the lock: whoever lists the letters after seeing the log event finds this one.
        telemetry::dead_letter(&letter.id, &letter.rule.on, &letter.rule.to, &letter.reason);
        let share = letter.share.clone();
        waiting.push_back(letter);
        if let Some(share) = share {
            // Those that are written are counted with the next write.
            let (_, replaced) = share.make_room(&mut waiting);
            (0..replaced).for_each(|_| telemetry::dead_letter_dropped());
            share.replaced(replaced);
        }
        if waiting.len() > self.max {
            waiting.pop_front();
            telemetry::dead_letter_dropped();
        }
        self.added.notify_one();
    }

    fn waiting_newest(&self) -> Vec<DeadLetter> {
        self.waiting.lock().iter().rev().cloned().collect()
    }

    fn take_waiting(&self, id: &str) -> Option<DeadLetter> {
        let mut waiting = self.waiting.lock();
        let at = waiting.iter().position(|letter| letter.id == id)?;
        waiting.remove(at)
    }

    async fn open(&self, make: bool) -> Result<bool, LettersAway> {
        self.table.open(make).await.map_err(LettersAway)
    }

    async fn newest_of_table(
        &self,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<DeadLetter>, usize), LettersAway> {
        if !self.open(false).await? {
            return Ok((Vec::new(), 0));
        }
        self.table.newest(before, limit).await.map_err(LettersAway)
    }

    /// Writes the waiting letters. Returns whether any are left to try again.
    async fn write_all(&self) -> bool {
        loop {
            let _moving = self.moving.lock().await;
            let batch: Vec<DeadLetter> = self.waiting.lock().iter().take(BATCH_MAX).cloned().collect();
            if batch.is_empty() {
                return false;
            }
            let written = match self.table.open(true).await {
                Ok(_) => self.table.insert(&batch, self.max).await,
                Err(why) => Err(why),
            };
            match written {
                Ok(Written { dropped, kept, of_teams }) => {
                    for (share, (kept, replaced)) in shares(&batch).into_iter().zip(of_teams) {
                        share.note(kept, replaced);
                    }
                    let written: HashSet<&str> = batch.iter().map(|letter| letter.id.as_str()).collect();
                    let mut waiting = self.waiting.lock();
                    waiting.retain(|letter| !written.contains(letter.id.as_str()));
                    (0..dropped).for_each(|_| telemetry::dead_letter_dropped());
                    telemetry::dead_letters(waiting.len() + kept);
                    self.is_failing.store(false, Ordering::Relaxed);
                }
                Err(why) => {
                    if !self.is_failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(why, "dead letters cannot be written, so they wait in memory");
                    }
                    return true;
                }
            }
        }
    }
}

/// Writes letters as they come, and tries again while they cannot be written.
async fn write(kept: Weak<Kept>, added: Arc<Notify>) {
    if let Some(kept) = kept.upgrade() {
        // Earlier letters count from the start.
        match kept.newest_of_table(None, 0).await {
            Ok((_, count)) => telemetry::dead_letters(count),
            Err(LettersAway(why)) => tracing::warn!(why, "the dead letters from before the start cannot be read yet"),
        }
    }
    loop {
        let Some(letters) = kept.upgrade() else { return };
        let is_left = letters.write_all().await;
        drop(letters);
        if is_left {
            tokio::time::sleep(RETRY_INTERVAL).await;
        } else {
            added.notified().await;
        }
    }
}

/// The prefix of the channel in the row of a rule that revokes; no template contains a space.
const REVOKES: &str = "revoke ";
/// The same for a rule that ends sessions.
const ENDS_SESSIONS: &str = "end ";

/// The same for a rule that takes retained values away.
const REMOVES: &str = "remove ";

/// A letter as a row of its table: the id, the time, the rule, the reason, and the event as JSON.
pub(super) type Row = (String, i64, String, String, String, String);

/// The letter of a row; `None` if the server did not write the row.
pub(super) fn of_row((id, at_unix_s, on, to, reason, event): Row) -> Option<DeadLetter> {
    let event = BusEvent::kept(&event)?;
    let at_unix_s = u64::try_from(at_unix_s).unwrap_or_default();
    let kinds = [("", ""), (REVOKES, "revokes"), (ENDS_SESSIONS, "ends"), (REMOVES, "removes")];
    let found = kinds.iter().rev().find_map(|(prefix, kind)| Some((to.strip_prefix(prefix)?, *kind)));
    let (to, kind) = found.unwrap_or((&to, ""));
    let rule = RuleId {
        on,
        to: to.to_owned(),
        revokes: kind == "revokes",
        ends_sessions: kind == "ends",
        removes: kind == "removes",
    };
    Some(DeadLetter { id, rule, reason, at_unix_s, event, share: None })
}

/// The row of a letter. PostgreSQL accepts no NUL in a text; JSON escapes it.
pub(super) fn to_row(letter: &DeadLetter) -> Row {
    let plain = |text: &str| text.replace('\0', "\u{fffd}");
    let does = match letter.rule {
        RuleId { revokes: true, .. } => REVOKES,
        RuleId { ends_sessions: true, .. } => ENDS_SESSIONS,
        RuleId { removes: true, .. } => REMOVES,
        RuleId { .. } => "",
    };
    let (on, to) = (plain(&letter.rule.on), format!("{does}{}", plain(&letter.rule.to)));
    let at_unix_s = i64::try_from(letter.at_unix_s).unwrap_or(i64::MAX);
    (plain(&letter.id), at_unix_s, on, to, plain(&letter.reason), letter.event.to_text())
}
