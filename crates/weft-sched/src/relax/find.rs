//! The search for what would let a waiting workload start, and the ranking of what is found.

use super::change::{Change, INTERRUPTS, OTHER_QUEUE, PRIORITY, Relaxation, Then, with};
use super::figure::{FIGURES, Figure, MEMBER};
use super::trial::Trial;
use crate::pass::{Outcome, Pass};
use crate::plan::settle;
use crate::{Action, Engine, Reason, Workload};
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use weft_types::{GpuRequest, QueueName, Timestamp, WorkloadId};

/// Most relaxations named: a person compares three, and skips a list.
pub const RELAXATIONS_MAX: usize = 3;

/// Nothing is proposed that gives up more of a figure than this, in thousandths: with less than an
/// eighth it is another program.
pub(super) const GIVEN_UP_MAX: u32 = 875;

/// Where figures are lowered together, it is in eighths of each.
const PARTS: u64 = 8;

/// Most priorities tried: each may look through all that runs.
const PRIORITIES_MAX: usize = 4;

/// What the person who asks may change beside the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct May {
    /// Other queues it may be submitted to.
    pub queues: Vec<QueueName>,
    /// The highest priority it may have.
    pub priority: i32,
}

/// Why a workload waits, and what would let it start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The dominant reason.
    pub reason: Arc<Reason>,
    /// Place in its queue, counted from 1.
    pub position: u32,
    /// What would let it start, the least given up first; at most [`RELAXATIONS_MAX`]. None where
    /// it is about to start, or only much less of it could.
    pub relaxations: Vec<Relaxation>,
}

impl Engine {
    /// Why a workload waits after the plan of this moment, and the cheapest that would let it
    /// start; none where it does not wait then.
    ///
    /// Each relaxation was tried: with it the plan made again starts the workload, or stops for it
    /// what is said, while nothing else changes.
    pub fn why(&mut self, id: WorkloadId, now: Timestamp, may: &May) -> Option<Why> {
        let (mut why, time, quiet) = self.run(now, |snapshot, board| {
            // 1. The pool as the plan leaves it.
            let (actions, mut pass) = settle(snapshot, board);
            // 2. Why it waits there, and what would help.
            let quiet = actions.is_empty() && !pass.stops;
            let found = search(&mut pass, id, may);
            (found.map(|(why, time)| (why, time, quiet)), pass.board)
        })?;
        // 3. Where something starts or stops, or the turns of others decide, it is planned again.
        let prove = |it: &mut Self, relaxation: Relaxation| match relaxation.then {
            // It was placed beside all that is kept for others, and nobody moves.
            Then::Now if quiet && keeps_turns(&relaxation.changes) => Some(relaxation),
            _ => it.prove(id, now, relaxation),
        };
        let time = time.and_then(|time| prove(self, time));
        let room = RELAXATIONS_MAX - usize::from(time.is_some());
        let found = core::mem::take(&mut why.relaxations).into_iter();
        let proven = found.filter_map(|relaxation| prove(self, relaxation));
        why.relaxations = proven.take(room).chain(time).collect();
        Some(why)
    }

    /// The relaxation, if the plan made again with it starts the workload, or stops others for it.
    fn prove(
        &mut self,
        id: WorkloadId,
        now: Timestamp,
        relaxation: Relaxation,
    ) -> Option<Relaxation> {
        let ended = match &relaxation.then {
            Then::Now | Then::After(_) => &[][..],
            Then::Ends { workloads, .. } => workloads,
        };
        let workloads = &self.snapshot().workloads;
        let changed = relaxation.apply(workloads.get(&id)?);
        let ids = ended.iter().chain(core::iter::once(&id));
        let before: Vec<_> = ids.map(|id| (*id, workloads.get(id).cloned())).collect();
        ended.iter().for_each(|id| self.set(*id, None));
        self.set(id, Some(changed));
        let proven = self.proven(id, now, relaxation);
        before.into_iter().for_each(|(id, workload)| self.set(id, workload));
        proven
    }

    /// The same of the snapshot as it is with the relaxation. Most start at their turn in the first
    /// look, so that one is asked before the whole plan is made; what time alone needs is said of
    /// these only.
    fn proven(
        &mut self,
        id: WorkloadId,
        now: Timestamp,
        relaxation: Relaxation,
    ) -> Option<Relaxation> {
        let then = match relaxation.then {
            Then::Now | Then::Ends { .. } if self.starts_in_turn(id, now) => relaxation.then,
            Then::Ends { .. } => return None,
            Then::Now => self.outcome(id, now).is_none().then_some(Then::Now)?,
            Then::After(_) => match self.outcome(id, now) {
                None => Then::Now,
                // What they leave is kept for it.
                Some(victims) if !victims.is_empty() => Then::After(victims),
                Some(_) => return None,
            },
        };
        Some(Relaxation { then, ..relaxation })
    }

