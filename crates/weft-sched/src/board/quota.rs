//! What each queue may use, what it uses, who borrows and who lends.
//!
//! In integers, for each resource (devices in thousandths, processor in thousandths, bytes):
//! - What a workload uses counts in its queue and in every queue above it.
//! - A queue may use its nominal and its borrowing quota, and no more.
//! - Queues of one group — the children of one queue, or the roots of one cohort — may together
//!   use beyond their nominal only what others of the group lend at that moment: of each, what it
//!   leaves of its nominal, at most its lending quota. Under a parent, what the parent borrows
//!   comes on top, and is checked again one level up.
//! - A queue with children keeps what it has not given to them for workloads of its own, as one
//!   more member of the group that lends all of it.
//!
//! Nominal, borrowing and lending are Kueue's; like there, an owner whose share is lent out takes
//! it back by reclaim, not by overcommitting. A queue that is not set has zero of everything.

use super::tree::{Seat, Tree};
use crate::Snapshot;
use alloc::vec::Vec;

/// The resources that are shared out, by their names in a reason.
pub(crate) const RESOURCES: [&str; 3] = ["gpu", "cpu", "memory"];

/// Devices (thousandths), processor (thousandths), memory (bytes).
pub(crate) type Charge = [u128; 3];

/// Why a charge is refused: the seat and the resource that lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    /// Whose share.
    pub(crate) seat: u32,
    /// Index in [`RESOURCES`].
    pub(crate) resource: usize,
    /// Its own limit, rather than what others lend.
    pub(crate) own: bool,
}

/// Which book is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Everything that holds capacity.
    Now,
    /// Without what stops, with what is promised.
    Later,
    /// Without what stops, without promises: who has borrowed, for taking back.
    Sure,
}

impl Which {
    /// What is written for something that runs on.
    pub(crate) const ALL: [Which; 3] = [Which::Now, Which::Later, Which::Sure];
    /// What changes when something that runs begins to stop.
    pub(crate) const STOPPING: [Which; 2] = [Which::Later, Which::Sure];
}

/// What is used, in the three views of it, with a log that undoes what was tried.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The seats.
    pub(crate) tree: Tree,
    books: [Book; 3],
    log: Vec<(Which, u32, Charge, bool)>,
}

#[derive(Debug, Default)]
struct Book {
    used: Vec<Charge>,
    over: Vec<Charge>,
    lent: Vec<Charge>,
}

impl Books {
    /// Empty books over the snapshot's queues, and each workload's seat in the order of ids.
    pub(crate) fn new(snapshot: &Snapshot) -> (Self, Vec<u32>) {
        let (tree, seats) = Tree::new(snapshot);
        let books = [Book::new(&tree), Book::new(&tree), Book::new(&tree)];
        (Self { tree, books, log: Vec::new() }, seats)
    }

    /// Whether the charge may be used in the seat.
    pub(crate) fn check(&self, which: Which, seat: u32, charge: &Charge) -> Result<(), Short> {
        let book = &self.books[which as usize];
        self.tree.path(seat).try_for_each(|seat| book.check_seat(&self.tree, seat, charge))
    }

    /// How much more of its own the queue that was short would need for the charge to pass in all
    /// its seats on the way up, if those above it have as much more, too.
    pub(crate) fn missing(&self, which: Which, seat: u32, charge: &Charge, short: Short) -> u128 {
        let (book, r) = (&self.books[which as usize], short.resource);
        let queue = &self.tree.seats[short.seat as usize].queue;
        let seats = self.tree.path(seat).filter(|at| self.tree.seats[*at as usize].queue == *queue);
        let missing = seats.map(|at| match book.missing(&self.tree, at, charge, r) {
            0 => 0,
            missing => missing + self.tree.given_beyond(at, r),
        });
        missing.max().unwrap_or(0)
    }

    /// Use it.
    pub(crate) fn take(&mut self, whiches: &[Which], seat: u32, charge: &Charge) {
        whiches.iter().for_each(|which| self.change(*which, seat, charge, true));
    }

