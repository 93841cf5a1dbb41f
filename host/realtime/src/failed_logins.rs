//! Counts failed logins by address: an address that guesses credentials must wait, before its next guess causes any
//! work.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The time in which failures are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// Most addresses in memory. Beyond that number the addresses whose minute has passed are forgotten; if there are none,
/// no further address is counted: counting does not stop an attacker with so many addresses.
const ADDRESSES_MAX: usize = 50_000;

/// Failed logins of the last minute, by address.
pub(super) struct FailedLogins {
    /// FailedLogins a minute after which an address must wait; 0: no limit.
    per_minute_max: u32,
    by_address: Mutex<HashMap<IpAddr, Window>>,
}

struct Window {
    began: Instant,
    failures: u32,
}

impl FailedLogins {
    /// `limits.failed_connects`; 0: no limit.
    pub(super) fn new(per_minute_max: u32) -> Self {
        Self { per_minute_max, by_address: Mutex::default() }
    }

    /// Whether this address may try again now. An unknown one may.
    pub(super) fn admits(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.filter(|_| self.per_minute_max > 0) else { return true };
        let by_address = self.by_address.lock();
        by_address
            .get(&network(address))
            .is_none_or(|window| window.began.elapsed() >= WINDOW || window.failures < self.per_minute_max)
    }

    /// Records a failed login of this address.
    pub(super) fn note(&self, address: Option<IpAddr>) {
        let Some(address) = address.filter(|_| self.per_minute_max > 0) else { return };
        let address = network(address);
        let mut by_address = self.by_address.lock();
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            by_address.retain(|_, window| window.began.elapsed() < WINDOW);
            if by_address.len() >= ADDRESSES_MAX {
                return;
            }
        }
        let window = by_address.entry(address).or_insert_with(|| Window { began: Instant::now(), failures: 0 });
        if window.began.elapsed() >= WINDOW {
            *window = Window { began: Instant::now(), failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

/// The network of one party: an IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn who_failed_too_often_waits_for_the_next_minute_and_nobody_else_does() {
        let failures = FailedLogins::new(3);
        let (guesser, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..3 {
            assert!(failures.admits(guesser));
            failures.note(guesser);
        }
        assert!(!failures.admits(guesser));
        assert!(!failures.admits(address("::ffff:192.0.2.1")), "the same address in another form");
        assert!(failures.admits(other) && failures.admits(None));
        tokio::time::advance(WINDOW).await;
        assert!(failures.admits(guesser));
        failures.note(guesser);
        assert!(failures.admits(guesser), "a new minute begins with nothing");
    }

    #[test]
    fn an_ipv6_network_is_one_party() {
        let failures = FailedLogins::new(1);
        failures.note(address("2001:db8:1:2::1"));
        assert!(!failures.admits(address("2001:db8:1:2:ffff::9")));
        assert!(failures.admits(address("2001:db8:1:3::1")));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let failures = FailedLogins::new(0);
        (0..100).for_each(|_| failures.note(address("192.0.2.1")));
        assert!(failures.admits(address("192.0.2.1")));
        assert!(failures.by_address.lock().is_empty());
    }

    #[test]
    fn as_many_addresses_are_remembered_and_no_more() {
        let failures = FailedLogins::new(1);
        for bits in 0..u32::try_from(ADDRESSES_MAX).unwrap() + 10 {
            failures.note(Some(IpAddr::V4(bits.into())));
        }
        assert_eq!(failures.by_address.lock().len(), ADDRESSES_MAX);
    }
}
