//! The simulator as its callers meet it: readers on excerpts of real logs, scores by hand, prices
//! against brute force, and runs that repeat.

mod churn;
mod engine;
mod eta;
mod experiment;
mod formats;
mod idle;
mod kueue;
mod near;
mod prices;
mod replay;
mod study;
mod traces;
