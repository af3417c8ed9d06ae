//! One job in a run. What may happen to it and what follows is the production state machine's; this
//! keeps what the log knows and what has been worked.

use super::course::Fate;
use crate::trace::Job;
use weft_lifecycle::{End, Event, Exit, Record, RetryPolicy, State, StopReason};
use weft_sched::StopCause;
use weft_types::{Attempt, Member, Millis, Timestamp};

/// A job whose machine fails starts again, as often as that happens: someone would submit it again.
const RETRY: RetryPolicy = RetryPolicy { on_error: false, on_lost: true, max: u32::MAX };

#[derive(Debug)]
pub(super) struct Life<'a> {
    pub(super) case: usize,
    pub(super) job: &'a Job,
    pub(super) claim: bool,
    record: Record,
    start: Option<Timestamp>,
    suspensions: u32,
    lost: u32,
    /// When this start began to work, after what going on again took.
    works_from: Timestamp,
}

impl<'a> Life<'a> {
    pub(super) fn new(case: usize, job: &'a Job, claim: bool) -> Self {
        Self {
            case,
            job,
            claim,
            record: Record::new(RETRY),
            start: None,
            suspensions: 0,
            lost: 0,
            works_from: Timestamp::ZERO,
        }
    }

    /// It starts; going on after a suspension takes a while first. Gives when it will be done, if
    /// it has been served so long before.
    pub(super) fn starts(
        &mut self,
        [attempt, gang]: [u32; 2],
        now: Timestamp,
        resume: Millis,
        served: Millis,
    ) -> Timestamp {
        let attempt = Attempt(attempt);
        self.apply(Event::Started { attempt, gang }, now);
        for member in 0..gang {
            self.apply(Event::MemberRunning { attempt, member: Member(member) }, now);
        }
        self.start.get_or_insert(now);
        self.works_from = if served > Millis::ZERO { now.after(resume) } else { now };
        let left = self.job.duration.unwrap_or_default().0.saturating_sub(served.0);
        self.works_from.after(Millis(left))
    }

    /// The plan takes its capacity back.
    pub(super) fn is_told_to_stop(&mut self, cause: &StopCause, now: Timestamp) {
        let reason = match cause {
            StopCause::Preempt { beneficiary } => StopReason::Preempted(*beneficiary),
            StopCause::Reclaim { beneficiary } => StopReason::Reclaimed(*beneficiary),
            StopCause::Suspend { beneficiary } => StopReason::Suspended(*beneficiary),
            StopCause::MaxDuration => StopReason::MaxDuration,
        };
        self.apply(Event::StopPlanned { attempt: self.record.attempt, reason }, now);
        self.suspensions += 1;
    }

    /// All its members are gone. Gives whether it waits again, and from when.
    pub(super) fn ends(&mut self, end: End, now: Timestamp) -> Option<Timestamp> {
        self.lost += u32::from(end == End::Lost);
        for member in 0..self.record.members.len() as u32 {
            let exit = Exit { end, at: now, detail: String::new() };
            let attempt = self.record.attempt;
            self.apply(Event::MemberEnded { attempt, member: Member(member), exit }, now);
        }
        (self.record.state == State::Queued).then_some(self.record.not_before)
    }

    /// What it worked in this start, up to a moment.
    pub(super) fn worked(&self, now: Timestamp) -> Millis {
        now.since(self.works_from)
    }

    pub(super) fn next_attempt(&self) -> Attempt {
        Attempt(self.record.attempt.0 + 1)
    }

    pub(super) fn fate(&self, end: Timestamp) -> Fate {
        Fate {
            case: self.case,
            start: self.start.unwrap_or(end),
            end,
            suspensions: self.suspensions,
            lost: self.lost,
            claim: self.claim,
        }
    }

    pub(super) fn first_start(&self) -> Option<Timestamp> {
        self.start
    }

    /// What the world does follows the record; a step it refuses would be a fault of ours.
    fn apply(&mut self, event: Event, now: Timestamp) {
        let done = self.record.apply(event, now);
        debug_assert!(done.is_ok(), "{done:?} of {:?}", self.record);
    }
}
