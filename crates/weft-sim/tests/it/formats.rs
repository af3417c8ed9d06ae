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
    assert_eq!((done.name.as_str(), done.queue.as_str(), done.devices), ("10_3", "vision", 2));
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
    assert_eq!((trace.passed_over, durations), (1, vec![None, None, None]));
    let devices: Vec<u32> = trace.jobs.iter().map(|job| job.devices).collect();
    assert_eq!((devices, trace.jobs[0].queue.as_str()), (vec![1, 4, 2], "my team"));
    assert_eq!(trace.jobs[1].queue, "gpu");
}

/// `lines` under a header; the named job's submission, run time and devices.
fn sacct(header: &str, lines: &[&str]) -> Vec<(String, u64, Option<u64>, u32)> {
    let text = format!("{header}\r\n{}\r\n", lines.join("\r\n"));
    let trace = Format::Slurm.read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let row = |job: &weft_sim::trace::Job| {
        let ran = job.duration.map(|ran| ran.0 / 1000);
        (job.name.clone(), job.submit.0 / 1000, ran, job.devices)
    };
    trace.jobs.iter().map(row).collect()
}

/// A moment of 2026-10-25, when clocks in Europe go back from 03:00 to 02:00.
fn at(time: &str) -> String {
    format!("2026-10-25T{time}")
}

fn second(time: &str) -> u64 {
    let mut parts = time.split(':').map(|part| part.parse::<u64>().expect("a number"));
    let mut next = || parts.next().expect("a part");
    1_792_886_400 + next() * 3600 + next() * 60 + next()
}

#[test]
fn an_hour_that_comes_twice() {
    let [submit, start, end] = ["02:10:00", "02:50:00", "02:20:00"].map(at);
    let line = format!("1|{submit}|{start}|{end}|1800|gres/gpu=1");
    let with = sacct("JobID|Submit|Start|End|ElapsedRaw|AllocTRES", &[&line]);
    assert_eq!(with, [("1".to_owned(), second("02:10:00"), Some(1800), 1)]);
    let line = format!("1|{submit}|{start}|{end}|00:30:00|gres/gpu=1");
    let with = sacct("JobID|Submit|Start|End|Elapsed|AllocTRES", &[&line]);
    assert_eq!(with[0].2, Some(1800));
    // Nothing is guessed: without it the run time is not known.
    let line = format!("1|{submit}|{start}|{end}|gres/gpu=1");
    assert_eq!(sacct("JobID|Submit|Start|End|AllocTRES", &[&line])[0].2, None);
    // What still runs has no run time, however long it ran so far.
    let line = format!("1|{submit}|{start}|Unknown|60|gres/gpu=1");
    assert_eq!(sacct("JobID|Submit|Start|End|ElapsedRaw|AllocTRES", &[&line])[0].2, None);
}

#[test]
fn midnight_and_seconds_since_1970() {
    let lines = [
        "1|2026-10-24T23:59:59|2026-10-25T00:00:00|2026-10-26T00:00:00|gres/gpu=1",
        "2|1792886400|1792886401|1792886461|gres/gpu=2",
    ];
    let read = sacct("JobID|Submit|Start|End|AllocTRES", &lines);
    assert_eq!(read[0], ("1".to_owned(), 1_792_886_399, Some(86_400), 1));
    assert_eq!(read[1], ("2".to_owned(), 1_792_886_400, Some(60), 2));
}

