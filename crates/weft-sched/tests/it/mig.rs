//! Every sequence of requests for instances of one device, against trying every arrangement.
//!
//! Of two things a planner can be asked. *Together*: all wait at the same moment; then it starts
//! exactly those that fit beside the ones before them, lying as suits them best. *One after the
//! other*: each is started before the next is known and never moves; then nobody can always keep
//! the right room, and the least that is missed is found by playing the game to its end.
//!
//! Up to four requests at every test, 1,554 sequences of the larger device; `cargo xtask prove mig`
//! tries all 55,986 up to six.

use std::collections::BTreeMap;
use weft_sched::case::parse;
use weft_sched::{Action, DeviceMode, Engine, MigPlacement, Snapshot, Workload, WorkloadState};
use weft_sched::{apply, audit, decide};
use weft_types::{Bytes, GpuRequest, MigProfile, NodeId, Timestamp, WorkloadId};

/// The bar's length.
const LENGTH_MAX: u32 = 6;

/// Longest sequence of the larger device that is tried: `WEFT_MIG_LENGTH`, or as many as are quick.
fn length() -> u32 {
    let asked = std::env::var("WEFT_MIG_LENGTH").ok().and_then(|length| length.parse().ok());
    asked.unwrap_or(4).min(LENGTH_MAX)
}

/// Sequences of each length, one request after the other, of which even the best player misses
/// something on the larger device: found by playing the game to its end.
const LEAST: [u64; LENGTH_MAX as usize] = [0, 0, 2, 42, 460, 3_742];
/// More than that which the planner misses. Its choice is the best for each length up to five; for
/// six, where the first `1g` goes decides: at slice 6 is best up to five requests (198 of 216
/// continuations of three are unspoiled, against 175), at slice 5 with exactly six. Who does not
/// know how many will come cannot have both.
const MORE: [u64; LENGTH_MAX as usize] = [0, 0, 0, 0, 0, 200];

/// Compute slices, memory slices, first memory slices.
type Rows = &'static [(u8, u8, &'static [u8])];

/// A device as its driver describes it.
struct Geometry {
    rows: Rows,
    compute: u8,
}

/// A100, H100 and all later ones with eight memory slices.
const EIGHTHS: Geometry = Geometry {
    rows: &[
        (1, 1, &[0, 1, 2, 3, 4, 5, 6]),
        (1, 2, &[0, 2, 4, 6]),
        (2, 2, &[0, 2, 4]),
        (3, 4, &[0, 4]),
        (4, 4, &[0]),
        (7, 8, &[0]),
    ],
    compute: 7,
};

/// A30 and the RTX PRO 6000.
const QUARTERS: Geometry =
    Geometry { rows: &[(1, 1, &[0, 1, 2, 3]), (2, 2, &[0, 2]), (4, 4, &[0])], compute: 4 };

/// One where compute runs out before memory does, as on no hardware so far.
const SCARCE: Geometry =
    Geometry { rows: &[(1, 1, &[0, 1, 2, 3]), (2, 1, &[0, 2, 3]), (3, 2, &[0, 2])], compute: 4 };

impl Geometry {
    fn placements(&self) -> Vec<MigPlacement> {
        let of = |row: usize| {
            let (slices, size, starts) = self.rows[row];
            let profile = MigProfile { slices, memory_gb: 10 * (1 + row as u16) };
            let memory = Bytes(u64::from(size) << 30);
            let place = move |start: &u8| {
                let profile = profile.clone();
                MigPlacement { profile, start: *start, size, memory }
            };
            starts.iter().map(place)
        };
        (0..self.rows.len()).flat_map(of).collect()
    }

    /// A pool of one such device, and a workload that waits for each of its profiles.
    fn pool(&self) -> (Snapshot, Vec<Workload>, Timestamp) {
        let text = "node n1 a100-80:mig\nqueue q gpu=9\nwant w1 q gpu=mig:1g.10gb\n";
        let case = parse(text).expect("a case");
        let (mut pool, now) = (case.snapshot, case.now);
        let node = pool.nodes.get_mut(&NodeId::new("n1").expect("a name")).expect("a machine");
        let device = node.devices.get_mut(&0).expect("a device");
        device.mode = DeviceMode::Mig { geometry: self.placements(), compute_slices: self.compute };
        let wait = pool.workloads.remove(&WorkloadId(1)).expect("a workload");
        let profiles = (0..self.rows.len()).map(|row| {
            let mut wait = wait.clone();
            let (slices, memory_gb) = (self.rows[row].0, 10 * (1 + row as u16));
            let profile = MigProfile { slices, memory_gb };
            wait.request.gpu = GpuRequest::Mig { profile, count: 1 };
            wait
        });
        (pool, profiles.collect(), now)
    }

