//! Data: how sensitive it is.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// How sensitive data is. The order is that of the lattice: what is made from several inputs is as
/// sensitive as the most sensitive of them.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Anybody may have it.
    Public,
    /// For everybody who works here.
    #[default]
    Internal,
    /// For whom its owner lets, inside the platform's workloads.
    Confidential,
    /// Likewise, and nothing made from it leaves without two people.
    Restricted,
}

impl Tier {
    /// All, the least sensitive first.
    pub const ALL: [Tier; 4] = [Tier::Public, Tier::Internal, Tier::Confidential, Tier::Restricted];

    /// The word users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Tier::Public => "public",
            Tier::Internal => "internal",
            Tier::Confidential => "confidential",
            Tier::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a tier: use public, internal, confidential or restricted")]
pub struct TierError;

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, TierError> {
        Tier::ALL.into_iter().find(|tier| tier.as_str() == text).ok_or(TierError)
    }
}
