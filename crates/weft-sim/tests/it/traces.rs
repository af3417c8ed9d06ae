//! Readers on excerpts of real logs, or on lines of their documented form.

use proptest::prelude::*;
use weft_sim::trace::{
    Outcome, helios, openb_machines, openb_requests, philly, philly_machines, plain, slurm,
};
use weft_types::{Bytes, MilliCpu, MilliGpu, Millis, Timestamp};

#[test]
fn openb() {
    let trace = openb_requests(include_str!("../data/openb_pods.csv")).expect("an excerpt");
    let job = |name: &str| trace.jobs.iter().find(|job| job.name == name).expect("a job");
    assert_eq!(trace.jobs.len(), 9);
    let share = job("openb-pod-0001");
    assert_eq!((share.devices, share.milli, share.cpu), (1, MilliGpu(460), MilliCpu(6000)));
    assert_eq!((share.submit, share.memory), (Timestamp(427_061_000), Bytes(12_288 << 20)));
    assert_eq!(share.duration, Some(Millis((12_902_960 - 427_061) * 1000)));
    assert_eq!(job("openb-pod-0009").models, ["V100M16", "V100M32"]);
    assert_eq!(job("openb-pod-0017").outcome, Outcome::Completed);
    assert!(trace.jobs.is_sorted_by_key(|job| job.submit));
    let short = openb_requests(include_str!("../data/openb_pods_short.csv")).expect("no times");
    assert_eq!((short.jobs.len(), short.jobs[0].duration), (4, None));
    let machines = openb_machines(include_str!("../data/openb_nodes.csv")).expect("machines");
    assert_eq!((machines.len(), machines[2].devices, machines[2].model.as_str()), (6, 8, "G2"));
    assert_eq!(machines[2].memory, Bytes(393_216 << 20));
}

#[test]
fn openb_wants_what_a_machine_can_give() {
    let text = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,1,500\nb,1,1,2,500\n";
    let said = openb_requests(text).expect_err("half of two").to_string();
    let rule = "it must be 1 to 1000 for one device, 1000 for several, 0 for none";
    assert_eq!(said, format!("line 3: `gpu_milli` is `500`; {rule}"));
}

#[test]
fn philly_and_its_machines() {
    let trace = philly(include_str!("../data/philly.csv")).expect("an excerpt");
    let first = &trace.jobs[0];
    assert_eq!((trace.jobs.len(), first.name.as_str()), (5, "line-4"));
    assert_eq!(first.duration, Some(Millis(860_662_000)));
    assert_eq!((first.queue.as_str(), first.devices), ("6c71a0", 1));
    let machines = philly_machines(include_str!("../data/philly_machines.csv")).expect("machines");
    assert_eq!((machines.len(), machines[2].name.as_str(), machines[2].devices), (3, "m100", 8));
    let said = philly("timestamp,duration,num_gpus,cluster\n2017-10-09 07:01,-5,1,x");
    let said = said.expect_err("a negative time").to_string();
    assert_eq!(
        said,
        "line 2, column 18: `duration` is `-5`; it must be seconds, as in `90` or `90.5`"
    );
}

#[test]
fn helios_of_its_documented_columns() {
    let text = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,\
                duration,queue\n\
                7,uA,vcB,8,40,1,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:01:40,\
                2020-04-01 01:01:40,3600,100\n\
                8,uA,vcB,1,4,1,CANCELLED,2020-03-31 23:59:59,,,0,5\n";
    let trace = helios(text).expect("two jobs");
    let [never, done] = trace.jobs.as_slice() else { panic!("{trace:?}") };
    assert_eq!((never.start, never.duration, never.outcome), (None, None, Outcome::Cancelled));
    assert_eq!(done.start.map(|start| start.since(done.submit)), Some(Millis(100_000)));
    assert_eq!(
        (done.duration, done.devices, done.cpu),
        (Some(Millis(3_600_000)), 8, MilliCpu(40_000))
    );
}

