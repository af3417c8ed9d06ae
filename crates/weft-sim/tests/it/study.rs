//! Studies of small logs, whose outcome can be told beforehand.

use std::sync::atomic::Ordering;
use weft_sim::report;
use weft_sim::study::{
    Cluster, Findings, Policy, PolicyFile, Question, Sharing, TraceFacts, Watch, study,
};
use weft_sim::trace::{Job, plain};
use weft_sim::world::Failures;
use weft_types::Millis;

/// Two teams that are busy at different times: each could use the other's machines.
fn turns() -> String {
    let mut text = String::from("submit,duration,gpus,queue,user\n");
    for job in 0..60 {
        let (team, hour) = if job % 2 == 0 { ("day", 0) } else { ("night", 40) };
        let submit = hour * 3600 + job * 300;
        text += &format!("{submit},{},{},{team},ann\n", 1800 + job * 60, [1, 2, 4][job % 3]);
    }
    text
}

fn jobs(text: &str) -> Vec<Job> {
    plain(text).expect("a log").jobs
}

fn question(text: &str, machines: &str) -> Question {
    Question {
        jobs: jobs(text),
        cluster: Cluster::parse(machines).expect("machines"),
        policies: vec![Policy::today(), Policy::pooled()],
        failures: None,
        seed: 1,
        round: Millis::from_secs(10),
        brief: true,
        facts: TraceFacts::default(),
    }
}

fn answer(question: Question) -> Findings {
    study(question, &Watch::default()).expect("sizes that can be had")
}

#[test]
fn teams_that_are_busy_at_different_times_gain_by_a_pool() {
    let found = answer(question(&turns(), "2x4"));
    let [today, pooled] = found.runs.as_slice() else { panic!("{}", found.runs.len()) };
    assert_eq!((found.trace.compared, found.trace.teams), (60, 2));
    assert_eq!(today.sizes.values().sum::<u64>(), 8);
    assert_eq!(today.sizes, pooled.sizes);
    assert!(pooled.figures.wait.mean * 2 < today.figures.wait.mean, "{:?}", pooled.figures.wait);
    assert!(pooled.borrowed > 0 && today.borrowed == 0);
    assert_eq!((today.claims, pooled.claims.map(|it| it.made > 0)), (None, Some(true)));
}

#[test]
fn a_study_repeats_to_the_byte_with_everything_beside_it() {
    let full = || Question {
        brief: false,
        round: Millis::from_secs(60),
        failures: Some(Failures { mtbf: Millis(80_000_000), repair: Millis(3_600_000) }),
        ..question(&turns(), "3x4")
    };
    let found = answer(full());
    assert_eq!(report::json(&found), report::json(&answer(full())));
    assert_eq!(found.runs.len(), 5);
    assert!(found.runs.iter().any(|ran| ran.failures > 0));
    assert!(found.sensitivity.len() >= 7 && found.sensitivity.iter().any(|it| it.assumed));
    for fewer in &found.fewer {
        assert!(fewer.devices <= found.devices && !fewer.tried.is_empty());
    }
    let page = report::page(&found);
    for heading in ["In short", "Team by team", "What was assumed", "What the data cannot say"] {
        assert!(page.contains(heading), "{heading}");
    }
    assert!(page.len() < 1_000_000 && !page.contains("<script") && !page.contains("http://"));
}