    /// Whether a workload starts in the first look of this moment.
    fn starts_in_turn(&mut self, id: WorkloadId, now: Timestamp) -> bool {
        self.run(now, |snapshot, board| {
            let mut pass = Pass::new(snapshot, board);
            let waits = pass.board.find(snapshot, id);
            (waits.is_some_and(|at| pass.starts_in_turn(at)), pass.board)
        })
    }

    /// Who stops for a workload by the plan of this moment; none where it starts.
    fn outcome(&mut self, id: WorkloadId, now: Timestamp) -> Option<Vec<WorkloadId>> {
        self.run(now, |snapshot, board| {
            let (actions, pass) = settle(snapshot, board);
            let waits = pass.board.find(snapshot, id);
            let victims = waits.map(|at| match &pass.outcomes[at] {
                Outcome::Handover(_) => {
                    actions.iter().filter_map(|action| stopped_for(action, id)).collect()
                }
                _ => Vec::new(),
            });
            let started = actions.iter().any(|action| starts(action, id));
            (if started { None } else { Some(victims.unwrap_or_default()) }, pass.board)
        })
    }
}

/// Whether all that come before a workload are where they were with these changes of it, each with
/// the same capacity kept for it: in another place in the order, it may be for others to take.
fn keeps_turns(changes: &[Change]) -> bool {
    changes.iter().all(|change| match change {
        Change::Queue { .. } | Change::Priority { .. } => false,
        // It may count more there, and have its turn later.
        Change::Gpu { from: GpuRequest::Memory { names: from, .. }, to } => {
            matches!(to, GpuRequest::Memory { names, .. } if names == from)
        }
        _ => true,
    })
}

fn starts(action: &Action, id: WorkloadId) -> bool {
    matches!(action, Action::Start { workload, .. } if *workload == id)
}

/// The workload that is stopped for this one.
fn stopped_for(action: &Action, id: WorkloadId) -> Option<WorkloadId> {
    match action {
        Action::Stop { workload, cause, .. } => {
            (cause.beneficiary() == Some(id)).then_some(*workload)
        }
        Action::Start { .. } => None,
    }
}

/// Why it waits, and all that would help, the least given up first; and whose end.
fn search(pass: &mut Pass<'_>, id: WorkloadId, may: &May) -> Option<(Why, Option<Relaxation>)> {
    let at = pass.board.find(pass.snapshot, id)?;
    let reason = pass.explain_one(at)?;
    let mut why = Why { reason, position: pass.positions()[at], relaxations: Vec::new() };
    // Time is all that these need, and when is known.
    let soon =
        matches!(pass.outcomes[at], Outcome::Started | Outcome::BackOff | Outcome::Handover(_));
    let Some(asked) = pass.snapshot.workloads.get(&id).filter(|_| !soon) else {
        return Some((why, None));
    };
    let mut trial = Trial::new(pass, at);
    let found = &mut why.relaxations;
    found.extend(trial.less(asked));
    found.extend(trial.another_kind(asked));
    found.extend(trial.smaller_instance(asked));
    if found.is_empty() {
        found.extend(trial.less_of_all(asked));
    }
    found.extend(trial.another_queue(asked, &may.queues));
    let time = trial.when_ended();
    let alone = found.is_empty();
    found.extend(trial.higher_priority(asked, may.priority, alone));
    // The order of the search decides between equals.
    found.sort_by_key(|relaxation| relaxation.given_up);
    Some((why, time))
}

pub(super) fn now(changes: Vec<Change>, given_up: u32) -> Relaxation {
    Relaxation { changes, given_up, then: Then::Now }
}

impl Trial<'_, '_> {
    /// One figure lowered, by as little as lets it start.
    fn less(&mut self, asked: &Workload) -> Vec<Relaxation> {
        FIGURES.iter().filter_map(|figure| self.lower(asked, *figure)).collect()
    }

    fn lower(&mut self, asked: &Workload, figure: Figure) -> Option<Relaxation> {
        let amount = figure.asked(asked)?;
        let step = figure.step(amount);
        let least = amount - amount * u64::from(GIVEN_UP_MAX) / 1000;
        // In steps: one below what is asked at most, one at least.
        let (least, many) = (least.div_ceil(step).max(1), (amount - 1) / step + 1);
        let changed = |steps: u64| with(asked, &[figure.with(asked, steps * step)]);
        if least >= many || !self.may_start(&changed(least)) {
            return None;
        }
        let most = self.most_steps(least, many, changed) * step;
        let change = figure.with(asked, most);
        let starts = self.starts(&with(asked, core::slice::from_ref(&change)));
        starts.then(|| now(alloc::vec![change], figure.given_up(asked, most)))
    }

