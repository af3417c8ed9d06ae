//! Why each workload that waits does, as data: from what was decided and the pool as the plan
//! leaves it. Equal requests are explained once.

use crate::Reason;
use crate::board::{Charge, Gpu, RESOURCES, Short, Span, View, Which};
use crate::kept::Kept;
use crate::lacking::{lacking, lacks};
use crate::least::place_least;
use crate::pass::{Outcome, Pass};
use crate::possible::impossible_class;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use weft_types::{Bytes, MilliCpu, MilliGpu, Timestamp, WorkloadId};

/// What was found for one class and gang size.
#[derive(Clone)]
enum Found {
    /// It would fit now, if this machine were not kept for large ones.
    Kept(Arc<Reason>),
    /// It would fit now, if these holds were not.
    Holds(Vec<usize>),
    /// It does not fit.
    Lacks(Arc<Reason>),
}

/// Reasons that were found already, by what makes them equal.
#[derive(Default)]
struct Known {
    /// By class and gang.
    never: BTreeMap<(u32, u32), Arc<Reason>>,
    /// By class and gang.
    places: BTreeMap<(u32, u32), Found>,
    /// By its own seat, the one that is short, the resource, the amount needed, and whether there
    /// is a place.
    shares: BTreeMap<(u32, u32, usize, u128, bool), Arc<Reason>>,
    /// Whether there are places, by class and gang.
    fits: BTreeMap<(u32, u32), bool>,
    /// What would be counted where it fits, by class and gang.
    charges: BTreeMap<(u32, u32), Option<Charge>>,
    /// By the workload that goes first.
    behind: BTreeMap<WorkloadId, Arc<Reason>>,
}

impl Known {
    fn behind(&mut self, workload: WorkloadId, until: Option<Timestamp>) -> Arc<Reason> {
        let reason = || Arc::new(Reason::Behind { workload, until });
        self.behind.entry(workload).or_insert_with(reason).clone()
    }
}