#[test]
fn what_is_requeued_runs_one_after_the_other() {
    let line = |state: &str, start: &str, end: &str| {
        format!("7|{}|{}|{}|{state}|gres/gpu=4", at("01:00:00"), at(start), at(end))
    };
    let lines = [
        line("NODE_FAIL", "01:00:00", "02:00:00"),
        line("PREEMPTED", "04:00:00", "05:00:00"),
        line("COMPLETED", "06:00:00", "06:30:00"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let read = sacct("JobID|Submit|Start|End|State|AllocTRES", &lines);
    let moments: Vec<u64> = read.iter().map(|(_, submit, ..)| *submit).collect();
    assert_eq!(moments, ["01:00:00", "02:00:00", "05:00:00"].map(second));
    assert_eq!(read.iter().map(|row| row.2).collect::<Vec<_>>(), [3600, 3600, 1800].map(Some));
}

#[test]
fn what_waits_for_another_job_counts_from_then() {
    let line = |eligible: &str| {
        let [submit, start, end] = ["01:00:00", "09:00:00", "10:00:00"].map(at);
        format!("7|{submit}|{eligible}|{start}|{end}|gres/gpu=1")
    };
    let header = "JobID|Submit|Eligible|Start|End|AllocTRES";
    assert_eq!(sacct(header, &[&line(&at("08:00:00"))])[0].1, second("08:00:00"));
    assert_eq!(sacct(header, &[&line("Unknown")])[0].1, second("01:00:00"));
}

#[test]
fn accelerators_under_every_name_that_sites_give_them() {
    let of = |header: &str, fields: &str| {
        let line = format!("1|{}|{}|{}|{fields}", at("01:00:00"), at("01:00:00"), at("02:00:00"));
        let read = sacct(&format!("JobID|Submit|Start|End|{header}"), &[&line]);
        (read[0].3, read[0].2.is_some())
    };
    assert_eq!(of("AllocTRES", "cpu=8,gres/gpu:h100=4,mem=0,node=1"), (4, true));
    assert_eq!(of("AllocTRES", "billing=8,cpu=8,gres/gpu=8,gres/gpu:h100=8,node=2"), (8, true));
    assert_eq!(of("AllocTRES|ReqTRES", "|cpu=1,gres/gpu:h100=4"), (4, false));
    assert_eq!(of("NNodes|AllocTRES|AllocGRES", "2|cpu=64,node=2|gpu:4"), (8, true));
    assert_eq!(of("NNodes|AllocTRES|ReqGRES", "2|cpu=64,node=2|gpu:v100:2(S:0-1)"), (4, true));
    assert_eq!(of("AllocTRES|ReqGRES", "cpu=64|0"), (0, true));
    assert_eq!(of("AllocTRES", "gres/gpu=1,gres/gpu:a100_2g.10gb=1"), (1, true));
    // `--parsable` ends each line with one more separator.
    assert_eq!(of("AllocTRES|", "gres/gpu=2|"), (2, true));
    assert_eq!(Format::detect("JobIDRaw|Submit|Start|End|AllocTRES"), Some(Format::Slurm));
}

#[test]
fn a_name_that_holds_the_separator_is_explained() {
    let text = "JobID|JobName|Submit|Start|End|AllocTRES\n1|a|b|1|2|3|gres/gpu=1\n";
    let error = Format::Slurm.read(text).expect_err("seven fields");
    assert_eq!(error.to_string(), "line 2: 7 fields; the header names 6");
    assert!(error.hint.is_some_and(|hint| hint.contains("leave JobName")), "{error:?}");
}

#[test]
fn json_of_a_requeued_job_and_one_cut_short() {
    let job = |start: u64, end: u64| {
        format!(
            r#"{{"job_id": 5, "time": {{"submission": 100, "eligible": 150, "elapsed": 40,
            "start": {start}, "end": {end}}}, "tres": {{"allocated":
            [{{"type": "gres", "name": "gpu:1g.5gb", "count": 1}}]}}}}"#
        )
    };
    let text = format!("{{\"jobs\": [{}, {}]}}", job(200, 240), job(300, 340));
    let trace = sacct_json(&text).expect("two runs");
    let moments: Vec<u64> = trace.jobs.iter().map(|job| job.submit.0 / 1000).collect();
    assert_eq!((moments, trace.jobs[0].milli), (vec![150, 240], MilliGpu(142)));
    let error = sacct_json(&text[..text.len() - 9]).expect_err("cut short");
    assert!(error.line > 1 && error.column.is_some() && error.hint.is_some(), "{error:?}");
    assert!(!error.to_string().contains("at line"), "{error}");
}
