//! Machines kept for large requests ahead of demand: the rules hold as without them, what is kept
//! is little, and a pool in its steady state serves large ones.

use crate::laws::laws;
use crate::pools::starts;
use crate::reasons::check_all;
use proptest::prelude::*;
use std::fmt::Write;
use weft_sched::case::{parse, print_plan, print_snapshot};
use weft_sched::{Action, Engine, Reason, Snapshot, WorkloadState, apply, audit, plan};
use weft_types::Timestamp;

/// As many machines as a pool must have for one of them to be kept.
const MACHINES: usize = 16;

/// What is on a machine: on each of its two devices a small one of one queue or another, or one
/// that takes the whole machine, or nothing.
fn on(at: usize, sort: u8) -> String {
    let mut text = String::new();
    for device in 0..2 {
        let id = 1 + at * 2 + device;
        let queue = if (sort >> device) & 4 == 0 { "a" } else { "b" };
        let ran = if sort & 16 == 0 { "1s" } else { "1h" };
        match sort % 7 {
            0 if device == 0 => {
                let _ = writeln!(text, "run w{id} a gpu=2 on=n{at:02}/0+1 ran={ran}");
            }
            0 => {}
            // Nothing on one device, or on both.
            1 | 2 if device < usize::from(sort % 7) => {}
            3 => {
                let stops = if device == 0 { " stopping" } else { "" };
                let _ = writeln!(text, "run w{id} {queue} gpu=1 on=n{at:02}/{device}{stops}");
            }
            _ => {
                let _ = writeln!(text, "run w{id} {queue} gpu=1 on=n{at:02}/{device} ran={ran}");
            }
        }
    }
    text
}

/// What waits.
fn want(at: usize, sort: u16) -> String {
    let gpu = ["1", "1", "2", "0.5"][usize::from(sort % 4)];
    let queue = if sort & 4 == 0 { "a" } else { "b" };
    let gang = [1, 1, 2, 3][usize::from(sort >> 3 & 3)];
    let waited = if sort & 32 == 0 { "1m" } else { "20m" };
    let cpu = if sort & 192 == 0 { 80 } else { 1 };
    let priority = u16::from(sort & 768 == 0);
    format!(
        "want w{} {queue} gpu={gpu} gang={gang} waited={waited} cpu={cpu} priority={priority}\n",
        100 + at
    )
}

/// Machines of two devices in all sorts of states, of two queues that lend to each other; large
/// ones usually come to either. A few machines have more processor than the others.
fn case() -> impl Strategy<Value = (Snapshot, Timestamp)> {
    let on_each = prop::collection::vec(0..64u8, MACHINES..MACHINES + 4);
    let waits = prop::collection::vec(0..1024u16, 1..12);
    (on_each, waits, 1..6000u64, 1..4000u64, 0..40u32).prop_map(|(each, waits, a, b, own)| {
        let mut text = String::new();
        for at in 0..each.len() {
            let cpu = if at % 11 == 3 { 96 } else { 64 };
            let _ = writeln!(text, "node n{at:02} a100-80 x2 cpu={cpu}");
        }
        let _ = writeln!(text, "queue a gpu=32+{own}-32 cpu=9999 cohort=k");
        let _ = writeln!(text, "queue b gpu={own}+64-64 cpu=9999 cohort=k");
        let _ = writeln!(text, "large a gpu=2 machines={a}m");
        let _ = writeln!(text, "large b gpu=2 cpu=80 machines={b}m");
        each.into_iter().enumerate().for_each(|(at, sort)| text += &on(at, sort));
        waits.into_iter().enumerate().for_each(|(at, sort)| text += &want(at, sort));
        let case = parse(&text).expect("the generator writes cases");
        (case.snapshot, case.now)
    })
}

laws! {
    fn keeping_machines_breaks_no_rule(60 but 1, (snapshot, now) in case()) {
        let first = plan(&snapshot, now);
        let text = || print_snapshot(&snapshot, now) + &print_plan(&snapshot, &first, now);
        let findings = audit(&snapshot, &first, now);
        prop_assert!(findings.is_empty(), "{findings:?}\n{}", text());
        let after = apply(&snapshot, &first, now);
        let again = plan(&after, now);
        prop_assert!(
            again.actions.is_empty(), "{}again\n{}", text(), print_plan(&after, &again, now)
        );
        let mut engine = Engine::new(snapshot.clone());
        prop_assert_eq!(&engine.plan(now), &first);
        engine.replace(after);
        prop_assert_eq!(engine.plan(now), again);
    }

    fn what_is_said_of_what_is_kept_is_true(60 but 1, (snapshot, now) in case()) {
        check_all(&snapshot, now).map_err(TestCaseError::fail)?;
    }

    /// Whoever is the only one that others are stopped for finds no place as it is, kept machines
    /// or not.
    fn nobody_is_stopped_while_a_machine_is_kept(60 but 1, (snapshot, now) in case()) {
        let first = plan(&snapshot, now);
        let after = apply(&snapshot, &first, now);
        // Who is handed what stops already has a hold on what is free, as they do.
        let handed = |reason: &Reason| matches!(reason, Reason::Handover { .. });
        let heirs = first.verdicts.iter().filter(|(_, verdict)| handed(&verdict.reason));
        let [heir] = heirs.map(|(id, _)| *id).collect::<Vec<_>>()[..] else { return Ok(()) };
        let stops = |action: &Action| matches!(action, Action::Stop { .. });
        if !first.actions.iter().any(stops) {
            return Ok(());
        }
        let mut alone = after.clone();
        alone.large.clear();
        alone.workloads.retain(|id, workload| {
            *id == heir || matches!(workload.state, WorkloadState::Running(_))
        });
        let text = || print_snapshot(&snapshot, now) + &print_plan(&snapshot, &first, now);
        prop_assert!(!starts(&plan(&alone, now).actions, heir), "{heir}\n{}", text());
    }
}
