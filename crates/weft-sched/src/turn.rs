//! One workload's turn: it starts, is kept what will be free, has something taken back for it, or
//! waits.
//!
//! Called by `order.rs`, which says whose turn it is, and by `promise.rs` for those who were
//! promised something. Absent on purpose: how each of that is done; `start.rs`, `promise.rs`,
//! `take_back.rs` and `reserve.rs` do it, in this order.

use crate::pass::{Outcome, Pass};

impl Pass<'_> {
    /// Offer capacity to one waiting workload.
    pub(crate) fn offer(&mut self, at: usize) {
        if self.over {
            return;
        }
        self.order.push(at as u32);
        self.outcomes[at] = self.decide(at);
        self.over = self.last == Some(at as u32);
    }

    /// Whether this one starts in this look, which ends with it: nobody after it is asked.
    pub(crate) fn starts_in_turn(&mut self, at: usize) -> bool {
        self.last = Some(at as u32);
        self.stop_overdue();
        self.keep_promises();
        self.keep_machines();
        self.offer_all();
        self.outcomes[at] == Outcome::Started
    }

    fn decide(&mut self, at: usize) -> Outcome {
        let wait = &self.board.waiting[at];
        if wait.not_before > self.board.now {
            return Outcome::BackOff;
        }
        if u64::from(wait.gang) > self.board.ever[wait.class as usize] {
            return Outcome::Impossible;
        }
        if let Some(first) = self.goes_first(at) {
            return Outcome::Behind(first);
        }
        let lack = match self.as_before(at) {
            Some(_) if self.slips_in(at) => return Outcome::Started,
            Some(lack) => lack,
            None => match self.help(at) {
                Ok(outcome) => return outcome,
                Err(lack) => lack,
            },
        };
        self.reserve(at, &lack);
        lack
    }

    /// Start it, keep for it what will be free, or take back for it; else what it lacks.
    fn help(&mut self, at: usize) -> Result<Outcome, Outcome> {
        let lack = match self.start(at) {
            Ok(()) => return Ok(Outcome::Started),
            Err(_) if self.slips_in(at) => return Ok(Outcome::Started),
            Err(lack) => lack,
        };
        if let Some(victims) = self.hold_released(at) {
            return Ok(Outcome::Handover(victims));
        }
        if self.takes_what_is_kept(at) {
            return Ok(Outcome::Started);
        }
        if let Some(outcome) = self.take_back(at) {
            return Ok(outcome);
        }
        self.could_not_help(at, lack);
        Err(lack.into())
    }
}
