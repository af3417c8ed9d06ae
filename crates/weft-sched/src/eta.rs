//! When each waiting workload may start, if what runs ends when it likely does (`likely.rs`).
//!
//! The pool is played forward on the working copy: what runs ends in the order of its likely
//! ends, each time the waiting are offered what is free in the order of this look, those that start
//! end in their turn. Bounded; what is not reached, or waits behind something without a known
//! end, has no estimate. Absent on purpose: what will be submitted or taken back meanwhile.

use crate::board::{Charge, Piece, Run, Span, View, Which};
use crate::likely::Spread;
use crate::pass::{Outcome, Pass};
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;
use weft_types::{Millis, Timestamp, WorkloadId};

/// Most lines and machines looked at while playing forward: some two milliseconds' worth, a tenth
/// of what a plan may take. Who stands so far back that this ends first is told no time, which is
/// true.
const WORK_MAX: u64 = 200_000;

/// What placing one member costs, in machines looked at.
const PLACING: u64 = 50;

/// Equal waiting workloads of one queue.
struct Line {
    seat: u32,
    class: u32,
    gang: u32,
    /// Rank in this look's order, and which.
    waits: VecDeque<(u32, u32)>,
}

/// What is known of the places of a class.
#[derive(Clone)]
struct Places {
    /// It has no more than so many.
    most: u64,
    /// When so many machines had been told of.
    told: usize,
}

/// One that was started while playing forward.
struct Started {
    pieces: Vec<Piece>,
    seat: u32,
    charge: Charge,
}

/// The pool as it goes on.
struct Course {
    lines: Vec<Line>,
    /// The lines in the order of their first: its rank, and which line.
    heads: Vec<(u32, u32)>,
    /// When what ends when: a number of `runs`, or beyond these of `started`.
    ends: BinaryHeap<Reverse<(Timestamp, usize)>>,
    runs: Vec<usize>,
    started: Vec<Started>,
    /// Machines on which something ended, in order.
    freed: Vec<u32>,
    /// For each class.
    places: Vec<Places>,
    work: u64,
}

