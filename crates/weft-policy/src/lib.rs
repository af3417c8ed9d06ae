//! Who may do what: one pure function from principal, verb and resource to a decision.
//!
//! The rules are Cedar policies, embedded from `policies/`: `roles.cedar` says what each role
//! may do, `forbids.cedar` what nobody may do whatever a role says. A verb no policy permits is
//! denied. The server calls [`Policy::decide`] once for every request, and again for each thing
//! it lists. Absent on purpose: storage, clocks, tokens, HTTP; who somebody *is* is known before.
//!
//! | role | in short |
//! |--|--|
//! | admin | everything but what others' workloads read and write |
//! | operator | machines, queues, images; sees and stops workloads, reads nothing of them |
//! | lead | every workload of the team's queue and those below it |
//! | member | own workloads; sees that the team's exist and why they wait |
//! | auditor | the audit log, and nothing else |
//!
//! Datasets, by tier; a dataset's owner and its team's lead say what it is about, raise its tier
//! and remove it, whatever the tier; operators and administrators see that it is there.
//!
//! | tier | who sees it, and reads it | where | who writes it |
//! |--|--|--|--|
//! | public, internal | members and leads | anywhere | the owner, its team |
//! | confidential | the owner, its team | inside runs only | the owner, its team |
//! | restricted | the owner; the lead sees it | inside runs only | the owner |
//!
//! A run asks with a credential of its own, which is for data alone: it reads up to the highest
//! tier that its workload declared and writes nothing below it. Logs, outputs and a shell of a
//! workload that declared a restricted dataset are its owner's alone. Whom the owner gave access
//! for a time sees and reads a dataset as its tier says where.
//!
//! A source of data is its team's: the team and those below it import from it, its lead and
//! operators declare it, and operators alone let one reach what is not public. Runs use none.
//!
//! Experiments and the runs tracked in them are a team's: it sees and tags them, and each tracks
//! its own; owner and lead rename and delete. What was tracked by a workload that read restricted
//! data is its owner's. A run tracks by its own credential, at the tier of what it declared.
//!
//! | a request | who says yes | who sees it, and may say no |
//! |--|--|--|
//! | for access | the owner, the team's lead | who asked, the owner, the lead, administrators |
//! | to end data early | the lead, an administrator; never the owner | the same |
//!
//! | that a view is less so | its owner and another: the lead, an administrator | the same |
//!
//! Nobody says yes to what they asked for themselves. A view of a dataset is made by its owner or
//! the team's lead, is its owner's, and is written by nobody; there is none of another view.

mod policy;
mod request;
mod verb;

pub use policy::{Policy, PolicyError};
pub use request::{Decision, Principal, Request, Resource, Role, Scope, Source};
pub use verb::{Effect, Kind, Verb};
