//! What Slurm says that a job used: `AllocTRES`, and `AllocGRES` of sites that do not account for
//! accelerators among the trackable resources.

use super::table::thousandths;
use weft_types::{Bytes, MigProfile, MilliCpu, MilliGpu};

/// Compute slices of a device that can be divided: every model has seven, but for the smallest.
const SLICES: u64 = 7;

/// Trackable resources, of which these are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tres {
    pub(super) cpu: MilliCpu,
    pub(super) memory: Bytes,
    pub(super) machines: u32,
    pub(super) gpus: Gpus,
}

/// Accelerators, as Slurm names them: in all, by model, and as instances of divided ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gpus {
    /// In all; instances count as one each.
    all: u64,
    by_model: u64,
    instances: u64,
    slices: u64,
    pub(super) models: Vec<String>,
}

impl Tres {
    /// `billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1`. Devices are counted once,
    /// though Slurm names them in all and by model.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut tres = Self::default();
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=').unwrap_or((part, ""));
            match name {
                "cpu" => tres.cpu = MilliCpu(value.parse::<u64>().ok()?.checked_mul(1000)?),
                "mem" => tres.memory = memory(value)?,
                "node" => tres.machines = value.parse().ok()?,
                "gres/gpu" => tres.gpus.all = value.parse().ok()?,
                _ => {
                    if let Some(model) = name.strip_prefix("gres/gpu:") {
                        tres.gpus.add(model, value.parse().ok()?);
                    }
                }
            }
        }
        Some(tres)
    }
}

impl Gpus {
    pub(super) fn total(&mut self, count: u64) {
        self.all = self.all.max(count);
    }

    /// So many of a model, or of instances: `a100_1g.5gb` and `1g.5gb` are parts of a device.
    pub(super) fn add(&mut self, model: &str, count: u64) {
        self.by_model = self.by_model.saturating_add(count);
        let (model, profile) = match model.rsplit_once(['_', '-']) {
            Some((model, part)) if part.parse::<MigProfile>().is_ok() => (model, part),
            _ => (if model.parse::<MigProfile>().is_ok() { "" } else { model }, model),
        };
        if let Ok(profile) = profile.parse::<MigProfile>() {
            self.instances = self.instances.saturating_add(count);
            let slices = count.saturating_mul(u64::from(profile.slices).min(SLICES));
            self.slices = self.slices.saturating_add(slices);
        }
        if !model.is_empty() && count > 0 && !self.models.iter().any(|it| it == model) {
            self.models.reserve_exact(1);
            self.models.push(model.to_owned());
        }
    }

    /// `gpu:2`, `gpu:v100:2(S:0-1)`, `gpu:2,nvme:1`: on each of so many machines.
    pub(super) fn read_gres(&mut self, text: &str, machines: u32) -> Option<()> {
        // Which sockets they are on stands in brackets, and may hold a comma.
        let mut depth = 0_u32;
        let plain = text.chars().filter(|c| {
            depth = depth.saturating_add(u32::from(*c == '('));
            let outside = depth == 0;
            depth = depth.saturating_sub(u32::from(*c == ')'));
            outside
        });
        let plain: String = plain.collect();
        for part in plain.split(',') {
            let mut words = part.trim().split([':', '=']);
            if !matches!(words.next(), Some("gpu" | "gres/gpu")) {
                continue;
            }
            let words: Vec<&str> = words.collect();
            let machines = u64::from(machines.max(1));
            match words.as_slice() {
                [] => self.total(machines),
                [count] => self.total(count.parse::<u64>().ok()?.saturating_mul(machines)),
                [model, count, ..] => {
                    self.add(model, count.parse::<u64>().ok()?.saturating_mul(machines));
                }
            }
        }
        Some(())
    }

    /// Whether there are any.
    pub(super) fn are_none(&self) -> bool {
        self.all == 0 && self.by_model == 0
    }

    /// Devices, and thousandths of each. One instance is a part of a device, by its compute slices;
    /// several are as many whole ones as their slices fill.
    pub(super) fn devices(&self) -> (u32, MilliGpu) {
        let all = self.all.max(self.by_model);
        let whole = all - self.instances.min(all);
        if (whole, self.instances) == (0, 1) && self.slices < SLICES {
            return (1, MilliGpu((self.slices * 1000 / SLICES).max(1)));
        }
        let devices = whole.saturating_add(self.slices.div_ceil(SLICES));
        let devices = u32::try_from(devices).unwrap_or(u32::MAX);
        (devices, MilliGpu(if devices > 0 { 1000 } else { 0 }))
    }
}

/// `64G`, `187.5G`, `4000M`: binary, as Slurm counts; without a letter MiB.
fn memory(text: &str) -> Option<Bytes> {
    let (number, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        (at, 'P') => (&text[..at], 50),
        _ => (text, 20),
    };
    let milli = u128::from(thousandths(number)?) << shift;
    u64::try_from(milli / 1000).ok().map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(text: &str) -> Option<(u32, u64)> {
        let (devices, milli) = Tres::read(text)?.gpus.devices();
        Some((devices, milli.0))
    }

    #[test]
    fn resources_are_counted_once() {
        let text = "billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=187.5G,node=1";
        let tres = Tres::read(text).expect("resources");
        assert_eq!((tres.machines, tres.cpu), (1, MilliCpu(8000)));
        assert_eq!(tres.memory, Bytes(201_326_592_000));
        assert_eq!(
            (tres.gpus.models.as_slice(), devices(text)),
            (&["a100".to_owned()][..], Some((2, 1000)))
        );
        assert_eq!(devices("gres/gpu:a100=2,gres/gpu:v100=1"), Some((3, 1000)));
        assert_eq!(devices("cpu=1,gres/gpumem=4G,gres/gpuutil=3,mem=0"), Some((0, 0)));
        assert_eq!((Tres::read("cpu=x"), Tres::read("mem=12Q")), (None, None));
    }

    #[test]
    fn instances_are_parts_of_devices() {
        assert_eq!(devices("gres/gpu=1,gres/gpu:1g.5gb=1"), Some((1, 142)));
        assert_eq!(devices("gres/gpu=1,gres/gpu:a100_3g.20gb=1"), Some((1, 428)));
        assert_eq!(devices("gres/gpu=1,gres/gpu:7g.80gb=1"), Some((1, 1000)));
        assert_eq!(devices("gres/gpu=4,gres/gpu:2g.10gb=4"), Some((2, 1000)));
        assert_eq!(devices("gres/gpu=3,gres/gpu:a100=2,gres/gpu:1g.5gb=1"), Some((3, 1000)));
        let models = |text: &str| Tres::read(text).map(|tres| tres.gpus.models);
        assert_eq!(models("gres/gpu:a100_1g.5gb=1"), Some(vec!["a100".to_owned()]));
        assert_eq!(models("gres/gpu:1g.5gb=1"), Some(Vec::new()));
        assert_eq!(
            models("gres/gpu:nvidia_a100_80gb_pcie=1"),
            Some(vec!["nvidia_a100_80gb_pcie".to_owned()])
        );
    }

    #[test]
    fn generic_resources_are_named_for_each_machine() {
        let read = |text: &str, machines| {
            let mut gpus = Gpus::default();
            gpus.read_gres(text, machines)?;
            Some(gpus.devices().0)
        };
        assert_eq!((read("gpu:2", 3), read("gpu:v100:2(S:0-1,3)", 1)), (Some(6), Some(2)));
        assert_eq!((read("nvme:1,gpu", 2), read("", 2)), (Some(2), Some(0)));
        assert_eq!(read("gpu:many", 1), None);
    }
}