impl Pass<'_> {
    /// The time of each waiting workload, where it is known.
    pub(crate) fn estimate(&mut self) -> Vec<Option<Timestamp>> {
        let mut etas = self.known_etas();
        let spread = self.spread();
        let mut course = self.course(&etas, spread);
        let mark = self.board.mark();
        while !course.heads.is_empty() && course.work > 0 {
            let Some(time) = self.end_next(&mut course) else { break };
            let mut any = false;
            for head in 0..course.heads.len() {
                let line = course.heads[head].1;
                while let Some((at, started)) = self.start_next(line, &mut course) {
                    any = true;
                    etas[at] = Some(time);
                    let wait = &self.board.waiting[at];
                    if let Some(span) = wait.lasts {
                        course.runs_on(
                            started,
                            time.after(spread.likely(wait.id, span, Millis::ZERO)),
                        );
                    }
                }
            }
            if any {
                course.order_heads();
            }
        }
        self.board.rollback(mark);
        etas
    }

    /// What is known without playing forward.
    fn known_etas(&self) -> Vec<Option<Timestamp>> {
        let holds: BTreeMap<WorkloadId, Option<Timestamp>> =
            self.holds.iter().rev().map(|hold| (hold.id, hold.at)).collect();
        let known = |(at, outcome): (usize, &Outcome)| match outcome {
            Outcome::Handover(_) => Some(self.board.now),
            Outcome::MinRun(until) => Some(*until),
            _ => holds.get(&self.board.waiting[at].id).copied().flatten(),
        };
        self.outcomes.iter().enumerate().map(known).collect()
    }

    /// Where it begins.
    fn course(&self, etas: &[Option<Timestamp>], spread: Spread) -> Course {
        let lines = self.equal_lines(etas);
        let runs = self.board.running.iter().enumerate().filter(|(_, run)| !run.stopping);
        let ends = runs.filter_map(|(at, run)| Some((self.end(run, spread)?, at)));
        let (times, runs): (Vec<_>, Vec<_>) = ends.unzip();
        Course {
            heads: (0..).zip(&lines).map(|(number, line)| (line.rank(), number)).collect(),
            lines,
            ends: times.into_iter().zip(0..).map(Reverse).collect(),
            runs,
            started: Vec::new(),
            freed: Vec::new(),
            places: alloc::vec![Places { most: u64::MAX, told: 0 }; self.board.classes.len()],
            work: WORK_MAX,
        }
    }

    /// The waiting workloads that have no time yet, equal ones together.
    fn equal_lines(&self, etas: &[Option<Timestamp>]) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut known: BTreeMap<(u32, u32, u32), usize> = BTreeMap::new();
        let holders: BTreeSet<_> = self.holds.iter().map(|hold| hold.id).collect();
        for (rank, at) in (0..).zip(&self.order) {
            let (wait, outcome) = (&self.board.waiting[*at as usize], &self.outcomes[*at as usize]);
            let waits =
                matches!(outcome, Outcome::Quota(_) | Outcome::Capacity | Outcome::Behind(_));
            if !waits || etas[*at as usize].is_some() || holders.contains(&wait.id) {
                continue;
            }
            let (seat, class, gang) = (wait.seat, wait.class, wait.gang);
            let line = *known.entry((seat, class, gang)).or_insert_with(|| {
                lines.push(Line { seat, class, gang, waits: VecDeque::new() });
                lines.len() - 1
            });
            lines[line].waits.push_back((rank, *at));
        }
        lines
    }

    /// How wrong the estimates of what runs are.
    fn spread(&self) -> Spread {
        let runs = self.board.running.iter().filter(|run| !run.stopping);
        Spread::of(runs.filter_map(|run| Some((expected(run)?, self.ran(run)))))
    }

    fn end(&self, run: &Run, spread: Spread) -> Option<Timestamp> {
        let Some(expected) = expected(run) else {
            return Some(run.ends_at?.max(self.board.now));
        };
        let ran = self.ran(run);
        let left = spread.likely(run.id, expected, ran).0.saturating_sub(ran.0);
        let end = self.board.now.after(Millis(left));
        Some(run.limit_at.map_or(end, |limit| end.min(limit).max(self.board.now)))
    }

    /// How long it has run, earlier starts with it where these are known to count.
    fn ran(&self, run: &Run) -> Millis {
        let before = run.effort.as_ref().map_or(0, |effort| effort.served.0);
        Millis(before.saturating_add(self.board.now.since(run.since).0))
    }

    /// End what ends next: when that is.
    fn end_next(&mut self, course: &mut Course) -> Option<Timestamp> {
        let Reverse((time, _)) = *course.ends.peek()?;
        while let Some(Reverse((at, serial))) = course.ends.peek().copied() {
            if at > time {
                break;
            }
            course.ends.pop();
            let (pool, books) = (&mut self.board.pool, &mut self.board.books);
            let (pieces, seat, charge) = match course.runs.get(serial) {
                Some(run) => {
                    let run = &self.board.running[*run];
                    (&run.pieces[..], run.seat, &run.charge)
                }
                None => {
                    let one = &course.started[serial - course.runs.len()];
                    (&one.pieces[..], one.seat, &one.charge)
                }
            };
            pieces.iter().for_each(|piece| pool.give(piece, Span::Later));
            books.give(&[Which::Later], seat, charge);
            course.freed.extend(pieces.iter().map(|piece| piece.node));
        }
        Some(time)
    }

    /// Start the first of a line, if it fits.
    fn start_next(&mut self, number: u32, course: &mut Course) -> Option<(usize, Started)> {
        let line = &course.lines[number as usize];
        let (seat, class, gang) = (line.seat, line.class as usize, line.gang);
        let (_, at) = *line.waits.front()?;
        course.work = course.work.saturating_sub(1);
        if course.work == 0 || !self.may_have_places(class, gang, course) {
            return None;
        }
        let charge = &self.board.waiting[at as usize].charge;
        let share = self.board.books.check(Which::Later, seat, charge);
        if share.is_err() || !self.has_places(class, gang, course) {
            return None;
        }
        let class = &self.board.classes[class];
        let placed = self.board.pool.place(class, gang, View::Later, Span::Later);
        course.work = course.work.saturating_sub(u64::from(gang) * PLACING);
        let pieces = placed.ok()?;
        let charge = self.board.charge_of(&pieces);
        self.board.books.take(&[Which::Later], seat, &charge);
        course.lines[number as usize].waits.pop_front();
        Some((at as usize, Started { pieces, seat, charge }))
    }

    /// Whether a gang of the class may find places: those found missing before can only have become
    /// more where something ended since.
    fn may_have_places(&self, class: usize, gang: u32, course: &mut Course) -> bool {
        let places = &mut course.places[class];
        let since = &course.freed[places.told..];
        places.told = course.freed.len();
        if places.most < u64::MAX {
            course.work = course.work.saturating_sub(since.len() as u64);
            let class = &self.board.classes[class];
            let more = since.iter().map(|node| self.board.pool.slots(*node, class, View::Later));
            places.most = more.fold(places.most, u64::saturating_add);
        }
        places.most >= u64::from(gang)
    }

    /// Whether it finds them.
    fn has_places(&self, class: usize, gang: u32, course: &mut Course) -> bool {
        let (pool, wanted) = (&self.board.pool, u64::from(gang));
        let mut sum = 0u64;
        for node in 0..pool.machines.len() as u32 {
            sum = sum.saturating_add(pool.slots(node, &self.board.classes[class], View::Later));
            course.work = course.work.saturating_sub(1);
            if sum >= wanted {
                return true;
            }
        }
        course.places[class].most = sum;
        false
    }
}

impl Line {
    /// That of its first; last where nobody is left.
    fn rank(&self) -> u32 {
        self.waits.front().map_or(u32::MAX, |(rank, _)| *rank)
    }
}

impl Course {
    /// One was started that ends then.
    fn runs_on(&mut self, started: Started, end: Timestamp) {
        self.ends.push(Reverse((end, self.runs.len() + self.started.len())));
        self.started.push(started);
    }

    /// Some lines have another first now.
    fn order_heads(&mut self) {
        let lines = &self.lines;
        self.heads.iter_mut().for_each(|(rank, line)| *rank = lines[*line as usize].rank());
        self.heads.retain(|(rank, _)| *rank < u32::MAX);
        self.heads.sort_unstable();
    }
}

/// How long it was expected to run in all; none where that is not known, or is its limit, which is
/// no estimate.
fn expected(run: &Run) -> Option<Millis> {
    let end = run.ends_at.filter(|end| Some(*end) != run.limit_at)?;
    Some(end.since(run.since))
}
