//! The workload: what a `*.weft.yaml` file says, and what is sent to submit it.
//!
//! [`parse`] is the only way from a file to a [`WorkloadSpec`]; [`to_file`] is the way back.
//! The grammar of the file is published as [`schema()`], and a property test holds the two
//! together. Absent on purpose: files and the network; what a file names is read by the caller.

mod data;
mod error;
mod field;
mod keys;
mod life;
mod outputs;
mod print;
mod program;
mod read;
mod resources;
mod schema;
mod suspend;
mod workload;
mod yaml;

pub use data::{DATA_MAX, split as split_data, usual_place};
pub use error::{Place, Rule, SpecError};
pub use print::to_file;
pub use read::{FileMapping, PRIORITY_MAX, PRIORITY_WORDS, ParsedFile, RequirementsFile, parse};
pub use schema::schema;
pub use workload::{
    DataSpec, NetworkMode, PublishSpec, ResourcesSpec, RetryOn, RetrySpec, RuntimeSpec,
    SUSPEND_COST_DEFAULT_MS, SuspendBy, SuspendSpec, WorkloadSpec,
};
pub use yaml::{FILE_MAX_BYTES, decode, yaml_to_json};

#[cfg(test)]
mod tests;
