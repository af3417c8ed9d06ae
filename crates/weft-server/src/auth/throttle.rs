//! A limit on failed authentications per peer, so that guessing cannot flood the audit log.
//!
//! Guessing a 256-bit secret is hopeless; what it could do is fill the disk with audit rows and
//! the processor with look-ups. A peer that keeps failing is answered without either for a
//! while. A good token always passes: one careless script on a shared machine shuts nobody out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures a peer has at once: a person mistyping, or a script with an old token.
const BURST: u32 = 20;
/// One more is granted after each of these: six a minute, a few thousand audit rows a day.
const REFILL: Duration = Duration::from_secs(10);
/// Peers remembered; past it the ones that have recovered are dropped, then all.
const PEERS_MAX: usize = 4_096;

/// Failures by peer; of keys that are good, by whose they are.
#[derive(Debug)]
pub(crate) struct Throttle<P = IpAddr> {
    peers: Mutex<HashMap<P, Failures>>,
}

impl<P> Default for Throttle<P> {
    fn default() -> Self {
        Self { peers: Mutex::default() }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

impl<P: Eq + Hash> Throttle<P> {
    /// Notes a failure; false when the peer has failed too often to be listened to.
    pub(crate) fn may_fail(&self, peer: P, now: Instant) -> bool {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= PEERS_MAX && !peers.contains_key(&peer) {
            peers.retain(|_, failures| failures.recovered(now).count > 0);
            if peers.len() >= PEERS_MAX {
                peers.clear();
            }
        }
        let entry = peers.entry(peer).or_insert(Failures { count: 0, since: now });
        *entry = entry.recovered(now);
        if entry.count >= BURST {
            return false;
        }
        entry.count += 1;
        true
    }
}

impl Failures {
    /// Less what time has forgiven.
    fn recovered(self, now: Instant) -> Self {
        let periods = now.saturating_duration_since(self.since).as_secs() / REFILL.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        let since = self.since + REFILL.saturating_mul(periods.min(self.count));
        match self.count.saturating_sub(periods) {
            0 => Self { count: 0, since: now },
            count => Self { count, since },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_peer_may_fail_a_burst_and_then_slowly() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..BURST {
            assert!(throttle.may_fail(PEER, start));
        }
        assert!(!throttle.may_fail(PEER, start));
        assert!(throttle.may_fail("::1".parse().unwrap(), start), "another peer is another's");
        assert!(throttle.may_fail(PEER, start + REFILL));
        assert!(!throttle.may_fail(PEER, start + REFILL));
        let day = start + Duration::from_secs(86_400);
        for _ in 0..BURST {
            assert!(throttle.may_fail(PEER, day));
        }
        assert!(!throttle.may_fail(PEER, day));
    }

    #[test]
    fn memory_is_bounded() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..2 * u32::try_from(PEERS_MAX).unwrap() {
            throttle.may_fail(IpAddr::V4(n.into()), now);
        }
        assert!(throttle.peers.lock().unwrap().len() <= PEERS_MAX);
    }
}
