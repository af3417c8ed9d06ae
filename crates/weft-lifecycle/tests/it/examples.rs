//! Cases that decide something: each names the situation and what must follow.

use weft_lifecycle::{
    Effect, End, Event, Exit, MemberState, Record, Refusal, RetryPolicy, State, StopReason,
};
use weft_types::{Attempt, Member, Timestamp, WorkloadId};

const NOW: Timestamp = Timestamp(5_000);
const FOR: WorkloadId = WorkloadId(7);

fn started(gang: u32, retry: RetryPolicy) -> Record {
    let mut record = Record::new(retry);
    start(&mut record, gang);
    record
}

fn start(record: &mut Record, gang: u32) {
    let attempt = Attempt(record.attempt.0 + 1);
    record.apply(Event::Started { attempt, gang }, NOW).unwrap();
}

fn running(record: &mut Record, member: u32) {
    let attempt = record.attempt;
    record.apply(Event::MemberRunning { attempt, member: Member(member) }, NOW).unwrap();
}

fn ended(record: &mut Record, member: u32, end: End) -> Vec<Effect> {
    let exit = Exit { end, at: Timestamp(NOW.0 + u64::from(member)), detail: String::new() };
    let attempt = record.attempt;
    record.apply(Event::MemberEnded { attempt, member: Member(member), exit }, NOW).unwrap()
}

fn plan_stop(record: &mut Record, reason: StopReason) -> Result<Vec<Effect>, Refusal> {
    let attempt = record.attempt;
    record.apply(Event::StopPlanned { attempt, reason }, NOW)
}

#[test]
fn one_member_runs_to_its_end() {
    let mut record = started(1, RetryPolicy::default());
    running(&mut record, 0);
    assert_eq!(record.state, State::Running);
    assert_eq!(ended(&mut record, 0, End::Exited(0)), [Effect::Released]);
    assert_eq!(record.state, State::Succeeded);
}

#[test]
fn an_end_seen_before_its_beginning_counts() {
    let mut record = started(1, RetryPolicy::default());
    ended(&mut record, 0, End::Exited(3));
    assert_eq!(record.state, State::Failed);
    let late = Event::MemberRunning { attempt: Attempt(1), member: Member(0) };
    assert_eq!(record.apply(late, NOW), Err(Refusal::Stale));
}

#[test]
fn a_member_that_ends_well_before_the_last_begins_does_not_hold_up_running() {
    let mut record = started(2, RetryPolicy::default());
    running(&mut record, 0);
    ended(&mut record, 0, End::Exited(0));
    assert_eq!(record.state, State::Starting);
    running(&mut record, 1);
    assert_eq!(record.state, State::Running);
}

#[test]
fn the_last_to_begin_may_already_be_over() {
    let mut record = started(2, RetryPolicy::default());
    running(&mut record, 1);
    ended(&mut record, 0, End::Exited(0));
    assert_eq!(record.state, State::Running);
}

#[test]
fn a_member_that_fails_takes_its_gang_along_and_explains_it() {
    let mut record = started(2, RetryPolicy::default());
    running(&mut record, 0);
    running(&mut record, 1);
    let effects = ended(&mut record, 1, End::OutOfMemory);
    assert_eq!(effects, [Effect::StopMembers { attempt: Attempt(1) }]);
    assert_eq!(record.state, State::Stopping);
    assert!(record.state.holds_capacity());
    assert_eq!(ended(&mut record, 0, End::Stopped), [Effect::Released]);
    assert_eq!(record.state, State::Failed);
    assert_eq!(record.exit.unwrap().end, End::OutOfMemory);
}

#[test]
fn a_stop_while_starting_ends_members_that_never_ran() {
    let mut record = started(2, RetryPolicy::default());
    running(&mut record, 0);
    let effects = record.apply(Event::StopRequested, NOW).unwrap();
    assert_eq!(effects, [Effect::StopMembers { attempt: Attempt(1) }]);
    ended(&mut record, 1, End::Stopped);
    assert_eq!(record.state, State::Stopping);
    ended(&mut record, 0, End::Stopped);
    assert_eq!(record.state, State::Stopped);
}

