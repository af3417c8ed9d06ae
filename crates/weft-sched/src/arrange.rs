//! Where on their devices the MIG instances lie that start: settled when all that starts is known.
//!
//! Until then each one that starts may move the others that do (`board/mig.rs`), so a set of
//! requests that wait together is started in its order wherever any arrangement holds it.

use crate::Action;
use crate::pass::Pass;
use alloc::collections::BTreeMap;

impl Pass<'_> {
    /// Settle them, and say so in the actions of this look.
    pub(crate) fn arrange(&mut self) {
        let laid_anew = self.board.pool.settle(&mut self.started);
        if !laid_anew && !self.rearranged {
            return;
        }
        let waiting = &self.board.waiting;
        let started = (0..).zip(&self.started).map(|(i, (at, _))| (waiting[*at as usize].id, i));
        let started: BTreeMap<_, usize> = started.collect();
        let mut actions = core::mem::take(&mut self.actions);
        for action in &mut actions {
            let Action::Start { workload, placements, .. } = action else { continue };
            let Some(found) = started.get(workload) else { continue };
            let (at, pieces) = &self.started[*found];
            let each = (0..).zip(pieces);
            *placements = each.map(|(m, piece)| self.placement(*at as usize, m, piece)).collect();
        }
        self.actions = actions;
    }
}
