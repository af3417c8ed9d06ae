//! Kueue's published scheduler fixture in virtual time through the production planner: 30 queues in
//! 5 cohorts, 15,000 workloads of three sizes and priorities, with borrowing, reclaim and
//! preemption.
//!
//! The fixture is `test/performance/scheduler/configs/baseline/generator.yaml` of
//! kubernetes-sigs/kueue, restated in [`Fixture::baseline`]. Theirs runs against an API server, so
//! its wall time is that of a control plane; here virtual time passes as workloads come and end,
//! and the planner's own time is measured beside it. What ends a run is the same: all have run.
//!
//! As there, what is evicted loses the work it has done and waits again. Called by
//! `src/bin/kueue.rs`. Absent on purpose: the time a stop or a start takes.

mod fixture;
mod world;

pub use fixture::{ClassName, Fixture, Published, Sort};
pub use world::{Admitted, Outcome, run};