    /// Several figures of a member lowered, where one alone does not help: all in proportion until
    /// it fits, then each raised again as far as it goes.
    fn less_of_all(&mut self, asked: &Workload) -> Option<Relaxation> {
        let figures: Vec<_> =
            MEMBER.iter().filter_map(|figure| Some((*figure, figure.asked(asked)?))).collect();
        let part_of = |part: u64| -> Vec<(Figure, u64)> {
            let lowered = figures.iter().map(|(figure, amount)| {
                let step = figure.step(*amount);
                let given = (amount / PARTS * part + amount % PARTS * part / PARTS) / step * step;
                (*figure, given.max(step))
            });
            lowered.collect()
        };
        let changed = |amounts: &[(Figure, u64)]| -> Vec<Change> {
            let lowered = amounts.iter().filter(|(f, given)| f.asked(asked) != Some(*given));
            lowered.map(|(figure, given)| figure.with(asked, *given)).collect()
        };
        let mut amounts = (1..PARTS)
            .rev()
            .map(part_of)
            .find(|amounts| self.may_start(&with(asked, &changed(amounts))))?;
        // The last are raised first: a device is what most others wait for.
        for at in (0..amounts.len()).rev() {
            let (figure, low) = amounts[at];
            let most = figure.asked(asked).unwrap_or(low);
            amounts[at].1 = most;
            if !self.may_start(&with(asked, &changed(&amounts))) {
                let step = figure.step(most);
                let steps = self.most_steps(low / step, (most - 1) / step + 1, |steps| {
                    amounts[at].1 = steps * step;
                    with(asked, &changed(&amounts))
                });
                amounts[at].1 = steps * step;
            }
        }
        let losses = amounts.iter().map(|(figure, given)| figure.given_up(asked, *given));
        let most = losses.max().unwrap_or(0);
        let changes = changed(&amounts);
        let helps = most <= GIVEN_UP_MAX && self.starts(&with(asked, &changes));
        helps.then(|| now(changes, most))
    }

    /// The most steps with which it may start, of some that are few enough and some too many.
    fn most_steps(
        &mut self,
        mut enough: u64,
        mut many: u64,
        mut changed: impl FnMut(u64) -> Workload,
    ) -> u64 {
        while many - enough > 1 {
            let middle = enough + (many - enough) / 2;
            match self.may_start(&changed(middle)) {
                true => enough = middle,
                false => many = middle,
            }
        }
        enough
    }

    /// Another queue that has a share: the first by name.
    fn another_queue(&mut self, asked: &Workload, queues: &[QueueName]) -> Option<Relaxation> {
        let others: BTreeSet<_> = queues.iter().filter(|queue| **queue != asked.queue).collect();
        others.into_iter().find_map(|to| {
            let change = Change::Queue { from: asked.queue.clone(), to: to.clone() };
            let helps = self.starts(&with(asked, core::slice::from_ref(&change)));
            helps.then(|| now(alloc::vec![change], OTHER_QUEUE))
        })
    }

    /// A higher priority, as little higher as helps: it passes others of its queue, or, where
    /// nothing else can be had at once, takes the place of what runs. Asked last: what it stops on
    /// the copy stays stopped.
    fn higher_priority(
        &mut self,
        asked: &Workload,
        most: i32,
        interrupts: bool,
    ) -> Option<Relaxation> {
        let board = &self.pass.board;
        let seat = board.waiting[self.at].seat;
        let runs = board.running.iter().filter(|run| run.seat == seat && !run.stopping);
        let runs = runs.map(|run| run.priority);
        let waits = board.waiting.iter().filter(|wait| wait.seat == seat);
        let waits = waits.map(|wait| wait.priority);
        let above = runs.chain(waits).map(|of| of.saturating_add(1));
        let options: BTreeSet<i32> =
            above.filter(|to| *to > asked.priority && *to <= most).collect();
        options.into_iter().take(PRIORITIES_MAX).find_map(|to| {
            let then = self.with_priority(asked, to, interrupts)?;
            let given_up = if then == Then::Now { PRIORITY } else { INTERRUPTS };
            let changes = alloc::vec![Change::Priority { from: asked.priority, to }];
            Some(Relaxation { changes, given_up, then })
        })
    }

    fn with_priority(&mut self, asked: &Workload, to: i32, interrupts: bool) -> Option<Then> {
        let seat = self.pass.board.waiting[self.at].seat;
        let workloads = &self.pass.snapshot.workloads;
        let lower = |id: &WorkloadId| workloads.get(id).is_some_and(|it| it.priority < to);
        // What was kept for those it passes is kept again after it.
        let passed = self.pass.holds.iter().filter(|hold| hold.seat == seat && lower(&hold.id));
        let passed: Vec<_> = passed.map(|hold| hold.pieces.clone()).collect();
        let mark = self.pass.board.mark();
        passed.iter().for_each(|pieces| self.pass.board.drop_hold(seat, pieces));
        let change = Change::Priority { from: asked.priority, to };
        let changed = with(asked, &[change]);
        if self.starts(&changed) {
            return Some(Then::Now);
        }
        if interrupts {
            self.pass.board.waiting_mut()[self.at].priority = to;
            self.pass.ask_anew();
            if let Some(Outcome::Handover(victims)) = self.pass.take_back(self.at) {
                return Some(Then::After(victims));
            }
            self.pass.board.waiting_mut()[self.at].priority = asked.priority;
        }
        self.pass.board.rollback(mark);
        None
    }
}