const SACCT: &str = "\
JobID|User|Account|Partition|State|Submit|Start|End|Timelimit|AllocTRES|ReqTRES
100|ann|vision|gpu|COMPLETED|2026-03-01T08:00:00|2026-03-01T08:10:00|2026-03-01T09:10:00|1-00:00:00|\
billing=8,cpu=8,gres/gpu=2,mem=64G,node=1|cpu=8,gres/gpu=2,mem=64G,node=1
100.batch||vision||COMPLETED|2026-03-01T08:10:00|2026-03-01T08:10:00|2026-03-01T09:10:00||cpu=8|
101_3|bob|vision|gpu|CANCELLED by 1000|2026-03-01T07:00:00|None|2026-03-01T07:30:00|UNLIMITED||\
cpu=4,gres/gpu:a100=1,mem=32G,node=1
102|bob||gpu|RUNNING|2026-03-01T09:00:00|2026-03-01T09:00:01|Unknown|02:00:00|cpu=1,mem=500M,node=1|
";

#[test]
fn slurm_jobs_steps_and_what_never_ran() {
    let trace = slurm(SACCT).expect("three jobs");
    assert_eq!((trace.jobs.len(), trace.passed_over), (3, 1));
    let [cancelled, done, running] = trace.jobs.as_slice() else { panic!("{trace:?}") };
    assert_eq!((cancelled.name.as_str(), cancelled.outcome), ("101_3", Outcome::Cancelled));
    assert_eq!((cancelled.start, cancelled.duration, cancelled.limit), (None, None, None));
    assert_eq!(
        (cancelled.devices, cancelled.models.as_slice()),
        (1, ["a100".to_owned()].as_slice())
    );
    assert_eq!((done.devices, done.memory, done.machines), (2, Bytes(64 << 30), 1));
    assert_eq!((done.duration, done.limit), (Some(Millis(3_600_000)), Some(Millis(86_400_000))));
    assert_eq!((running.queue.as_str(), running.duration), ("gpu", None));
    assert_eq!((running.devices, running.milli), (0, MilliGpu(0)));
}

#[test]
fn slurm_errors_name_line_and_field() {
    let said = |text: &str| slurm(text).expect_err("wrong").to_string();
    assert!(said("JobID|Submit|Start|End\n").starts_with("line 1: neither `AllocTRES`"));
    let late = SACCT.replace("2026-03-01T09:00:00|2026", "yesterday|2026");
    assert!(
        said(&late).starts_with("line 5, column 22: `Submit` is `yesterday`; it must be a moment")
    );
    let short = SACCT.replace("|None", "");
    assert_eq!(said(&short), "line 4: 10 fields; the header names 11");
}

#[test]
fn plain_with_and_without_options() {
    let text = "submit,duration,gpus,queue,user,limit,memory,models,outcome\n\
                2026-01-01T00:00:10Z,90.5,0.25,lab,ann,,16GB,a100|h100,failed\n\
                1767225600,,2,lab,bob,3600,,,\n";
    let trace = plain(text).expect("two jobs");
    let [first, second] = trace.jobs.as_slice() else { panic!("{trace:?}") };
    assert_eq!((first.devices, first.milli, first.duration), (2, MilliGpu(1000), None));
    assert_eq!((first.limit, first.name.as_str()), (Some(Millis(3_600_000)), "line-3"));
    assert_eq!((second.devices, second.milli), (1, MilliGpu(250)));
    assert_eq!((second.memory, second.outcome), (Bytes(16_000_000_000), Outcome::Failed));
    let said = |text: &str| plain(text).expect_err("wrong").to_string();
    assert_eq!(
        said("submit,duration,gpus\n1,2,1.5"),
        "line 2, column 5: `gpus` is `1.5`; it must be `0`, `2`, or a part of one as in `0.25`"
    );
    assert!(said("submit,gpus\n1,2").starts_with("line 1: no column `duration`"));
}

/// What a damaged log may have in a place.
const JUNK: &str = "[-0-9a-zT:|,.\"\n+ ]{0,3}";

proptest! {
    /// A log that was cut, or written over in places, is read or refused: nobody panics.
    #[test]
    fn any_text_is_read_or_refused(
        which in 0..4_usize,
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), JUNK), 0..6),
    ) {
        let excerpts = [
            include_str!("../data/openb_pods.csv"),
            include_str!("../data/openb_nodes.csv"),
            include_str!("../data/philly.csv"),
            SACCT,
        ];
        let mut text: Vec<char> = excerpts[which].chars().collect();
        for (at, with) in cuts {
            let at = at.index(text.len());
            let end = (at + 2).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        let _ = (openb_requests(&text), openb_machines(&text), philly(&text), slurm(&text));
        let _ = (helios(&text), plain(&text), philly_machines(&text));
    }
}
