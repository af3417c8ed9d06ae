//! The store as its callers meet it: opened on a directory, used by closures, killed, filled up.

mod access;
mod audit;
mod backup;
mod batches;
mod capacity;
mod chunks;
mod crash;
mod device_use;
mod diff;
mod failpoints;
mod full;
mod given;
mod imports;
mod ledger;
mod lineage;
mod lists;
mod model;
mod objects;
mod recent;
mod schema;
mod shared_time;
mod tracked;
mod uploads;
mod writer;
