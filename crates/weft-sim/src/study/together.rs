//! The policies that were asked for, side by side: none is much further in the log than another,
//! so that whoever leaves early can still compare them.
//!
//! Each piece of a policy goes on a part of the log at a time, the one furthest behind first. Where
//! pieces pause changes nothing of what comes of them.

use super::runs::{Ground, Piece, Setting, in_parallel, mapped, merged, pieces};
use crate::world::{Case, Control, Course, Simulation};
use std::sync::Mutex;
use weft_types::Timestamp;

/// Parts in which the log is gone through: what is left early has lost at most one of them.
const PARTS: usize = 200;

/// Least part of the time after the last submission, in milliseconds: an hour.
const TAIL_MIN: u64 = 3_600_000;

/// A piece under way.
struct Runner<'a, 's> {
    parts: usize,
    /// None while a thread has it.
    simulation: Option<Simulation<'a, 's>>,
    course: Option<Course>,
}

impl<'a, 's> Runner<'a, 's> {
    fn new(piece: &'s Piece, cases: &'s [Case<'a>]) -> Self {
        let simulation = Some(Simulation::new(&piece.scenario, cases));
        Self { parts: 0, simulation, course: None }
    }
}

/// Runs settings and gives their courses, in their order.
pub(super) fn run_together(settings: &[Setting], ground: &Ground<'_>) -> Vec<Course> {
    let pieces = pieces(settings, ground);
    let cases: Vec<(Vec<usize>, Vec<Case<'_>>)> =
        in_parallel(pieces.len(), |at| pieces[at].cases(settings, ground));
    let all = pieces.iter().zip(&cases);
    let runners = all.map(|(piece, (_, cases))| Runner::new(piece, cases));
    let runners = Mutex::new(runners.collect::<Vec<_>>());
    in_parallel(super::runs::THREADS, |_| go_on(&runners, ground));
    let runners = runners.into_inner().unwrap_or_default();
    let course = |(runner, (places, cases)): (Runner<'_, '_>, &(Vec<usize>, Vec<Case<'_>>))| {
        let course = runner.course.unwrap_or_default();
        ground.watch.ended(cases.len() - course.fates.len());
        mapped(course, places)
    };
    let courses = runners.into_iter().zip(&cases).map(course).collect();
    merged(settings.len(), &pieces, courses)
}

/// Takes the piece that is furthest behind, until there is none that nobody has.
fn go_on(runners: &Mutex<Vec<Runner<'_, '_>>>, ground: &Ground<'_>) {
    let ended = |jobs: usize| ground.watch.ended(jobs);
    let control =
        Control { cancel: Some(&ground.watch.cancel), ended: Some(&ended), patience: None };
    loop {
        let taken = runners.lock().ok().and_then(|mut runners| {
            let free = runners.iter_mut().enumerate().filter(|(_, it)| it.simulation.is_some());
            let (at, runner) = free.min_by_key(|(at, it)| (it.parts, *at))?;
            Some((at, runner.parts, runner.simulation.take()?))
        });
        let Some((at, parts, mut simulation)) = taken else { return };
        let over = simulation.until(Some(mark(ground, parts)), &control);
        let Ok(mut runners) = runners.lock() else { return };
        let Some(runner) = runners.get_mut(at) else { return };
        runner.parts = parts + 1;
        match over {
            true => runner.course = Some(simulation.finish()),
            false => runner.simulation = Some(simulation),
        }
    }
}

/// Where a part ends: parts have equally many jobs, and those after the last submission grow, for
/// a job may be years long.
fn mark(ground: &Ground<'_>, part: usize) -> Timestamp {
    let (Some(first), Some(last)) = (ground.jobs.first(), ground.jobs.last()) else {
        return Timestamp(u64::MAX);
    };
    let place = (part + 1) * ground.jobs.len() / PARTS;
    if part + 1 < PARTS {
        return ground.jobs[place.max(1) - 1].submit;
    }
    let step = (last.submit.since(first.submit).0 / PARTS as u64).max(TAIL_MIN);
    let doublings = u32::try_from(part + 1 - PARTS).unwrap_or(u32::MAX);
    let after = step.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX));
    Timestamp(last.submit.0.saturating_add(after))
}

#[cfg(test)]
mod tests {
    use super::super::cluster::Cluster;
    use super::super::compare::Watch;
    use super::super::policy::Policy;
    use super::super::runs::run_all;
    use super::super::sizes::TeamNeeds;
    use super::*;
    use crate::trace::plain;
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;
    use weft_types::Millis;

    /// Pauses change nothing; where it is left, every job that ended ended as in the whole run.
    #[test]
    fn parts_make_the_same_whole() {
        let mut text = String::from("submit,duration,gpus,queue\n");
        for job in 0..300 {
            text += &format!("{},{},{},t{}\n", job * 180, 600 + job % 7 * 90, 1 + job % 3, job % 2);
        }
        let jobs = plain(&text).expect("a log").jobs;
        let need = TeamNeeds { time: 1, largest: 3, jobs: 150 };
        let needs = BTreeMap::from([("t0".to_owned(), need), ("t1".to_owned(), need)]);
        let (whole, part) = (Watch::default(), Watch::default());
        let ground = |watch| Ground { jobs: &jobs, needs: &needs, failures: None, seed: 1, watch };
        let cluster = Cluster::parse("3x4").expect("machines");
        let setting = |policy: Policy| {
            Setting::new(&policy, &cluster, Millis::from_secs(10), &ground(&whole)).expect("sizes")
        };
        let settings = [setting(Policy::today()), setting(Policy::pooled())];
        let all = run_all(&settings, &ground(&whole));
        let together = run_together(&settings, &ground(&whole));
        let left = std::thread::scope(|scope| {
            let left = scope.spawn(|| run_together(&settings, &ground(&part)));
            while part.progress().0 < 150 && !left.is_finished() {
                std::thread::yield_now();
            }
            part.cancel.store(true, Ordering::Relaxed);
            left.join().expect("it ends")
        });
        for ((all, together), left) in all.iter().zip(&together).zip(&left) {
            assert_eq!((&all.fates, all.decisions), (&together.fates, together.decisions));
            assert!(left.fates.iter().all(|fate| all.fates.contains(fate)));
            assert_eq!(left.fates.len() + left.open_cases.len(), jobs.len());
        }
    }
}
