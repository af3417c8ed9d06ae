//! A device's health: what holds whatever happens in whichever order, and its usual roads.

use proptest::prelude::*;
use weft_lifecycle::{
    BURST, Device, DeviceEvent, DeviceRefusal, DeviceState, PROBATION, SLIGHT_MAX, SUSPICION,
};
use weft_types::{Millis, Timestamp};

fn slight() -> DeviceEvent {
    DeviceEvent::Slight { what: "an error was corrected".to_owned() }
}

fn ailing() -> DeviceEvent {
    DeviceEvent::Ailing { what: "it is too hot".to_owned() }
}

fn grave() -> DeviceEvent {
    DeviceEvent::Grave { what: "xid 79: the device has fallen off the bus".to_owned() }
}

fn event() -> impl Strategy<Value = DeviceEvent> {
    prop_oneof![
        1 => Just(slight()),
        1 => Just(ailing()),
        1 => Just(grave()),
        3 => Just(DeviceEvent::Quiet),
        2 => Just(DeviceEvent::Empty),
        1 => Just(DeviceEvent::Reset),
        1 => Just(DeviceEvent::TakenOut { what: "for a look".to_owned() }),
        1 => Just(DeviceEvent::GivenBack),
    ]
}

/// What happens, after how long, and in which boot of the machine.
fn story() -> impl Strategy<Value = Vec<(DeviceEvent, u64, u8)>> {
    let pause = prop_oneof![0..1_000_u64, 0..PROBATION.0 * 2];
    proptest::collection::vec((event(), pause, 0..3_u8), 1..40)
}

proptest! {
    /// Once something grave has happened, no work comes until somebody gave it back or it was
    /// reset, and by then nothing held it.
    #[test]
    fn what_failed_takes_no_work_until_it_was_empty_and_given_back(story in story()) {
        let (mut device, mut now) = (Device::default(), Timestamp(1));
        let (mut failed, mut emptied) = (false, false);
        for (event, pause, boot) in story {
            now = now.after(Millis(pause));
            let before = device.clone();
            let applied = device.apply(&event, &boot.to_string(), now);
            match &event {
                DeviceEvent::Grave { .. } => (failed, emptied) =
                    (true, emptied && before.state == DeviceState::Quarantined),
                DeviceEvent::Empty if applied.is_ok() => emptied = true,
                DeviceEvent::Reset | DeviceEvent::GivenBack if applied.is_ok() => {
                    prop_assert!(!failed || emptied, "{before:?} was given back while held");
                    (failed, emptied) = (false, false);
                }
                _ => {}
            }
            prop_assert!(!(failed && device.takes_work()), "{event:?} on {before:?}");
            if applied.is_err() {
                prop_assert_eq!(&device, &before, "a refusal changes nothing");
            }
            prop_assert_eq!(device.fault().is_none(), device.takes_work());
            prop_assert!(device.since <= now && device.troubled <= now);
            prop_assert!(device.slight < SLIGHT_MAX);
            if device.state == DeviceState::Quarantined && before.state != device.state {
                prop_assert_eq!(before.state, DeviceState::Drained);
            }
        }
    }

    /// What an operator has taken out, well or failed, works again by an operator's word alone.
    #[test]
    fn what_was_taken_out_takes_no_work_until_it_is_given_back(story in story()) {
        let (mut device, mut now, mut out) = (Device::default(), Timestamp(1), false);
        for (event, pause, boot) in story {
            now = now.after(Millis(pause));
            let applied = device.apply(&event, &boot.to_string(), now);
            match &event {
                DeviceEvent::TakenOut { .. } => out = true,
                DeviceEvent::GivenBack if applied.is_ok() => out = false,
                _ => {}
            }
            prop_assert!(!(out && device.takes_work()), "{event:?}: {device:?}");
        }
    }

    /// Told twice is told once: reports are repeated until they were written.
    #[test]
    fn the_same_event_again_changes_nothing(story in story()) {
        let (mut device, mut now) = (Device::default(), Timestamp(1));
        for (event, pause, boot) in story {
            now = now.after(Millis(pause));
            let _ = device.apply(&event, &boot.to_string(), now);
            let once = device.clone();
            let again = device.apply(&event, &boot.to_string(), now);
            prop_assert!(again.is_err(), "{event:?} applied twice to {once:?}");
        }
    }

    /// However long it is too hot: that alone never takes it away from who could use it slowly, and
    /// an operator's word for it stands.
    #[test]
    fn what_ails_never_drains(story in story()) {
        let (mut device, mut now) = (Device::default(), Timestamp(1));
        for (event, pause, boot) in story {
            now = now.after(Millis(pause));
            let before = device.state;
            let _ = device.apply(&event, &boot.to_string(), now);
            if matches!(event, DeviceEvent::Ailing { .. }) {
                let may = before == device.state
                    || (before, device.state) == (DeviceState::Ok, DeviceState::Suspect);
                prop_assert!(may, "{before:?} became {:?}", device.state);
            }
        }
    }

    /// Left alone, everything that takes no work for something slight comes back by itself, and
    /// nothing that failed does.
    #[test]
    fn time_alone_forgives_what_was_slight_only(story in story()) {
        let (mut device, mut now) = (Device::default(), Timestamp(1));
        for (event, pause, boot) in story {
            now = now.after(Millis(pause));
            let _ = device.apply(&event, &boot.to_string(), now);
        }
        let before = device.state;
        for _ in 0..4 {
            now = now.after(PROBATION);
            let _ = device.apply(&DeviceEvent::Quiet, "9", now);
        }
        let after = match before {
            DeviceState::Drained | DeviceState::Quarantined => before,
            _ => DeviceState::Ok,
        };
        prop_assert_eq!(device.state, after);
    }
}

