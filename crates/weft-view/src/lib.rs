//! Views of tables: a [`Recipe`] says which columns, masks, rows and samples, and [`apply()`] makes
//! a file's view.
//!
//! ```text
//! {"columns": …, "masks": …, "rows": …, "sample": …} ─► Recipe        (recipe.rs, mask.rs,
//!                                                         │             filter/, sample.rs)
//! a file's bytes (Ranges) ─► rows ─► filter ─► sample ─► masks ─► its view, or why it is left out
//!                     separated.rs, lines.rs, parquet/                    (apply.rs, reason.rs)
//! ```
//!
//! Pure: the same recipe, key and bytes make the same view, in bounded memory. A file about which
//! anything is in doubt is left out with its reason; nothing of it is served. Absent on purpose:
//! who may make or read a view, and where one is kept (docs/adr/0022).

mod apply;
mod cell;
mod filter;
mod input;
mod lines;
mod mask;
mod parquet;
mod reason;
mod recipe;
mod sample;
mod separated;

pub use apply::{Counts, Format, Key, apply};
pub use cell::Cell;
pub use filter::{Filter, FilterError};
pub use input::{Bytes, Ranges};
pub use mask::Mask;
pub use parquet::{Describes, Parquet};
pub use reason::{Fault, Reason};
pub use recipe::{Recipe, RecipeError};
pub use sample::Fraction;
