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
//! | [`rng`] | chance from a seed |
//!
//! Absent on purpose: a clock, threads, and anything of the server. Formats and commands:
//! `docs/guide/simulate.md`; figures: `docs/benchmarks.md`.

pub use weft_pack as pack;

pub mod churn;
pub mod eta;
pub mod idle;
pub mod kueue;
pub mod mig;
pub mod openb;
pub mod policy;
pub mod replay;
pub mod rng;
pub mod trace;
