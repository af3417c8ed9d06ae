//! What holds after any sequence of events, however late, repeated or out of place.

use proptest::prelude::*;
use weft_lifecycle::{
    Effect, End, Event, Exit, MemberState, Record, Refusal, RetryPolicy, State, StopReason,
};
use weft_types::{Attempt, Member, Millis, Timestamp, WorkloadId};

/// Gangs this large show every interplay of members; larger ones only slow the search.
const GANG_MAX: u32 = 3;

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Exited(0)),
        Just(End::Exited(1)),
        Just(End::Signalled(9)),
        Just(End::OutOfMemory),
        Just(End::NotStarted),
        Just(End::Lost),
        Just(End::Stopped),
    ]
}

fn reasons() -> impl Strategy<Value = StopReason> {
    prop_oneof![
        Just(StopReason::MaxDuration),
        Just(StopReason::Preempted(WorkloadId(9))),
        Just(StopReason::Suspended(WorkloadId(9))),
        Just(StopReason::Reclaimed(WorkloadId(9))),
    ]
}

/// An event whose attempt is an offset from the record's: -1 is late, 0 is now, 1 is next.
#[derive(Debug, Clone)]
enum Step {
    Started(i64, u32),
    Running(i64, u32),
    Ended(i64, u32, End),
    StopRequested,
    StopPlanned(i64, StopReason),
}

fn steps() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![6 => Just(0_i64), 1 => Just(-1), 1 => Just(1)];
    let started = prop_oneof![1 => Just(0_i64), 8 => Just(1), 1 => Just(2)];
    prop_oneof![
        4 => (started, 0..=GANG_MAX).prop_map(|(o, gang)| Step::Started(o, gang)),
        4 => (offset.clone(), 0..GANG_MAX).prop_map(|(o, m)| Step::Running(o, m)),
        6 => (offset.clone(), 0..GANG_MAX, ends()).prop_map(|(o, m, end)| Step::Ended(o, m, end)),
        1 => Just(Step::StopRequested),
        1 => (offset, reasons()).prop_map(|(o, reason)| Step::StopPlanned(o, reason)),
    ]
}

fn event(step: &Step, record: &Record, now: Timestamp) -> Event {
    let attempt = |offset: &i64| Attempt((i64::from(record.attempt.0) + offset).max(0) as u32);
    match step {
        Step::Started(o, gang) => Event::Started { attempt: attempt(o), gang: *gang },
        Step::Running(o, member) => {
            Event::MemberRunning { attempt: attempt(o), member: Member(*member) }
        }
        Step::Ended(o, member, end) => Event::MemberEnded {
            attempt: attempt(o),
            member: Member(*member),
            exit: Exit { end: *end, at: now, detail: String::new() },
        },
        Step::StopRequested => Event::StopRequested,
        Step::StopPlanned(o, reason) => Event::StopPlanned { attempt: attempt(o), reason: *reason },
    }
}

fn policies() -> impl Strategy<Value = RetryPolicy> {
    (any::<bool>(), any::<bool>(), 0..3_u32).prop_map(|(on_error, on_lost, max)| RetryPolicy {
        on_error,
        on_lost,
        max,
    })
}

/// What is true of every record that can be reached.
fn assert_legal(record: &Record) {
    let starting = record.members.contains(&MemberState::Starting);
    let ended = |m: &MemberState| matches!(m, MemberState::Ended(_));
    assert_eq!(record.state.holds_capacity(), !record.members.is_empty(), "{record:?}");
    assert!(record.members.is_empty() || !record.members.iter().all(ended), "{record:?}");
    assert!(record.retries <= record.retry.max, "{record:?}");
    match record.state {
        State::Queued => assert_ne!(record.stop, Some(StopReason::Requested), "{record:?}"),
        State::Starting => assert!(starting && record.stop.is_none(), "{record:?}"),
        State::Running => assert!(!starting && record.stop.is_none(), "{record:?}"),
        State::Stopping => assert!(record.stop.is_some(), "{record:?}"),
        State::Succeeded => {
            assert_eq!(record.exit.as_ref().map(|e| e.end), Some(End::Exited(0)));
        }
        State::Failed | State::Stopped => {
            assert!(record.exit.as_ref().is_some_and(|e| !e.end.is_success()), "{record:?}");
        }
    }
}

/// What is true of every step.
fn assert_step(
    before: &Record,
    event: &Event,
    result: &Result<Vec<Effect>, Refusal>,
    after: &Record,
) {
    let Ok(effects) = result else {
        assert_eq!(before, after, "a refused {event:?} changed the record");
        return;
    };
    assert!(!before.state.is_final(), "{event:?} applied to {before:?}");
    let released = before.state.holds_capacity() && !after.state.holds_capacity();
    assert_eq!(effects.contains(&Effect::Released), released, "{event:?} on {before:?}");
    if released {
        assert!(matches!(event, Event::MemberEnded { .. }), "{event:?} released {before:?}");
        let alive = before.members.iter().filter(|m| !matches!(m, MemberState::Ended(_))).count();
        assert_eq!(alive, 1, "{event:?} released {before:?}");
    }
    let stops = effects.iter().any(|e| matches!(e, Effect::StopMembers { .. }));
    let entered = before.state != State::Stopping && after.state == State::Stopping;
    assert!(stops || !entered, "{event:?} on {before:?} stops nobody");
    assert!(after.attempt.0 - before.attempt.0 <= 1);
    assert_eq!(after.attempt > before.attempt, matches!(event, Event::Started { .. }));
    assert!(after.retries >= before.retries && after.not_before >= before.not_before);
}

proptest! {
    #[test]
    fn every_sequence_stays_legal_and_can_end(
        policy in policies(),
        steps in proptest::collection::vec(steps(), 0..60),
    ) {
        let mut record = Record::new(policy);
        let mut now = Timestamp(1_000);
        for step in &steps {
            now = now.after(Millis(10));
            let (before, event) = (record.clone(), event(step, &record, now));
            let result = record.apply(event.clone(), now);
            assert_step(&before, &event, &result, &record);
            assert_legal(&record);
            if result.is_ok() && event != Event::StopRequested {
                let again = record.clone().apply(event.clone(), now);
                prop_assert!(again.is_err(), "{:?} applied twice", event);
            }
        }
        // A person's stop, and the end of what runs, ends anything.
        let _ = record.apply(Event::StopRequested, now);
        for member in 0..record.members.len() as u32 {
            let exit = Exit { end: End::Stopped, at: now, detail: String::new() };
            let attempt = record.attempt;
            let _ = record.apply(Event::MemberEnded { attempt, member: Member(member), exit }, now);
        }
        prop_assert!(record.state.is_final(), "{:?}", record);
    }

    #[test]
    fn retries_run_out(policy in policies(), end in ends()) {
        let mut record = Record::new(policy);
        let mut now = Timestamp(1_000);
        let mut starts = 0;
        while record.state == State::Queued {
            starts += 1;
            prop_assert!(starts <= policy.max + 1);
            now = now.after(Millis(1_000));
            let attempt = Attempt(record.attempt.0 + 1);
            record.apply(Event::Started { attempt, gang: 1 }, now).unwrap();
            let exit = Exit { end, at: now, detail: String::new() };
            record.apply(Event::MemberEnded { attempt, member: Member(0), exit }, now).unwrap();
        }
        prop_assert!(record.state.is_final());
    }
}
