//! The workload: what a `*.weft.yaml` file says, and what is sent to submit it.

mod workload;

pub use workload::{
    NetworkMode, ResourcesSpec, RetryOn, RetrySpec, RuntimeSpec, WorkloadSpec,
};
