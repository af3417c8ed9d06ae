//! The steps: an event on a record gives the next record and what must be done about it.

use crate::{End, Exit, MemberState, Record, State, StopReason};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Attempt, Member, Timestamp};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A plan gave it capacity.
    Started {
        /// The start's number: one more than the record's.
        attempt: Attempt,
        /// How many members it has.
        gang: u32,
    },
    /// A member's command began.
    MemberRunning {
        /// Of which start.
        attempt: Attempt,
        /// Which member.
        member: Member,
    },
    /// A member is gone, and what it held is free.
    MemberEnded {
        /// Of which start.
        attempt: Attempt,
        /// Which member.
        member: Member,
        /// How.
        exit: Exit,
    },
    /// A person asked for its end.
    StopRequested,
    /// A plan ends it.
    StopPlanned {
        /// Which start.
        attempt: Attempt,
        /// Why.
        reason: StopReason,
    },
}

/// What must be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// End every member of the current start that has not ended.
    StopMembers {
        /// The start.
        attempt: Attempt,
    },
    /// Its capacity is free: plan again.
    Released,
}

/// Why an event does not apply; the record is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is about an earlier start, or repeats what is known. Harmless.
    Stale,
    /// It is not possible in this state.
    Illegal,
}

impl Record {
    /// Applies what happened. On `Err` nothing has changed.
    pub fn apply(&mut self, event: Event, now: Timestamp) -> Result<Vec<Effect>, Refusal> {
        match event {
            Event::Started { attempt, gang } => self.started(attempt, gang),
            Event::MemberRunning { attempt, member } => self.member_running(attempt, member),
            Event::MemberEnded { attempt, member, exit } => {
                self.member_ended(attempt, member, exit, now)
            }
            Event::StopRequested => self.stop_requested(now),
            Event::StopPlanned { attempt, reason } => self.stop_planned(attempt, reason),
        }
    }

    fn started(&mut self, attempt: Attempt, gang: u32) -> Result<Vec<Effect>, Refusal> {
        if attempt <= self.attempt {
            return Err(Refusal::Stale);
        }
        if self.state != State::Queued || attempt.0 != self.attempt.0 + 1 || gang == 0 {
            return Err(Refusal::Illegal);
        }
        self.state = State::Starting;
        self.attempt = attempt;
        self.members = vec![MemberState::Starting; gang as usize];
        self.stop = None;
        self.exit = None;
        Ok(vec![])
    }

    fn member_running(&mut self, attempt: Attempt, member: Member) -> Result<Vec<Effect>, Refusal> {
        let slot = self.member_mut(attempt, member)?;
        if *slot != MemberState::Starting {
            return Err(Refusal::Stale);
        }
        *slot = MemberState::Running;
        self.settle_started();
        Ok(vec![])
    }

    fn member_ended(
        &mut self,
        attempt: Attempt,
        member: Member,
        exit: Exit,
        now: Timestamp,
    ) -> Result<Vec<Effect>, Refusal> {
        let slot = self.member_mut(attempt, member)?;
        if matches!(slot, MemberState::Ended(_)) {
            return Err(Refusal::Stale);
        }
        let failed = !exit.end.is_success();
        *slot = MemberState::Ended(exit);
        if self.members.iter().all(|m| matches!(m, MemberState::Ended(_))) {
            self.finish(now);
            return Ok(vec![Effect::Released]);
        }
        if failed && self.stop.is_none() {
            self.stop = Some(StopReason::MemberFailed);
            self.state = State::Stopping;
            return Ok(vec![Effect::StopMembers { attempt }]);
        }
        self.settle_started();
        Ok(vec![])
    }

    /// A start is over once no member is on its way: one may have ended well before the last
    /// began.
    fn settle_started(&mut self) {
        let under_way = self.members.contains(&MemberState::Starting);
        if self.state == State::Starting && !under_way {
            self.state = State::Running;
        }
    }

    fn stop_requested(&mut self, now: Timestamp) -> Result<Vec<Effect>, Refusal> {
        if self.state.is_final() {
            return Err(Refusal::Stale);
        }
        // A person's wish outranks the plan's: what would have waited again now ends.
        self.stop = Some(StopReason::Requested);
        if self.state == State::Queued {
            self.state = State::Stopped;
            self.exit = Some(Exit { end: End::Stopped, at: now, detail: String::new() });
            return Ok(vec![]);
        }
        self.state = State::Stopping;
        Ok(vec![Effect::StopMembers { attempt: self.attempt }])
    }

    fn stop_planned(
        &mut self,
        attempt: Attempt,
        reason: StopReason,
    ) -> Result<Vec<Effect>, Refusal> {
        if attempt != self.attempt || !self.state.holds_capacity() || self.stop.is_some() {
            return Err(Refusal::Stale);
        }
        self.stop = Some(reason);
        self.state = State::Stopping;
        Ok(vec![Effect::StopMembers { attempt }])
    }

    /// Every member has ended: the workload ends or waits again.
    fn finish(&mut self, now: Timestamp) {
        let exit = self.worst_exit(now);
        self.members.clear();
        self.state = match self.stop {
            _ if exit.end.is_success() => State::Succeeded,
            Some(StopReason::Requested | StopReason::MaxDuration) => State::Stopped,
            Some(
                StopReason::Preempted(_)
                | StopReason::Reclaimed(_)
                | StopReason::Suspended(_)
                | StopReason::DeviceFailed
                | StopReason::DeviceTakenOut,
            ) => State::Queued,
            Some(StopReason::MemberFailed) | None => self.retry_or_fail(exit.end, now),
        };
        self.exit = Some(exit);
    }

    fn retry_or_fail(&mut self, end: End, now: Timestamp) -> State {
        let wanted = match end {
            End::Lost => self.retry.on_lost,
            _ => self.retry.on_error,
        };
        if !wanted || self.retries >= self.retry.max {
            return State::Failed;
        }
        self.retries += 1;
        self.not_before = now.after(Record::back_off(self.retries));
        State::Queued
    }

    /// The end that explains the gang's: the earliest failure that the platform did not cause,
    /// else any failure, else success.
    fn worst_exit(&self, now: Timestamp) -> Exit {
        let exits = self.members.iter().filter_map(|member| match member {
            MemberState::Ended(exit) => Some(exit),
            _ => None,
        });
        let badness = |exit: &Exit| match exit.end {
            end if end.is_success() => 2,
            End::Stopped => 1,
            _ => 0,
        };
        exits.min_by_key(|exit| (badness(exit), exit.at)).cloned().unwrap_or(Exit {
            end: End::Lost,
            at: now,
            detail: String::new(),
        })
    }

    fn member_mut(
        &mut self,
        attempt: Attempt,
        member: Member,
    ) -> Result<&mut MemberState, Refusal> {
        if attempt < self.attempt {
            return Err(Refusal::Stale);
        }
        if attempt > self.attempt {
            return Err(Refusal::Illegal);
        }
        // A start whose members were cleared has ended: what comes later is stale.
        if self.members.is_empty() {
            return Err(Refusal::Stale);
        }
        self.members.get_mut(member.0 as usize).ok_or(Refusal::Illegal)
    }
}
