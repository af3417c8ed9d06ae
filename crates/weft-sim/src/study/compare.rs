//! A study: the log under each policy, what differs, and how far that holds.

use super::cluster::Cluster;
use super::fewer::{PROBES, Search, Target};
use super::figures::{Figures, Spread, claims, completion, team_ratio_milli, wait};
use super::findings::{
    Assumed, Findings, Group, Later, Left, Ran, SCHEMA, Sensitivity, SizeGroup, TraceFacts,
};
use super::left::first_part;
use super::policy::{Policy, Sharing, Sizes};
use super::runs::{Ground, Setting, in_parallel, run_all};
use super::sizes::{SizeError, TeamNeeds};
use super::together::run_together;
use crate::trace::Job;
use crate::world::{Course, Failures, Fate, Lacks, Scenario, TeamShare};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use weft_sched::Order;
use weft_types::{Millis, Timestamp};

/// Parts of the time in which the use of the pool is shown: enough for a week of a quarter.
const USE_PARTS: usize = 240;

/// Jobs that end later which are listed.
const LATER_MAX: usize = 20;

/// Sizes of jobs that are told apart, in devices.
const SIZES: [(u32, u32); 6] = [(1, 1), (2, 4), (5, 8), (9, 16), (17, 64), (65, u32::MAX)];

/// Shares of jobs that can be suspended, in percent, and times to give a device back, under which
/// the last policy is run again.
const SUSPENDABLE: [u32; 4] = [100, 70, 40, 0];
const GIVE_BACK: [Millis; 4] =
    [Millis::from_secs(10), Millis::from_secs(30), Millis::from_secs(300), Millis::from_secs(1800)];

/// Decisions of the runs beside the policies are made at multiples of this, unless those of the
/// policies themselves are rarer: there are twenty of them. Waits are longer for it, which is
/// against the pool wherever one is compared.
const SIDE_ROUND: Millis = Millis::from_secs(60);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The log's jobs, in the order of submission.
    pub jobs: Vec<Job>,
    /// The machines.
    pub cluster: Cluster,
    /// The first is compared with the last; the others stand between.
    pub policies: Vec<Policy>,
    /// When machines fail.
    pub failures: Option<Failures>,
    /// What is drawn.
    pub seed: u64,
    /// Decisions are made at multiples of this.
    pub round: Millis,
    /// Only the policies themselves, nothing beside them.
    pub brief: bool,
    /// What is known of the log beside its jobs.
    pub facts: TraceFacts,
}

/// How a study is watched, and left early.
#[derive(Debug, Default)]
pub struct Watch {
    /// Left where this is set.
    pub cancel: AtomicBool,
    done: AtomicUsize,
    expected: AtomicUsize,
}

impl Watch {
    /// Jobs run so far and jobs to run in all, over all runs.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.expected.load(Ordering::Relaxed))
    }

    /// Whether it is to be left.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self, jobs: usize) {
        self.done.fetch_add(jobs, Ordering::Relaxed);
    }

    fn expect(&self, jobs: usize) {
        self.expected.fetch_add(jobs, Ordering::Relaxed);
    }
}

/// Answers a question.
///
/// # Errors
///
/// If a policy's sizes cannot be had on these machines.
pub fn study(mut question: Question, watch: &Watch) -> Result<Findings, SizeError> {
    // 1. What can run at all, and what each team needs.
    let facts = leave_out(&mut question);
    let needs = needs(&question.jobs);
    let ground = Ground {
        jobs: &question.jobs,
        needs: &needs,
        failures: question.failures,
        seed: question.seed,
        watch,
    };
    // 2. The policies, and those beside them that say where a difference comes from.
    let asked = question.policies.len();
    let (policies, beside) = policies(&question);
    let setting =
        |policy: &Policy| Setting::new(policy, &question.cluster, question.round, &ground);
    let side = beside.iter().any(Option::is_some);
    watch.expect(question.jobs.len() * (policies.len() + if side { side_runs() } else { 0 }));
    let mut settings: Vec<Setting> =
        policies[..asked].iter().map(setting).collect::<Result<_, _>>()?;
    // 3. Each is run; those asked for first, so that whoever leaves early has them.
    let mut courses = run_together(&settings, &ground);
    let left = watch.is_cancelled().then(|| first_part(&question.jobs, &courses));
    if left.is_none() {
        settings.extend(policies[asked..].iter().map(setting).collect::<Result<Vec<_>, _>>()?);
        courses.extend(run_all(&settings[asked..], &ground));
    }
    // 4. Compared are the jobs that end under every policy that was asked for.
    let first = left.as_ref().map_or(question.jobs.len(), |left| left.jobs);
    let compared = compared(question.jobs.len(), first, &courses[..asked]);
    let mut findings = Findings {
        teams: teams(&question.jobs, &needs, &compared, &courses[..asked]),
        sizes: sizes(&question.jobs, &compared, &courses[..asked]),
        runs: ran(&question, (&settings, &beside), &courses, &compared, left.as_ref()),
        ..frame(&question, facts, asked, (&compared, left))
    };
    later(&question.jobs, &compared, &courses[..asked], &mut findings);
    // 5. How few machines would do, and what if an assumption does not hold.
    if side && !watch.is_cancelled() {
        aside(&question, &ground, &settings, &compared, &mut findings);
    }
    if watch.is_cancelled() {
        is_left(&beside, &mut findings);
    }
    Ok(findings)
}

