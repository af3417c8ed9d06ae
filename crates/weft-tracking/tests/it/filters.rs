//! Filters and orders: what they mean, and what is refused.

use proptest::prelude::*;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use weft_tracking::filter::{CLAUSES_MAX, parse};
use weft_tracking::{Code, EXPERIMENTS, Entry, RUNS, order};

/// A run as filters see it.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) texts: BTreeMap<&'static str, String>,
    pub(crate) numbers: BTreeMap<&'static str, i64>,
    pub(crate) metrics: BTreeMap<&'static str, f64>,
    pub(crate) params: BTreeMap<&'static str, String>,
    pub(crate) tags: BTreeMap<&'static str, String>,
    pub(crate) datasets: Vec<[(&'static str, &'static str); 3]>,
}

impl Entry for Run {
    fn text(&self, attribute: &str) -> Option<&str> {
        self.texts.get(attribute).map(String::as_str)
    }
    fn number(&self, attribute: &str) -> Option<i64> {
        self.numbers.get(attribute).copied()
    }
    fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.get(key).copied()
    }
    fn param(&self, key: &str) -> Option<&str> {
        self.params.get(key).map(String::as_str)
    }
    fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
    fn any_dataset(&self, field: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
        let mut values = self.datasets.iter().flatten().filter(|(name, _)| *name == field);
        values.any(|(_, value)| test(value))
    }
}

fn run() -> Run {
    let dataset = |name, digest| [("name", name), ("digest", digest), ("context", "train")];
    Run {
        texts: [("run_id", "a1"), ("run_name", "Bold-Crane"), ("status", "FINISHED")]
            .map(|(name, text)| (name, text.to_owned()))
            .into(),
        numbers: [("start_time", 1_795_465_911_001), ("end_time", 1_795_465_999_000)].into(),
        metrics: [("loss", 0.25), ("a b", -1.5), ("gone", f64::NAN), ("1a", 3.0)].into(),
        params: [("lr", "0.1"), ("empty", "")].map(|(k, v)| (k, v.to_owned())).into(),
        tags: [("mlflow.source.name", "it's\ntrain.py"), ("a'b", "x"), ("x.\"y\"", "z")]
            .map(|(k, v)| (k, v.to_owned()))
            .into(),
        datasets: vec![dataset("claims", "v7"), dataset("rates", "v2")],
    }
}

fn holds(filter: &str) -> bool {
    let clauses = parse(filter, &RUNS).unwrap_or_else(|fault| panic!("{filter}: {fault}"));
    let run = run();
    clauses.iter().all(|clause| clause.holds(&run))
}

#[test]
fn what_is_so_is_found() {
    for filter in [
        "",
        "metrics.loss = 0.25",
        "metric.loss<.5",
        "metrics.`a b` >= -1.5",
        "metrics.\"a b\" < 1e5 AND metrics.1a != 2",
        "metrics.gone != 1",
        "params.lr = '0.1'",
        "params.lr = \"0.1\" and parameters.lr LIKE '0%'",
        "param.empty = ''",
        "tags.mlflow.source.name LIKE '%train.py'",
        "tags.`mlflow.source.name` ilike 'IT''S_TRAIN.%'",
        "tags.`a'b` = 'x'",
        "tags.`a'b` != 'y'",
        "tags.none IS NULL AND tags.`a'b` is  not\tnull AND params.nil IS NULL",
        "run_id IN ('x', \"a1\",)",
        "attributes.run_id NOT IN ('x')",
        "attr.status = 'FINISHED'",
        "`Run name` LIKE 'Bold%' and attributes.`run name` ILIKE 'bold_crane'",
        "start_time = 1795465911001 AND created > 1.5 AND Created <= 1795465911001",
        "dataset.name = 'claims' AND datasets.name IN ('rates') AND dataset.context LIKE 'tr%'",
        "dataset.digest NOT IN ('v7')",
        "and metrics.loss > 0 metrics.loss < 1 AND AND params.lr = '0.1' and",
    ] {
        assert!(holds(filter), "{filter}");
    }
}

#[test]
fn what_is_not_so_or_not_there_is_not() {
    for filter in [
        "metrics.loss > 0.25",
        "metrics.none != 1",
        "metrics.gone = 0",
        "metrics.gone < 1",
        "metrics.gone >= 0",
        "params.nil != 'x'",
        "params.lr IS NULL",
        "params.LR = '0.1'",
        "tags.`a'b` LIKE 'X'",
        "tags.none IS NOT NULL",
        "run_id IN ('A1')",
        "run_id NOT IN ('a1', 'b')",
        "artifact_uri != 'x'",
        "start_time < 1795465911001",
        "dataset.name = 'loans'",
        "metrics.loss > 0 AND params.lr = '0.2'",
    ] {
        assert!(!holds(filter), "{filter}");
    }
}

