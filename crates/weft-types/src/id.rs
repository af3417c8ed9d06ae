//! Identifiers: what a workload, node, device, queue and user are called.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Longest name of a node, queue segment or user: the limit of a DNS label, so that every
/// name can become a host name or a label elsewhere.
pub const NAME_MAX: usize = 63;

/// Most members of a gang: each is planned, started and watched together with the others, and a
/// thousand is more machines than a first pool has.
pub const GANG_MAX: u32 = 1024;

/// A name or number that is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not of the form `w<number>`.
    #[error("`{0}` is not a workload id: expected `w` and a number, as in `w42`")]
    Workload(String),
    /// Not a lower-case name.
    #[error(
        "`{0}` is not a name: use 1 to 63 lower-case letters, digits and inner `-`, as in `team-a`"
    )]
    Name(String),
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// How often a workload was started, counted from 1; every action carries it, so that an
    /// executor can refuse what belongs to an earlier start.
    Attempt(u32)
);
number_id!(
    /// One of the processes of a gang, `0..gang`; a workload of one member has member 0.
    Member(u32)
);
number_id!(
    /// Grows with every committed change of what the planner reads. A plan made on an older
    /// generation is not committed.
    Generation(u64)
);
number_id!(
    /// Grows each time a server takes over the state. The store and every agent refuse an
    /// older one.
    Epoch(u64)
);

/// A submitted workload: a number the store gives, never reused; written `w42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkloadId(pub u64);

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

impl FromStr for WorkloadId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits = text.strip_prefix('w').filter(|d| !d.starts_with('+'));
        match digits.and_then(|d| d.parse().ok()) {
            Some(number) => Ok(Self(number)),
            None => Err(IdError::Workload(text.to_owned())),
        }
    }
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $valid:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name, if it is one.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if $valid(&text) { Ok(Self(text)) } else { Err(IdError::Name(text)) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name_id!(
    /// A machine of the pool.
    NodeId,
    is_name
);
name_id!(
    /// A team's share of the pool: `/`-separated names from the root down, `lab/vision`.
    QueueName,
    is_path
);
name_id!(
    /// A person or service account.
    UserName,
    is_name
);

name_id!(
    /// A dataset, which is a bucket to clients that speak S3.
    DatasetName,
    is_dataset
);

impl QueueName {
    /// The queue above, `lab` of `lab/vision`; none for a root.
    pub fn parent(&self) -> Option<QueueName> {
        self.0.rsplit_once('/').map(|(parent, _)| QueueName(parent.to_owned()))
    }
}

/// One accelerator of one node: `<node>/<index>`, stable while the machine's inventory is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceId {
    /// The machine it is in.
    pub node: NodeId,
    /// Its index there, in the driver's order.
    pub index: u32,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.index)
    }
}

fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// S3 clients refuse buckets of fewer letters.
const DATASET_MIN: usize = 3;

fn is_dataset(text: &str) -> bool {
    text.len() >= DATASET_MIN && is_name(text)
}

/// Deepest hierarchy of queues: organisation, business group, department, team and one spare.
const QUEUE_DEPTH_MAX: usize = 5;

fn is_path(text: &str) -> bool {
    text.split('/').count() <= QUEUE_DEPTH_MAX && text.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn workload_ids_read_back() {
        assert_eq!("w42".parse(), Ok(WorkloadId(42)));
        assert_eq!(WorkloadId(42).to_string(), "w42");
        for bad in ["", "42", "w", "w-1", "w+1", "w1x", "w99999999999999999999"] {
            assert!(bad.parse::<WorkloadId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_host_labels() {
        for good in ["a", "team-a", "n1", "0"] {
            assert!(NodeId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a/b", "é", "a b"] {
            assert!(NodeId::new(bad).is_err(), "{bad}");
        }
        assert!(NodeId::new("a".repeat(64)).is_err());
    }

    #[test]
    fn queues_have_parents() {
        let queue = QueueName::new("lab/vision").unwrap();
        assert_eq!(queue.parent(), Some(QueueName::new("lab").unwrap()));
        assert_eq!(queue.parent().unwrap().parent(), None);
        assert!(QueueName::new("a/b/c/d/e/f").is_err());
        assert!(QueueName::new("a//b").is_err());
    }
}