/// Says what was not done.
fn is_left(beside: &[Option<String>], findings: &mut Findings) {
    findings.interrupted = true;
    let done = |what: &&String| !findings.runs.iter().any(|ran| ran.beside.as_ref() == Some(what));
    let mut not_done: Vec<String> = beside.iter().flatten().filter(done).cloned().collect();
    if beside.iter().any(Option::is_some) {
        if findings.fewer.is_empty() {
            not_done.push("how few accelerators would do".to_owned());
        }
        let what_ifs = findings.runs.get(findings.asked.saturating_sub(1));
        let what_ifs = what_ifs.map_or(0, |last| what_ifs_of(&last.policy));
        if findings.sensitivity.len() < what_ifs {
            let done = findings.sensitivity.len();
            not_done.push(format!("what if an assumption does not hold ({done} of {what_ifs})"));
        }
    }
    let whole = Left { jobs: findings.trace.compared, until: findings.trace.to, ..Left::default() };
    findings.left.get_or_insert(whole).not_done = not_done;
}

fn what_ifs_of(policy: &Policy) -> usize {
    what_ifs(policy).len()
}

fn side_round(question: &Question) -> Millis {
    question.round.max(SIDE_ROUND)
}

/// Runs beside the policies after the first stage, for the progress shown.
fn side_runs() -> usize {
    SUSPENDABLE.len() + GIVE_BACK.len() + 2 * PROBES
}

/// Takes out of the question's jobs what cannot run at all, and says how many.
fn leave_out(question: &mut Question) -> TraceFacts {
    let mut facts = question.facts.clone();
    facts.jobs = question.jobs.len();
    let all = question.cluster.devices();
    let everything = TeamShare { own: all, borrows: 0, lends: 0 };
    let names = question.jobs.iter().map(|job| (job.queue.clone(), everything));
    let whole = Scenario {
        machines: question.cluster.machines.clone(),
        teams: names.collect(),
        order: Order::Submission,
        suspend: Millis::ZERO,
        stop: Millis::ZERO,
        round: Millis::ZERO,
        failures: None,
        seed: 0,
    };
    let admission = whole.admission();
    question.jobs.retain(|job| {
        match admission.admits(job) {
            Ok(()) => return true,
            Err(Lacks::Devices) => facts.without_devices += 1,
            Err(Lacks::Duration) => facts.without_duration += 1,
            Err(Lacks::Model) => facts.without_model += 1,
            Err(Lacks::Room | Lacks::Share) => facts.too_large += 1,
        }
        false
    });
    let jobs = &question.jobs;
    facts.from = jobs.first().map_or(0, |job| job.submit.0);
    facts.to = jobs.last().map_or(0, |job| job.submit.0);
    facts.device_time = jobs.iter().map(device_time).sum();
    facts.has_users = jobs.iter().any(|job| !job.user.is_empty());
    facts.has_starts = jobs.iter().any(|job| job.start.is_some());
    facts.has_models = jobs.iter().any(|job| !job.models.is_empty());
    // Origins of their own lie within years of zero; the epoch's year is none of a log's.
    facts.has_dates = facts.from > 10 * 365 * 86_400_000;
    facts
}

/// In device-milliseconds.
fn device_time(job: &Job) -> u128 {
    let milli = if job.devices == 1 { job.milli.0.clamp(1, 1000) } else { 1000 };
    let devices = u128::from(job.devices) * u128::from(milli);
    devices * u128::from(job.duration.unwrap_or_default().0) / 1000
}

