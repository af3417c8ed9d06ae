//! What time alone does: workloads that have run as long as they may are stopped, and the plan
//! says when the next moment of that sort comes.

use crate::StopCause;
use crate::board::Run;
use crate::pass::{Outcome, Pass};
use crate::rank::next_tier;
use weft_types::Timestamp;

impl Pass<'_> {
    /// Stop what has run as long as it may.
    pub(crate) fn stop_overdue(&mut self) {
        for run in 0..self.board.running.len() {
            let it = &self.board.running[run];
            if !it.stopping && it.limit_at.is_some_and(|limit| limit <= self.board.now) {
                self.stop(run, StopCause::MaxDuration);
                self.board.release(run);
            }
        }
    }

    /// The next moment at which time alone may change the plan: a back-off or a minimum run time
    /// ends, a limit is reached, a wait becomes long enough for a reservation.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        let now = self.board.now;
        let running = self.board.running.iter().filter(|run| !run.stopping);
        let limits = running.filter_map(|run| run.limit_at);
        let waits = self.board.waiting.iter().zip(&self.outcomes);
        let waits = waits.filter_map(|(wait, outcome)| match outcome {
            Outcome::BackOff => Some(wait.not_before),
            Outcome::MinRun(until) => Some(*until),
            Outcome::Capacity | Outcome::Quota(_) => {
                let moments = [Some(wait.protected_at), wait.aged_at];
                moments.into_iter().flatten().filter(|at| *at > now).min()
            }
            _ => None,
        });
        limits.chain(waits).chain(self.tiers()).filter(|at| *at > now).min()
    }

    /// When running workloads come to a tier in which others of their queue, or of another that
    /// shares time, may take their place.
    fn tiers(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let shared = self.board.waiting.iter().any(|wait| wait.aged_at.is_some());
        let runs = self.board.running.iter().filter(|run| !run.stopping);
        let runs = runs.filter(|run| run.slice_ends_at.is_some());
        let awaited = move |run: &&Run| {
            !self.lines[run.seat as usize].is_empty() || (shared && run.reclaim.reclaimable)
        };
        runs.filter(awaited)
            .filter_map(|run| next_tier(run.since, run.effort?.served, run.charge, self.board.now))
    }
}