    /// Give it back.
    pub(crate) fn give(&mut self, whiches: &[Which], seat: u32, charge: &Charge) {
        whiches.iter().for_each(|which| self.change(*which, seat, charge, false));
    }

    /// A point to come back to.
    pub(crate) fn mark(&self) -> usize {
        self.log.len()
    }

    /// What was changed so far stays: nothing of it can be undone any more.
    pub(crate) fn forget_changes(&mut self) {
        self.log.clear();
    }

    /// Undo everything since the mark.
    pub(crate) fn rollback(&mut self, mark: usize) {
        while self.log.len() > mark {
            let Some((which, seat, charge, taken)) = self.log.pop() else { return };
            self.books[which as usize].change(&self.tree, seat, &charge, !taken);
        }
    }

    /// What the seat uses.
    pub(crate) fn used(&self, which: Which, seat: u32) -> &Charge {
        &self.books[which as usize].used[seat as usize]
    }

    /// What others of the seat's group could lend it now.
    pub(crate) fn lendable(&self, which: Which, seat: u32, resource: usize) -> u128 {
        let (book, group) = (&self.books[which as usize], self.tree.seats[seat as usize].group);
        let all = book.lent[group as usize][resource] + self.tree.extra[group as usize][resource];
        let own = book.lends(&self.tree, seat)[resource];
        all.saturating_sub(own).saturating_sub(book.over[group as usize][resource])
    }

    /// How much of what the seat leaves of its own is used by others of its group, at most.
    pub(crate) fn lent_out(&self, which: Which, seat: u32, resource: usize) -> u128 {
        let (book, group) = (&self.books[which as usize], self.tree.seats[seat as usize].group);
        book.lends(&self.tree, seat)[resource].min(book.over[group as usize][resource])
    }

    /// What the seat could use more, at most: no charge beyond it passes a check.
    pub(crate) fn headroom(&self, which: Which, seat: u32) -> Charge {
        let book = &self.books[which as usize];
        let mut least = [u128::MAX; 3];
        for at in self.tree.path(seat) {
            let (seat, used) = (&self.tree.seats[at as usize], &book.used[at as usize]);
            let group = seat.group as usize;
            for r in 0..3 {
                let limit = seat.nominal[r].saturating_add(seat.borrowing[r]);
                let lent = book.lent[group][r] + self.tree.extra[group][r];
                let slack = lent.saturating_sub(book.over[group][r]);
                let own = seat.nominal[r].saturating_sub(used[r]);
                least[r] =
                    least[r].min(limit.saturating_sub(used[r])).min(own.saturating_add(slack));
            }
        }
        least
    }

    /// Whether with the charge the seat stays within its own, in what the charge needs.
    pub(crate) fn within(&self, which: Which, seat: u32, charge: &Charge) -> bool {
        let (used, nominal) = (self.used(which, seat), &self.tree.seats[seat as usize].nominal);
        (0..3).all(|r| charge[r] == 0 || used[r] + charge[r] <= nominal[r])
    }

    /// The largest share of nominal among the resources, in thousandths: of what is used and was
    /// lately, devices by what they are worth.
    pub(crate) fn share(&self, which: Which, seat: u32) -> u128 {
        let (used, at) = (self.used(which, seat), &self.tree.seats[seat as usize]);
        let (recent, nominal) = (&at.recent, &at.nominal);
        let premium = [at.premium, 0, 0];
        let held = |r: usize| (used[r] + recent[r]).saturating_add_signed(premium[r]);
        let share = |r: usize| match (held(r), nominal[r]) {
            (0, _) => 0,
            (_, 0) => u128::MAX,
            // Division of 64 bits is several times quicker, and almost always enough.
            (used, nominal) => {
                match (u64::try_from(used.saturating_mul(1000)), u64::try_from(nominal)) {
                    (Ok(used), Ok(nominal)) => u128::from(used / nominal),
                    _ => used.saturating_mul(1000) / nominal,
                }
            }
        };
        (0..3).map(share).max().unwrap_or(0)
    }