fn needs(jobs: &[Job]) -> BTreeMap<String, TeamNeeds> {
    let mut needs: BTreeMap<String, TeamNeeds> = BTreeMap::new();
    for job in jobs {
        let need = match needs.get_mut(&job.queue) {
            Some(need) => need,
            None => needs.entry(job.queue.clone()).or_default(),
        };
        need.time += device_time(job);
        need.largest = need.largest.max(job.devices.into());
        need.jobs += 1;
    }
    needs
}

/// The policies asked for, and beside them what says where the difference comes from; with each,
/// what it is for.
fn policies(question: &Question) -> (Vec<Policy>, Vec<Option<String>>) {
    let mut policies = question.policies.clone();
    let mut beside = vec![None; policies.len()];
    let (Some(first), Some(last)) = (policies.first().cloned(), policies.last().cloned()) else {
        return (policies, beside);
    };
    let pooling = first.sharing == Sharing::Dedicated && last.sharing == Sharing::Pooled;
    if question.brief || !pooling {
        return (policies, beside);
    }
    let mut add = |policy: Policy, what: &str| {
        policies.push(policy);
        beside.push(Some(what.to_owned()));
    };
    let named = |name: &str, policy: Policy| Policy { name: name.to_owned(), ..policy };
    if first.sizes != Sizes::Best {
        let best = Policy { sizes: Sizes::Best, ..first.clone() };
        add(named("best-sized silos", best), "silos at their best: sizes chosen with hindsight");
    }
    let sharing = Policy { order: last.order, ..first.clone() };
    if sharing.order != first.order {
        add(named("silos that share time", sharing), "what sharing time alone is worth");
    }
    let plain = Policy { order: Order::Submission, suspendable: 0, ..last };
    add(named("pool without suspending", plain), "what pooling alone is worth");
    (policies, beside)
}

/// Which of the first jobs ended under each of these.
fn compared(jobs: usize, first: usize, courses: &[Course]) -> Vec<bool> {
    let mut counts = vec![0_usize; jobs];
    courses.iter().flat_map(|course| &course.fates).for_each(|fate| counts[fate.case] += 1);
    let all = |(at, count): (usize, usize)| at < first && count == courses.len() && count > 0;
    counts.into_iter().enumerate().map(all).collect()
}

fn frame(
    question: &Question,
    facts: TraceFacts,
    asked: usize,
    (compared, left): (&[bool], Option<Left>),
) -> Findings {
    let starts = question.jobs.iter().filter_map(|job| Some(job.start?.since(job.submit).0));
    let starts: Vec<u64> = starts.collect();
    let count = compared.iter().filter(|it| **it).count();
    let trace = TraceFacts {
        compared: count,
        not_everywhere: left.as_ref().map_or(compared.len(), |left| left.jobs - left.not_ended)
            - count,
        teams: needs(&question.jobs).len(),
        ..facts
    };
    Findings {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: String::new(),
        trace,
        cluster: question.cluster.to_string(),
        devices: question.cluster.devices(),
        assumed: Assumed {
            round: question.round.0,
            side_round: side_round(question).0,
            failures: question.failures.map(|it| (it.mtbf.0, it.repair.0)),
            seed: question.seed,
        },
        runs: Vec::new(),
        asked,
        teams: Vec::new(),
        sizes: Vec::new(),
        later: Vec::new(),
        ends_later: 0,
        ends_earlier: 0,
        fewer: Vec::new(),
        sensitivity: Vec::new(),
        logged_wait: (!starts.is_empty()).then(|| Spread::of(starts)),
        logged_active_percent: active(&question.jobs),
        interrupted: false,
        left,
    }
}

/// Mean activity of the devices that jobs held, weighed by device time, where the log has it.
fn active(jobs: &[Job]) -> Option<u64> {
    let known = jobs.iter().filter_map(|job| Some((job, job.active_percent?)));
    let (sum, time) = known.fold((0, 0), |(sum, time), (job, percent)| {
        let of = device_time(job);
        (sum + of * u128::from(percent), time + of)
    });
    (time > 0).then(|| u64::try_from(sum / time).unwrap_or(0))
}

