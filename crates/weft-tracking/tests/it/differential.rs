//! The same filters and orders, read by MLflow's own client: what is found has to be the same.
//! `cargo xtask test` fetches it.

use crate::filters::Run;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use weft_tracking::filter::{Clause, parse};
use weft_tracking::{RUNS, order};

/// Filters and orders that are tried, of each.
const TRIED: usize = 2_000;

/// The places of the runs that are found; none where the search is refused.
type Found = Option<&'static [usize]>;

/// What differs on purpose: what is found here, then what MLflow finds.
const DIFFERENT: [(&str, Found, Found); 2] = [
    // A doubled quote is one, as in SQL; there nobody can look for a text with one.
    ("tags.quote = 'it''s'", Some(&[0]), Some(&[])),
    // Strings that stand side by side are one in Python, and a forgotten comma everywhere else.
    ("run_id IN ('a' '1')", None, Some(&[0])),
];

fn runs() -> Vec<Run> {
    let dataset = |name, digest| [("name", name), ("digest", digest), ("context", "train")];
    let texts = |of: &[(&'static str, &str)]| {
        of.iter().map(|(key, text)| (*key, (*text).to_owned())).collect()
    };
    vec![
        Run {
            texts: texts(&[("run_id", "a1"), ("run_name", "Bold"), ("status", "FINISHED")]),
            numbers: [("start_time", 30), ("end_time", 40)].into(),
            metrics: [("loss", 0.25), ("a b", -1.5)].into(),
            params: texts(&[("lr", "0.1"), ("a b", "x")]),
            tags: texts(&[("team", "red"), ("a.b", "x"), ("quote", "it's")]),
            datasets: vec![dataset("claims", "v7"), dataset("rates", "v2")],
        },
        Run {
            texts: texts(&[("run_id", "b2"), ("run_name", "bold"), ("status", "RUNNING")]),
            numbers: [("start_time", 20)].into(),
            metrics: [("loss", 2.0)].into(),
            params: texts(&[("lr", "0.01"), ("empty", "")]),
            tags: texts(&[("team", "Red"), ("quote", "its")]),
            datasets: vec![dataset("loans", "v7")],
        },
        Run {
            texts: texts(&[("run_id", "c3"), ("run_name", "x"), ("status", "FAILED")]),
            numbers: [("start_time", 10), ("end_time", 11)].into(),
            metrics: [("loss", f64::INFINITY), ("a b", 0.0)].into(),
            ..Run::default()
        },
    ]
}

fn to_json(runs: &[Run]) -> Value {
    let each = runs.iter().map(|run| {
        json!({
            "texts": run.texts, "numbers": run.numbers, "params": run.params, "tags": run.tags,
            // As Python reads it.
            "metrics": run.metrics.iter().map(|(key, value)| match value.is_finite() {
                true => (*key, json!(value)),
                false => (*key, json!(1e300)),
            }).collect::<std::collections::BTreeMap<_, _>>(),
            "datasets": run.datasets.iter().map(|of| {
                of.iter().copied().collect::<std::collections::BTreeMap<_, _>>()
            }).collect::<Vec<_>>(),
        })
    });
    each.collect()
}

const ENTITIES: &[&str] = &[
    "metrics.",
    "metric.",
    "params.",
    "param.",
    "parameters.",
    "tags.",
    "tag.",
    "`tags`.",
    "attributes.",
    "attr.",
    "run.",
    "dataset.",
    "datasets.",
    "",
    "foo.",
];
const KEYS: &[&str] = &[
    "loss",
    "`a b`",
    "\"a b\"",
    "lr",
    "empty",
    "team",
    "a.b",
    "`a.b`",
    "run_id",
    "run_name",
    "`run name`",
    "status",
    "start_time",
    "end_time",
    "created",
    "Created",
    "name",
    "digest",
    "context",
    "none",
];
const SIGNS: &[&str] =
    &["=", "!=", "<", "<=", ">", ">=", "LIKE", "ilike", "IN", "not in", "IS NULL", "is not null"];
const VALUES: &[&str] = &[
    "0.25",
    "2",
    "-1.5",
    "1e1",
    "20",
    "30.0",
    "'x'",
    "\"x\"",
    "'0.1'",
    "'%'",
    "'r_d'",
    "'b%'",
    "'Red'",
    "'FINISHED'",
    "''",
    "x",
    "'v7'",
    "'claims'",
    "'train'",
];
const LISTS: &[&str] = &["('a1')", "('b2', \"c3\")", "('claims','v2')", "()", "(1)"];
/// Most clauses by chance are refused: of two, one that is not.
const GOOD: &[&str] =
    &["metrics.loss > 0", "params.lr != 'x'", "tags.none IS NULL", "run_id != 'b2'"];

/// A name, a comparison and a value: often such as belong together, and often not. But lists stand
/// behind `IN` alone: MLflow compares a text with a list, and looks for one text in another.
fn filters() -> impl Strategy<Value = String> {
    let of = proptest::sample::select::<&str>;
    let parts = (of(ENTITIES), of(KEYS), of(SIGNS), of(VALUES), of(LISTS));
    let clause = parts.prop_map(|(entity, key, sign, value, list)| {
        match sign.to_lowercase().split(' ').next_back() {
            Some("null") => format!("{entity}{key} {sign}"),
            Some("in") => format!("{entity}{key} {sign} {list}"),
            _ => format!("{entity}{key} {sign} {value}"),
        }
    });
    let and = of(&[" AND ", " and ", "\nAND\t"]);
    (clause, proptest::option::of((and, of(GOOD)))).prop_map(|(clause, more)| match more {
        None => clause,
        Some((and, good)) => format!("{clause}{and}{good}"),
    })
}

fn orders() -> impl Strategy<Value = String> {
    let of = |all: &'static [&'static str]| proptest::sample::select(all);
    let key = of(&[
        "metrics.loss",
        "metrics.`a b`",
        "metrics.none",
        "params.lr",
        "tags.team",
        "start_time",
        "end_time",
        "attributes.run_name",
        "Created",
        "status",
        "foo.a",
        "nothing",
        "run_id",
    ]);
    let way = of(&["", " ASC", " desc", "  DESC", " down", " asc asc"]);
    (key, way).prop_map(|(key, way)| format!("{key}{way}"))
}

