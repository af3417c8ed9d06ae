//! The commands, one file for each: arguments, help, and what it does.

pub(crate) mod admin;
pub(crate) mod apply;
pub(crate) mod attach;
pub(crate) mod bench;
pub(crate) mod completion;
pub(crate) mod cost;
pub(crate) mod data;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod gpus;
pub(crate) mod image;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod outputs;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod simulate;
pub(crate) mod source;
pub(crate) mod stop;
pub(crate) mod up;
pub(crate) mod why;