/// What is reported of each run.
fn ran(
    question: &Question,
    (settings, beside): (&[Setting], &[Option<String>]),
    courses: &[Course],
    compared: &[bool],
    left: Option<&Left>,
) -> Vec<Ran> {
    let jobs = &question.jobs;
    let last = left.map(|left| Timestamp(left.until)).or(jobs.last().map(|job| job.submit));
    let last = last.unwrap_or(Timestamp::ZERO);
    let until = courses.iter().filter_map(|course| course.fates.iter().map(|fate| fate.end).max());
    let until = until.max().unwrap_or_default();
    let span = jobs.first().map(|first| last.since(first.submit));
    let one = |((setting, beside), course): ((&Setting, &Option<String>), &Course)| {
        let fates: Vec<&Fate> = course.fates.iter().filter(|fate| compared[fate.case]).collect();
        let pooled = setting.policy.sharing == Sharing::Pooled;
        let used = course.used.means(USE_PARTS, until);
        let step = until.since(course.used.from).0.div_ceil(used.len().max(1) as u64);
        Ran {
            policy: setting.policy.clone(),
            beside: beside.clone(),
            sizes: setting.sizes.clone(),
            figures: Figures::of(jobs, fates.iter().copied()),
            team_ratio_milli: team_ratio_milli(jobs, &fates),
            claims: pooled.then(|| claims(jobs, course, setting.policy.bound)),
            reclaims: course.reclaims,
            failures: course.failures,
            destroyed: course.destroyed / 1000,
            borrowed: course.borrowed.sum() / 1000,
            used_mean_milli: course.used.mean_until(last, span.unwrap_or_default()),
            used_milli: used,
            used_step: step.next_multiple_of(course.used.width.0.max(1)),
            used_from: course.used.from.0,
            last_end: course.fates.iter().map(|fate| fate.end.0).max().unwrap_or(0),
            plans: course.plans,
            decisions: format!("{:016x}", course.decisions),
            open: course.open,
        }
    };
    let all = settings.iter().zip(beside).zip(courses);
    // One beside the question that was left early says nothing.
    let whole = all.filter(|((_, beside), course)| beside.is_none() || course.cut.is_none());
    whole.map(one).collect()
}

fn teams(
    jobs: &[Job],
    needs: &BTreeMap<String, TeamNeeds>,
    compared: &[bool],
    courses: &[Course],
) -> Vec<Group> {
    let mut fates: BTreeMap<&str, Vec<Vec<&Fate>>> = BTreeMap::new();
    for (at, course) in courses.iter().enumerate() {
        for fate in course.fates.iter().filter(|fate| compared[fate.case]) {
            let team = fates.entry(&jobs[fate.case].queue).or_default();
            team.resize(courses.len(), Vec::new());
            team[at].push(fate);
        }
    }
    let group = |(team, need): (&String, &TeamNeeds)| {
        let mine = fates.get(team.as_str()).cloned().unwrap_or(vec![Vec::new(); courses.len()]);
        Group {
            team: team.clone(),
            jobs: mine[0].len(),
            largest: need.largest,
            device_time: need.time,
            figures: mine.iter().map(|fates| Figures::of(jobs, fates.iter().copied())).collect(),
        }
    };
    needs.iter().map(group).collect()
}

fn sizes(jobs: &[Job], compared: &[bool], courses: &[Course]) -> Vec<SizeGroup> {
    let group = |(least, most): (u32, u32)| {
        let mine =
            |fate: &&Fate| compared[fate.case] && (least..=most).contains(&jobs[fate.case].devices);
        let figures: Vec<Figures> = courses
            .iter()
            .map(|course| Figures::of(jobs, course.fates.iter().filter(mine)))
            .collect();
        let count = figures.first().map_or(0, |figures| figures.wait.count);
        SizeGroup { least, most, jobs: count, figures }
    };
    SIZES.into_iter().map(group).filter(|group| group.jobs > 0).collect()
}

/// Who ends later under the last policy than under the first.
fn later(jobs: &[Job], compared: &[bool], courses: &[Course], findings: &mut Findings) {
    let [first, .., last] = courses else { return };
    let before: BTreeMap<usize, &Fate> = first.fates.iter().map(|fate| (fate.case, fate)).collect();
    let pairs = last.fates.iter().filter(|fate| compared[fate.case]);
    let pairs = pairs.filter_map(|after| Some((*before.get(&after.case)?, after)));
    let mut behind: Vec<(u64, &Fate, &Fate)> = Vec::new();
    for (before, after) in pairs {
        let late = after.end.since(before.end).0;
        findings.ends_later += usize::from(late > Findings::LATER_MIN_MS);
        let early = before.end.since(after.end).0;
        findings.ends_earlier += usize::from(early > Findings::LATER_MIN_MS);
        if late > Findings::LATER_MIN_MS {
            behind.push((late, before, after));
        }
    }
    behind.sort_by_key(|(late, before, _)| (Reverse(*late), before.case));
    let row = |(_, before, after): &(u64, &Fate, &Fate)| {
        let job = &jobs[before.case];
        Later {
            name: job.name.clone(),
            team: job.queue.clone(),
            devices: job.devices,
            duration: job.duration.unwrap_or_default().0,
            first: completion(jobs, before).0,
            last: completion(jobs, after).0,
            suspensions: after.suspensions,
        }
    };
    findings.later = behind.iter().take(LATER_MAX).map(row).collect();
}

