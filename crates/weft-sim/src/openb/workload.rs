//! Machines and requests of openb as plain integers, and the order in which requests arrive.

use crate::pack::{Class, DEVICES_MAX, MODELS_MAX, Node, WHOLE};
use crate::rng::Rng;
use crate::trace::{Job, Machine};
use std::collections::BTreeSet;

/// Demand over the pool's devices that a list is tuned to, in thousandths.
const TUNED_TO: u64 = 1300;

/// Empty machines, and the models they have.
#[derive(Debug, Clone)]
pub struct Pool {
    /// With their names, as read.
    machines: Vec<(String, Node)>,
    /// By name; a model's place is its number.
    models: Vec<String>,
}

impl Pool {
    /// Of these machines; those without devices are left out, as in the experiment.
    ///
    /// # Errors
    ///
    /// What is too large for the dense form, by the machine's name.
    pub fn new(machines: &[Machine]) -> std::result::Result<Self, String> {
        let machines = machines.iter().filter(|machine| machine.devices > 0);
        let names: BTreeSet<&String> = machines.clone().map(|machine| &machine.model).collect();
        let models = names.into_iter().cloned().collect();
        let mut pool = Self { machines: Vec::new(), models };
        for machine in machines {
            let refuse = |what: &str| format!("machine `{}`: {what}", machine.name);
            let model = pool.models.partition_point(|known| *known < machine.model);
            let devices = usize::try_from(machine.devices).unwrap_or(usize::MAX);
            if devices > DEVICES_MAX {
                return Err(refuse(&format!("{devices} devices; at most {DEVICES_MAX}")));
            }
            if model >= MODELS_MAX {
                return Err(refuse(&format!("more than {MODELS_MAX} models of device")));
            }
            let cpu =
                u32::try_from(machine.cpu.0).map_err(|_| refuse("more than 4 million cores"))?;
            let node = Node::new(model as u8, devices as u8, cpu, machine.memory.0);
            pool.machines.push((machine.name.clone(), node));
        }
        Ok(pool)
    }

    /// So many pools like this one, as one.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.machines = core::iter::repeat_n(self.machines, times).flatten().collect();
        self
    }

    /// Thousandths of devices in all.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.machines.iter().map(|(_, node)| u64::from(node.total())).sum()
    }

    /// The empty machines by a hash of what they are called and have: an order that says nothing
    /// about them, and in which nobody can be first by choosing a name. Ties of any policy go to
    /// the first.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let mut sorted: Vec<_> = self.machines.iter().collect();
        sorted.sort_by_key(|(name, node)| (content_hash(name, node), name.clone()));
        sorted.into_iter().map(|(_, node)| node.clone()).collect()
    }

    /// The jobs' requests, by name of the job. A model that no machine has is ignored; a request
    /// for such models alone fits nowhere.
    ///
    /// # Errors
    ///
    /// What is too large for the dense form, or a part of several devices, by the job's name.
    pub fn requests(&self, jobs: &[Job]) -> std::result::Result<Vec<Class>, String> {
        let mut named: Vec<(&str, Class)> = Vec::new();
        for job in jobs {
            let refuse = |what: &str| format!("job `{}`: {what}", job.name);
            let bit = |model: &String| {
                self.models.iter().position(|known| known == model).map_or(0, |at| 1_u64 << at)
            };
            let models = match job.models.is_empty() {
                true => u64::MAX,
                false => job.models.iter().map(bit).fold(0, |all, bit| all | bit),
            };
            let class = Class {
                cpu: u32::try_from(job.cpu.0).map_err(|_| refuse("more than 4 million cores"))?,
                memory: job.memory.0,
                devices: u8::try_from(job.devices).map_err(|_| refuse("more than 255 devices"))?,
                milli: job.milli.0.min(u64::from(WHOLE)) as u16,
                models,
            };
            let legal = match class.devices {
                0 => true,
                1 => class.milli > 0,
                _ => class.milli == WHOLE,
            };
            if !legal {
                return Err(refuse("a part of one device, or whole ones"));
            }
            named.push((&job.name, class));
        }
        named.sort_by_key(|(name, _)| *name);
        Ok(named.into_iter().map(|(_, class)| class).collect())
    }
}

fn content_hash(name: &str, node: &Node) -> u64 {
    let words = [u64::from(node.model), u64::from(node.cpu), node.memory, node.total().into()];
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).chain(name.bytes());
    Rng::new(bytes.fold(0, |hash, byte| Rng::new(hash ^ u64::from(byte)).bits())).bits()
}

/// The requests in the order in which they arrive for this seed: shuffled, then cut at random
/// places or continued with copies until they ask for 1.3 times the pool's devices.
#[must_use]
pub fn arrivals(requests: &[Class], capacity: u64, seed: u64) -> Vec<Class> {
    let mut rng = Rng::new(seed);
    let mut order = requests.to_vec();
    rng.shuffle(&mut order);
    let target = capacity * TUNED_TO / 1000;
    let mut demand: u64 = order.iter().map(|class| u64::from(class.total())).sum();
    while demand > target {
        let gone = order.remove(rng.below(order.len()));
        demand -= u64::from(gone.total());
    }
    // The artifact's test adds what is asked of one device, not of all: kept.
    while demand > 0 {
        let class = requests[rng.below(requests.len())];
        if demand + u64::from(class.milli) > target {
            break;
        }
        demand += u64::from(class.total());
        order.push(class);
    }
    order
}