#[test]
fn a_stop_while_waiting_ends_at_once() {
    let mut record = Record::new(RetryPolicy::default());
    assert_eq!(record.apply(Event::StopRequested, NOW), Ok(vec![]));
    assert_eq!(record.state, State::Stopped);
    let attempt = Attempt(1);
    assert_eq!(record.apply(Event::Started { attempt, gang: 1 }, NOW), Err(Refusal::Illegal));
}

#[test]
fn a_second_stop_is_passed_on_so_that_it_can_be_harder() {
    let mut record = started(1, RetryPolicy::default());
    for _ in 0..2 {
        let effects = record.apply(Event::StopRequested, NOW).unwrap();
        assert_eq!(effects, [Effect::StopMembers { attempt: Attempt(1) }]);
    }
}

#[test]
fn what_is_preempted_waits_again_whole_even_if_one_member_had_finished() {
    let mut record = started(2, RetryPolicy::default());
    running(&mut record, 0);
    running(&mut record, 1);
    ended(&mut record, 0, End::Exited(0));
    plan_stop(&mut record, StopReason::Preempted(FOR)).unwrap();
    ended(&mut record, 1, End::Stopped);
    assert_eq!((record.state, record.retries), (State::Queued, 0));
    start(&mut record, 2);
    assert_eq!(record.members, [MemberState::Starting, MemberState::Starting]);
    assert_eq!((record.attempt, record.stop), (Attempt(2), None));
}

#[test]
fn what_finished_before_the_stop_reached_it_has_succeeded() {
    for reason in [StopReason::MaxDuration, StopReason::Reclaimed(FOR)] {
        let mut record = started(1, RetryPolicy::default());
        plan_stop(&mut record, reason).unwrap();
        ended(&mut record, 0, End::Exited(0));
        assert_eq!(record.state, State::Succeeded, "{reason:?}");
    }
}

#[test]
fn a_person_s_stop_outranks_a_preemption() {
    let mut record = started(1, RetryPolicy::default());
    plan_stop(&mut record, StopReason::Preempted(FOR)).unwrap();
    record.apply(Event::StopRequested, NOW).unwrap();
    assert_eq!(plan_stop(&mut record, StopReason::Preempted(FOR)), Err(Refusal::Stale));
    ended(&mut record, 0, End::Stopped);
    assert_eq!(record.state, State::Stopped);
}

#[test]
fn a_time_limit_is_final_whatever_retries_are_left() {
    let retry = RetryPolicy { on_error: true, on_lost: true, max: 3 };
    let mut record = started(1, retry);
    plan_stop(&mut record, StopReason::MaxDuration).unwrap();
    ended(&mut record, 0, End::Exited(1));
    assert_eq!((record.state, record.retries), (State::Stopped, 0));
}

#[test]
fn each_retry_waits_longer_and_lost_is_not_error() {
    let retry = RetryPolicy { on_error: false, on_lost: true, max: 2 };
    let mut record = started(1, retry);
    ended(&mut record, 0, End::Lost);
    assert_eq!((record.state, record.not_before), (State::Queued, Timestamp(6_000)));
    start(&mut record, 1);
    ended(&mut record, 0, End::Lost);
    assert_eq!((record.state, record.not_before), (State::Queued, Timestamp(7_000)));
    start(&mut record, 1);
    ended(&mut record, 0, End::Exited(1));
    assert_eq!(record.state, State::Failed);
}

#[test]
fn the_platform_s_stop_never_hides_the_failure_that_caused_it() {
    let mut record = started(3, RetryPolicy::default());
    ended(&mut record, 2, End::Exited(4));
    ended(&mut record, 0, End::Stopped);
    ended(&mut record, 1, End::Stopped);
    assert_eq!(record.exit.unwrap().end, End::Exited(4));
}
