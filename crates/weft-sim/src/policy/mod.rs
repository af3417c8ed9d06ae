//! The baselines that packing results are published against, as the artifact of Weng et al.,
//! "Beware of Fragmentation" (USENIX ATC '23), computes them, one file each.
//!
//! All of them are integers from 0 to 100, so equal scores are common, and who gets them decides up
//! to five points. The artifact gives them to the machine with the smallest name. The names of its
//! published machine list, numbered by model, do not give its published figures; orders that say
//! nothing about the machines do. So its runs were made with other names; ours draw an order for
//! each seed.

mod best_fit;
mod clustering;
mod dot_product;
mod fgd;
mod packing;
mod random;

pub use best_fit::BestFit;
pub use clustering::Clustering;
pub use dot_product::DotProduct;
pub use fgd::Fgd;
pub use packing::Packing;
pub use random::Random;

/// Processor of the largest machine, in thousandths of a core, by which the artifact normalises.
const CPU_MAX: i64 = 128_000;
/// Devices of the largest machine, in thousandths.
const GPU_MAX: i64 = 8_000;
/// The artifact's highest score.
const SCORE_MAX: i64 = 100;