/// The smallest pools and the sensitivities, side by side.
fn aside(
    question: &Question,
    ground: &Ground<'_>,
    settings: &[Setting],
    compared: &[bool],
    findings: &mut Findings,
) {
    let Some(last) = settings.get(findings.asked - 1) else { return };
    let target = |ran: &Ran| {
        let figures = &ran.figures;
        let at_most = [figures.wait.mean, figures.wait.p95, figures.completion.mean];
        Target { than: ran.policy.name.clone(), at_most }
    };
    let dedicated = |ran: &&Ran| {
        let stands = ran.beside.is_none() || ran.policy.sizes == Sizes::Best;
        ran.policy.sharing == Sharing::Dedicated && stands
    };
    let targets: Vec<Target> = findings.runs.iter().filter(dedicated).map(target).collect();
    let search = Search {
        ground: *ground,
        cluster: &question.cluster,
        policy: &last.policy,
        sizes: &last.sizes,
        round: side_round(question),
        compared,
    };
    let what_if = what_ifs(&last.policy);
    let results = in_parallel(1 + what_if.len(), |at| match at.checked_sub(1) {
        None => (search.fewest(&targets), None),
        Some(at) => (Vec::new(), sensitivity(question, ground, last, compared, &what_if[at])),
    });
    for (fewer, sensitivity) in results {
        findings.fewer.extend(fewer);
        findings.sensitivity.extend(sensitivity);
    }
}

/// What, its value, the policy, whether it is the one assumed.
type WhatIf = (&'static str, u64, Policy, bool);

fn what_ifs(policy: &Policy) -> Vec<WhatIf> {
    let mut shares = SUSPENDABLE.to_vec();
    shares.push(policy.suspendable);
    shares.sort_by_key(|share| Reverse(*share));
    shares.dedup();
    let share = |suspendable: u32| {
        let policy = Policy { suspendable, ..policy.clone() };
        ("suspendable", u64::from(suspendable), policy)
    };
    let mut times = GIVE_BACK.to_vec();
    times.push(policy.give_back);
    times.sort_unstable();
    times.dedup();
    let resume = policy.suspend.0 - policy.give_back.0;
    let margin = policy.bound.0.saturating_sub(policy.give_back.0);
    let time = |give_back: Millis| {
        let (suspend, bound) = (Millis(give_back.0 + resume), Millis(give_back.0 + margin));
        ("give-back", give_back.0, Policy { give_back, suspend, bound, ..policy.clone() })
    };
    let all = shares.into_iter().map(share).chain(times.into_iter().map(time));
    all.map(|(what, value, it)| {
        let assumed = it == *policy;
        (what, value, it, assumed)
    })
    .collect()
}

fn sensitivity(
    question: &Question,
    ground: &Ground<'_>,
    last: &Setting,
    compared: &[bool],
    (what, value, policy, assumed): &WhatIf,
) -> Option<Sensitivity> {
    let round = side_round(question);
    // What the rarer decisions take is no fault of who gives back.
    let bound = Millis(policy.bound.0 + round.0 - question.round.0);
    let setting = Setting::new(policy, &question.cluster, round, ground).ok()?;
    let setting = setting.sized(last.sizes.clone());
    let course = run_all(&[setting], ground).pop()?;
    if course.cut.is_some() {
        return None;
    }
    let fates = || course.fates.iter().filter(|fate| compared[fate.case]);
    Some(Sensitivity {
        what,
        value: *value,
        assumed: *assumed,
        wait: Spread::of(fates().map(|fate| wait(&question.jobs, fate).0).collect()),
        completion: Spread::of(fates().map(|fate| completion(&question.jobs, fate).0).collect()),
        claims: claims(&question.jobs, &course, bound),
        suspensions: fates().map(|fate| u64::from(fate.suspensions)).sum(),
    })
}
