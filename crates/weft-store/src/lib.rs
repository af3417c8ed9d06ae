//! Durable state in SQLite: one writer with group commit, events, audit chain.
