//! What a new workload could have now: every figure is what the plan does, and one more is not.

use weft_sched::case::parse;
use weft_sched::{Action, Offer, Reason, Snapshot, StopCause, Workload, offers, what_if};
use weft_types::{Bytes, GpuFilter, GpuRequest, MilliGpu, Range, Timestamp};

/// The pool, and a workload as it would come: the last that wants something, taken out again.
fn pool(text: &str) -> (Snapshot, Workload, Timestamp) {
    let case = parse(text).unwrap_or_else(|error| panic!("{error:?}: {text}"));
    let mut snapshot = case.snapshot;
    let (_, like) = snapshot.workloads.pop_last().expect("a workload");
    (snapshot, like, case.now)
}

fn of(text: &str) -> Vec<Offer> {
    let (snapshot, like, now) = pool(text);
    offers(&snapshot, &like, now)
}

const TWO: &str = "\
node n1 a100-80 x8
node n2 a100-80 x4
node n3 l4-24 x2
queue vision gpu=8+4-4 cohort=lab
queue speech gpu=6+8-4 cohort=lab
";

#[test]
fn an_idle_pool_offers_the_share_and_what_is_lent() {
    let found = of(&format!("{TWO}want w9 vision gpu=1\n"));
    let [a100, l4] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (a100.class.as_str(), a100.devices, a100.memory),
        ("a100", 12, Bytes(80_000_000_000))
    );
    assert_eq!((a100.now.devices, a100.own.devices), (12, 8));
    assert_eq!((a100.now.on_one_machine, a100.own.on_one_machine), (8, 8));
    assert_eq!((l4.now.devices, l4.now.share, &l4.back), (2, MilliGpu(999), &None));
}

#[test]
fn what_is_lent_comes_back_to_its_owner_only() {
    let busy = format!(
        "{TWO}run w1 speech gpu=4 on=n2/0+1+2+3 ran=1h\n\
        run w2 speech gpu=6 on=n1/0+1+2+3+4+5 ran=1h\n"
    );
    let found = of(&format!("{busy}want w9 vision gpu=1\n"));
    let a100 = &found[0];
    // Two are free; six more of its own are lent to speech, which has four too many.
    assert_eq!((a100.now.devices, a100.own.devices), (2, 2));
    let back = a100.back.as_ref().expect("what is its own comes back");
    assert!(back.devices > 2 && !back.stops.is_empty(), "{back:?}");
    let found = of(&format!("{busy}want w9 speech gpu=1\n"));
    // Vision lends no more than four.
    assert_eq!((found[0].now.devices, found[0].own.devices, &found[0].back), (0, 0, &None));
}

#[test]
fn parts_and_instances() {
    let text = "node n1 a100-80 x2\nnode n2 a100-40:mig x1\nqueue lab gpu=3\n\
        run w1 lab gpu=0.6 on=n1/0:0.6:48GB\nrun w2 lab gpu=0.7 on=n1/1:0.7:56GB\n";
    let found = of(&format!("{text}want w9 lab gpu=1\n"));
    let whole = found.iter().find(|offer| offer.memory == Bytes(80_000_000_000)).expect("whole");
    assert_eq!((whole.now.devices, whole.now.share), (0, MilliGpu(400)));
    let mig = found.iter().find(|offer| !offer.now.mig.is_empty()).expect("divided");
    let small = mig.now.mig.iter().find(|(profile, _)| profile.slices == 1);
    assert_eq!(small.map(|(_, count)| *count), Some(7), "{mig:?}");
}

#[test]
fn what_nobody_may_have_is_not_offered() {
    let text = "node n1 a100-80 x8 closed\nsick n2/0\nnode n2 a100-80 x1\nqueue lab gpu=9\n";
    let text = text.replace("sick n2/0\nnode n2 a100-80 x1\n", "node n2 a100-80 x1\nsick n2/0\n");
    let found = of(&format!("{text}want w9 lab gpu=1\n"));
    assert_eq!((found[0].devices, found[0].now.devices, found[0].now.share.0), (0, 0, 0));
}