#[test]
fn names_from_a_log_are_no_markup_in_a_report() {
    let text = "submit,duration,gpus,queue,name\n\
        0,600,1,<script>alert(1)</script>,<b>x\n\
        1,600,1,\"a\"\" onload=\"\"x\",y\n\
        2,600,1,\u{202e}evil,z\n\
        3,600,1,,w\n";
    let mut found = answer(question(text, "1x4"));
    found.command = "weft simulate --trace '<img src=x>'".to_owned();
    found.trace.file = "<svg onload=x>.csv".to_owned();
    let page = report::page(&found);
    for harmful in ["<script>", "<b>x", "<img", "<svg onload", "\u{202e}", "\" onload=\"x"] {
        assert!(!page.contains(harmful), "{harmful}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("(no team)"));
}

#[test]
fn what_cannot_run_is_counted_and_one_job_is_enough() {
    let text = "submit,duration,gpus,queue\n0,600,1,a\n0,600,99,a\n0,,1,b\n0,60,0,b\n";
    let found = answer(question(text, "1x8"));
    let trace = &found.trace;
    assert_eq!((trace.jobs, trace.compared, trace.teams), (4, 1, 1));
    assert_eq!((trace.too_large, trace.without_duration, trace.without_devices), (1, 1, 1));
    assert_eq!(found.runs[1].figures.wait.max, 0);
    let page = report::page(&found);
    assert!(page.contains("larger than all the machines") && page.contains("one team only"));
    assert!(report::text(&found).contains("1 job of 1 team"));
}

#[test]
fn a_job_larger_than_its_teams_machines_is_in_no_comparison() {
    // Both want all eight: no two dedicated parts hold both.
    let text = "submit,duration,gpus,queue\n0,600,8,a\n900,600,8,b\n1800,60,1,a\n1800,60,1,b\n";
    let found = answer(question(text, "1x8"));
    assert_eq!((found.trace.compared, found.trace.not_everywhere), (2, 2));
    assert_eq!(found.runs[1].open, 0);
}

#[test]
fn a_run_ends_even_if_capacity_is_passed_to_and_fro() {
    // Each large one borrows from the other's team, whose small one takes it back.
    let text = "submit,duration,gpus,queue\n0,600,8,a\n0,600,8,b\n9,600,1,a\n9,600,1,b\n";
    let found = answer(question(text, "1x8"));
    assert_eq!(found.trace.compared + found.trace.not_everywhere, 4);
}

#[test]
fn left_early_it_says_so() {
    let watch = Watch::default();
    watch.cancel.store(true, Ordering::Relaxed);
    let found = study(question(&turns(), "2x4"), &watch).expect("findings");
    assert!(found.interrupted && found.trace.compared == 0);
    let page = report::page(&found);
    assert!(page.contains("This was left early") && page.contains("nothing to compare"));
}

/// Wherever it is left, the jobs compared are the first of the log, and what is missing is counted.
#[test]
fn left_on_the_way_it_compares_the_first_part_of_the_log() {
    let mut text = String::from("submit,duration,gpus,queue\n");
    for job in 0..900 {
        text += &format!("{},{},{},t{}\n", job * 120, 600 + job % 7 * 60, 1 + job % 2, job % 3);
    }
    let watch = Watch::default();
    let found = std::thread::scope(|scope| {
        let study = scope.spawn(|| study(question(&text, "3x4"), &watch).expect("findings"));
        while watch.progress().0 < 900 && !study.is_finished() {
            std::thread::yield_now();
        }
        watch.cancel.store(true, Ordering::Relaxed);
        study.join().expect("it ends")
    });
    let left = found.left.clone().expect("it was left");
    assert_eq!(left.jobs + left.not_reached, 900);
    assert_eq!(found.trace.compared + left.not_ended, left.jobs);
    // Both policies came about half of the way, though one thread may have slept.
    assert!((90..900).contains(&left.jobs), "{left:?}");
    assert!(left.not_ended * 100 <= left.jobs * 30 && left.not_ended_by.len() == 2, "{left:?}");
    assert!(found.runs.iter().all(|ran| ran.used_mean_milli > 0));
    let page = report::page(&found);
    assert!(page.contains("This was left early") && page.contains("Compared are the first"));
}

#[test]
fn a_model_that_no_machine_has_is_said_so() {
    let text = "submit,duration,gpus,queue,models\n0,600,1,a,nvidia_a100_80gb\n\
        0,600,1,b,h100\n0,600,1,b,\n";
    let found = answer(question(text, "1x8:A100"));
    let trace = &found.trace;
    assert_eq!((trace.without_model, trace.too_large, trace.compared), (1, 0, 2));
    assert!(report::page(&found).contains("model of accelerator that no machine here has"));
}

#[test]
fn a_machine_that_fails_takes_its_job_with_it() {
    let failing = Question {
        failures: Some(Failures { mtbf: Millis(1_000_000), repair: Millis(60_000) }),
        ..question("submit,duration,gpus,queue\n0,3000,1,a\n", "1x1")
    };
    let found = answer(failing);
    let pooled = &found.runs[1];
    assert_eq!(found.trace.compared, 1);
    assert!(pooled.failures > 0 && pooled.destroyed > 0);
    // What it lost, it works again.
    assert!(u128::from(pooled.figures.completion.max) >= 3_000_000 + pooled.destroyed);
}

#[test]
fn a_policy_from_a_file() {
    let file = |value: serde_json::Value| -> Result<Policy, String> {
        let file: PolicyFile = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Policy::of_file(file, "ours")
    };
    let read = file(serde_json::json!({
        "sharing": "dedicated", "order": "service", "suspendable": "70%", "suspend": "2m",
        "queues": {"a": {"guarantee": 6}, "*": {"weight": 1}},
    }));
    let policy = read.expect("a policy");
    assert_eq!((policy.name.as_str(), policy.sharing), ("ours", Sharing::Dedicated));
    assert_eq!((policy.suspendable, policy.suspend), (70, Millis::from_secs(120)));
    let wrong = |value| file(value).expect_err("wrong");
    assert!(wrong(serde_json::json!({"suspendable": "170%"})).contains("0% to 100%"));
    assert!(wrong(serde_json::json!({"give-back": "2m"})).contains("a part of `suspend`"));
    assert!(wrong(serde_json::json!({"sise": 1})).contains("sise"));
    let named = Question { policies: vec![policy], ..question(&turns(), "1x8") };
    let said = study(named, &Watch::default()).expect_err("no such team").to_string();
    assert!(said.contains("`a`, which is no team of the log; its teams are: day, night"), "{said}");
}