#[test]
fn what_is_no_filter_is_refused_with_what_is_wrong() {
    for (filter, says) in [
        ("   ", "Could not be parsed"),
        ("metrics.a/b > 1", "at character 10: keys with such characters stand in backticks"),
        ("metrics.loss:val > 1", "backticks"),
        ("metrics.a > 1;", "';' at character 14"),
        ("metrics.a > 1 OR metrics.b > 1", "there is no OR"),
        ("(metrics.a > 1)", "a name was expected"),
        ("1 < metrics.a", "a name was expected"),
        ("metrics.a", "a comparison follows"),
        ("metrics.a >", "a comparison follows"),
        ("metrics.a > '1'", "a number, without quotes"),
        ("metrics.a > nan", "a number, without quotes"),
        ("metrics.a > +1", "at character 13"),
        ("metrics.a > 1x", "a number is written"),
        ("metrics.a == 1", "numbers are compared with"),
        ("metrics.a LIKE 1", "numbers are compared with"),
        ("metrics.a IS NULL", "tags and params only"),
        ("params.a > 'x'", "texts are compared with"),
        ("params.a <> 'x'", "texts are compared with"),
        ("params.a = x", "a text, in quotes"),
        ("params.a = `x`", "a text, in quotes"),
        ("params.a IN ('x')", "no list"),
        ("run_name IN ('x')", "no list"),
        ("run_id IN ()", "a list is written as"),
        ("run_id IN (1)", "a list is written as"),
        ("run_id IN ('a' 'b')", "a list is written as"),
        ("run_id IN ('a'", "does not end"),
        ("tags.a = 'x", "the quote does not end"),
        ("tags.`a = 'x'", "the quote does not end"),
        ("tags. = 'x'", "does not end with a point"),
        ("foo.a = 'x'", "Invalid entity type 'foo'"),
        ("lifecycle_stage = 'active'", "Invalid attribute key 'lifecycle_stage'"),
        ("dataset.source = 'x'", "it has name, digest, context"),
    ] {
        let fault = parse(filter, &RUNS).expect_err(filter);
        assert_eq!(fault.code, Code::InvalidParameterValue);
        assert!(fault.message.contains(says), "{filter}: {fault}");
    }
    let many = "metrics.a > 1 ".repeat(CLAUSES_MAX);
    assert_eq!(parse(&many, &RUNS).unwrap().len(), CLAUSES_MAX);
    assert!(parse(&(many + "metrics.a > 1"), &RUNS).is_err());
}

#[test]
fn experiments_have_words_of_their_own() {
    for good in ["name LIKE 'a%'", "attribute.creation_time > 1", "experiment_id IN ('1')"] {
        assert!(parse(good, &EXPERIMENTS).is_ok(), "{good}");
    }
    for bad in ["metrics.a > 1", "attributes.name = 'x'", "run_id = 'x'", "name IN ('a')"] {
        assert!(parse(bad, &EXPERIMENTS).is_err(), "{bad}");
    }
}

#[test]
fn orders_put_what_has_no_value_last() {
    let with = |value: Option<f64>| Run {
        metrics: value.map(|value| ("m", value)).into_iter().collect(),
        ..Run::default()
    };
    let runs = [Some(2.0), Some(f64::NEG_INFINITY), Some(f64::NAN), None].map(with);
    for (text, expected) in [("metrics.m", [1, 0, 2, 3]), ("`metrics`.\"m\"  DESC", [0, 1, 2, 3])] {
        let order = order::parse(text, &RUNS).unwrap();
        let mut sorted = [3, 2, 1, 0];
        sorted.sort_by(|a: &usize, b| order.compare(&runs[*a], &runs[*b]));
        assert_eq!(sorted, expected, "{text}");
    }
    let (here, gone) = (run(), Run::default());
    for text in ["end_time", "end_time desc", "params.lr", "tags.`a'b` DESC", "run_name asc"] {
        let order = order::parse(text, &RUNS).unwrap();
        assert_eq!(order.compare(&here, &gone), Ordering::Less, "{text}");
        assert_eq!(order.compare(&gone, &here), Ordering::Greater, "{text}");
    }
    for bad in [
        "",
        "a b c",
        "metrics.a foo",
        "params.x, tags.y",
        "'x'",
        "dataset.name",
        "1",
        "metrics.a/b",
    ] {
        let fault = order::parse(bad, &RUNS).expect_err(bad);
        assert!(fault.message.starts_with("Invalid order_by clause"), "{bad}: {fault}");
        assert!(!fault.message.contains("filter"), "{bad}: {fault}");
    }
}

proptest! {
    /// Whatever is sent is read or refused.
    #[test]
    fn any_text_is_read_or_refused(text in "([a-z.]{0,9}|[ '\"`(),.;=<>!0-9e-]|\\PC){0,12}") {
        for searched in [&RUNS, &EXPERIMENTS] {
            if let Ok(clauses) = parse(&text, searched) {
                let run = run();
                clauses.iter().for_each(|clause| { clause.holds(&run); });
            }
            let _ = order::parse(&text, searched);
        }
    }

    /// A key of any characters but its quote can be asked for.
    #[test]
    fn a_quoted_key_is_what_stands_in_the_quotes(key in "[^`]{1,12}", value in "[^']{0,12}") {
        let clauses = parse(&format!("tags.`{key}` = '{value}'"), &RUNS).unwrap();
        let expected = weft_tracking::filter::Clause {
            field: weft_tracking::Field::Tag(key),
            test: weft_tracking::filter::Test::Is(value),
        };
        prop_assert_eq!(clauses, vec![expected]);
    }
}
