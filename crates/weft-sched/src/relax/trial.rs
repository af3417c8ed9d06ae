//! Whether a changed workload would start: asked of the working copy as the last look left it, with
//! all that is kept for others, and undone again.
//!
//! A look offers capacity in order, and each that waits could not use what is free now. So what
//! fits now beside all that is kept starts when the changed workload comes to its turn; where
//! another of its queue has to go first, it does not.

use crate::board::{Charge, Class, Span, View, Which};
use crate::least::place_least;
use crate::pass::Pass;
use crate::possible::GANG_MAX;
use crate::{Order, Workload};
use weft_types::WorkloadId;

/// Most questions for one workload: a search takes seven to find one of a hundred, and there are
/// a dozen. More would be a pool of dozens of kinds, where the first answers are good enough.
const QUESTIONS_MAX: u32 = 256;

/// The working copy with one waiting workload to try changes on.
pub(super) struct Trial<'p, 'a> {
    pub(super) pass: &'p mut Pass<'a>,
    pub(super) at: usize,
    pub(super) id: WorkloadId,
    questions: u32,
}

/// A workload as the working copy sees it.
struct Ask {
    class: Class,
    gang: u32,
    seat: u32,
    charge: Charge,
}

impl<'p, 'a> Trial<'p, 'a> {
    /// For one that waits; what is kept for itself is free to it.
    pub(super) fn new(pass: &'p mut Pass<'a>, at: usize) -> Self {
        let id = pass.board.waiting[at].id;
        if let Some(own) = pass.holds.iter().position(|hold| hold.id == id) {
            let own = pass.holds.remove(own);
            pass.board.drop_hold(own.seat, &own.pieces);
        }
        Self { pass, at, id, questions: 0 }
    }

    /// Whether it may start, as far as counting tells: what is false is never true, and `starts`
    /// proves the rest.
    pub(super) fn may_start(&mut self, changed: &Workload) -> bool {
        self.questions += 1;
        if self.questions > QUESTIONS_MAX {
            return false;
        }
        let Some(ask) = self.ask(changed) else { return false };
        !self.waits_behind(changed, &ask)
            && self.has_share(ask.seat, &ask.charge)
            && self.pass.board.pool.fits(&ask.class, ask.gang, View::Start)
    }

    /// Whether it starts: it is placed, whole, and taken away again.
    pub(super) fn starts(&mut self, changed: &Workload) -> bool {
        if !self.may_start(changed) {
            return false;
        }
        let Some(mut ask) = self.ask(changed) else { return false };
        let board = &mut self.pass.board;
        // A gang is placed quickly with scores that are kept, as of one more class of the plan's.
        ask.class.number = board.classes.len() as u32;
        board.pool.forget_scores(ask.class.number);
        let mark = board.mark();
        let placed = board.pool.place(&ask.class, ask.gang, View::Start, Span::Both);
        let charge = placed.ok().map(|pieces| board.charge_of(&pieces));
        board.rollback(mark);
        board.pool.forget_scores(ask.class.number);
        charge.is_some_and(|charge| {
            self.has_share(ask.seat, &charge) || self.has_share_of_least(&ask)
        })
    }

    /// Whether it has a share where it counts least.
    fn has_share_of_least(&mut self, ask: &Ask) -> bool {
        let board = &mut self.pass.board;
        let mark = board.mark();
        let unused = (&mut board.pool, &board.kinds, ask.class.number);
        let placed = place_least(unused, (&ask.class, ask.gang), View::Start, Span::Both);
        let charge = placed.map(|pieces| board.charge_of(&pieces));
        board.rollback(mark);
        charge.is_some_and(|charge| self.has_share(ask.seat, &charge))
    }

    fn ask(&self, changed: &Workload) -> Option<Ask> {
        let board = &self.pass.board;
        let gang = changed.gang.max(1);
        let seat = board.books.tree.leaf(&changed.queue)?;
        // No class of the plan's: its scores are not kept.
        let request = board.demanded(changed);
        let class = Class::new(u32::MAX, &request, changed.phase, &board.kinds);
        let request = &changed.request;
        let charge = [class.milli_min, request.cpu.0, request.memory.0]
            .map(|amount| u128::from(amount) * u128::from(gang));
        (gang <= GANG_MAX).then_some(Ask { class, gang, seat, charge })
    }

    fn has_share(&self, seat: u32, charge: &Charge) -> bool {
        let has = |which| self.pass.board.books.check(which, seat, charge).is_ok();
        has(Which::Now) && has(Which::Later)
    }

    /// Whether one of the queue has to go first that needs the same.
    fn waits_behind(&self, changed: &Workload, ask: &Ask) -> bool {
        let Some((first, resource)) = self.pass.first.get(&ask.seat) else { return false };
        if *first == self.id || ask.charge[*resource] == 0 {
            return false;
        }
        let workloads = &self.pass.snapshot.workloads;
        let shares_time = |it: &Workload| {
            let queue = self.pass.snapshot.queues.get(&it.queue);
            queue.is_some_and(|queue| queue.order == Order::Service)
        };
        let place =
            |id: WorkloadId, it: &Workload| (core::cmp::Reverse(it.priority), it.submitted_at, id);
        workloads.get(first).is_none_or(|it| match it.priority == changed.priority {
            // In a queue that shares time the order among equals is not told from here.
            true => shares_time(it) || place(*first, it) < place(self.id, changed),
            false => it.priority > changed.priority,
        })
    }
}