fn drawn(from: impl Strategy<Value = String>) -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    (0..TRIED).map(|_| from.new_tree(&mut runner).unwrap().current()).collect()
}

/// What MLflow finds for each.
fn theirs(runs: &[Run], asked: &[Value]) -> Vec<Option<Vec<usize>>> {
    let target = std::env::current_exe().unwrap();
    let target = target.ancestors().nth(3).expect("tests are in target/debug/deps");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/programs/search.py");
    let mut child = Command::new("python3")
        .arg(program)
        .env("PYTHONPATH", target.join("clients/mlflow"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = to_json(runs).to_string() + "\n";
    asked.iter().for_each(|line| lines += &format!("{line}\n"));
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success());
    let said = String::from_utf8(out.stdout).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn filtered(runs: &[Run], filter: &str) -> Option<Vec<usize>> {
    let clauses = parse(filter, &RUNS).ok()?;
    let all = |run: &Run| clauses.iter().all(|clause: &Clause| clause.holds(run));
    Some((0..runs.len()).filter(|at| all(&runs[*at])).collect())
}

fn ordered(runs: &[Run], order: &str) -> Option<Vec<usize>> {
    let order = order::parse(order, &RUNS).ok()?;
    let mut places: Vec<_> = (0..runs.len()).collect();
    // They are in the order that MLflow begins with: the last started first.
    places.sort_by(|a, b| order.compare(&runs[*a], &runs[*b]));
    Some(places)
}

#[test]
#[ignore = "MLflow's own client: cargo xtask test"]
fn clients_mlflow_finds_the_same_runs_in_the_same_order() {
    let runs = runs();
    let (filters, orders) = (drawn(filters()), drawn(orders()));
    let asked = filters.iter().map(|filter| json!({ "filter": filter }));
    let asked = asked.chain(orders.iter().map(|order| json!({ "order": order })));
    let asked = asked.chain(DIFFERENT.iter().map(|(filter, ..)| json!({ "filter": filter })));
    let theirs = theirs(&runs, &asked.collect::<Vec<_>>());
    assert_eq!(theirs.len(), 2 * TRIED + DIFFERENT.len());

    let pairs = filters.iter().map(|text| (text, filtered(&runs, text)));
    let pairs = pairs.chain(orders.iter().map(|text| (text, ordered(&runs, text))));
    let differ = pairs.zip(&theirs).filter(|((_, ours), theirs)| ours != *theirs);
    let differ: Vec<_> = differ.collect();
    assert!(differ.is_empty(), "{} differ, the text, ours, theirs: {differ:#?}", differ.len());
    let good = theirs.iter().take(TRIED).flatten().count();
    assert!(good > TRIED / 10, "only {good} filters are good ones");
    for ((filter, ours, expected), theirs) in DIFFERENT.iter().zip(&theirs[2 * TRIED..]) {
        assert_ne!(ours, expected, "{filter}");
        assert_eq!(filtered(&runs, filter).as_deref(), *ours, "{filter}");
        assert_eq!(theirs.as_deref(), *expected, "{filter}");
    }
}
