//! Goals beside what was found: what a pool should bring, and whether it did on this log.
//!
//! The goals are the project's own. One that is missed is shown as missed.

use super::words::{change, count, percent, plain, thousandths, time};
use crate::study::{Findings, Ran, Sharing, Sizes};

/// Waits should be down by so much, in percent.
const DOWN: u64 = 60;

/// The worst team's mean slowdown over the best's should be at most this, in thousandths.
const RATIO: u64 = 1500;

/// A team's mean wait is worse if it is longer by more than this: decisions are made at rounds.
const WORSE_BY: u64 = 60_000;

/// A goal beside what was found.
pub(super) struct Check {
    pub(super) what: String,
    pub(super) goal: &'static str,
    pub(super) found: String,
    pub(super) met: bool,
}

/// The checks of a pool against dedicated machines; none where something else was compared.
pub(super) fn checks(findings: &Findings) -> Vec<Check> {
    let asked = &findings.runs[..findings.asked.min(findings.runs.len())];
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else { return Vec::new() };
    if first.policy.sharing != Sharing::Dedicated || last.policy.sharing != Sharing::Pooled {
        return Vec::new();
    }
    let mut beside = findings.runs.iter().skip(findings.asked);
    let best = beside.find(|ran| ran.policy.sizes == Sizes::Best);
    let mut checks = vec![down("mean wait", first, last, |ran| ran.figures.wait.mean)];
    checks.push(down("95th percentile of waits", first, last, |ran| ran.figures.wait.p95));
    if let Some(best) = best {
        checks.push(down("mean wait", best, last, |ran| ran.figures.wait.mean));
        checks.push(down("95th percentile of waits", best, last, |ran| ran.figures.wait.p95));
    }
    checks.push(nobody_worse(findings));
    if let Some(ratio) = last.team_ratio_milli {
        checks.push(Check {
            what: "worst team's mean slowdown over the best's (teams of 300 jobs and more)".into(),
            goal: "≤ 1.5",
            found: thousandths(ratio),
            met: ratio <= RATIO,
        });
    }
    if let Some(claims) = last.claims {
        checks.push(Check {
            what: format!(
                "teams get what they are guaranteed within {}",
                time(last.policy.bound.0)
            ),
            goal: "100 %",
            found: format!(
                "{} ({} of {}; the longest took {})",
                percent(claims.honoured as u128, claims.made as u128),
                count(claims.honoured as u64),
                count(claims.made as u64),
                time(claims.worst)
            ),
            met: claims.honoured == claims.made,
        });
    }
    checks
}

fn down(what: &str, from: &Ran, to: &Ran, of: fn(&Ran) -> u64) -> Check {
    let (before, after) = (of(from), of(to));
    Check {
        what: format!("{what}, against {}", plain(&from.policy.name)),
        goal: "−60 % or more",
        found: format!("{} ({} → {})", change(before, after), time(before), time(after)),
        met: u128::from(after) * 100 <= u128::from(before) * u128::from(100 - DOWN),
    }
}

fn nobody_worse(findings: &Findings) -> Check {
    let worse = worse_teams(findings);
    let found = match worse.as_slice() {
        [] => format!("none of {}", teams_compared(findings)),
        some => format!("{} of {}", some.len(), teams_compared(findings)),
    };
    Check {
        what: "teams whose mean wait is longer by more than a minute".into(),
        goal: "none",
        found,
        met: worse.is_empty(),
    }
}

/// Teams that have a job in the comparison: one without is neither better nor worse.
pub(super) fn teams_compared(findings: &Findings) -> usize {
    findings.teams.iter().filter(|team| team.jobs > 0).count()
}

/// Places of the teams whose mean wait is longer under the last policy.
pub(super) fn worse_teams(findings: &Findings) -> Vec<usize> {
    let longer = |at: &usize| match findings.teams[*at].figures.as_slice() {
        [first, .., last] => last.wait.mean > first.wait.mean + WORSE_BY,
        _ => false,
    };
    (0..findings.teams.len()).filter(longer).collect()
}
