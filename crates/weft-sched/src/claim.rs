//! From whom a waiting workload may take capacity back.
//!
//! | | of whom | what it needs |
//! |--|--|--|
//! | *reclaim* | queues that use more than their own | to stay within its own share |
//! | *preempt* | its own queue, lower priority | |
//! | *suspend* | its own queue, served more (`rank.rs`) | its queue shares time |
//! | *suspend* | other queues, served more, as far as they borrow | its queue and theirs share time |
//!
//! What is borrowed is shared by service over all queues that share time, so that a short workload
//! of a queue that borrows does not wait behind a long one of another. A queue that is stopped for
//! one beyond its share keeps at least its own: what is within a share never makes place for what
//! is beyond one. Called where capacity is taken back (`take_back.rs`).

use crate::board::{Charge, Run, Wait, Which};
use crate::pass::Pass;
use crate::rank::Rank;
use alloc::vec::Vec;
use core::cmp::Reverse;
use weft_types::Timestamp;

/// For whom capacity may be taken back, as far as it decides from whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    /// The owner's seat.
    pub(crate) seat: u32,
    /// Which resources it needs, as bits.
    needs: u8,
    /// On how many levels of queues, from its own up, it stays within its own share.
    within: u8,
    /// Its queue shares time.
    shares: bool,
    /// Its priority and its rank in its queue.
    pub(crate) level: Level,
}

/// How much a claim may take: more from a higher priority, and from a lower rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Level {
    priority: i32,
    pub(crate) rank: Reverse<Rank>,
}

impl Level {
    /// Whether whatever may be taken at that level may be at this one.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.priority >= other.priority && self.rank >= other.rank
    }

    /// The least level that covers both.
    pub(crate) fn join(self, other: Self) -> Self {
        let priority = self.priority.max(other.priority);
        Self { priority, rank: self.rank.max(other.rank) }
    }
}

impl Wait {
    /// How much it may take back.
    pub(crate) fn level(&self) -> Level {
        Level { priority: self.priority, rank: Reverse(self.rank) }
    }
}

impl Claim {
    /// The same of another level.
    pub(crate) fn at(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// What claims of all levels have in common.
    pub(crate) fn key(self) -> (u32, u8, u8) {
        (self.seat, self.needs, self.within)
    }

    /// Whether it may take the place of one of lower priority in its queue.
    fn preempts(self, run: &Run) -> bool {
        let allowed = run.reclaim.preemptible || run.slice_ends_at.is_some();
        allowed && run.priority < self.level.priority
    }

    /// Whether it may have one suspended that was served more in its queue.
    fn suspends(self, run: &Run) -> bool {
        let can_be = run.slice_ends_at.is_some() && run.priority == self.level.priority;
        can_be && self.level.rank.0.outranks(run.rank)
    }

    /// Whether it may have one of another queue suspended that was served more, if that borrows.
    fn outranks(self, run: &Run) -> bool {
        let can_be = run.slice_ends_at.is_some() && run.reclaim.reclaimable;
        self.shares && can_be && self.level.rank.0.outranks(run.rank)
    }
}

/// How a claim stands to another queue.
#[derive(Debug, Clone, Copy)]
enum Tie {
    /// It is within its own where their paths meet: it takes back what that queue borrowed.
    Owner(usize),
    /// It is beyond: it shares what both borrow.
    Borrower(usize),
}

impl Pass<'_> {
    /// The claim of a waiting workload.
    pub(crate) fn claim(&self, at: usize) -> Claim {
        let wait = &self.board.waiting[at];
        let books = &self.board.books;
        let own = |seat: &u32| books.within(Which::Later, *seat, &wait.charge);
        Claim {
            seat: wait.seat,
            needs: (0..3).map(|r| u8::from(wait.charge[r] > 0) << r).sum(),
            within: books.tree.path(wait.seat).take_while(own).count() as u8,
            shares: wait.aged_at.is_some(),
            level: wait.level(),
        }
    }

    /// Whether a waiting workload stays within its own share, and those of all queues above.
    pub(crate) fn is_entitled(&self, at: usize) -> bool {
        let (wait, books) = (&self.board.waiting[at], &self.board.books);
        let mut path = books.tree.path(wait.seat);
        path.all(|seat| books.within(Which::Later, seat, &wait.charge))
    }

