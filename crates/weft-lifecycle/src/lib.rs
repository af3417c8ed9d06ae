//! The state machines of a workload and of a device, pure: what may happen, and what follows.
//!
//! ```text
//!            Started             Running(all)
//!   Queued ──────────► Starting ────────────► Running
//!     ▲                    │  StopRequested      │
//!     │                    │  StopPlanned        │  a member ends, or a stop
//!     │                    ▼                     ▼
//!     └── waits again ── Stopping ◄──────────────┘
//!                          │ every member has ended
//!                          ▼
//!              Succeeded · Failed · Stopped
//! ```
//!
//! Capacity is held from `Started` until every member's end was seen, never shorter: a device is
//! given again only when its last holder is known to be gone. The server writes the record
//! after each step, in the transaction that writes the event; absent here: clock, storage.
#![no_std]

extern crate alloc;

mod device;
mod machine;
mod record;

pub use device::{
    BURST, Device, DeviceEvent, DeviceRefusal, DeviceState, PROBATION, SLIGHT_MAX, SUSPICION,
};
pub use machine::{Effect, Event, Refusal};
pub use record::{End, Exit, MemberState, Record, RetryPolicy, State, StopReason};
