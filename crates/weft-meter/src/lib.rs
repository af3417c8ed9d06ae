//! The ledger: integrates samples into allocated, active and memory time.
