//! One wish of a person: the same however often the request for it is sent.

use std::fmt;

/// What stands in `Idempotency-Key`: made once for each wish, kept over repetitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent(String);

impl Intent {
    /// A fresh one.
    pub fn new() -> Self {
        let mut bytes = [0; 16];
        // Without randomness from the system nothing else here would work either: the time
        // and the process still tell two wishes of one user apart.
        if getrandom::fill(&mut bytes).is_err() {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let now = now.unwrap_or_default().as_nanos() as u64;
            bytes[..8].copy_from_slice(&now.to_be_bytes());
            bytes[8..12].copy_from_slice(&std::process::id().to_be_bytes());
        }
        Self(hex::encode(bytes))
    }
}

impl Default for Intent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
