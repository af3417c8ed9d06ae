//! Every sequence of requests for instances of one device, against trying every arrangement.

use weft_sched::case::parse;
use weft_sched::{Action, DeviceMode, MigPlacement, decide};
use weft_types::{NodeId, WorkloadId};

/// The profiles of a device of 80 GB with seven compute and eight memory slices.
const PROFILES: [&str; 6] = ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"];
/// Sequences up to this length, 1,554 of them; `WEFT_MIG_LENGTH=6` tries all 55,986 of six.
const LENGTH: u32 = 4;

/// Of a thousand sequences, those in which another arrangement of what came first would have left
/// room for one more; 80 of those up to six. Each is placed without a look at the next. This may
/// only shrink.
const MISSED_PERMILLE: usize = 29;

/// Whether the profiles can lie on the device together, somehow.
fn lie_together(geometry: &[MigPlacement], profiles: &[&str], taken: u32, compute: u8) -> bool {
    let Some((first, rest)) = profiles.split_first() else { return true };
    let places = geometry.iter().filter(|place| place.profile.to_string() == *first);
    places.into_iter().any(|place| {
        let bits = ((1u32 << place.size) - 1) << place.start;
        let slices = place.profile.slices;
        let fits = bits & taken == 0 && slices <= compute;
        fits && lie_together(geometry, rest, taken | bits, compute - slices)
    })
}

/// Which have a place, each in its turn, if those before it may lie as suits it best.
fn best(geometry: &[MigPlacement], sequence: &[&str]) -> Vec<bool> {
    let mut together: Vec<&str> = Vec::new();
    let mut accepted = Vec::new();
    for profile in sequence {
        together.push(profile);
        let fits = lie_together(geometry, &together, 0, 7);
        if !fits {
            together.pop();
        }
        accepted.push(fits);
    }
    accepted
}

fn planned(sequence: &[&str]) -> Vec<bool> {
    let mut text = "node n1 a100-80:mig\nqueue q gpu=2\n".to_owned();
    for (at, profile) in (1..).zip(sequence) {
        text += &format!("want w{at} q gpu=mig:{profile}\n");
    }
    let case = parse(&text).expect("a case");
    let plan = decide(&case.snapshot, case.now);
    let starts = |id| {
        let is =
            |action: &Action| matches!(action, Action::Start { workload, .. } if *workload == id);
        plan.actions.iter().any(is)
    };
    (1..=sequence.len() as u64).map(|id| starts(WorkloadId(id))).collect()
}

#[test]
fn sequences_on_one_device_are_placed_nearly_as_well_as_can_be() {
    let asked = std::env::var("WEFT_MIG_LENGTH").ok().and_then(|length| length.parse().ok());
    let device = parse("node n1 a100-80:mig").expect("a case").snapshot.nodes;
    let device = &device[&NodeId::new("n1").expect("a name")].devices[&0];
    let DeviceMode::Mig { geometry, .. } = &device.mode else { panic!("{device:?}") };
    let (mut tried, mut worse) = (0, Vec::new());
    for length in 1..=asked.unwrap_or(LENGTH) {
        for number in 0..PROFILES.len().pow(length) {
            let digit = |at: u32| PROFILES[number / PROFILES.len().pow(at) % PROFILES.len()];
            let sequence: Vec<&str> = (0..length).map(digit).collect();
            tried += 1;
            if planned(&sequence) != best(geometry, &sequence) {
                worse.push(sequence);
            }
        }
    }
    let few = worse.len() * 1000 <= tried * MISSED_PERMILLE;
    assert!(few, "{} of {tried}, first {:?}", worse.len(), &worse[..worse.len().min(8)]);
}
