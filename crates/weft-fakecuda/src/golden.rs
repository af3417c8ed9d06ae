//! The kernels that are computed: small ones with known names and parameters, done in Rust.
//!
//! With them a test can look at numbers that went through the whole stack. Their parameters are
//! fixed here, not read from code: `fill(float *out, float value, int n)`,
//! `vector_add(const float *a, const float *b, float *out, int n)`,
//! `saxpy(float a, const float *x, float *y, int n)`, `reduce_sum(const float *x, float *out,
//! int n)`.

use crate::call::In;
use crate::outcome::Outcome;

/// A known kernel with its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Golden {
    /// `out[i] = value`.
    Fill { out: u64, value: f32, n: u32 },
    /// `out[i] = a[i] + b[i]`.
    VectorAdd { a: u64, b: u64, out: u64, n: u32 },
    /// `y[i] = a · x[i] + y[i]`.
    Saxpy { a: f32, x: u64, y: u64, n: u32 },
    /// `out[0] = Σ x[i]`, in the order of `i`.
    ReduceSum { x: u64, out: u64, n: u32 },
}

/// The arguments of a launch: an address for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments(pub(crate) In<In<u8>>);

impl Arguments {
    fn bytes<const N: usize>(self, place: usize) -> Outcome<[u8; N]> {
        let argument = self.0.at(place)?;
        let mut bytes = [0; N];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = argument.at(at)?;
        }
        Ok(bytes)
    }

    fn address(self, place: usize) -> Outcome<u64> {
        self.bytes(place).map(u64::from_le_bytes)
    }

    fn float(self, place: usize) -> Outcome<f32> {
        self.bytes(place).map(f32::from_le_bytes)
    }

    fn count(self, place: usize) -> Outcome<u32> {
        self.bytes(place).map(u32::from_le_bytes)
    }
}

impl Golden {
    /// The kernel of a name, if it is known, with the arguments of a launch.
    pub(crate) fn of(name: &str, arguments: Arguments) -> Outcome<Option<Self>> {
        let a = arguments;
        Ok(Some(match plain(name) {
            "fill" => Self::Fill { out: a.address(0)?, value: a.float(1)?, n: a.count(2)? },
            "vector_add" => {
                let (x, y, out) = (a.address(0)?, a.address(1)?, a.address(2)?);
                Self::VectorAdd { a: x, b: y, out, n: a.count(3)? }
            }
            "saxpy" => {
                let (factor, x, y) = (a.float(0)?, a.address(1)?, a.address(2)?);
                Self::Saxpy { a: factor, x, y, n: a.count(3)? }
            }
            "reduce_sum" => {
                Self::ReduceSum { x: a.address(0)?, out: a.address(1)?, n: a.count(2)? }
            }
            _ => return Ok(None),
        }))
    }

    /// Does it.
    pub(crate) fn compute(self) {
        match self {
            Self::Fill { out, value, n } => (0..n).for_each(|i| write(out, i, value)),
            Self::VectorAdd { a, b, out, n } => {
                (0..n).for_each(|i| write(out, i, read(a, i) + read(b, i)));
            }
            Self::Saxpy { a, x, y, n } => {
                (0..n).for_each(|i| write(y, i, a.mul_add(read(x, i), read(y, i))));
            }
            Self::ReduceSum { x, out, n } => write(out, 0, (0..n).map(|i| read(x, i)).sum()),
        }
    }
}

/// A C++ compiler's name for a function of parameters, `_Z4fillPffi`, is `fill`.
fn plain(name: &str) -> &str {
    let Some(rest) = name.strip_prefix("_Z") else { return name };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let length: usize = rest[..digits].parse().unwrap_or(0);
    rest.get(digits..digits + length).unwrap_or(name)
}

fn read(base: u64, i: u32) -> f32 {
    // SAFETY: the program's to give: as many numbers as it said, as for a device.
    unsafe { (base as *const f32).add(i as usize).read_unaligned() }
}

fn write(base: u64, i: u32, value: f32) {
    // SAFETY: as above.
    unsafe { (base as *mut f32).add(i as usize).write_unaligned(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(plain("_Z5saxpyfPKfPfi"), "saxpy");
        assert_eq!(plain("saxpy"), "saxpy");
        assert_eq!(plain("_Z999x"), "_Z999x");
    }
}