    /// The placements of a profile that are free, as bits.
    fn free(&self, row: usize, (taken, compute): (u32, u8)) -> impl Iterator<Item = (u32, u8)> {
        let (slices, size, starts) = self.rows[row];
        let masks = starts.iter().map(move |start| ((1u32 << size) - 1) << start);
        let fits = compute + slices <= self.compute;
        masks
            .filter(move |mask| fits && mask & taken == 0)
            .map(move |mask| (taken | mask, compute + slices))
    }

    /// Whether these can lie beside what is taken, somehow.
    fn holds(&self, rows: &[usize], taken: (u32, u8)) -> bool {
        let Some((first, rest)) = rows.split_first() else { return true };
        self.free(*first, taken).any(|taken| self.holds(rest, taken))
    }

    /// Which of them fit, each beside those before it that do, lying as suits them best.
    fn best(&self, sequence: &[usize], taken: (u32, u8)) -> Vec<bool> {
        let mut together = Vec::new();
        let accept = |row: &usize| {
            together.push(*row);
            let fits = self.holds(&together, taken);
            if !fits {
                together.pop();
            }
            fits
        };
        sequence.iter().map(accept).collect()
    }

    fn sequences(&self, length: u32) -> impl Iterator<Item = Vec<usize>> {
        let rows = self.rows.len();
        (0..rows.pow(length))
            .map(move |number| (0..length).map(|at| number / rows.pow(at) % rows).collect())
    }
}

/// Which of these the planner starts when they wait together on this pool.
fn together(pool: &Snapshot, waits: &[Workload], sequence: &[usize], now: Timestamp) -> Vec<bool> {
    let mut pool = pool.clone();
    let ids = (100..).map(WorkloadId).take(sequence.len());
    pool.workloads.extend(ids.clone().zip(sequence.iter().map(|row| waits[*row].clone())));
    let plan = decide(&pool, now);
    assert_eq!(audit(&pool, &plan, now), [], "{sequence:?}");
    let started: Vec<_> = plan.actions.iter().map(Action::workload).collect();
    ids.map(|id| started.contains(&id)).collect()
}

#[test]
fn what_waits_together_starts_as_well_as_any_arrangement_allows() {
    for (geometry, length) in [(&EIGHTHS, length()), (&QUARTERS, LENGTH_MAX), (&SCARCE, length())] {
        let ((pool, waits, now), mut tried) = (geometry.pool(), 0);
        for sequence in (1..=length).flat_map(|length| geometry.sequences(length)) {
            let planned = together(&pool, &waits, &sequence, now);
            assert_eq!(planned, geometry.best(&sequence, (0, 0)), "{sequence:?}");
            tried += 1;
        }
        println!("{tried} sequences that wait together: 0 miss what an arrangement would hold");
    }
}

#[test]
fn what_runs_does_not_move_and_the_rest_makes_the_best_of_it() {
    for geometry in [&EIGHTHS, &QUARTERS] {
        let (mut pool, waits, now) = geometry.pool();
        let node = NodeId::new("n1").expect("a name");
        for place in geometry.placements() {
            let row = usize::from(place.profile.memory_gb / 10 - 1);
            let text = "node n1 a100-80:mig\nqueue q gpu=9\n\
                        run w1 q gpu=mig:1g.10gb:1 on=n1/0:1g.10gb@0\n";
            let ran = parse(text).expect("a case").snapshot.workloads.remove(&WorkloadId(1));
            let mut ran = ran.expect("a workload");
            ran.request = waits[row].request.clone();
            let WorkloadState::Running(running) = &mut ran.state else { panic!("{ran:?}") };
            let device = weft_types::DeviceId { node: node.clone(), index: 0 };
            let taken = (((1u32 << place.size) - 1) << place.start, place.profile.slices);
            running.placements[0].grants =
                vec![weft_sched::Grant::Mig { device, placement: place }];
            pool.workloads.insert(WorkloadId(1), ran);
            for sequence in geometry.sequences(2) {
                let planned = together(&pool, &waits, &sequence, now);
                assert_eq!(planned, geometry.best(&sequence, taken), "{taken:?} {sequence:?}");
            }
        }
    }
}

