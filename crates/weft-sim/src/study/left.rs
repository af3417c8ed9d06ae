//! What of a study that was left early can be compared: the first part of the log, all but a few of
//! whose jobs had ended under every policy.
//!
//! Decisions do not know the future, so these jobs have waited as they would in the whole run. To
//! compare every job that happened to end would flatter whoever is slower: its long waits are the
//! ones that are missing.

use super::findings::Left;
use crate::trace::Job;
use crate::world::Course;

/// Of a hundred of the jobs compared, so many may be missing because they had not ended.
const MISSING_MAX: usize = 1;

/// How many of the first jobs can be compared, and which of them had not ended.
pub(super) fn first_part(jobs: &[Job], courses: &[Course]) -> Left {
    let mut open = vec![false; jobs.len()];
    for case in courses.iter().flat_map(|course| &course.open_cases) {
        open[*case] = true;
    }
    let (mut missing, mut left) = (0, Left { not_reached: jobs.len(), ..Left::default() });
    for (at, job) in jobs.iter().enumerate() {
        missing += usize::from(open[at]);
        if !open[at] && missing * 100 <= (at + 1) * MISSING_MAX {
            left = Left {
                until: job.submit.0,
                jobs: at + 1,
                not_ended: missing,
                not_reached: jobs.len() - at - 1,
                not_done: Vec::new(),
            };
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::Timestamp;

    fn of(jobs: u64, open: &[&[usize]]) -> [usize; 3] {
        let job = |at| Job { submit: Timestamp(at), ..Job::default() };
        let jobs: Vec<Job> = (0..jobs).map(job).collect();
        let course = |open: &&[usize]| Course { open_cases: open.to_vec(), ..Course::default() };
        let courses: Vec<Course> = open.iter().map(course).collect();
        let left = first_part(&jobs, &courses);
        assert_eq!(left.jobs + left.not_reached, jobs.len());
        [left.jobs, left.not_ended, left.not_reached]
    }

    #[test]
    fn it_ends_where_more_than_a_few_are_missing() {
        assert_eq!(of(1000, &[&[], &[]]), [1000, 0, 0]);
        let last: Vec<usize> = (400..1000).collect();
        assert_eq!(of(1000, &[&[], &last]), [400, 0, 600]);
        // Three stuck ones are few of four hundred, and not of two hundred.
        assert_eq!(of(1000, &[&[5, 6, 7], &last]), [400, 3, 600]);
        assert_eq!(of(200, &[&[5, 6, 7]]), [5, 0, 195]);
        assert_eq!(of(3, &[&[0, 1, 2]]), [0, 0, 3]);
        assert_eq!(of(0, &[&[]]), [0, 0, 0]);
    }
}
