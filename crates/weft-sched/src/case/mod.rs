//! The case language: a snapshot as a few lines of text, and the plan for it as text.
//!
//! Cases are tests (`cases/*.txt`), simulator input and bug reports alike.
//!
//! ```text
//! # a comment
//! now 2h                                          time since the epoch; 1000h if absent
//! node n1 a100-80 x8 cpu=64 memory=512GB disk=1TB   a machine: 8 devices of 80 GB of kind a100
//! node n2 a100-80:mig x2 closed                     divided in MIG instances; takes no new work
//! sick n1/3                                         an unhealthy device
//! queue lab gpu=8+4-2 cohort=uni                    own 8, may borrow 4, lends 2; also cpu=,
//! memory=
//! large lab gpu=8 machines=1.5                    so many machines its large requests usually take
//! run w1 lab gpu=2 on=n1/0+1 ran=10m expected=1h    holds capacity since 10 minutes ago
//! run w2 lab gpu=0.5 on=n1/2:0.5:40GB stopping for=w3
//! run w3 lab gpu=mig:1g.10gb on=n2/0:1g.10gb@0
//! want w4 lab gpu=4 gang=2 priority=5 waited=1h     waits since an hour ago
//! reads w4 data=7:50GB,8:1GB                        so much of two versions of datasets
//! holds n2 data=7:50GB                              what is there of them
//! --- plan
//! start w4  n1/4+5  n1/6+7
//! ```
//!
//! A line is a word, names, then `key=value` pairs and flags in any order. What is not written is
//! zero; a machine has 64 cores, 512 GB of memory and 1 TB of disk, a device the value of its
//! gigabytes, a workload the defaults of a training job. `gang=2 on=n1/0,n2/0` places two members.
//!
//! | queue | |
//! |--|--|
//! | `gpu= cpu= memory=` | its own, `4+2-1`: nominal, borrowing, lending |
//! | `recent=` | devices it has held lately, on average |
//!
//! | run and want | |
//! |--|--|
//! | `gpu= cpu= memory= disk=` | each member's request |
//! | `gang= priority= kind= phase=` | members, `2`, or `2..8`: 2 at least, 8 where there is room |
//! | `max=` `expected=` | time limit, expected run time |
//! | `min-run=` `fixed` `kept` | minimum run time; not preemptible; not reclaimable |
//! | run: `on= ran= attempt=` `stopping` `for=` | where, for how long, which start, for whom it stops |
//! | want: `waited= backoff= attempt=` | how long, when it may start at the earliest, its next start |
//! | want: `owed=` | since which moment, as `now`, something is stopped for it |

mod parse;
mod print;
mod word;

pub use parse::{Case, CaseError, parse};
pub use print::{print_plan, print_snapshot};

use alloc::string::String;

/// The line between a snapshot and the plan that is expected for it.
const DIVIDER: &str = "--- plan";

/// The case with the plan that is made for it now: the same text where the case holds.
pub fn render(text: &str) -> Result<String, CaseError> {
    let case = parse(text)?;
    let plan = crate::plan(&case.snapshot, case.now);
    let input = text.split(DIVIDER).next().unwrap_or(text).trim_end();
    let printed = print_plan(&case.snapshot, &plan, case.now);
    Ok(alloc::format!("{input}\n{DIVIDER}\n{printed}"))
}
