//! Signatures first; bodies follow.
#![expect(missing_docs, reason = "replaced within the hour")]
use crate::*;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use weft_types::{Bytes, DeviceId, Member, MilliCpu, MilliGpu, QueueName, Timestamp, WorkloadId};

pub fn plan(snapshot: &Snapshot, _now: Timestamp) -> Plan {
    Plan { base: snapshot.generation, ..Plan::default() }
}
pub fn audit(_snapshot: &Snapshot, _plan: &Plan, _now: Timestamp) -> Vec<Finding> {
    Vec::new()
}
/// Refusal at submit time.
pub fn impossible(_snapshot: &Snapshot, _request: &Request, _gang: u32) -> Option<Reason> {
    None
}
/// A sentence, and a hint.
pub fn describe(_reason: &Reason) -> (String, Option<String>) {
    (String::new(), None)
}
/// A device and what is free on it, in the order of ids.
pub struct DeviceFree {
    pub device: DeviceId,
    pub milli: MilliGpu,
    pub memory: Bytes,
    pub holders: Vec<(WorkloadId, Member, Grant)>,
}
pub fn devices(_snapshot: &Snapshot) -> Vec<DeviceFree> {
    Vec::new()
}
/// What a queue and those below it use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueUse {
    pub gpu: MilliGpu,
    pub cpu: MilliCpu,
    pub memory: Bytes,
}
pub fn queue_use(_snapshot: &Snapshot) -> BTreeMap<QueueName, QueueUse> {
    BTreeMap::new()
}
/// Device thousandths a grant counts against its queue's share.
pub fn gpu_milli(_snapshot: &Snapshot, _grant: &Grant) -> MilliGpu {
    MilliGpu(0)
}
