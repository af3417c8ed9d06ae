//! A whole log through [`crate::world`].

use super::outcome::JobOutcome;
use super::setup::Setup;
use crate::trace::Job;
use crate::world::{Control, draw, simulate};
use std::cell::RefCell;

/// What came of a replay.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The jobs that ended, in the order of their submission.
    pub jobs: Vec<JobOutcome>,
    /// A hash of all decisions in their order: equal runs have equal hashes.
    pub decisions: u64,
    /// How often the planner was asked.
    pub plans: u64,
}

/// Replays the jobs, in the order of their submission; those that ask for more than there is are
/// left out. `progress` is told the jobs that ended, now and then.
#[must_use]
pub fn replay(setup: &Setup, jobs: &[Job], progress: impl FnMut(usize)) -> Replayed {
    let renamed = |job: &Job| Job { queue: setup.team(job), ..job.clone() };
    let renamed: Vec<Job> = jobs.iter().map(renamed).collect();
    let cases = draw(&renamed, setup.fixed_percent, setup.wrong, setup.seed);
    let told = RefCell::new((0, progress));
    let ended = |more: usize| {
        let (sum, progress) = &mut *told.borrow_mut();
        *sum += more;
        progress(*sum);
    };
    let control = Control { ended: Some(&ended), ..Control::default() };
    let course = simulate(&setup.scenario(jobs), &cases, &control);
    let outcome = |fate: &crate::world::Fate| {
        let job = &jobs[fate.case];
        JobOutcome {
            team: job.queue.clone(),
            devices: job.devices,
            submit: job.submit,
            start: fate.start,
            end: fate.end,
            duration: job.duration.unwrap_or_default(),
            suspensions: fate.suspensions,
        }
    };
    Replayed {
        jobs: course.fates.iter().map(outcome).collect(),
        decisions: course.decisions,
        plans: course.plans,
    }
}
