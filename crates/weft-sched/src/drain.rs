//! Keeping machines for large requests ahead of demand: drain plans.
//!
//! Under a backlog a large request (`large.rs`) never finds a machine empty: what one leaves is
//! filled by small ones at once, and is empty again by chance only after lifetimes. So the number
//! of machines that serve large ones falls by every lull and never grows again. Here it is kept:
//!
//! 1. *Groups.* Large requests of a queue that may use nearly the same machines are one group.
//! 2. *Target.* A group has as many machines as its usual demand and [`SPARE`] times the root of it
//!    (the square-root staffing rule of queues with many servers, Halfin and Whitt, 1981), and no
//!    fewer than run and wait now.
//! 3. *Choice.* Beside the machines that large ones hold, those of least cost to empty are kept
//!    until the target is reached: nothing else starts there. With `k` that run there, `U` devices
//!    in use and `D` in all, ends that are unknown and alike come on average after `1/k`, then
//!    `1/(k − 1)` lifetimes and so on: all are gone after `H = 1 + 1/2 + … + 1/k`, and the machine
//!    idles `D × H + U × (H − 1)` device-lifetimes at most until then.
//!
//! Nothing is remembered: a machine that is kept only gets cheaper, because work ends there and
//! none begins, while what ends elsewhere makes place for others. So the choice stays, or moves to
//! a machine that is nearer to empty.
//!
//! *Whose.* What is kept counts in its queue's share, within its own; so nobody lends for it. At
//! most a part of the machines, and of what the queue owns, is kept ([`PART`]). Who may use it all
//! the same is in `kept.rs`.
//!
//! Called by each look before the waiting are asked. Absent on purpose: estimates of ends, which
//! overrun and would move the choice to and fro; moving what runs.

use crate::board::{Amounts, Board, Class, Pick, Piece, Span, View, Which};
use crate::kept::Kept;
use crate::large::{DEVICES_MIN, takes_all};
use crate::pass::{Outcome, Pass};
use crate::{Request, Snapshot};
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use weft_types::Phase;

/// Machines kept beyond the usual demand, in thousandths of its root: on openb at load 1.0 a large
/// one waits no longer with 200 than with 300, and less of the pool is idle.
const SPARE: u64 = 200;

/// Of the machines that serve a group, and of what its queue owns, one in so many is kept at most:
/// what idles ahead of a demand that may not come is a small part of everybody's. In a smaller
/// pool, or for a group that takes less than one machine on average, nothing is kept; there
/// `reserve.rs` drains what one that waits needs.
const PART: u64 = 16;

/// A group of large requests begins where the machines they may use are fewer than this part of
/// those of the group before: with groups of nearly the same machines spares would be kept twice.
const NARROWER: usize = 2;

/// Thousandths of a device.
const WHOLE: u64 = 1000;

/// Requests of what runs whose groups are kept; with more all are looked at again.
const REQUESTS_MAX: usize = 1024;

/// Workloads on one machine that are told apart by cost.
const RUNS_MAX: usize = 64;

/// Large requests of a queue that may use the same machines.
#[derive(Debug)]
pub(crate) struct Group {
    seat: u32,
    /// The machines that each of its requests may use, in order.
    serves: Vec<u32>,
    /// Processor, memory and disk that each of its requests finds enough.
    need: Amounts,
    /// Machines that it usually takes, in thousandths.
    usual: u64,
}

/// The groups of a snapshot on its pool, and which requests may be of which.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    /// The most particular first: others can go elsewhere.
    pub(crate) all: Arc<[Group]>,
    /// Per class of what waits, the groups that it may be of.
    of: Vec<Vec<usize>>,
    /// Likewise of what was seen to run.
    of_running: BTreeMap<Request, Vec<usize>>,
}

impl Groups {
    /// Of a snapshot, on the pool that a working copy of it has.
    pub(crate) fn new(snapshot: &Snapshot, board: &Board) -> Self {
        Self { all: groups(snapshot, board), ..Self::default() }
    }

    /// The group that a large one of a queue and a class is of.
    pub(crate) fn of(&self, class: u32, seat: u32) -> Option<usize> {
        widest(self.of.get(class as usize)?, &self.all, seat)
    }
}

fn groups(snapshot: &Snapshot, board: &Board) -> Arc<[Group]> {
    let mut asked = Vec::new();
    for large in snapshot.large.iter().filter(|large| large.milli > 0) {
        let Some(seat) = board.books.tree.leaf(&large.queue) else { continue };
        let class = Class::new(u32::MAX, &large.request, Phase::Training, &board.kinds);
        let serves = serves(&class, board);
        asked.push((seat, Reverse(serves.len()), class.need, serves, large.milli));
    }
    asked.sort_by_key(|(seat, count, need, ..)| (*seat, *count, *need));
    let mut groups: Vec<(usize, Group)> = Vec::new();
    for (seat, Reverse(count), need, serves, usual) in asked {
        let near = |(widest, group): &&mut (usize, Group)| {
            group.seat == seat && count * NARROWER >= *widest && overlap(&group.serves, &serves)
        };
        match groups.last_mut().filter(|last| near(last)) {
            Some((_, group)) => {
                group.serves.retain(|node| serves.binary_search(node).is_ok());
                (0..3).for_each(|r| group.need[r] = group.need[r].max(need[r]));
                group.usual = group.usual.saturating_add(usual);
            }
            None => groups.push((count, Group { seat, serves, need, usual })),
        }
    }
    let mut groups: Vec<Group> = groups.into_iter().map(|(_, group)| group).collect();
    groups.retain(|group| group.most() > 0);
    groups.sort_by_key(|group| group.serves.len());
    groups.into()
}

