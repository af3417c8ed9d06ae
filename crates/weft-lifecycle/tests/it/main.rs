//! Checks of the state machine: properties over random event sequences, then worked examples.

mod device;
mod examples;
mod properties;
