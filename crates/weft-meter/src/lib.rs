//! The ledger: who held what of each device, who used it, and what lay idle, to the millisecond.
//!
//! Three sources, one account. What is *allocated* comes from the history of placements
//! ([`Holding`]: from commit to release), exact however seldom anyone looks. What is *active*
//! and in memory comes from the runs' own ledgers where they have one ([`Measured`]), else from
//! [`Sample`]s. [`settle()`] joins them, for one device and the time since it was last settled,
//! into [`Interval`]s on [`Account`]s; [`fold`] makes old ones coarser.
//!
//! The promise, kept in integers and checked by properties: for each device the intervals'
//! allocated time (workloads, idle and unobserved) is the wall-clock settled, exactly; active and
//! memory time are what was measured, and beside it what was sampled, exactly; folding changes no
//! sum. A device given twice shows
//! as a sum beyond the wall-clock: [`Balance::error_ppm`].
//!
//! Units: compute is thousandths of a device times milliseconds, memory is bytes times
//! milliseconds. Absent on purpose: a clock, storage, prices.
#![no_std]

extern crate alloc;

mod curve;
mod interval;
mod recent;
mod sample;
mod settle;
mod split;

pub use curve::{Point, fold_points};
pub use interval::{Account, Balance, Holding, Interval, WHOLE, balance, fold};
pub use recent::Recent;
pub use sample::{DeviceSample, ProcessSample, Sample, UseSample, WorkloadSample};
pub use settle::{FINE, HOUR, MAX_GAP, Measured, settle, went_back};
