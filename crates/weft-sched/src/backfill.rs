//! Lending what is kept for an earlier workload to later ones that are gone before it comes.
//!
//! What `reserve.rs` keeps for a workload is idle until the last of it is free. Until that *shadow
//! time* it belongs to whoever is gone by then: by its time limit, or by what it is expected to
//! take, as many times as what runs here is seen to overrun its estimates (`likely.rs`); EASY
//! backfill (Lifka, 1995), which bets that estimates are true, with odds read from the pool: who
//! overruns even so delays the earlier one. Where neither is known, or it has run for longer than
//! that already, nobody can say when it is gone, and it waits. Called by `turn.rs` for each that
//! could not start.
//!
//! Absent on purpose: places kept during a handover, which are free in a moment.

use crate::board::{Piece, Span, View, Which};
use crate::likely::Spread;
use crate::pass::{Hold, Pass};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_types::{Millis, Timestamp};

/// What one look remembers of this.
#[derive(Debug, Default)]
pub(crate) struct Shadows {
    /// How wrong estimates are, once somebody asked.
    spread: Option<Spread>,
    /// Per seat and class, the smallest gang that found no place, in the shadow of how many, and
    /// how much was kept then.
    failed: BTreeMap<(u32, u32), (u32, usize, usize)>,
}

impl Pass<'_> {
    /// Start it on what is kept for such as it, or for others if it is gone before they come.
    pub(crate) fn slips_in(&mut self, at: usize) -> bool {
        if self.starts_where_kept(at) {
            return true;
        }
        // Most never say how long they last.
        if self.board.waiting[at].lasts.is_none()
            || !self.holds.iter().any(|hold| self.shadow(hold).is_some())
        {
            return false;
        }
        let Some(gone) = self.gone_by(at) else { return false };
        let wait = &self.board.waiting[at];
        let (key, gang) = ((wait.seat, wait.class), wait.gang);
        let over = |hold: usize| self.holds[hold].at.is_some_and(|shadow| gone <= shadow);
        let open: Vec<usize> = (0..self.holds.len()).filter(|hold| over(*hold)).collect();
        if open.is_empty() {
            return false;
        }
        // Who is gone sooner is in the shadow of these and maybe of more.
        let failed = self.shadows.failed.get(&key).filter(|failed| failed.2 == self.holds.len());
        if failed.is_some_and(|(least, most, _)| gang >= *least && open.len() <= *most) {
            return false;
        }
        match self.put_among(at, &open) {
            Some(pieces) => {
                self.begin(at, pieces);
                true
            }
            None => {
                self.shadows.failed.insert(key, (gang, open.len(), self.holds.len()));
                false
            }
        }
    }

    /// Take places and share for it as if these were not kept; they are kept still.
    fn put_among(&mut self, at: usize, open: &[usize]) -> Option<Vec<Piece>> {
        let lent: Vec<_> = open.iter().map(|hold| self.holds[*hold].pieces.clone()).collect();
        let seats: Vec<u32> = open.iter().map(|hold| self.holds[*hold].seat).collect();
        for (seat, pieces) in seats.iter().zip(&lent) {
            self.board.drop_hold(*seat, pieces);
        }
        let put = self.afresh(at, |pass| pass.put(at, View::Start, Span::Both)).ok();
        for (seat, pieces) in seats.iter().zip(&lent) {
            let charge = self.board.charge_of(pieces);
            pieces.iter().for_each(|piece| self.board.pool.take(piece, Span::Later));
            self.board.books.take(&[Which::Later], *seat, &charge);
        }
        put
    }

    /// Until when what is kept so is given to who is gone by then; none where it is nobody's else.
    pub(crate) fn shadow(&self, hold: &Hold) -> Option<Timestamp> {
        hold.at.filter(|shadow| *shadow > self.board.now)
    }

    /// When it will be gone at the latest, if it starts now.
    fn gone_by(&mut self, at: usize) -> Option<Timestamp> {
        let wait = &self.board.waiting[at];
        wait.lasts?;
        let workload = self.snapshot.workloads.get(&wait.id)?;
        // Of one that has run longer than any estimate here was wrong, the estimate says nothing.
        let expected = workload.expected.and_then(|expected| {
            let spread = self.shadows.spread.unwrap_or_else(|| self.spread());
            self.shadows.spread = Some(spread);
            let left = spread.most(expected).0.checked_sub(workload.served.0)?;
            (left > 0).then_some(Millis(left))
        });
        let lasts = expected.into_iter().chain(workload.max_duration).min()?;
        Some(self.board.now.after(lasts))
    }
}
