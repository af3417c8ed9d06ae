//! Filters, orders and limits, from outside.

mod differential;
mod filters;
mod kept;
