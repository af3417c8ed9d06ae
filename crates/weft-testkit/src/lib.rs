//! Runs the binary for tests, in a world of its own.