    /// Running workloads that may be stopped for a claim, in the order in which they are tried:
    /// borrowed before lower priority, lowest priority, most served, latest start.
    pub(crate) fn candidates(&self, claim: Claim) -> Vec<usize> {
        let mut candidates = Vec::new();
        for (seat, runs) in &self.board.by_seat {
            let tie = self.tie(*seat, claim);
            if *seat != claim.seat && !tie.is_some_and(|tie| self.may_give(*seat, claim, tie)) {
                continue;
            }
            let allowed = |run: &&usize| {
                let it = &self.board.running[**run];
                let may_be = match tie {
                    None => claim.preempts(it) || claim.suspends(it),
                    Some(Tie::Owner(_)) => it.reclaim.reclaimable,
                    Some(Tie::Borrower(_)) => claim.outranks(it),
                };
                may_be && !it.stopping && !it.pieces.is_empty()
            };
            let equal = !matches!(tie, Some(Tie::Owner(_)));
            let tried = |run: &usize| {
                let it = &self.board.running[*run];
                // Priorities of two queues say nothing to each other.
                let priority = match tie {
                    Some(Tie::Borrower(_)) => claim.level.priority,
                    _ => it.priority,
                };
                (equal, priority, Reverse(it.rank), Reverse(it.since), Reverse(it.id))
            };
            candidates.extend(runs.iter().filter(allowed).map(|run| (tried(run), *run)));
        }
        candidates.sort_unstable_by_key(|(order, _)| *order);
        candidates.into_iter().map(|(_, run)| run).collect()
    }

    /// Whether a candidate may still be stopped after those released before it.
    pub(crate) fn may_stop(&self, run: usize, claim: Claim) -> bool {
        let it = &self.board.running[run];
        match self.tie(it.seat, claim) {
            None => it.seat == claim.seat,
            Some(Tie::Owner(levels)) => self.borrows(it.seat, claim, levels, &[1; 3]),
            Some(Tie::Borrower(levels)) => {
                // Where both hold devices these decide: a queue beyond its processors keeps its own
                // devices.
                let [gpu, cpu, memory] = it.charge;
                let devices = gpu > 0 && claim.needs & 1 != 0;
                let least = if devices { [gpu, 0, 0] } else { [gpu, cpu, memory] };
                self.borrows(it.seat, claim, levels, &least)
            }
        }
    }

    /// From when a running workload may be stopped for a claim.
    pub(crate) fn ripe_at(&self, run: usize, claim: Claim) -> Timestamp {
        let it = &self.board.running[run];
        let suspended = match self.tie(it.seat, claim) {
            None => it.priority == claim.level.priority,
            Some(tie) => matches!(tie, Tie::Borrower(_)),
        };
        it.slice_ends_at.filter(|_| suspended).unwrap_or(it.ripe_at)
    }

    /// Whether a claim takes back from another queue what is its own.
    pub(crate) fn is_owner(&self, seat: u32, claim: Claim) -> bool {
        matches!(self.tie(seat, claim), Some(Tie::Owner(_)))
    }

    /// Whether anything of a queue may be stopped for a claim.
    fn may_give(&self, seat: u32, claim: Claim, tie: Tie) -> bool {
        match tie {
            Tie::Owner(levels) => self.borrows(seat, claim, levels, &[1; 3]),
            Tie::Borrower(levels) => claim.shares && self.borrows(seat, claim, levels, &[1; 3]),
        }
    }

    /// How a claim stands to another seat, with the levels of that one up to where they meet.
    fn tie(&self, seat: u32, claim: Claim) -> Option<Tie> {
        let tree = &self.board.books.tree;
        let (mine, theirs) = tree.meet(claim.seat, seat)?;
        let level = tree.path(claim.seat).position(|at| at == mine)?;
        let levels = tree.path(seat).position(|at| at == theirs).map_or(0, |at| at + 1);
        Some(match level < usize::from(claim.within) {
            true => Tie::Owner(levels),
            false => Tie::Borrower(levels),
        })
    }

    /// Whether of a resource that a claim needs a seat has borrowed so much on each of its levels
    /// up to where they meet.
    fn borrows(&self, seat: u32, claim: Claim, levels: usize, least: &Charge) -> bool {
        let (books, tree) = (&self.board.books, &self.board.books.tree);
        let over = |r: usize| {
            let mut path = tree.path(seat).take(levels);
            let beyond = |at: u32| {
                let nominal = tree.seats[at as usize].nominal[r];
                books.used(Which::Sure, at)[r] >= nominal.saturating_add(least[r])
            };
            claim.needs & (1 << r) != 0 && least[r] > 0 && path.all(beyond)
        };
        (0..3).any(over)
    }
}
