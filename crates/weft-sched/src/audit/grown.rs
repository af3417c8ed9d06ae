//! Nothing starts with more than its least members beyond its queue's own share, unless it can be
//! suspended and reclaimed. Lenient: what else starts in the plan is not counted.

use super::share::{Uses, quota, sum};
use super::{Given, gang};
use crate::{Finding, Snapshot};
use alloc::vec::Vec;
use weft_types::QueueName;

pub(super) fn check(snapshot: &Snapshot, given: &[Given<'_>], found: &mut Vec<Finding>) {
    let least = |it: &Given<'_>| (it.workload.gang.max(1) as usize).min(it.placements.len());
    let rigid = given.iter().filter(|it| {
        let pliant = it.workload.suspend.is_some() && it.workload.reclaim.reclaimable;
        it.placements.len() > least(it) && !pliant
    });
    let rigid: Vec<&Given<'_>> = rigid.collect();
    if rigid.is_empty() {
        return;
    }
    let mut uses = Uses::of_running(snapshot, |run| !run.stopping);
    for it in &rigid {
        uses.add(&it.workload.queue, sum(snapshot, it.placements));
    }
    for it in rigid {
        let more = sum(snapshot, &it.placements[least(it)..]);
        let path = core::iter::successors(Some(it.workload.queue.clone()), QueueName::parent);
        let beyond = path.into_iter().any(|level| {
            let own = quota(snapshot.queues.get(&level)).0;
            (0..3).any(|r| more[r] > 0 && uses.of(&level)[r] > own[r])
        });
        if beyond {
            found.push(gang(it.id, "grows on what is not its queue's, and cannot give it back"));
        }
    }
}
