//! The planner with a memory decides as the one without: over random histories.

use crate::laws::laws;
use crate::pools::{text, workload};
use proptest::prelude::*;
use weft_sched::case::{parse, print_plan};
use weft_sched::{Engine, Snapshot, Workload, WorkloadState, decide, plan};
use weft_types::{MilliGpu, Millis, Timestamp, WorkloadId};

/// What happens between two plans.
#[derive(Debug, Clone)]
enum Event {
    /// One more is submitted.
    Come(String),
    /// One of the workloads, by its place, is gone: it ended, or was cancelled.
    Gone(usize),
    /// All that stops has stopped.
    Stopped,
    /// All that stops has stopped, and waits again.
    Suspended,
    /// What was planned last is committed.
    Commit,
    /// A machine, by its place, opens or closes.
    Turn(usize),
    /// The same, told of that machine alone.
    Break(usize),
    /// For whom the last plan stops others is noted, and nothing else of it done.
    Owe,
    /// A queue, by its place, has held so many devices lately.
    Held(usize, u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => workload().prop_map(Event::Come),
        3 => any::<usize>().prop_map(Event::Gone),
        1 => Just(Event::Stopped),
        1 => Just(Event::Suspended),
        4 => Just(Event::Commit),
        1 => any::<usize>().prop_map(Event::Turn),
        1 => any::<usize>().prop_map(Event::Break),
        1 => Just(Event::Owe),
        2 => (any::<usize>(), 0..9000u64).prop_map(|(at, milli)| Event::Held(at, milli)),
    ]
}

fn stopping(workload: &Workload) -> bool {
    matches!(&workload.state, WorkloadState::Running(running) if running.stopping)
}

/// Tells the engine, through either of its doors.
fn tell(engine: &mut Engine, event: &Event, last: &weft_sched::Plan, now: Timestamp, id: u64) {
    let pick = |from: &Snapshot, at: usize| {
        from.workloads.keys().nth(at % from.workloads.len().max(1)).copied()
    };
    match event {
        Event::Come(words) => {
            let one = parse(&format!("want w{id} {words}\n")).expect("the generator writes cases");
            let one = one.snapshot.workloads.into_values().next();
            engine.set(WorkloadId(id), one);
        }
        Event::Gone(at) => {
            if let Some(id) = pick(engine.snapshot(), *at) {
                engine.set(id, None);
            }
        }
        Event::Stopped => {
            let mut after = (**engine.snapshot()).clone();
            after.workloads.retain(|_, workload| !stopping(workload));
            engine.replace(after);
        }
        Event::Suspended => {
            let all = engine.snapshot().workloads.iter();
            let stopping = all.filter(|(_, workload)| stopping(workload)).map(|(id, _)| *id);
            for id in stopping.collect::<Vec<_>>() {
                let Some(workload) = engine.workload_mut(id) else { continue };
                workload.served = Millis(workload.served.0 + 1_000_000);
                workload.state = WorkloadState::Pending(weft_sched::Pending {
                    not_before: Timestamp(0),
                    since: now,
                    owed: None,
                    next_attempt: weft_types::Attempt(9),
                });
            }
        }
        Event::Owe => engine.owe(last, now),
        Event::Break(at) => {
            let nodes = engine.snapshot().nodes.len().max(1);
            let node = engine.snapshot().nodes.keys().nth(at % nodes).cloned();
            if let Some(node) = node.and_then(|id| engine.node_mut(&id)) {
                node.schedulable = !node.schedulable;
            }
        }
        Event::Commit => engine.commit(last, now),
        Event::Held(at, milli) => {
            let mut after = (**engine.snapshot()).clone();
            let queues = after.queues.len().max(1);
            if let Some(queue) = after.queues.values_mut().nth(at % queues) {
                queue.recent = MilliGpu(*milli);
            }
            engine.replace(after);
        }
        Event::Turn(at) => {
            let mut after = (**engine.snapshot()).clone();
            let nodes = after.nodes.len().max(1);
            if let Some(node) = after.nodes.values_mut().nth(at % nodes) {
                node.schedulable = !node.schedulable;
            }
            engine.replace(after);
        }
    }
}

laws! {
    fn a_kept_copy_plans_as_one_made_anew(
        150,
        (text, history) in
            (text(), prop::collection::vec((event(), 0..3_000_000u64), 1..24)),
    ) {
        let case = parse(&text).expect("the generator writes cases");
        let mut now = case.now;
        let mut engine = Engine::new(case.snapshot);
        let mut last = engine.plan(now);
        for (id, (event, passed)) in (1000..).zip(&history) {
            tell(&mut engine, event, &last, now, id);
            now = now.after(Millis(*passed));
            let fresh = plan(engine.snapshot(), now);
            prop_assert_eq!(engine.decide(now), decide(engine.snapshot(), now));
            last = engine.plan(now);
            prop_assert!(
                last == fresh,
                "after {:?}\nkept\n{}made anew\n{}",
                event,
                print_plan(engine.snapshot(), &last, now),
                print_plan(engine.snapshot(), &fresh, now)
            );
        }
    }
}
