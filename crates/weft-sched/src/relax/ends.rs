//! Whose end a waiting workload waits for: the fewest of those that end first.

use super::change::{Relaxation, TIME, Then};
use super::trial::Trial;
use crate::board::Which;
use crate::take_back::Room;
use alloc::vec::Vec;

/// Most running workloads looked through, in the order of their ends: who has to wait for more has
/// an estimate, and no use for their names.
const ENDS_MAX: usize = 1_000;

impl Trial<'_, '_> {
    /// Those whose end lets it start as it is, where their ends are known, and nobody before it
    /// takes what they leave.
    pub(super) fn when_ended(&mut self) -> Option<Relaxation> {
        let mark = self.pass.board.mark();
        let ended = self.fewest_ends();
        self.pass.board.rollback(mark);
        let running = &self.pass.board.running;
        let ended: Vec<_> = ended?.into_iter().map(|run| &running[run]).collect();
        let at = ended.iter().filter_map(|run| run.ends_at).max()?.max(self.pass.board.now);
        let workloads = ended.iter().map(|run| run.id).collect();
        let then = Then::Ends { workloads, at };
        Some(Relaxation { changes: Vec::new(), given_up: TIME, then })
    }

    fn fewest_ends(&mut self) -> Option<Vec<usize>> {
        let runs = self.pass.board.running.iter().enumerate();
        let known = runs.filter(|(_, run)| !run.stopping);
        let mut ends: Vec<_> =
            known.filter_map(|(at, run)| Some((run.ends_at?, run.id, at))).collect();
        ends.sort_unstable();
        let mut room = Room::new(self.pass, self.at);
        let mut ended = Vec::new();
        let mut ends = ends.into_iter().take(ENDS_MAX);
        while !self.fits(&room) {
            let (_, _, run) = ends.next()?;
            room.change(self.pass, run, true);
            ended.push(run);
        }
        // Each that turns out not to be needed may run on.
        let mut needed = Vec::new();
        while let Some(run) = ended.pop() {
            room.change(self.pass, run, false);
            if !self.fits(&room) {
                room.change(self.pass, run, true);
                needed.push(run);
            }
        }
        needed.reverse();
        // None: it is not for want of a share or a place that it waits.
        (!needed.is_empty()).then_some(needed)
    }

    fn fits(&self, room: &Room) -> bool {
        let wait = &self.pass.board.waiting[self.at];
        room.has_places(self.pass)
            && self.pass.board.books.check(Which::Later, wait.seat, &wait.charge).is_ok()
    }
}
