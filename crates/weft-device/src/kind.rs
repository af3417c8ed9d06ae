//! The kinds of accelerators the simulated driver knows, with their true sizes.
//!
//! Real machines never read this table: there the driver is asked. It is written out so that
//! plans made on simulated devices are those of the real ones.
//!
//! Sources: NVIDIA's data sheets (memory, SMs), `nvidia-smi`'s total (usable memory; of it a real
//! driver keeps about half a gigabyte to itself, more or less by version), the MIG
//! user guide's tables "Supported MIG Profiles" (profiles, placements). Instance memory is the
//! driver's for A100 and A30; for the others it is the instance's slices of the usable memory,
//! rounded down to 128 MiB, which is within 3 % of what the guide prints.

use weft_sched::MigPlacement;
use weft_types::{Bytes, MigProfile};

/// A kind of accelerator.
#[derive(Debug)]
pub struct Kind {
    /// As written after `--simulate`, `H200-141`: name and marketed memory in GB.
    pub label: &'static str,
    /// The product's name as the driver would give it.
    pub product: &'static str,
    /// Memory in MiB that a workload can use.
    pub memory_mib: u64,
    /// Streaming multiprocessors.
    pub sms: u16,
    /// How it divides in MIG instances; none where it does not.
    pub mig: Option<MigShape>,
}

/// How a kind divides in MIG instances.
#[derive(Debug, Clone, Copy)]
pub struct MigShape {
    /// Compute slices: 7, or 4.
    pub compute: u8,
    /// Memory slices: 8, or 4.
    pub memory: u8,
    /// Gigabytes in the profile's name for an instance of one, two, four and eight memory
    /// slices; zero where there is none.
    pub gigabytes: [u16; 4],
    /// MiB a workload in such an instance can use; all zero means derived.
    pub mib: [u64; 4],
}

const fn eighths(gigabytes: [u16; 4]) -> Option<MigShape> {
    Some(MigShape { compute: 7, memory: 8, gigabytes, mib: [0; 4] })
}

/// Every kind the simulated driver knows.
pub const KINDS: &[Kind] = &[
    kind("T4-16", "Tesla T4", 15_360, 40, None),
    kind("V100-16", "Tesla V100-SXM2-16GB", 16_384, 80, None),
    kind("V100-32", "Tesla V100-SXM2-32GB", 32_768, 80, None),
    kind("A10-24", "NVIDIA A10", 23_028, 72, None),
    kind("L4-24", "NVIDIA L4", 23_034, 58, None),
    kind("A30-24", "NVIDIA A30", 24_576, 56, A30),
    kind("RTX4090-24", "NVIDIA GeForce RTX 4090", 24_564, 128, None),
    kind("L40S-48", "NVIDIA L40S", 46_068, 142, None),
    kind("A100-40", "NVIDIA A100-SXM4-40GB", 40_960, 108, A100_40),
    kind("A100-80", "NVIDIA A100-SXM4-80GB", 81_920, 108, A100_80),
    kind("RTXPRO6000-96", RTX_PRO_6000_PRODUCT, 97_887, 188, RTX_PRO_6000),
    kind("H20-96", "NVIDIA H20", 97_871, 78, eighths([12, 24, 48, 96])),
    kind("H100-80", "NVIDIA H100 80GB HBM3", 81_559, 132, eighths([10, 20, 40, 80])),
    kind("H200-141", "NVIDIA H200", 143_771, 132, eighths([18, 35, 71, 141])),
    kind("B200-180", "NVIDIA B200", 183_359, 148, eighths([23, 45, 90, 180])),
    kind("B300-269", "NVIDIA B300 SXM6 AC", 275_040, 148, eighths([34, 67, 135, 269])),
];

const RTX_PRO_6000_PRODUCT: &str = "NVIDIA RTX PRO 6000 Blackwell Server Edition";

const A30: Option<MigShape> = Some(MigShape {
    compute: 4,
    memory: 4,
    gigabytes: [6, 12, 24, 0],
    mib: [5_836, 11_968, 24_125, 0],
});

const A100_40: Option<MigShape> = Some(MigShape {
    compute: 7,
    memory: 8,
    gigabytes: [5, 10, 20, 40],
    mib: [4_864, 9_856, 19_968, 40_192],
});

const A100_80: Option<MigShape> = Some(MigShape {
    compute: 7,
    memory: 8,
    gigabytes: [10, 20, 40, 80],
    mib: [9_856, 19_968, 40_192, 80_384],
});

const RTX_PRO_6000: Option<MigShape> =
    Some(MigShape { compute: 4, memory: 4, gigabytes: [24, 48, 96, 0], mib: [0; 4] });

const fn kind(
    label: &'static str,
    product: &'static str,
    memory_mib: u64,
    sms: u16,
    mig: Option<MigShape>,
) -> Kind {
    Kind { label, product, memory_mib, sms, mig }
}

