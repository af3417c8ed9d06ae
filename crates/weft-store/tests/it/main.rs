//! The store as its callers meet it: opened on a directory, used by closures.

mod basics;
