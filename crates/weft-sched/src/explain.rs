//! Why each workload that waits does, as data: from what was decided and the pool as the plan
//! leaves it. Equal requests are explained once.

use crate::Reason;
use crate::board::{RESOURCES, Short, Span, View, Which};
use crate::lacking::{lacking, nearest};
use crate::pass::{Outcome, Pass};
use crate::possible::impossible_class;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use weft_types::{Bytes, MilliCpu, MilliGpu};

/// What was found for one class and gang size.
#[derive(Clone)]
enum Found {
    /// It would fit now, if these holds were not.
    Holds(Vec<usize>),
    /// It does not fit.
    Lacks(Reason),
}

impl Pass<'_> {
    /// The reason of each waiting workload; none for those that start.
    pub(crate) fn explain(&mut self) -> Vec<Option<Reason>> {
        let mut places = BTreeMap::new();
        let mut never = BTreeMap::new();
        let mut shares = BTreeMap::new();
        (0..self.outcomes.len())
            .map(|at| match self.outcomes[at].clone() {
                Outcome::Started => None,
                Outcome::BackOff => {
                    Some(Reason::BackOff { until: self.board.waiting[at].pending.not_before })
                }
                Outcome::Open | Outcome::Impossible => {
                    let wait = &self.board.waiting[at];
                    let (request, gang) = (&wait.workload.request, wait.gang);
                    let reason = || impossible_class(&self.board, wait.class, request, gang);
                    Some(never.entry((wait.class, gang)).or_insert_with(reason).clone())
                }
                Outcome::Quota(short) => Some(self.explain_quota(at, short, &mut shares)),
                Outcome::Capacity => Some(self.explain_capacity(at, &mut places)),
                Outcome::Handover(victims) => Some(Reason::Handover { victims }),
                Outcome::MinRun(until) => Some(Reason::MinRun { until }),
                Outcome::Behind(workload) => Some(Reason::Behind { workload }),
            })
            .collect()
    }

    fn explain_quota(
        &self,
        at: usize,
        then: Short,
        known: &mut BTreeMap<(u32, usize), Reason>,
    ) -> Reason {
        let wait = &self.board.waiting[at];
        let books = &self.board.books;
        if let Err(short) = books.check(Which::Now, wait.seat, &wait.charge) {
            let words = known.entry((short.seat, short.resource));
            let words = words.or_insert_with(|| self.quota_words(short)).clone();
            return self.with_need(words, at, short.resource);
        }
        // Its share is there, but kept for an earlier one.
        let shares = |hold: &&crate::pass::Hold| {
            hold.seat == wait.seat || books.tree.meet(hold.seat, wait.seat).is_some()
        };
        let later = books.check(Which::Later, wait.seat, &wait.charge);
        match self.holds.iter().find(shares).filter(|_| later.is_err()) {
            Some(hold) => Reason::Behind { workload: hold.id },
            None => self.with_need(self.quota_words(then), at, then.resource),
        }
    }

    /// What is the same for all that wait for a share, and what this one needs of it.
    fn with_need(&self, mut reason: Reason, at: usize, resource: usize) -> Reason {
        if let Reason::Quota { needed, .. } = &mut reason {
            *needed = amount_words(resource, self.board.waiting[at].charge[resource]);
        }
        reason
    }

    fn quota_words(&self, short: Short) -> Reason {
        let (books, r) = (&self.board.books, short.resource);
        let seat = &books.tree.seats[short.seat as usize];
        let amount = |amount: u128| amount_words(r, amount);
        let (own, more) = (seat.nominal[r], seat.borrowing[r]);
        let mut limit = match (more, more >= u128::from(u64::MAX)) {
            (0, _) => amount(own),
            (_, true) => alloc::format!("{} and what is left above it", amount(own)),
            _ => alloc::format!("{} and may borrow {}", amount(own), amount(more)),
        };
        let lent = books.lent_out(Which::Now, short.seat, r);
        if !short.own && lent > 0 {
            limit += &alloc::format!(" with {} lent out", amount(lent));
        }
        Reason::Quota {
            needed: String::new(),
            queue: seat.queue.clone(),
            resource: RESOURCES[r].to_string(),
            used: amount(books.used(Which::Now, short.seat)[r]),
            limit,
            lendable: amount(books.lendable(Which::Now, short.seat, r)),
        }
    }

    fn explain_capacity(&mut self, at: usize, known: &mut BTreeMap<(u32, u32), Found>) -> Reason {
        let wait = &self.board.waiting[at];
        let (id, seat, key) = (wait.id, wait.seat, (wait.class, wait.gang));
        let found = match known.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = self.look_now(at);
                known.insert(key, found.clone());
                found
            }
        };
        let holds = match found {
            Found::Lacks(reason) => return reason,
            Found::Holds(holds) => holds,
        };
        let others = holds.into_iter().filter(|hold| self.holds[*hold].id != id);
        let first = others.min_by_key(|hold| (self.holds[*hold].seat != seat, *hold));
        match first {
            Some(hold) => Reason::Behind { workload: self.holds[hold].id },
            None => self.lacks(at),
        }
    }

    /// Whether the gang would fit now if nothing were kept for others.
    fn look_now(&mut self, at: usize) -> Found {
        let wait = &self.board.waiting[at];
        let (class, gang) = (&self.board.classes[wait.class as usize], wait.gang);
        let mark = self.board.mark();
        let placed = match self.holds.is_empty() {
            true => None,
            false => self.board.pool.place(class, gang, View::Now, Span::Now).ok(),
        };
        self.board.rollback(mark);
        match placed {
            None => Found::Lacks(self.lacks(at)),
            Some(pieces) => {
                let on = |node: u32| pieces.iter().any(|piece| piece.node == node);
                let touching = |hold: &usize| self.holds[*hold].pieces.iter().any(|p| on(p.node));
                let holds: Vec<usize> = (0..self.holds.len()).filter(touching).collect();
                // None touches these machines: one of them keeps the better ones.
                Found::Holds(if holds.is_empty() { (0..self.holds.len()).collect() } else { holds })
            }
        }
    }

    /// How many members find a place, and what the nearest machine lacks for the next.
    fn lacks(&mut self, at: usize) -> Reason {
        let wait = &self.board.waiting[at];
        let (class, gang) = (&self.board.classes[wait.class as usize], wait.gang);
        let mark = self.board.mark();
        let pieces = self.board.pool.place_some(class, gang, View::Now, Span::Now);
        let node = nearest(&self.board.pool, class, View::Now);
        let words =
            |node| lacking(&self.board.pool, node, class, &wait.workload.request, View::Now);
        let lacking = node.map_or_else(String::new, words);
        self.board.rollback(mark);
        let nearest = node.map(|node| self.board.names[node as usize].clone());
        Reason::Capacity { placed: pieces.len() as u32, nearest, lacking }
    }
}

fn amount_words(resource: usize, amount: u128) -> String {
    let amount = u64::try_from(amount).unwrap_or(u64::MAX);
    match resource {
        0 if amount == 1000 => String::from("1 GPU"),
        0 => alloc::format!("{} GPUs", MilliGpu(amount)),
        1 if amount == 1000 => String::from("1 CPU core"),
        1 => alloc::format!("{} CPU cores", MilliCpu(amount)),
        _ => alloc::format!("{} of memory", Bytes(amount)),
    }
}
