//! The policies against a plainly written reference, and against their schema.

mod decide;
mod reference;
mod schema;
