//! The simulator's house: logs of real clusters in one model, and experiments with known results
//! that hold our packing against what is published.
//!
//! | room | what it has |
//! |--|--|
//! | [`trace`] | readers of openb, Philly, Helios, Slurm and a plain CSV |
//! | [`pack`] | the score of a machine, prices, and an engine that keeps scores |
//! | [`policy`] | the published baselines, as their artifact computes them |
//! | [`openb`] | the standard packing experiment; `cargo run --release -p weft-sim --bin openb` |
//! | [`replay`] | a log in virtual time through the production planner; `--bin replay` |
//! | [`mig`] | pools of divided devices, against first fit and a mover; `--bin mig` |
//! | [`near`] | bytes brought to machines, with the planner told what they hold and not; `--bin near` |
//! | [`world`] | virtual time: the production planner on a pool that does not exist |
//! | [`study`] | a log under several policies; what sharing would bring, and to whom |
//! | [`report`] | a study as a page, as JSON, as text; all three by `weft simulate` |
//! | [`rng`] | chance from a seed |
//! | [`options`] | the options of the experiments' programs |
//!
//! Absent on purpose: a clock, and anything of the server; threads are in [`study`] alone, and
//! share
//! nothing. Formats and commands:
//! `docs/guide/simulate.md`; figures: `docs/benchmarks.md`.

pub use weft_pack as pack;

pub mod churn;
pub mod eta;
pub mod idle;
pub mod kueue;
pub mod mig;
pub mod near;
pub mod openb;
pub mod options;
pub mod policy;
pub mod replay;
pub mod report;
pub mod rng;
pub mod study;
pub mod trace;
pub mod world;
