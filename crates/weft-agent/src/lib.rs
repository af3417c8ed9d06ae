//! Executes a plan's actions on this machine and reports what it observes.
