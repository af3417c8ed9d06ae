//! The ledger's promises, on random histories.

mod promises;