    fn change(&mut self, which: Which, seat: u32, charge: &Charge, take: bool) {
        self.books[which as usize].change(&self.tree, seat, charge, take);
        self.log.push((which, seat, *charge, take));
    }
}

impl Book {
    fn new(tree: &Tree) -> Self {
        let mut lent = alloc::vec![[0; 3]; tree.extra.len()];
        for seat in &tree.seats {
            let lent = &mut lent[seat.group as usize];
            (0..3).for_each(|r| lent[r] += lends(seat, &[0; 3], r));
        }
        Self {
            used: alloc::vec![[0; 3]; tree.seats.len()],
            over: alloc::vec![[0; 3]; tree.extra.len()],
            lent,
        }
    }

    fn change(&mut self, tree: &Tree, seat: u32, charge: &Charge, take: bool) {
        for at in tree.path(seat) {
            let seat = &tree.seats[at as usize];
            let used = &mut self.used[at as usize];
            let (over, lent) =
                (&mut self.over[seat.group as usize], &mut self.lent[seat.group as usize]);
            for r in 0..3 {
                over[r] -= over_by(seat, used, r);
                lent[r] -= lends(seat, used, r);
                used[r] = match take {
                    true => used[r] + charge[r],
                    false => used[r].saturating_sub(charge[r]),
                };
                over[r] += over_by(seat, used, r);
                lent[r] += lends(seat, used, r);
            }
        }
    }

    fn check_seat(&self, tree: &Tree, at: u32, charge: &Charge) -> Result<(), Short> {
        let seat = &tree.seats[at as usize];
        let (group, before) = (seat.group as usize, &self.used[at as usize]);
        for r in (0..3).filter(|r| charge[*r] > 0) {
            let after = before[r] + charge[r];
            if after > seat.nominal[r].saturating_add(seat.borrowing[r]) {
                return Err(Short { seat: at, resource: r, own: true });
            }
            // Up to here it takes nothing that is lent or could be; beyond, what nobody else uses.
            let kept = seat.nominal[r].saturating_sub(seat.lending[r]).max(before[r]);
            let lent = self.lent[group][r] + tree.extra[group][r];
            if after > kept.saturating_add(lent.saturating_sub(self.over[group][r])) {
                return Err(Short { seat: at, resource: r, own: false });
            }
        }
        Ok(())
    }

    /// What a seat lacks of a resource for the charge: of its limit, or of what its group lends.
    fn missing(&self, tree: &Tree, at: u32, charge: &Charge, r: usize) -> u128 {
        let seat = &tree.seats[at as usize];
        let (group, before) = (seat.group as usize, &self.used[at as usize]);
        let mut after = *before;
        after[r] += charge[r];
        let own = after[r].saturating_sub(seat.nominal[r].saturating_add(seat.borrowing[r]));
        let (over, lent) = (over_by(seat, &after, r), lends(seat, &after, r));
        if charge[r] == 0 || (over_by(seat, before, r) == over && lends(seat, before, r) == lent) {
            return own;
        }
        let group_over = self.over[group][r] - over_by(seat, before, r) + over;
        let group_lent = self.lent[group][r] - lends(seat, before, r) + lent + tree.extra[group][r];
        let shared = group_over.saturating_sub(group_lent);
        // With so much of its own that it lends as before, it is not asked what its group has left.
        let alone = (after[r] + seat.lending[r]).saturating_sub(seat.nominal[r]);
        own.max(shared.min(alone))
    }

    fn lends(&self, tree: &Tree, at: u32) -> Charge {
        let (seat, used) = (&tree.seats[at as usize], &self.used[at as usize]);
        [0, 1, 2].map(|r| lends(seat, used, r))
    }
}

fn over_by(seat: &Seat, used: &Charge, r: usize) -> u128 {
    used[r].saturating_sub(seat.nominal[r])
}

fn lends(seat: &Seat, used: &Charge, r: usize) -> u128 {
    seat.nominal[r].saturating_sub(used[r]).min(seat.lending[r])
}
