//! What of a study that was left early can be compared: the first part of the log, all but a few of
//! whose jobs had ended under every policy.
//!
//! Decisions do not know the future, so these jobs have waited as they would in the whole run. To
//! compare every job that happened to end would flatter whoever is slower: its long waits are the
//! ones that are missing.

use super::findings::Left;
use crate::trace::Job;
use crate::world::Course;

/// Of a hundred of the jobs compared, so many may be missing because they had not ended: the fewest
/// with which the part is at least half of what it is with the most. Where jobs wait for days, a
/// part of which nothing is missing may be no part at all.
const MISSING: [usize; 4] = [1, 3, 10, 30];

/// How many of the first jobs can be compared, and which of them had not ended.
pub(super) fn first_part(jobs: &[Job], courses: &[Course]) -> Left {
    let mut open = vec![false; jobs.len()];
    for case in courses.iter().flat_map(|course| &course.open_cases) {
        open[*case] = true;
    }
    // How many of the first so many had not ended.
    let mut missing = Vec::with_capacity(jobs.len());
    for open in &open {
        missing.push(missing.last().copied().unwrap_or(0) + usize::from(*open));
    }
    let part = |percent: usize| {
        let fits = |at: &usize| !open[*at] && missing[*at] * 100 <= (at + 1) * percent;
        (0..jobs.len()).rev().find(fits).map_or(0, |at| at + 1)
    };
    let parts = MISSING.map(part);
    let most = parts.iter().copied().max().unwrap_or(0);
    let count = parts.into_iter().find(|part| part * 2 >= most).unwrap_or(0);
    let by = |course: &Course| course.open_cases.iter().filter(|case| **case < count).count();
    Left {
        until: count.checked_sub(1).map_or(0, |last| jobs[last].submit.0),
        jobs: count,
        not_ended: count.checked_sub(1).map_or(0, |last| missing[last]),
        not_ended_by: courses.iter().map(by).collect(),
        not_reached: jobs.len() - count,
        not_done: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::Timestamp;

    fn course(open: &[usize]) -> Course {
        Course { open_cases: open.to_vec(), ..Course::default() }
    }

    fn of(jobs: u64, open: &[&[usize]]) -> [usize; 3] {
        let job = |at| Job { submit: Timestamp(at), ..Job::default() };
        let jobs: Vec<Job> = (0..jobs).map(job).collect();
        let courses: Vec<Course> = open.iter().map(|open| course(open)).collect();
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
        let by = first_part(&vec![Job::default(); 1000], &[course(&[5, 6, 7]), course(&last)]);
        assert_eq!(by.not_ended_by, [3, 0]);
        // Rather more of the log with a few that are missing than next to nothing.
        assert_eq!(of(100, &[&[5, 6, 7], &(70..100).collect::<Vec<_>>()]), [70, 3, 30]);
        assert_eq!(of(3, &[&[0, 1, 2]]), [0, 0, 3]);
        assert_eq!(of(0, &[&[]]), [0, 0, 0]);
    }
}