/// The open machines without a fault that a class takes whole when they are empty.
fn serves(class: &Class, board: &Board) -> Vec<u32> {
    let serves = |node: &u32| {
        let open = board.pool.machines[*node as usize].open && takes_all(class, &board.pool, *node);
        open && board.empty.slots(*node, class, View::Now) > 0
    };
    (0..board.pool.machines.len() as u32).filter(serves).collect()
}

fn overlap(one: &[u32], other: &[u32]) -> bool {
    one.iter().any(|node| other.binary_search(node).is_ok())
}

impl Group {
    /// How many machines it has at most beside those that its large ones hold: no more than it
    /// usually takes.
    fn most(&self) -> u64 {
        (self.serves.len() as u64 / PART).min(self.usual / 1000)
    }

    /// How many machines it is to have where so many are asked for now.
    fn target(&self, demand: u64) -> u64 {
        // The root of thousandths of thousandths is the root in thousandths.
        let root = (u128::from(self.usual) * 1000).isqrt();
        let usual = u128::from(self.usual) + root * u128::from(SPARE) / 1000;
        demand.max(u64::try_from(usual.div_ceil(1000)).unwrap_or(u64::MAX))
    }

    /// Whether a class may use each of its machines.
    fn takes(&self, class: &Class, board: &Board) -> bool {
        let uses = |node: &u32| {
            takes_all(class, &board.pool, *node) && board.empty.slots(*node, class, View::Now) > 0
        };
        self.serves.iter().all(uses)
    }
}

/// The groups that a class may be of.
fn groups_of(class: &Class, groups: &[Group], board: &Board) -> Vec<usize> {
    (0..groups.len()).filter(|group| groups[*group].takes(class, board)).collect()
}

/// Of these groups, the one that a large request of a queue is of: the one with the most machines.
fn widest(of: &[usize], groups: &[Group], seat: u32) -> Option<usize> {
    of.iter().rev().copied().find(|group| groups[*group].seat == seat)
}

/// What runs on a machine.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    runs: u32,
    /// The one that holds all its devices, where one does.
    whole: Option<u32>,
}

/// Costs of machines, the least on top: few of them are looked at.
type Cheapest = BinaryHeap<Reverse<(u64, u32)>>;

/// What is asked for a group now: machines that it has, and that it lacks.
#[derive(Debug, Clone, Copy, Default)]
struct Demand {
    has: u64,
    waits: u64,
}