impl Kind {
    /// The kind written so, letter case aside.
    pub fn by_label(label: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.label.eq_ignore_ascii_case(label))
    }

    /// Memory that a workload can use.
    pub fn memory(&self) -> Bytes {
        Bytes(self.memory_mib << 20)
    }

    /// Every place where an instance can be made; empty for a kind without MIG.
    pub fn placements(&self) -> Vec<MigPlacement> {
        let Some(shape) = self.mig else { return Vec::new() };
        shape
            .rows()
            .flat_map(|(slices, size, starts)| {
                starts.iter().map(move |start| self.placement(shape, slices, size, *start))
            })
            .collect()
    }

    fn placement(&self, shape: MigShape, slices: u8, size: u8, start: u8) -> MigPlacement {
        let column = size.trailing_zeros() as usize;
        let derived = self.memory_mib * u64::from(size) / u64::from(shape.memory) / 128 * 128;
        let mib = if shape.mib[column] == 0 { derived } else { shape.mib[column] };
        MigPlacement {
            profile: MigProfile { slices, memory_gb: shape.gigabytes[column] },
            start,
            size,
            memory: Bytes(mib << 20),
        }
    }
}

impl MigShape {
    /// Compute slices, memory slices and first memory slices of each profile.
    fn rows(self) -> impl Iterator<Item = (u8, u8, &'static [u8])> {
        const EIGHTHS: &[(u8, u8, &[u8])] = &[
            (1, 1, &[0, 1, 2, 3, 4, 5, 6]),
            (1, 2, &[0, 2, 4, 6]),
            (2, 2, &[0, 2, 4]),
            (3, 4, &[0, 4]),
            (4, 4, &[0]),
            (7, 8, &[0]),
        ];
        const QUARTERS: &[(u8, u8, &[u8])] =
            &[(1, 1, &[0, 1, 2, 3]), (2, 2, &[0, 2]), (4, 4, &[0])];
        if self.compute == 7 { EIGHTHS } else { QUARTERS }.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The most instances of one profile that fit together, tried exhaustively.
    fn most(free: &[MigPlacement], taken: u32, compute: u8) -> usize {
        let fits = |p: &MigPlacement| slots(p) & taken == 0 && p.profile.slices <= compute;
        free.iter()
            .enumerate()
            .filter(|(_, p)| fits(p))
            .map(|(i, p)| 1 + most(&free[i + 1..], taken | slots(p), compute - p.profile.slices))
            .max()
            .unwrap_or(0)
    }

    fn slots(placement: &MigPlacement) -> u32 {
        ((1 << placement.size) - 1) << placement.start
    }

    #[test]
    fn placements_stay_inside_the_device() {
        for kind in KINDS {
            let Some(shape) = kind.mig else { continue };
            for placement in kind.placements() {
                assert!(placement.start + placement.size <= shape.memory, "{placement:?}");
                assert!(placement.profile.slices <= shape.compute, "{placement:?}");
                assert!(placement.memory <= kind.memory(), "{}: {placement:?}", kind.label);
                assert!(placement.profile.memory_gb > 0, "{}: {placement:?}", kind.label);
            }
        }
    }

    #[test]
    fn as_many_of_each_profile_as_the_guide_says() {
        let eighths =
            [((1, 1), 7), ((1, 2), 4), ((2, 2), 3), ((3, 4), 2), ((4, 4), 1), ((7, 8), 1)];
        let quarters = [((1, 1), 4), ((2, 2), 2), ((4, 4), 1)];
        for kind in KINDS {
            let Some(shape) = kind.mig else { continue };
            let mut profiles: BTreeMap<(u8, u8), Vec<MigPlacement>> = BTreeMap::new();
            for placement in kind.placements() {
                let key = (placement.profile.slices, placement.size);
                profiles.entry(key).or_default().push(placement);
            }
            let counted: BTreeMap<_, _> =
                profiles.iter().map(|(key, all)| (*key, most(all, 0, shape.compute))).collect();
            let published = if shape.compute == 7 { &eighths[..] } else { &quarters[..] };
            assert_eq!(counted, published.iter().copied().collect(), "{}", kind.label);
        }
    }

    #[test]
    fn the_balanced_preset_fits_and_two_halves_strand_a_slice() {
        for kind in KINDS.iter().filter(|kind| kind.mig.is_some_and(|m| m.compute == 7)) {
            let all = kind.placements();
            let at = |slices, size, start| {
                let wanted = |p: &&MigPlacement| {
                    (p.profile.slices, p.size, p.start) == (slices, size, start)
                };
                slots(all.iter().find(wanted).expect("a published placement"))
            };
            let preset = [at(1, 1, 0), at(1, 1, 1), at(2, 2, 2), at(3, 4, 4)];
            assert_eq!(preset.iter().sum::<u32>(), 0xff, "{}", kind.label);
            let halves = at(3, 4, 0) | at(3, 4, 4);
            assert_eq!(most(&all, halves, 1), 0, "{}: no memory is left", kind.label);
        }
    }

    #[test]
    fn labels_say_the_kind_and_the_memory() {
        for kind in KINDS {
            let (name, gigabytes) = kind.label.rsplit_once('-').expect("name and memory");
            assert_eq!(crate::class_name(kind.product), name.to_ascii_lowercase());
            let marketed = gigabytes.parse::<u64>().expect("a number") * 1_000_000_000;
            let usable = kind.memory().0;
            assert!(usable.abs_diff(marketed) * 100 < marketed * 10, "{}: {usable}", kind.label);
        }
    }
}
