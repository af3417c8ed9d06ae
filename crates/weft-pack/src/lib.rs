//! Where to put a request: scores of machines, over plain integers.
//!
//! Nothing here knows of an experiment, a trace or a clock, so that the planner can use it as it
//! is. A score is a pure function of a machine's free capacity and of what was learned from the
//! mix of requests beforehand; floats occur in [`cutting`] alone, and its prices leave it rounded.

#![no_std]

extern crate alloc;

pub mod cutting;
mod engine;
mod mix;
mod node;
mod price;
mod scarcity;
mod score;
mod stranded;

pub use engine::{Engine, NO_ROOM, Policy, Scores};
pub use mix::Mix;
pub use node::{Class, DEVICES_MAX, Devices, Kind, MODELS_MAX, Node, WHOLE};
pub use price::Prices;
pub use scarcity::{Pressure, pressure};
pub use score::{Before, Terms, Weft};
pub use stranded::Stranded;
