//! The store against a model in memory: a random life, the same answers.
//!
//! The model knows the rules from their words (what may be given, what may be removed), not
//! from the store's code; after each step both have the same result, and the same state.

use crate::given::{
    assert_sound, end, fast_dir, fill, new_workload, node, placement, queue, report, share, start,
    whole,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_lifecycle::Event;
use weft_sched::{Grant, Queue, WorkloadState};
use weft_store::{Store, StoreError};
use weft_types::{QueueName, Timestamp, WorkloadId};

/// One thing a caller may ask. Workloads are named by their order of submission.
#[derive(Debug, Clone)]
enum Op {
    Submit { queue: u8, name: u8 },
    Start { workload: u8, grants: Vec<(u8, Option<u16>)> },
    StopRequested { workload: u8 },
    End { workload: u8 },
    Remove { workload: u8 },
    PutQueue { queue: u8 },
    DeleteQueue { queue: u8 },
    Drain { drained: bool },
    Report,
}

const QUEUES: [&str; 4] = ["lab", "lab/a", "lab/b", "other"];

/// What the model knows of a workload.
#[derive(Debug, Clone)]
struct Known {
    queue: usize,
    name: u8,
    state: Life,
    removed: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Life {
    Queued,
    Held { stopping: bool, grants: Vec<Grant> },
    Ended,
}

#[derive(Debug, Default)]
struct Model {
    workloads: Vec<Known>,
    queues: BTreeSet<usize>,
    drained: bool,
}

impl Model {
    /// Whether the op is allowed; the state after it, where it is.
    fn step(&mut self, op: &Op) -> bool {
        match op {
            Op::Submit { queue, name } => {
                let queue = usize::from(*queue);
                let taken = |w: &Known| !w.removed && w.queue == queue && w.name == *name;
                let good = self.queues.contains(&queue) && !self.workloads.iter().any(taken);
                if good {
                    let state = Life::Queued;
                    self.workloads.push(Known { queue, name: *name, state, removed: false });
                }
                good
            }
            Op::Start { workload, grants } => self.start(*workload, &given(grants)),
            Op::StopRequested { workload } => match self.live(*workload) {
                Some(known) => {
                    match &mut known.state {
                        Life::Held { stopping, .. } => *stopping = true,
                        state => *state = Life::Ended,
                    }
                    true
                }
                None => false,
            },
            Op::End { workload } => match self.live(*workload) {
                Some(known) if matches!(known.state, Life::Held { .. }) => {
                    known.state = Life::Ended;
                    true
                }
                _ => false,
            },
            Op::Remove { workload } => match self.workloads.get_mut(usize::from(*workload)) {
                Some(known) if known.state == Life::Ended && !known.removed => {
                    known.removed = true;
                    true
                }
                _ => false,
            },
            Op::PutQueue { queue } => {
                let queue = usize::from(*queue);
                let good = !QUEUES[queue].contains('/') || self.queues.contains(&0);
                if good {
                    self.queues.insert(queue);
                }
                good
            }
            Op::DeleteQueue { queue } => {
                let queue = usize::from(*queue);
                let child = queue == 0 && (self.queues.contains(&1) || self.queues.contains(&2));
                let used = |w: &Known| w.queue == queue && w.state != Life::Ended;
                let good =
                    !child && !self.workloads.iter().any(used) && self.queues.contains(&queue);
                if good {
                    self.queues.remove(&queue);
                }
                good
            }
            Op::Drain { drained } => {
                self.drained = *drained;
                true
            }
            Op::Report => true,
        }
    }

    fn live(&mut self, workload: u8) -> Option<&mut Known> {
        let known = self.workloads.get_mut(usize::from(workload))?;
        (known.state != Life::Ended).then_some(known)
    }

    fn start(&mut self, workload: u8, grants: &[Grant]) -> bool {
        let held = self.workloads.iter().flat_map(|known| match &known.state {
            Life::Held { grants, .. } => grants.as_slice(),
            _ => &[],
        });
        let mut used: BTreeMap<u32, u64> = BTreeMap::new();
        for grant in held.chain(grants) {
            let milli = match grant {
                Grant::Share { milli, .. } => milli.0,
                // A whole device leaves nothing, not even for a share of nothing.
                _ => 1000,
            };
            *used.entry(grant.device().index).or_default() += milli;
        }
        let fits = used.values().all(|milli| *milli <= 1000);
        match self.live(workload) {
            Some(known) if known.state == Life::Queued && fits => {
                known.state = Life::Held { stopping: false, grants: grants.to_vec() };
                true
            }
            _ => false,
        }
    }
}

fn given(grants: &[(u8, Option<u16>)]) -> Vec<Grant> {
    let one = |(index, milli): &(u8, Option<u16>)| match milli {
        Some(milli) => share(u32::from(*index), u64::from(*milli), 0),
        None => whole(u32::from(*index)),
    };
    grants.iter().map(one).collect()
}

fn op() -> impl Strategy<Value = Op> {
    let grant = (0u8..3, prop::option::weighted(0.7, 1u16..=1000));
    prop_oneof![
        4 => (0u8..4, 0u8..6).prop_map(|(queue, name)| Op::Submit { queue, name }),
        5 => (0u8..8, prop::collection::vec(grant, 0..3))
            .prop_map(|(workload, grants)| Op::Start { workload, grants }),
        1 => (0u8..8).prop_map(|workload| Op::StopRequested { workload }),
        3 => (0u8..8).prop_map(|workload| Op::End { workload }),
        2 => (0u8..8).prop_map(|workload| Op::Remove { workload }),
        2 => (0u8..4).prop_map(|queue| Op::PutQueue { queue }),
        1 => (0u8..4).prop_map(|queue| Op::DeleteQueue { queue }),
        1 => any::<bool>().prop_map(|drained| Op::Drain { drained }),
        1 => Just(Op::Report),
    ]
}

fn queue_of(index: u8) -> QueueName {
    queue(QUEUES[usize::from(index)])
}

/// Asks the store the same; the ids are those it gave, in order of submission.
async fn ask(
    store: &Store,
    ids: &mut Vec<WorkloadId>,
    op: Op,
    at: Timestamp,
) -> Result<(), StoreError> {
    let id = |n: u8| ids.get(usize::from(n)).copied().unwrap_or(WorkloadId(1 << 40));
    let refused = || StoreError::Closed;
    match op {
        Op::Submit { queue, name } => {
            let mut new = new_workload(&format!("n{name}"), 1);
            new.queue = queue_of(queue);
            ids.push(store.write(move |w| w.submit_workload(new)).await?.id);
            Ok(())
        }
        Op::Start { workload, grants } => {
            let id = id(workload);
            store
                .write(move |w| {
                    let waits = w
                        .workload(id)?
                        .is_some_and(|row| row.record.state == weft_lifecycle::State::Queued);
                    if !waits {
                        return Err(refused());
                    }
                    start(w, id, vec![placement(0, given(&grants))], at).map(drop)
                })
                .await
        }
        Op::StopRequested { workload } => {
            let id = id(workload);
            store
                .write(move |w| {
                    let mut row = w.workload(id)?.ok_or_else(refused)?;
                    row.record.apply(Event::StopRequested, at).map_err(|_| refused())?;
                    w.save_workload(&row, at).map(drop)
                })
                .await
        }
        Op::End { workload } => {
            let id = id(workload);
            store
                .write(move |w| {
                    let row = w.workload(id)?.ok_or_else(refused)?;
                    if !row.record.state.holds_capacity() {
                        return Err(refused());
                    }
                    end(w, id, at)
                })
                .await
        }
        Op::Remove { workload } => {
            let id = id(workload);
            store.write(move |w| w.remove_workload(id)).await
        }
        Op::PutQueue { queue } => store
            .write(move |w| w.put_queue(&queue_of(queue), &Queue::default(), None))
            .await
            .map(drop),
        Op::DeleteQueue { queue } => store.write(move |w| w.delete_queue(&queue_of(queue))).await,
        Op::Drain { drained } => {
            store.write(move |w| w.drain_node(&node(), drained, None)).await.map(drop)
        }
        Op::Report => store.write(move |w| w.report_node(&report(at))).await,
    }
}

async fn compare(store: &Store, model: &Model, ids: &[WorkloadId]) {
    let snapshot = store.read(|r| r.snapshot()).await.unwrap();
    let queues: BTreeSet<_> = model.queues.iter().map(|q| queue(QUEUES[*q])).collect();
    assert_eq!(snapshot.queues.keys().cloned().collect::<BTreeSet<_>>(), queues);
    assert_eq!(snapshot.nodes[&node()].schedulable, !model.drained);
    assert_eq!(ids.len(), model.workloads.len());
    for (id, known) in ids.iter().zip(&model.workloads) {
        let found = match snapshot.workloads.get(id).map(|w| &w.state) {
            None => Life::Ended,
            Some(WorkloadState::Pending(_)) => Life::Queued,
            Some(WorkloadState::Running(running)) => Life::Held {
                stopping: running.stopping,
                grants: running.placements.iter().flat_map(|p| p.grants.clone()).collect(),
            },
        };
        assert_eq!(found, known.state, "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn the_store_does_what_the_model_does(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dir = fast_dir();
            let store = Store::open(dir.path()).unwrap();
            store.write(fill).await.unwrap();
            let mut model = Model { queues: [0].into(), ..Model::default() };
            let mut ids = Vec::new();
            for (n, op) in (0u64..).zip(ops) {
                let allowed = model.step(&op);
                let before = store.read(|r| r.snapshot()).await.unwrap();
                let asked = ask(&store, &mut ids, op.clone(), Timestamp(10_000 + n)).await;
                assert_eq!(asked.is_ok(), allowed, "step {n}, {op:?}: {asked:?}");
                compare(&store, &model, &ids).await;
                let after = store.read(|r| r.snapshot()).await.unwrap();
                let seen = weft_sched::Snapshot { generation: before.generation, ..after.clone() };
                assert_eq!(
                    seen == before,
                    after.generation == before.generation,
                    "step {n}, {op:?}: the generation counts exactly what the planner can see"
                );
            }
            assert_sound(&store).await;
        });
    }
}
