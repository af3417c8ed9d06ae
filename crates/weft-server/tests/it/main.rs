//! The server as its callers see it: the loop with a real store and real sandboxes.

mod ends;
mod restarts;
mod supervisor;
mod takes_back;
mod world;
