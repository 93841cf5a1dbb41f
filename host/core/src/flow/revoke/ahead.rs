//! Credentials with a time of issue in the future: the issuer's clock is ahead. By their time of issue a revocation
//! cannot tell that they are older than itself, so this remembers which of them the server saw, and when.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use serde_json::json;

use super::Revocation;
use super::record::print_of;
use crate::protocol::User;
use crate::telemetry;

/// The prefix of the name of a credential that may have no `jti`.
const PRINT: &str = "seen:";
/// How long a credential is remembered after its time of issue has come, in seconds, because revocations of other nodes
/// may come late.
const LATE_S: u64 = 300;
/// Credentials of one user that a revocation names one by one. With more of them it covers all up to the last one.
const NAMED_MAX: usize = 16;

/// The credentials that this server saw before their time of issue.
#[derive(Default)]
pub(super) struct IssuedAhead {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By user, then by print.
    by_user: HashMap<String, HashMap<String, Seen>>,
    /// In the order in which they may be forgotten.
    order: BTreeMap<(u64, u64), (String, String)>,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    issued_at: u64,
    first_unix_s: u64,
}

/// A name for a credential that may have no id: a hash of its claims. Unlike a hash of its text the holder cannot
/// change it, because not every bit of a signature's text counts.
pub(super) fn print(user: &User) -> String {
    // The end of a credential with an id may move.
    let ends_at = user.expires_at.filter(|_| user.token_id.is_none());
    print_of(PRINT, &json!([user.id, user.tenant, user.token_id, user.issued_at, ends_at]))
}

/// Whether a revocation's `token` is a [`print()`].
pub(super) fn is_print(token: &str) -> bool {
    token.starts_with(PRINT)
}

impl IssuedAhead {
    /// When this credential was first seen, counting this time; `None` if its time of issue has come. At most `max`
    /// credentials are remembered; the oldest are forgotten first.
    pub(super) fn see(&self, user: &User, now_unix_s: u64, max: usize) -> Option<u64> {
        let issued_at = user.issued_at.filter(|at| *at > now_unix_s)?;
        let print = print(user);
        let mut state = self.state.lock();
        if let Some(seen) = state.by_user.get(&user.id).and_then(|of_user| of_user.get(&print)) {
            return Some(seen.first_unix_s);
        }
        let place = (issued_at, state.next);
        state.next += 1;
        state.order.insert(place, (user.id.clone(), print.clone()));
        let seen = Seen { issued_at, first_unix_s: now_unix_s };
        state.by_user.entry(user.id.clone()).or_default().insert(print, seen);
        while state.order.len() > max {
            state.forget_first();
        }
        telemetry::credentials_ahead(state.order.len());
        Some(now_unix_s)
    }

    /// The further credentials that a revocation of a user covers, because they were seen before it. Each is named, so
    /// that every node refuses it, also after a restart.
    pub(super) fn seen_before(&self, revocation: &Revocation) -> Vec<Revocation> {
        let Some(user) = revocation.user.as_ref().filter(|_| revocation.is_of_all_until_now()) else {
            return Vec::new();
        };
        let at = revocation.at_unix_s;
        let state = self.state.lock();
        let of_user = state.by_user.get(user).into_iter().flatten();
        let seen: Vec<_> = of_user.filter(|(_, seen)| seen.first_unix_s <= at && seen.issued_at > at).collect();
        let besides = |token: Option<String>, issued_before: Option<u64>, name: &str| Revocation {
            id: format!("{}/{name}", revocation.id),
            token,
            issued_before,
            ..revocation.clone()
        };
        if seen.len() > NAMED_MAX {
            let last = seen.iter().map(|(_, seen)| seen.issued_at).max().unwrap_or(at);
            return vec![besides(None, Some(last.saturating_add(1)), &last.to_string())];
        }
        seen.into_iter().map(|(print, _)| besides(Some(print.clone()), None, print)).collect()
    }

    /// Removes credentials whose time of issue came so long ago that no revocation needs them.
    pub(super) fn sweep(&self, now_unix_s: u64) {
        let mut state = self.state.lock();
        while state.order.first_key_value().is_some_and(|((issued_at, _), _)| issued_at + LATE_S < now_unix_s) {
            state.forget_first();
        }
        telemetry::credentials_ahead(state.order.len());
    }
}

impl State {
    fn forget_first(&mut self) {
        let Some((_, (user, print))) = self.order.pop_first() else { return };
        if let Some(of_user) = self.by_user.get_mut(&user) {
            of_user.remove(&print);
            if of_user.is_empty() {
                self.by_user.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(user: &str, issued_at: u64) -> User {
        User { issued_at: Some(issued_at), ..User::new(user, Vec::new(), None) }
    }

    fn of_all(user: &str, at_unix_s: u64) -> Revocation {
        Revocation {
            id: "r".to_owned(),
            user: Some(user.to_owned()),
            token: None,
            topic: None,
            issued_before: Some(at_unix_s + 1),
            reason: None,
            at_unix_s,
            until_unix_s: at_unix_s + 1000,
        }
    }

    #[test]
    fn only_what_is_ahead_is_remembered_and_from_when_it_was_seen_first() {
        let ahead = IssuedAhead::default();
        assert_eq!(ahead.see(&token("a", 100), 100, 10), None);
        assert_eq!(ahead.see(&token("a", 103), 100, 10), Some(100));
        assert_eq!(ahead.see(&token("a", 103), 102, 10), Some(100));
        assert_eq!(ahead.see(&token("a", 104), 102, 10), Some(102));
        assert_eq!(ahead.seen_before(&of_all("a", 101)).len(), 1);
        assert_eq!(ahead.seen_before(&of_all("a", 102)).len(), 2);
        assert_eq!(ahead.seen_before(&of_all("b", 102)), []);
        assert_eq!(ahead.seen_before(&of_all("a", 104)), [], "their time of issue says it");
        let dated = Revocation { issued_before: Some(90), ..of_all("a", 102) };
        assert_eq!(ahead.seen_before(&dated), [], "whoever names a time means it");
        ahead.sweep(103 + LATE_S);
        assert_eq!(ahead.seen_before(&of_all("a", 102)).len(), 2);
        ahead.sweep(104 + LATE_S + 1);
        assert_eq!(ahead.seen_before(&of_all("a", 102)), []);
    }

    #[test]
    fn of_a_user_with_very_many_all_up_to_the_last_are_meant() {
        let ahead = IssuedAhead::default();
        for number in 1..=17 {
            ahead.see(&token("a", 100 + number), 100, 100);
        }
        let besides = ahead.seen_before(&of_all("a", 100));
        assert_eq!(besides.len(), 1);
        assert_eq!((&besides[0].token, besides[0].issued_before), (&None, Some(118)));
    }

    #[test]
    fn there_is_room_for_so_many_and_the_oldest_give_way() {
        let ahead = IssuedAhead::default();
        for number in 0..5 {
            ahead.see(&token(&format!("u{number}"), 200 + number), 100, 3);
        }
        let known = |user: &str| ahead.seen_before(&of_all(user, 150)).len();
        assert_eq!(["u0", "u1", "u2", "u3", "u4"].map(known), [0, 0, 1, 1, 1]);
        assert_eq!(ahead.state.lock().by_user.len(), 3);
    }
}
