//! The least number of whole devices that a demand of sizes needs, and what each size is then
//! worth: the linear relaxation of cutting stock by column generation.
//!
//! Gilmore and Gomory, "A Linear Programming Approach to the Cutting-Stock Problem" (1961). A
//! *pattern* says how many of each size share one device. Minimise the number of devices so that
//! every demand is met; the dual prices say what a request of each size is worth, with a whole
//! device worth 1. No scheduler that serves the same proportions can allocate more than
//! [`Solution::bound`]. Processor and memory are ignored, so the bound is generous.
//!
//! The only place with floats: IEEE additions, multiplications and divisions in a fixed order,
//! which give the same bits on every machine. The prices are rounded down before they leave.

use crate::node::WHOLE;
use alloc::vec::Vec;

/// Parts of a whole device's worth that prices are rounded to.
pub const WORTH: i64 = 1_000_000;
/// Pivots after which the best found is returned: far beyond what tens of sizes need (about 200).
const PIVOTS_MAX: usize = 20_000;
/// Below this a price or a pivot is noise.
const NOISE: f64 = 1e-9;

/// A size on one device and how many requests have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Thousandths of a device, 1 to [`WHOLE`].
    pub milli: u16,
    /// How many; more than 0.
    pub count: u64,
}

/// What the linear program says.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Devices needed, a fraction of one possible.
    pub devices: f64,
    /// Worth of each size, in the order of the demand, in parts of [`WORTH`], rounded down.
    pub worth: Vec<i64>,
    /// Devices' worth of demand over devices needed: the highest allocation, at most 1.
    pub bound: f64,
}

/// Solves it. Sizes must differ; without demand everything is zero.
#[must_use]
pub fn solve(demand: &[Demand]) -> Solution {
    let mut tableau = Tableau::new(demand);
    for _ in 0..PIVOTS_MAX {
        let prices = tableau.prices();
        // A negative price says that meeting a demand twice would be cheaper: let it be exceeded.
        let surplus = prices.iter().position(|price| *price < -NOISE);
        let entering = match surplus {
            Some(row) => Column { at: unit(demand.len(), row, -1.0), cost: 0.0 },
            None => match best_pattern(demand, &prices) {
                (worth, _) if worth <= 1.0 + NOISE => break,
                (_, at) => Column { at, cost: 1.0 },
            },
        };
        if !tableau.pivot(entering) {
            break;
        }
    }
    let needed: f64 = tableau.basis.iter().zip(&tableau.level).map(|(col, x)| col.cost * x).sum();
    let milli = demand.iter().map(|size| u64::from(size.milli) * size.count).sum::<u64>();
    Solution {
        devices: needed,
        worth: tableau.prices().iter().map(|price| rounded_down(*price)).collect(),
        bound: if demand.is_empty() { 0.0 } else { milli as f64 / f64::from(WHOLE) / needed },
    }
}

/// A hair is added first: a price of one half is stored as half the parts, not as one part less.
fn rounded_down(price: f64) -> i64 {
    (price.max(0.0) * WORTH as f64 + 1e-3) as i64
}

/// A way to use one device, or a surplus.
#[derive(Debug, Clone)]
struct Column {
    at: Vec<f64>,
    cost: f64,
}

/// The revised simplex method with a dense inverse: tens of rows, so nothing cleverer is needed.
struct Tableau {
    basis: Vec<Column>,
    inverse: Vec<Vec<f64>>,
    level: Vec<f64>,
}

impl Tableau {
    /// Starts with as many of one size on a device as it holds, for each size.
    fn new(demand: &[Demand]) -> Self {
        let rows = demand.len();
        let fill = |size: &Demand| f64::from(WHOLE / size.milli);
        let patterns = demand.iter().enumerate();
        Self {
            basis: patterns
                .clone()
                .map(|(row, size)| Column { at: unit(rows, row, fill(size)), cost: 1.0 })
                .collect(),
            inverse: patterns.map(|(row, size)| unit(rows, row, 1.0 / fill(size))).collect(),
            level: demand.iter().map(|size| size.count as f64 / fill(size)).collect(),
        }
    }

    fn prices(&self) -> Vec<f64> {
        let row = |at: usize| {
            let basis = self.basis.iter().zip(&self.inverse);
            basis.map(|(column, inverse)| column.cost * inverse[at]).sum()
        };
        (0..self.basis.len()).map(row).collect()
    }

    /// Brings a column into the basis; false if nothing limits it, which noise alone can cause.
    fn pivot(&mut self, entering: Column) -> bool {
        let dot = |row: &Vec<f64>| row.iter().zip(&entering.at).map(|(a, b)| a * b).sum::<f64>();
        let direction: Vec<f64> = self.inverse.iter().map(dot).collect();
        let ratio = |row: usize| self.level[row] / direction[row];
        let limits = (0..direction.len()).filter(|row| direction[*row] > NOISE);
        let Some(out) = limits.min_by(|a, b| ratio(*a).total_cmp(&ratio(*b))) else {
            return false;
        };
        let step = ratio(out);
        let pivot: Vec<f64> = self.inverse[out].iter().map(|x| x / direction[out]).collect();
        for row in (0..direction.len()).filter(|row| *row != out) {
            let factor = direction[row];
            self.level[row] -= factor * step;
            self.inverse[row].iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
        }
        self.level[out] = step;
        self.inverse[out] = pivot;
        self.basis[out] = entering;
        true
    }
}

fn unit(rows: usize, at: usize, value: f64) -> Vec<f64> {
    let mut column = alloc::vec![0.0; rows];
    column[at] = value;
    column
}

/// The pattern worth most at these prices: an unbounded knapsack over thousandths.
fn best_pattern(demand: &[Demand], prices: &[f64]) -> (f64, Vec<f64>) {
    let mut worth = alloc::vec![0.0_f64; usize::from(WHOLE) + 1];
    let mut last = alloc::vec![None; worth.len()];
    for room in 1..worth.len() {
        worth[room] = worth[room - 1];
        for (at, (size, price)) in demand.iter().zip(prices).enumerate() {
            let milli = usize::from(size.milli);
            if milli <= room && worth[room - milli] + price > worth[room] + NOISE * NOISE {
                worth[room] = worth[room - milli] + price;
                last[room] = Some(at);
            }
        }
    }
    let mut pattern = alloc::vec![0.0; demand.len()];
    let mut room = usize::from(WHOLE);
    while room > 0 {
        match last[room] {
            Some(at) => {
                pattern[at] += 1.0;
                room -= usize::from(demand[at].milli);
            }
            None => room -= 1,
        }
    }
    (worth[usize::from(WHOLE)], pattern)
}