/// The states that a story leads through.
fn states(story: &[(DeviceEvent, u64, &str)]) -> Vec<DeviceState> {
    let mut device = Device::default();
    let mut step = |(event, at, boot): &(DeviceEvent, u64, &str)| {
        let _ = device.apply(event, boot, Timestamp(*at));
        device.state
    };
    story.iter().map(&mut step).collect()
}

#[test]
fn a_failure_is_drained_emptied_looked_at_and_returned() {
    use DeviceState::{Drained, Ok as Well, Quarantined, Returned};
    let story = [
        (DeviceEvent::Quiet, 1, "a"),
        (grave(), 2, "a"),
        (DeviceEvent::GivenBack, 3, "a"),
        (DeviceEvent::Empty, 4, "a"),
        (DeviceEvent::Reset, 5, "a"),
        (DeviceEvent::GivenBack, 6, "a"),
        (DeviceEvent::Quiet, 6 + PROBATION.0, "a"),
    ];
    let through = [Well, Drained, Drained, Quarantined, Quarantined, Returned, Well];
    assert_eq!(states(&story), through, "held, it is not given back; the same boot is no reset");
}

#[test]
fn a_reboot_returns_it_once() {
    use DeviceState::{Drained, Quarantined, Returned};
    let story = [
        (grave(), 1, "a"),
        (DeviceEvent::Empty, 2, "a"),
        (DeviceEvent::Reset, 3, "b"),
        (slight(), 4, "b"),
        (DeviceEvent::Empty, 5, "b"),
        (DeviceEvent::Reset, 6, "c"),
        (DeviceEvent::GivenBack, 7, "c"),
    ];
    let through = [Drained, Quarantined, Returned, Drained, Quarantined, Quarantined, Returned];
    assert_eq!(states(&story), through);
}

#[test]
fn a_reboot_does_not_return_what_an_operator_took_out() {
    use DeviceState::{Drained, Quarantined, Returned};
    let out = || DeviceEvent::TakenOut { what: "for a look".to_owned() };
    for story in [vec![(out(), 1, "a")], vec![(grave(), 1, "a"), (out(), 1, "a")]] {
        let end = [
            (DeviceEvent::Empty, 2, "a"),
            (DeviceEvent::Reset, 3, "b"),
            (DeviceEvent::GivenBack, 4, "b"),
            (grave(), 5, "b"),
        ];
        let through = states(&[story, end.to_vec()].concat());
        let end = &through[through.len() - 4..];
        assert_eq!(end, [Quarantined, Quarantined, Returned, Drained]);
    }
}

#[test]
fn slight_troubles_pass_and_many_do_not() {
    use DeviceState::{Drained, Ok as Well, Suspect};
    let quiet = |at| (DeviceEvent::Quiet, at, "a");
    let passes = [(slight(), 1, "a"), quiet(2), quiet(1 + SUSPICION.0)];
    assert_eq!(states(&passes), [Suspect, Suspect, Well]);
    let burst = [(slight(), 1, "a"), (slight(), 2, "a"), (slight(), BURST.0, "a")];
    assert_eq!(states(&burst), [Suspect; 3], "one fault is told in several ways");
    let after = |n| (slight(), 1 + n * BURST.0, "a");
    assert_eq!(states(&[after(0), after(1), after(2)]), [Suspect, Suspect, Drained]);
    // A stream of them is no single burst.
    let stream: Vec<_> = (0..200).map(|n| (slight(), 1 + n * 1_000, "a")).collect();
    assert_eq!(states(&stream).last(), Some(&Drained));
}

#[test]
fn what_ails_is_suspect_while_it_lasts_and_counts_nothing() {
    use DeviceState::{Drained, Ok as Well, Returned, Suspect};
    let quiet = |at| (DeviceEvent::Quiet, at, "a");
    let hour = 3_600_000;
    let lasts = (0..=60).map(|minute| (ailing(), 1 + minute * 60_000, "a"));
    let story: Vec<_> = lasts.chain([quiet(hour + 2), quiet(hour + 1 + SUSPICION.0)]).collect();
    let through = states(&story);
    assert_eq!((through[60], &through[61..]), (Suspect, &[Suspect, Well][..]));
    let faults =
        (0..3).flat_map(|n| [(ailing(), 1 + n * BURST.0, "a"), (slight(), 2 + n * BURST.0, "a")]);
    let through = states(&faults.collect::<Vec<_>>());
    assert_eq!(through.last(), Some(&Drained), "heat hides no faults");
    let story = [(ailing(), 1, "a"), (DeviceEvent::GivenBack, 2, "a"), (ailing(), hour, "a")];
    assert_eq!(states(&story), [Suspect, Returned, Returned]);
}

#[test]
fn what_holds_it_is_said() {
    let mut device = Device::default();
    device.apply(&grave(), "a", Timestamp(1)).expect("it failed");
    let refused = device.apply(&DeviceEvent::GivenBack, "a", Timestamp(2));
    assert_eq!(refused, Err(DeviceRefusal::Held));
    let fault = device.fault().expect("it takes no work");
    assert_eq!(fault, "drained: xid 79: the device has fallen off the bus");
}