/// What a reason tries out is on one side only, and leaves nothing behind when it is undone.
#[test]
fn what_is_tried_for_a_reason_is_undone() {
    let text = "node n1 a100-80:mig x2\nqueue a cpu=9 memory=9GB\n\
                queue b gpu=9 cpu=9 memory=9GB\nwant w1 a gpu=mig:2g.20gb:2 cpu=0 memory=0GB\n";
    let case = parse(text).expect("a case");
    let whole = parse("queue b\nwant w3 b gpu=a100:1 cpu=0 memory=0GB\n").expect("a case").snapshot;
    let mut engine = Engine::new(case.snapshot);
    engine.plan(case.now);
    for (id, workload) in whole.workloads {
        engine.set(id, Some(workload));
    }
    assert_eq!(engine.decide(case.now), decide(engine.snapshot(), case.now));
}

/// The game of one request after the other: what is taken, and how many of each profile came.
type State = ((u32, u8), Vec<u8>);

/// Of all continuations of so many requests, in how many nothing is missed by one who plays best:
/// nothing that would have fitted, had what came first lain elsewhere.
fn unmissed(
    geometry: &Geometry,
    (taken, came): &State,
    more: u32,
    known: &mut BTreeMap<(State, u32), u64>,
) -> u64 {
    if more == 0 {
        return 1;
    }
    let key = ((*taken, came.clone()), more);
    if let Some(found) = known.get(&key) {
        return *found;
    }
    let mut sum = 0;
    for row in 0..geometry.rows.len() {
        let mut with = came.clone();
        with[row] += 1;
        let all = with.iter().enumerate();
        let all: Vec<usize> =
            all.flat_map(|(row, count)| std::iter::repeat_n(row, usize::from(*count))).collect();
        sum += match geometry.holds(&all, (0, 0)) {
            false => unmissed(geometry, &(*taken, came.clone()), more - 1, known),
            true => geometry
                .free(row, *taken)
                .map(|taken| unmissed(geometry, &(taken, with.clone()), more - 1, known))
                .max()
                .unwrap_or(0),
        };
    }
    known.insert(key, sum);
    sum
}

/// Sequences of so many requests, one after the other, in which the planner misses one.
fn missed(geometry: &Geometry, length: u32) -> u64 {
    let (pool, waits, now) = geometry.pool();
    let mut states = vec![(pool, Vec::new(), false)];
    for at in 1..=u64::from(length) {
        let mut next = Vec::new();
        for (pool, sequence, bad) in states {
            for (row, wait) in waits.iter().enumerate() {
                let mut pool: Snapshot = pool.clone();
                let id = WorkloadId(at);
                pool.workloads.insert(id, wait.clone());
                let plan = decide(&pool, now);
                let mut sequence: Vec<usize> = sequence.clone();
                sequence.push(row);
                let fits = geometry.best(&sequence, (0, 0)).pop() == Some(true);
                let bad = bad || fits == plan.actions.is_empty();
                pool = apply(&pool, &plan, now);
                if plan.actions.is_empty() {
                    pool.workloads.remove(&id);
                }
                next.push((pool, sequence, bad));
            }
        }
        states = next;
    }
    states.iter().filter(|(_, _, bad)| *bad).count() as u64
}

#[test]
fn one_after_the_other_no_more_is_missed_than_must_be() {
    let none = [0; LENGTH_MAX as usize];
    for (geometry, least, more) in [(&EIGHTHS, LEAST, MORE), (&QUARTERS, none, none)] {
        for (length, (least, more)) in (1..=length()).zip(least.into_iter().zip(more)) {
            let start = ((0, 0), vec![0; geometry.rows.len()]);
            let kept = unmissed(geometry, &start, length, &mut BTreeMap::new());
            assert_eq!((geometry.rows.len() as u64).pow(length) - kept, least, "{length}");
            let missed = missed(geometry, length);
            assert_eq!(missed, least + more, "{length}");
            println!("{length} one after the other: {missed} miss something, at best {least}");
        }
    }
}
