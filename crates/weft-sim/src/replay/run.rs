//! A whole log through [`crate::world`].

use super::outcome::JobOutcome;
use super::setup::Setup;
use crate::trace::Job;
use crate::world::{Control, draw, simulate};
use std::cell::RefCell;

/// Replays the jobs, in the order of their submission; those that ask for more than there is are
/// left out. `progress` is told the jobs that ended, now and then.
#[must_use]
pub fn replay(setup: &Setup, jobs: &[Job], progress: impl FnMut(usize)) -> Vec<JobOutcome> {
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
    course.fates.iter().map(outcome).collect()
}