/// What is in the way of more is named: the share of which resource, or that all is in use.
#[test]
fn why_no_more_start_is_told() {
    let why = |text: &str| {
        let [offer]: [Offer; 1] = of(text).try_into().expect("one kind");
        (offer.now.devices, offer.why)
    };
    let pool = "node n1 a100-80 x4\n";
    let (now, all) = why(&format!("{pool}queue lab gpu=4\nwant w9 lab gpu=1\n"));
    assert_eq!((now, all), (4, None));
    let short = |text: &str| match why(text) {
        (now, Some(why)) => match why.as_ref() {
            Reason::Quota { resource, queue, .. } => (now, format!("{resource} of {queue}")),
            other => (now, format!("{other:?}")),
        },
        none => panic!("{none:?}: {text}"),
    };
    let text = format!("{pool}queue lab gpu=3\nwant w9 lab gpu=1\n");
    assert_eq!(short(&text), (3, "gpu of lab".to_owned()));
    // Its processor is used up, three devices are free.
    let text = format!(
        "{pool}queue lab gpu=4 cpu=8\nrun w1 lab gpu=1 cpu=8 on=n1/0\nwant w9 lab gpu=1 cpu=1\n"
    );
    assert_eq!(short(&text), (0, "cpu of lab".to_owned()));
    let text = format!(
        "{pool}queue lab gpu=4 memory=8GB\nrun w1 lab gpu=1 memory=8GB on=n1/0\n\
         want w9 lab gpu=1 memory=1GB\n"
    );
    assert_eq!(short(&text), (0, "memory of lab".to_owned()));
    let text =
        format!("{pool}queue lab gpu=8\nrun w1 lab gpu=4 on=n1/0+1+2+3\nwant w9 lab gpu=1\n");
    let (now, used) = short(&text);
    assert!(now == 0 && used.starts_with("Capacity"), "{used}");
}

#[test]
fn a_kind_is_worth_what_it_counts() {
    let found = of("node a h100-80 x2\nnode b t4-16 x6\nqueue lab gpu=8\nwant w9 lab gpu=1\n");
    let worth = found.iter().map(|offer| (offer.class.as_str(), offer.worth.0));
    assert_eq!(worth.collect::<Vec<_>>(), [("h100", 2500), ("t4", 500)]);
}

/// Each figure is what a dry run does, and one more device is not.
#[test]
fn figures_are_those_of_dry_runs() {
    let waits = "run w1 speech gpu=4 on=n2/0+1+2+3 ran=1h\nrun w2 vision gpu=3 on=n1/0+1+2\n\
        want w3 speech gpu=3 waited=2h\nwant w4 vision gpu=8 waited=1h\n";
    for queue in ["vision", "speech"] {
        let (snapshot, like, now) = pool(&format!("{TWO}{waits}want w9 {queue} gpu=1\n"));
        for offer in offers(&snapshot, &like, now) {
            let memory = Range { min: Some(offer.memory), max: Some(offer.memory) };
            let filter = GpuFilter { names: vec![offer.class.clone()], memory };
            let dry = |gang: u32| {
                let mut workload = Workload { gang, ..like.clone() };
                workload.request.gpu = GpuRequest::Whole { count: 1, filter: filter.clone() };
                let (id, plan) = what_if(&snapshot, workload, now);
                let starts =
                    |it: &Action| matches!(it, Action::Start { workload, .. } if *workload == id);
                let mine = |cause: &StopCause| cause.beneficiary() == Some(id);
                let stops = |it: &Action| matches!(it, Action::Stop { cause, .. } if mine(cause));
                (plan.actions.iter().any(starts), plan.actions.iter().any(stops))
            };
            let devices = offer.now.devices;
            assert!(devices == 0 || dry(devices).0, "{queue} {offer:?}");
            assert!(!dry(devices + 1).0, "{queue} {offer:?}");
            if let Some(back) = &offer.back {
                assert!(dry(back.devices).1, "{queue} {offer:?}");
            }
        }
    }
}
