//! The plan: what to start, what to stop, and why everything else waits.
//!
//! Called by the server's loop, by dry runs, by the simulator and by every test. Pure: no clock,
//! no randomness, no floating point; the same snapshot and moment give the same plan. It never
//! fails: what makes no sense in a snapshot waits with a reason. The problem in integers, the
//! wanted properties and the limits are in `docs/design/planner.md`.

use crate::board::Board;
use crate::pass::Pass;
use crate::{Action, Plan, Snapshot};
use alloc::vec::Vec;
use weft_types::Timestamp;

/// How often one call looks again at what it has just decided. What is kept for one workload may
/// fall elsewhere on a second look and make room for another; that is part of the same plan, so
/// that planning again without an event changes nothing. Two looks are the rule, the third is
/// for a chain or after something grew; the bound is there so that odd input costs no more than a
/// few times the usual.
const LOOKS_MAX: usize = 6;

/// What to do next on this snapshot, and why each workload that waits does.
///
/// Promises, each a property test: the audit finds nothing; a gang starts whole or not; no
/// workload is stopped for another unless that one fits afterwards, whole; every workload that
/// waits either starts or has a verdict; planning again after the plan is applied does nothing.
pub fn plan(snapshot: &Snapshot, now: Timestamp) -> Plan {
    // 1. A dense working copy, on which everything can be tried and undone.
    let (actions, last) = settle(snapshot, Board::new(snapshot, now));
    explained(snapshot, actions, last).0
}

/// The plan without its verdicts: for a simulator, which asks a million times and reads no reason.
pub fn decide(snapshot: &Snapshot, now: Timestamp) -> Plan {
    let (actions, last) = settle(snapshot, Board::new(snapshot, now));
    settled(snapshot, actions, last).0
}

/// Looks until there is nothing more to do: all that is to be done, and the last look.
pub(crate) fn settle(snapshot: &Snapshot, mut board: Board) -> (Vec<Action>, Pass<'_>) {
    let (mut actions, mut kept) = (Vec::new(), Vec::new());
    let mut looks = 1;
    loop {
        let mut pass = look(snapshot, board);
        let done = pass.actions.is_empty() && pass.kept.is_empty();
        actions.append(&mut pass.actions);
        kept.extend_from_slice(&pass.kept);
        // 6. Once nobody else can be helped, let what starts grow into what is left.
        let grown = done && pass.grow(&mut actions);
        let settled = looks == LOOKS_MAX || (done && !grown);
        if settled {
            pass.kept = kept;
            return (actions, pass);
        }
        board = pass.carry_over();
        looks += 1;
    }
}

/// What one look at the pool decides.
fn look(snapshot: &Snapshot, board: Board) -> Pass<'_> {
    let mut pass = Pass::new(snapshot, board);
    // 2. Stop what has run as long as it may.
    pass.stop_overdue();
    // 3. Keep for each workload what was taken back for it and is being handed over, and machines
    //    for large ones that usually come.
    pass.keep_promises();
    pass.keep_machines();
    // 4. Offer capacity to the waiting, one queue's turn after the other: start; else take what
    //    will be free; else take back what is lent, of lower priority or served more; else wait.
    pass.offer_all();
    // 5. Settle where on their devices the instances lie that start.
    pass.arrange();
    pass
}

/// The plan with its verdicts, and the working copy.
pub(crate) fn explained(
    snapshot: &Snapshot,
    actions: Vec<Action>,
    mut last: Pass<'_>,
) -> (Plan, Board) {
    // 7. Say why the rest waits.
    let reasons = last.explain();
    // 8. And until when.
    let etas = last.estimate();
    let verdicts = last.verdicts(reasons, &etas);
    let (plan, board) = settled(snapshot, actions, last);
    (Plan { verdicts, ..plan }, board)
}

/// The plan without its verdicts, and the working copy.
pub(crate) fn settled(snapshot: &Snapshot, actions: Vec<Action>, last: Pass<'_>) -> (Plan, Board) {
    // 9. Look again when time alone may change this.
    let wake_at = last.wake_at();
    let (base, kept) = (snapshot.generation, last.kept);
    (Plan { base, actions, kept, wake_at, ..Plan::default() }, last.board)
}