impl Pass<'_> {
    /// The reason of each waiting workload; none for those that start.
    pub(crate) fn explain(&mut self) -> Vec<Option<Arc<Reason>>> {
        let mut known = Known::default();
        (0..self.outcomes.len()).map(|at| self.reason(at, &mut known)).collect()
    }

    /// The reason of one that waits; none where it starts.
    pub(crate) fn explain_one(&mut self, at: usize) -> Option<Arc<Reason>> {
        self.reason(at, &mut Known::default())
    }

    fn reason(&mut self, at: usize, known: &mut Known) -> Option<Arc<Reason>> {
        let wait = &self.board.waiting[at];
        Some(match &self.outcomes[at] {
            Outcome::Started => return None,
            Outcome::BackOff => Arc::new(Reason::BackOff { until: wait.not_before }),
            Outcome::Open | Outcome::Impossible => {
                let gang = wait.gang;
                let reason = || Arc::new(impossible_class(&self.board, wait.class, gang));
                known.never.entry((wait.class, gang)).or_insert_with(reason).clone()
            }
            Outcome::Quota(_) => self.explain_quota(at, known),
            Outcome::Capacity => self.explain_capacity(at, known),
            Outcome::Handover(victims) => Arc::new(Reason::Handover { victims: victims.clone() }),
            Outcome::MinRun(until) => Arc::new(Reason::MinRun { until: *until }),
            Outcome::Behind(workload) => known.behind(*workload, None),
        })
    }

    fn explain_quota(&mut self, at: usize, known: &mut Known) -> Arc<Reason> {
        let (seat, least) = (self.board.waiting[at].seat, self.board.waiting[at].charge);
        // The least it can count, or what it counts where it fits.
        let charge = self.charge_where_it_fits(at, known).unwrap_or(least);
        let books = &self.board.books;
        for charge in [charge, least] {
            if let Err(short) = books.check(Which::Now, seat, &charge) {
                let place = self.has_place(at, known);
                return self.short_of((seat, charge, short), place, known);
            }
        }
        // Its share is there, but kept for an earlier one.
        let shares = |hold: &&crate::pass::Hold| {
            hold.seat == seat || books.tree.meet(hold.seat, seat).is_some()
        };
        let later = books.check(Which::Later, seat, &charge);
        if let Some(hold) = self.holds.iter().find(shares).filter(|_| later.is_err()) {
            return known.behind(hold.id, self.shadow(hold));
        }
        // Without what is kept it would start only where there is a place as well.
        let but_for_kept = later.is_err() && self.has_place(at, known);
        match self.share_kept(seat).filter(|_| but_for_kept) {
            Some(kept) => Arc::new(self.kept_words(kept)),
            None => self.explain_capacity(at, known),
        }
    }

    /// What is kept for large ones in a share that this one shares in.
    pub(crate) fn share_kept(&self, seat: u32) -> Option<&Kept> {
        let tree = &self.board.books.tree;
        let shares = |kept: &&Kept| kept.seat == seat || tree.meet(kept.seat, seat).is_some();
        self.drains.kept.iter().find(shares)
    }

    fn kept_words(&self, kept: &Kept) -> Reason {
        let queue = self.board.books.tree.seats[kept.seat as usize].queue.clone();
        Reason::Kept { node: self.board.names[kept.piece.node as usize].clone(), queue }
    }

    fn short_of(
        &self,
        (seat, charge, short): (u32, Charge, Short),
        place: bool,
        known: &mut Known,
    ) -> Arc<Reason> {
        let (resource, needed) = (short.resource, charge[short.resource]);
        let words = || {
            let missing = self.board.books.missing(Which::Now, seat, &charge, short);
            Arc::new(self.quota_words(short, needed, missing, place))
        };
        let key = (seat, short.seat, resource, needed, place);
        known.shares.entry(key).or_insert_with(words).clone()
    }

    /// Whether there are places for all its members now, whatever its share.
    fn has_place(&self, at: usize, known: &mut Known) -> bool {
        let wait = &self.board.waiting[at];
        let (class, gang) = (&self.board.classes[wait.class as usize], wait.gang);
        let fits = || self.board.pool.fits(class, gang, View::Now);
        *known.fits.entry((wait.class, gang)).or_insert_with(fits)
    }

    /// What it would count in its queue, placed where it fits and counts least, if that is not the
    /// same everywhere.
    fn charge_where_it_fits(&mut self, at: usize, known: &mut Known) -> Option<Charge> {
        let board = &mut self.board;
        let wait = &board.waiting[at];
        let (class, gang) = (&board.classes[wait.class as usize], wait.gang);
        if !matches!(class.gpu, Gpu::Memory(_) | Gpu::Mig(..)) {
            return None;
        }
        let key = (wait.class, gang);
        if let Some(charge) = known.charges.get(&key) {
            return *charge;
        }
        let mark = board.mark();
        let mut sides = [(View::Start, Span::Both), (View::Now, Span::Now)].into_iter();
        let number = board.classes.len() as u32;
        let pieces = sides.find_map(|(view, span)| {
            let unused = (&mut board.pool, &board.kinds, number);
            let least = place_least(unused, (class, gang), view, span);
            least.or_else(|| board.pool.place(class, gang, view, span).ok())
        });
        let charge = pieces.map(|pieces| board.charge_of(&pieces));
        board.rollback(mark);
        known.charges.insert(key, charge);
        charge
    }

    fn quota_words(&self, short: Short, needed: u128, missing: u128, place: bool) -> Reason {
        let (books, r) = (&self.board.books, short.resource);
        let seat = &books.tree.seats[short.seat as usize];
        let amount = |amount: u128| amount_words(r, amount);
        let (own, more) = (seat.nominal[r], seat.borrowing[r]);
        let mut limit = amount(own);
        let lent = books.lent_out(Which::Now, short.seat, r);
        if !short.own && lent > 0 {
            limit += &alloc::format!(", {} of it lent out,", amount(lent));
        }
        match (more, more >= u128::from(u64::MAX)) {
            (0, _) => limit.truncate(limit.trim_end_matches(',').len()),
            (_, true) => limit += " and what is left above it",
            _ => limit += &alloc::format!(" and it may borrow {}", amount(more)),
        }
        Reason::Quota {
            needed: amount(needed),
            queue: seat.queue.clone(),
            resource: RESOURCES[r].to_string(),
            used: amount(books.used(Which::Now, short.seat)[r]),
            limit,
            lendable: amount(books.lendable(Which::Now, short.seat, r)),
            missing: u64::try_from(missing).unwrap_or(u64::MAX),
            place,
        }
    }

    fn explain_capacity(&mut self, at: usize, known: &mut Known) -> Arc<Reason> {
        let wait = &self.board.waiting[at];
        let (id, seat, key) = (wait.id, wait.seat, (wait.class, wait.gang));
        let found = match known.places.get(&key) {
            Some(found) => found.clone(),
            None => {
                let found = self.look_now(at);
                known.places.insert(key, found.clone());
                found
            }
        };
        let holds = match found {
            Found::Lacks(reason) | Found::Kept(reason) => return reason,
            Found::Holds(holds) => holds,
        };
        let others = holds.into_iter().filter(|hold| self.holds[*hold].id != id);
        let first = others.min_by_key(|hold| (self.holds[*hold].seat != seat, *hold));
        match first {
            Some(hold) => known.behind(self.holds[hold].id, self.shadow(&self.holds[hold])),
            None => Arc::new(self.lacks(at)),
        }
    }

    /// Whether the gang would fit now if nothing were kept for others.
    fn look_now(&mut self, at: usize) -> Found {
        let wait = &self.board.waiting[at];
        let (class, gang) = (&self.board.classes[wait.class as usize], wait.gang);
        let mark = self.board.mark();
        let placed = match self.holds.is_empty() && self.drains.kept.is_empty() {
            true => None,
            false => self.board.pool.place(class, gang, View::Now, Span::Now).ok(),
        };
        self.board.rollback(mark);
        match placed {
            None => Found::Lacks(Arc::new(self.lacks(at))),
            Some(pieces) => {
                if let Some(kept) = self.kept_among(&pieces) {
                    return Found::Kept(Arc::new(self.kept_words(kept)));
                }
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
        let node = self.board.pool.nearest(class, lacks);
        let words = |node| lacking(&self.board.pool, node, class, &class.request, View::Now);
        let lacking = node.map_or_else(String::new, words);
        self.board.rollback(mark);
        let nearest = node.map(|node| self.board.names[node as usize].clone());
        Reason::Capacity { placed: pieces.len() as u32, nearest, lacking }
    }
}

pub(crate) fn amount_words(resource: usize, amount: u128) -> String {
    let amount = u64::try_from(amount).unwrap_or(u64::MAX);
    match resource {
        0 if amount == 1000 => String::from("1 GPU"),
        0 => alloc::format!("{} GPUs", MilliGpu(amount)),
        1 if amount == 1000 => String::from("1 CPU core"),
        1 => alloc::format!("{} CPU cores", MilliCpu(amount)),
        _ => alloc::format!("{} of memory", Bytes(amount)),
    }
}
