//! Which format a file has, and the formats that are nobody's CSV.

use weft_sim::trace::{Format, Outcome, pai, sacct_json};
use weft_types::{Bytes, MilliCpu, MilliGpu, Millis, Timestamp};

#[test]
fn a_header_tells_its_format() {
    let of = |text: &str| Format::detect(text).map(|format| format.to_string());
    let cases = [
        ("submit,duration,gpus\n", "plain"),
        ("\u{feff}Submit,Duration,GPUs,queue\n", "plain"),
        ("JobID|Submit|Start|End|AllocTRES\n", "slurm"),
        ("\n{\"jobs\": []}", "slurm-json"),
        (include_str!("../data/openb_pods.csv"), "openb"),
        (include_str!("../data/philly.csv"), "philly"),
        ("job_id,user,vc,gpu_num,submit_time\n", "helios"),
        ("job_name,task_name,inst_num,plan_gpu\n", "pai"),
    ];
    for (text, format) in cases {
        assert_eq!(of(text).as_deref(), Some(format), "{text:.40}");
    }
    assert_eq!((of(""), of("a,b\n"), of("a|b\n")), (None, None, None));
    assert!(Format::ALL.iter().all(|(format, word)| word.parse() == Ok(*format)));
}

const SACCT: &str = r#"{"meta": {"slurm": {}}, "jobs": [
  {"job_id": 12, "array": {"job_id": 10, "task_id": {"set": true, "infinite": false, "number": 3}},
   "user": "ann", "account": "vision", "partition": "gpu", "state": {"current": ["COMPLETED"]},
   "time": {"submission": 1700000000, "start": 1700000060, "end": 1700003660,
            "limit": {"set": true, "infinite": false, "number": 90}},
   "tres": {"allocated": [{"type": "cpu", "name": "", "id": 1, "count": 16},
     {"type": "mem", "name": "", "count": 65536}, {"type": "node", "name": "", "count": 1},
     {"type": "gres", "name": "gpu", "count": 2},
     {"type": "gres", "name": "gpu:a100", "count": 2}]},
   "steps": [{"time": {}}]},
  {"job_id": 11, "user": "bob", "account": "", "partition": "gpu",
   "state": {"current": "CANCELLED"},
   "time": {"submission": {"set": true, "infinite": false, "number": 1690000000},
            "start": 0, "end": 0},
   "tres": {"allocated": [], "requested": [{"type": "gres", "name": "gpu", "count": 1}]}}
]}"#;

#[test]
fn sacct_as_json() {
    let trace = sacct_json(SACCT).expect("two jobs");
    let [never, done] = trace.jobs.as_slice() else { panic!("{trace:?}") };
    assert_eq!((done.name.as_str(), done.queue.as_str(), done.devices), ("12_3", "vision", 2));
    assert_eq!(
        (done.submit, done.duration),
        (Timestamp(1_700_000_000_000), Some(Millis(3_600_000)))
    );
    assert_eq!((done.limit, done.cpu), (Some(Millis(5_400_000)), MilliCpu(16_000)));
    assert_eq!((done.memory, done.models.as_slice()), (Bytes(64 << 30), &["a100".to_owned()][..]));
    assert_eq!((never.queue.as_str(), never.start, never.duration), ("gpu", None, None));
    assert_eq!((never.outcome, never.devices), (Outcome::Cancelled, 1));
    let said = sacct_json("{\"jobs\": [{}]}").expect_err("no number").to_string();
    assert!(said.contains("missing field `job_id`"), "{said}");
}

#[test]
fn pai_by_its_documented_columns() {
    let text = "job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,plan_mem,plan_gpu,\
                gpu_type,user\n\
                j1,worker,4,Terminated,100.0,400.0,600.0,29.3,100.0,V100,u1\n\
                j2,tf,1,Failed,50.0,,600.0,29.3,25.0,MISC,u2\n\
                j3,ps,2,Waiting,,,600.0,1,,CPU,u2\n";
    let trace = pai(text).expect("tasks");
    let [part, four] = trace.jobs.as_slice() else { panic!("{trace:?}") };
    assert_eq!((four.name.as_str(), four.devices, four.milli), ("j1/worker", 4, MilliGpu(1000)));
    assert_eq!((four.duration, four.cpu), (Some(Millis(300_000)), MilliCpu(24_000)));
    assert_eq!((part.devices, part.milli, part.duration), (1, MilliGpu(250), None));
    assert_eq!((part.models.len(), part.queue.as_str(), trace.passed_over), (0, "u2", 1));
}

/// What sites' accounts really have: names with blanks, states in words, jobs that never began.
#[test]
fn sacct_with_its_oddities() {
    let text = "JobID|User|Account|Partition|State|Submit|Start|End|Timelimit|AllocTRES|ReqTRES\r\n\
        1|ann|my team|gpu|OUT_OF_MEMORY|2026-03-01T08:00:00|2026-03-01T08:00:00|\
        2026-03-01T08:00:00|Partition_Limit||billing=1,cpu=1,gres/gpu=1,node=1\r\n\
        \r\n\
        2_[3-9%2]|bob||gpu|PENDING|2026-03-01T08:00:01|Unknown|Unknown|1-00:00:00||\
        cpu=1,gres/gpu=4\r\n\
        3+0|eve|x|gpu|CANCELLED by 0|2026-03-01T08:00:02|2026-03-01T08:00:09|Unknown|\
        UNLIMITED|gres/gpu:h100=2|\r\n\
        3+0.extern||x||COMPLETED|2026-03-01T08:00:02|2026-03-01T08:00:09|\
        2026-03-01T08:00:10|||\r\n";
    let trace = Format::Slurm.read(text).expect("three jobs");
    let durations: Vec<_> = trace.jobs.iter().map(|job| job.duration).collect();
    assert_eq!((trace.passed_over, durations), (1, vec![Some(Millis(0)), None, None]));
    let devices: Vec<u32> = trace.jobs.iter().map(|job| job.devices).collect();
    assert_eq!((devices, trace.jobs[0].queue.as_str()), (vec![1, 4, 2], "my team"));
    assert_eq!(trace.jobs[1].queue, "gpu");
}
