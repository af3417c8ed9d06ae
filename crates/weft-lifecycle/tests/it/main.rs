//! Checks of the state machine: properties over random event sequences, then worked examples.

mod examples;
mod properties;
