//! The planner's name and scarcity of a product: `NVIDIA H100 80GB HBM3` is `h100`.
//!
//! Users write these names after `gpu:`, so they are the ones the field uses: lower-case, the
//! vendor, memory, form factor and edition left out, no separators (`rtx4090`, `rtxpro6000`).

use weft_types::Bytes;

/// Words in product names that do not tell kinds apart.
const NOISE: [&str; 24] = [
    "nvidia",
    "grid",
    "tesla",
    "quadro",
    "geforce",
    "graphics",
    "device",
    "pcie",
    "nvl",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "fhhl",
    "lhs",
    "generation",
    "blackwell",
    "server",
    "workstation",
    "edition",
    "laptop",
    "gpu",
    "dgxs",
    "ac",
];

/// Dense 16-bit tensor throughput in TFLOPS by NVIDIA's data sheets, without sparsity.
const TFLOPS: [(&str, u32); 19] = [
    ("t4", 65),
    ("v100", 125),
    ("l4", 121),
    ("a10", 125),
    ("a10g", 70),
    ("a30", 165),
    ("a40", 150),
    ("rtx4090", 165),
    ("l40", 181),
    ("l40s", 362),
    ("h20", 148),
    ("a100", 312),
    ("rtxpro6000", 500),
    ("h100", 989),
    ("h200", 989),
    ("gh200", 989),
    ("b200", 2250),
    ("b300", 2250),
    ("gb200", 2500),
];

/// The device kind a product belongs to, as users write it.
///
/// A name made of nothing but left-out words is `gpu`.
pub fn class_name(product: &str) -> String {
    let name: String = product
        .to_ascii_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !is_noise(word))
        .collect();
    if name.is_empty() { "gpu".to_owned() } else { name }
}

fn is_noise(word: &str) -> bool {
    let gigabytes = |w: &str| w.strip_suffix("gb").is_some_and(|n| n.parse::<u16>().is_ok());
    let form_factor = |w: &str| w.strip_prefix("sxm").is_some_and(|n| n.parse::<u8>().is_ok());
    word.is_empty() || NOISE.contains(&word) || gigabytes(word) || form_factor(word)
}

/// Scarcity of a kind: 16-bit tensor TFLOPS plus gigabytes of memory, so that what can do more
/// is kept for those who ask for it. A kind that is not known counts its memory only.
pub fn class_value(name: &str, memory: Bytes) -> u32 {
    let tflops = TFLOPS.iter().find(|(kind, _)| *kind == name).map_or(0, |(_, tflops)| *tflops);
    let gigabytes = u32::try_from(memory.0 / 1_000_000_000).unwrap_or(u32::MAX);
    tflops.saturating_add(gigabytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_have_the_names_users_write() {
        let cases = [
            ("NVIDIA H100 80GB HBM3", "h100"),
            ("NVIDIA H100 PCIe", "h100"),
            ("NVIDIA H100 NVL", "h100"),
            ("NVIDIA H200", "h200"),
            ("NVIDIA H20", "h20"),
            ("NVIDIA GH200 480GB", "gh200"),
            ("NVIDIA A100-SXM4-80GB", "a100"),
            ("NVIDIA A100 80GB PCIe", "a100"),
            ("A100-PCIE-40GB", "a100"),
            ("NVIDIA B200", "b200"),
            ("Tesla T4", "t4"),
            ("Tesla V100-SXM2-16GB", "v100"),
            ("NVIDIA A10G", "a10g"),
            ("NVIDIA L40S", "l40s"),
            ("NVIDIA GeForce RTX 4090", "rtx4090"),
            ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", "rtx3080ti"),
            ("NVIDIA RTX A6000", "rtxa6000"),
            ("NVIDIA RTX 6000 Ada Generation", "rtx6000ada"),
            ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtxpro6000"),
            // A part of one, as a virtual machine sees it: a kind of its own, with its own memory.
            ("GRID A100-20C", "a10020c"),
            ("NVIDIA A100-20C", "a10020c"),
            ("NVIDIA A100-2-10C", "a100210c"),
            ("NVIDIA Graphics Device", "gpu"),
            ("", "gpu"),
        ];
        for (product, name) in cases {
            assert_eq!(class_name(product), name, "{product}");
        }
    }

    #[test]
    fn newer_and_larger_is_scarcer() {
        let gb = |n: u64| Bytes(n * 1_000_000_000);
        let order = [("t4", 16), ("l4", 24), ("a100", 40), ("a100", 80), ("h100", 80)]
            .map(|(name, memory)| class_value(name, gb(memory)));
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        assert!(class_value("h100", gb(80)) < class_value("h200", gb(141)));
        assert_eq!(class_value("never-heard-of", gb(12)), 12);
    }
}
