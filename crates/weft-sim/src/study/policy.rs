//! What a policy says: how teams share, who goes first, what can be suspended and at what cost.
//!
//! Two are built in. `today` is what most organisations have: each team its own machines, first
//! come first served. `pooled` is one pool that guarantees each team what it had, lends what is
//! idle, and shares time. [`PolicyFile`] is the form of a file; `docs/guide/simulate.md` has it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weft_sched::Order;
use weft_types::Millis;

/// How teams share the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Each team has machines of its own, and no other.
    Dedicated,
    /// One pool: each team is guaranteed its size, and what it leaves idle is lent.
    Pooled,
}

/// How many devices each team has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// In proportion to the device time that its jobs took, and at least its largest job.
    DeviceTime,
    /// Those with which dedicated machines wait least, chosen with hindsight.
    Best,
    /// As the policy's file says, by team.
    Named(BTreeMap<String, QueueFile>),
}

/// What a policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// How teams share the machines.
    pub sharing: Sharing,
    /// Who goes first.
    pub order: Order,
    /// How many devices each team has.
    pub sizes: Sizes,
    /// Jobs that can be suspended, of a hundred.
    pub suspendable: u32,
    /// What a suspension costs in all, in time not worked.
    pub suspend: Millis,
    /// Of that, how long a job still holds its devices after it was told to stop.
    pub give_back: Millis,
    /// Within this a team has what it is guaranteed.
    pub bound: Millis,
    /// Estimates of run times are wrong by up to ten times; else they are true.
    pub wrong: bool,
}

/// A policy as its file has it; what is absent is as in `pooled`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyFile {
    name: Option<String>,
    sharing: Option<Sharing>,
    order: Option<Order>,
    sizes: Option<SizesWord>,
    queues: BTreeMap<String, QueueFile>,
    suspendable: Option<String>,
    suspend: Option<String>,
    give_back: Option<String>,
    reclaim_bound: Option<String>,
    estimates: Option<EstimatesWord>,
}

/// What a file says of one team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueFile {
    /// Devices of its own.
    pub guarantee: Option<u64>,
    /// Its part of what nobody is guaranteed by number.
    pub weight: Option<u64>,
    /// How many of its own it lends; all where absent.
    pub lends: Option<u64>,
    /// How many it may borrow; any number where absent.
    pub borrows: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SizesWord {
    DeviceTime,
    Best,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EstimatesWord {
    True,
    Within10x,
}

impl Policy {
    /// Each team its own machines, first come first served, nothing suspended.
    #[must_use]
    pub fn today() -> Self {
        Self {
            name: "today".to_owned(),
            sharing: Sharing::Dedicated,
            order: Order::Submission,
            ..Self::pooled()
        }
    }

    /// One pool that guarantees each team's size, lends what is idle and shares time.
    #[must_use]
    pub fn pooled() -> Self {
        Self {
            name: "pooled".to_owned(),
            sharing: Sharing::Pooled,
            order: Order::Service,
            sizes: Sizes::DeviceTime,
            suspendable: 100,
            suspend: Millis::from_secs(60),
            give_back: Millis::from_secs(30),
            bound: Millis::from_secs(60),
            wrong: true,
        }
    }

    /// The policy that is built in under a name.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            "today" => Some(Self::today()),
            "pooled" => Some(Self::pooled()),
            _ => None,
        }
    }

    /// From a file, named after it unless it says a name.
    ///
    /// # Errors
    ///
    /// The key whose value breaks a rule, its value and the rule.
    pub fn of_file(file: PolicyFile, name: &str) -> Result<Self, String> {
        let base = Self::pooled();
        let span = |key: &str, text: Option<String>, or: Millis| match text {
            None => Ok(or),
            Some(text) => text.parse::<Millis>().map_err(|error| format!("`{key}`: {error}")),
        };
        let suspend = span("suspend", file.suspend, base.suspend)?;
        let default = Millis(base.give_back.0.min(suspend.0));
        let policy = Self {
            name: file.name.unwrap_or_else(|| name.to_owned()),
            sharing: file.sharing.unwrap_or(base.sharing),
            order: file.order.unwrap_or(base.order),
            suspendable: percent(file.suspendable.as_deref().unwrap_or("100%"))?,
            suspend,
            give_back: span("give-back", file.give_back, default)?,
            bound: span("reclaim-bound", file.reclaim_bound, base.bound)?,
            wrong: !matches!(file.estimates, Some(EstimatesWord::True)),
            sizes: match (file.sizes, file.queues.is_empty()) {
                (Some(_), false) => {
                    return Err(
                        "`sizes` and `queues` both say what teams have; leave out one".to_owned()
                    );
                }
                (Some(SizesWord::Best), true) => Sizes::Best,
                (_, true) => Sizes::DeviceTime,
                (None, false) => Sizes::Named(file.queues),
            },
        };
        if policy.give_back > policy.suspend {
            let (part, all) = (policy.give_back, policy.suspend);
            return Err(format!(
                "`give-back` is {part}; it is a part of `suspend`, which is {all}"
            ));
        }
        Ok(policy)
    }
}

fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim().trim_end_matches('%').trim().parse::<u32>().ok();
    number.filter(|number| *number <= 100).ok_or_else(|| {
        format!("`suspendable` is `{text}`; it must be a share of all jobs, 0% to 100%")
    })
}