impl Pass<'_> {
    /// Keep machines for large requests, as many as they usually take.
    pub(crate) fn keep_machines(&mut self) {
        let groups = Arc::clone(&self.board.groups.all);
        if groups.is_empty() {
            return;
        }
        self.know_classes(&groups);
        let loads = self.loads();
        let demands = self.demands(&groups, &loads);
        let mut kept = alloc::vec![false; loads.len()];
        let mut devices: BTreeMap<u32, u128> = BTreeMap::new();
        for ((number, group), demand) in (0..).zip(groups.iter()).zip(demands) {
            let target = group.target(demand.has + demand.waits);
            let mut missing = target.saturating_sub(demand.has).min(group.most());
            let own = self.board.books.tree.seats[group.seat as usize].nominal[0];
            let used = devices.entry(group.seat).or_default();
            if missing == 0 {
                continue;
            }
            let mut cheapest = self.by_cost(group, &loads, &kept);
            while let Some(Reverse((_, node))) = cheapest.pop() {
                let all = self.board.pool.machines[node as usize].devices.len() as u128 * 1000;
                if missing == 0 || (*used + all) * u128::from(PART) > own {
                    break;
                }
                if self.keep((number, group), node) {
                    kept[node as usize] = true;
                    *used += all;
                    missing -= 1;
                }
            }
        }
    }

    /// What runs on each machine.
    fn loads(&self) -> Vec<Load> {
        let machines = &self.board.pool.machines;
        let mut loads = alloc::vec![Load::default(); machines.len()];
        for (at, run) in (0..).zip(&self.board.running) {
            run.nodes.iter().for_each(|node| loads[*node as usize].runs += 1);
            // Most hold less than two devices, and what they hold lies elsewhere in memory.
            let large = run.charge[0] >= u128::from(WHOLE) * u128::from(DEVICES_MIN);
            for piece in run.pieces.iter().filter(|_| large) {
                let all = machines[piece.node as usize].devices.len();
                let whole = |pick: &Pick| matches!(pick, Pick::Whole { .. });
                if piece.picks.len() == all && piece.picks.iter().all(whole) {
                    loads[piece.node as usize].whole = Some(at);
                }
            }
        }
        loads
    }

    /// Looks which groups the classes may be of that have come since the last look.
    fn know_classes(&mut self, groups: &[Group]) {
        let known = self.board.groups.of.len();
        let board = &self.board;
        let new = board.classes[known..].iter().map(|class| groups_of(class, groups, board));
        let new: Vec<Vec<usize>> = new.collect();
        self.board.groups.of.extend(new);
    }

    /// The groups that the request of a running one may be of.
    fn groups_of_running(&mut self, groups: &[Group], at: usize) -> Option<&[usize]> {
        let request = &self.snapshot.workloads.get(&self.board.running[at].id)?.request;
        if !self.board.groups.of_running.contains_key(request) {
            let class = Class::new(u32::MAX, request, Phase::Training, &self.board.kinds);
            let of = groups_of(&class, groups, &self.board);
            if self.board.groups.of_running.len() >= REQUESTS_MAX {
                self.board.groups.of_running.clear();
            }
            self.board.groups.of_running.insert(request.clone(), of);
        }
        self.board.groups.of_running.get(request).map(Vec::as_slice)
    }

    /// What is asked for each group now.
    fn demands(&mut self, groups: &[Group], loads: &[Load]) -> Vec<Demand> {
        let mut demands = alloc::vec![Demand::default(); groups.len()];
        for run in loads.iter().filter_map(|load| load.whole) {
            let seat = self.board.running[run as usize].seat;
            let of = self.groups_of_running(groups, run as usize).unwrap_or_default();
            let group = widest(of, groups, seat);
            group.into_iter().for_each(|group| demands[group].has += 1);
        }
        let board = &self.board;
        if board.groups.of.iter().any(|of| !of.is_empty()) {
            for (wait, outcome) in board.waiting.iter().zip(&self.outcomes) {
                let group = board.groups.of(wait.class, wait.seat);
                let Some(demand) = group.map(|group| &mut demands[group]) else { continue };
                let gang = u64::from(wait.gang);
                match outcome {
                    Outcome::Open if wait.not_before <= board.now => demand.waits += gang,
                    Outcome::Started | Outcome::Handover(_) => demand.has += gang,
                    _ => {}
                }
            }
        }
        demands
    }

    /// The machines of a group that no large one holds, the cheapest to empty on top.
    fn by_cost(&self, group: &Group, loads: &[Load], kept: &[bool]) -> Cheapest {
        let machines = &self.board.pool.machines;
        let free = |node: &&u32| loads[**node as usize].whole.is_none() && !kept[**node as usize];
        let gone: Vec<u64> = (0..=RUNS_MAX).map(gone_after).collect();
        let cost = |node: u32| {
            let machine = &machines[node as usize];
            let all = machine.devices.len() as u64;
            let used = all - u64::from(machine.idle[View::Start as usize]);
            let room = |side: &usize| (0..3).all(|r| machine.free[*side][r] >= group.need[r]);
            match used == 0 && View::Start.sides().iter().all(room) {
                true => 0,
                false => {
                    let all_gone = gone[(loads[node as usize].runs as usize).min(RUNS_MAX)];
                    all * all_gone + used * (all_gone - 1000)
                }
            }
        };
        let costs = group.serves.iter().filter(free).map(|node| (cost(*node), *node));
        costs.map(Reverse).collect()
    }

    /// Keep what is free of a machine from others, if its queue's own share has room for it.
    fn keep(&mut self, (number, group): (u32, &Group), node: u32) -> bool {
        let piece = self.free_of(node, group.need);
        let charge = self.board.charge_of(core::slice::from_ref(&piece));
        let books = &self.board.books;
        let within = |seat| books.within(Which::Later, seat, &charge);
        if !books.tree.path(group.seat).all(within) {
            return false;
        }
        self.board.pool.take(&piece, Span::Later);
        self.board.books.take(&[Which::Later], group.seat, &charge);
        self.drains.kept.push(Kept { group: number, seat: group.seat, piece });
        true
    }

    /// What is free of a machine, now and later: its devices, and what is needed beside them.
    fn free_of(&self, node: u32, need: Amounts) -> Piece {
        let pool = &self.board.pool;
        let machine = &pool.machines[node as usize];
        let free = |r: usize| machine.free[0][r].min(machine.free[1][r]).max(0);
        let picks = machine.devices.clone().filter_map(|at| {
            let held = &pool.devices[at];
            if held.is_idle(View::Start) {
                return Some(Pick::Whole { device: at as u32 });
            }
            let milli = held.share_free(0).min(held.share_free(1));
            let used = held.held[0].memory.max(held.held[1].memory);
            let memory = held.memory.saturating_sub(used);
            (milli > 0).then_some(Pick::Share { device: at as u32, milli, memory })
        });
        Piece { node, amounts: [0, 1, 2].map(|r| need[r].min(free(r))), picks: picks.collect() }
    }
}

/// After how many thousandths of a mean lifetime so many workloads are all gone, on average.
fn gone_after(runs: usize) -> u64 {
    (1..=runs.max(1) as u64).map(|left| 1000 / left).sum()
}
