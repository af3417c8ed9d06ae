//! What may be kept of what clients send.

use serde_json::json;
use weft_tracking::check::{
    self, EXPERIMENT_NAME_MAX, EXPERIMENT_TAG_MAX, KEY_MAX, METRICS_MAX, PAIRS_MAX, PARAM_MAX,
    TAG_MAX,
};
use weft_tracking::wire::{LogBatch, Metric, Pair};
use weft_tracking::{Code, Fault};

fn sent(batch: serde_json::Value) -> LogBatch {
    serde_json::from_value(batch).unwrap()
}

fn refused(batch: serde_json::Value) -> String {
    let Fault { code, message } = check::batch(&sent(batch)).unwrap_err();
    assert_eq!(code, Code::InvalidParameterValue);
    message
}

#[test]
fn a_batch_as_clients_send_it_is_kept() {
    let batch = check::batch(&sent(json!({
        "run_id": "6f1ed002ab5595859014ebf0951522d9",
        "metrics": [
            {"key": "loss", "value": 0.25, "timestamp": 1_795_465_911_000_i64, "step": 3},
            {"key": "train/acc", "value": 1, "timestamp": "1795465911000"},
            {"key": "grad norm", "value": "NaN", "timestamp": 1e12, "step": null},
            {"key": "up", "value": "-Infinity", "timestamp": 0, "step": "-1", "model_id": "m-1"},
        ],
        "params": [{"key": "lr", "value": "0.1"}, {"key": "none"}],
        "tags": null,
        "something_new": {"that": "we do not know"},
    })));
    let batch = batch.unwrap();
    let told: Vec<_> = batch.points.iter().map(|p| (p.key.as_str(), p.timestamp, p.step)).collect();
    assert_eq!(
        told,
        [
            ("loss", 1_795_465_911_000, 3),
            ("train/acc", 1_795_465_911_000, 0),
            ("grad norm", 1_000_000_000_000, 0),
            ("up", 0, -1)
        ]
    );
    let values: Vec<_> = batch.points.iter().map(|p| p.value).collect();
    assert_eq!((values[0], values[1], values[3]), (0.25, 1.0, f64::NEG_INFINITY));
    assert!(values[2].is_nan());
    assert_eq!((batch.params[1].value.as_str(), batch.tags.len()), ("", 0));
}

#[test]
fn what_breaks_a_rule_is_named_with_its_place() {
    let point = |key: &str| json!({"key": key, "value": 1.0, "timestamp": 1});
    for (batch, says) in [
        (json!({"metrics": [point("a"), point("a\u{7}")]}), "'metrics[1].name'"),
        (json!({"metrics": [point("../a")]}), "must not resolve"),
        (json!({"metrics": [point("/a")]}), "must not resolve"),
        (json!({"metrics": [point("a//b")]}), "must not resolve"),
        (json!({"metrics": [point("")]}), "must not resolve"),
        (json!({"metrics": [{"key": "a", "timestamp": 1}]}), "parameter 'metrics[0].value'"),
        (json!({"metrics": [{"value": 1, "timestamp": 1}]}), "parameter 'metrics[0].name'"),
        (json!({"metrics": [{"key": "a", "value": 1}]}), "parameter 'metrics[0].timestamp'"),
        (json!({"metrics": [{"key": "a", "value": 1, "timestamp": -1}]}), "nonnegative"),
        (json!({"metrics": [point(&"k".repeat(KEY_MAX + 1))]}), "maximum length of 250"),
        (json!({"params": [{"key": "a|b", "value": "x"}]}), "'params[0].key'"),
        (
            json!({"params": [{"key": "a", "value": "x"}, {"key": "a", "value": "x"}]}),
            "Duplicate parameter keys have been submitted: ['a']",
        ),
        (json!({"tags": [{"value": "x"}]}), "parameter 'tags[0].key'"),
    ] {
        let message = refused(batch.clone());
        assert!(message.contains(says), "{batch}: {message}");
    }
}

#[test]
fn a_batch_has_limits() {
    let points = |count: usize| {
        (0..count).map(|_| json!({"key": "a", "value": 1, "timestamp": 1})).collect::<Vec<_>>()
    };
    let pairs = |count: usize| {
        (0..count).map(|at| json!({"key": format!("k{at}"), "value": "x"})).collect::<Vec<_>>()
    };
    assert!(check::batch(&sent(json!({"metrics": points(METRICS_MAX)}))).is_ok());
    let all = json!({"metrics": points(800), "params": pairs(100), "tags": pairs(100)});
    assert!(check::batch(&sent(all)).is_ok());
    for (batch, says) in [
        (json!({"metrics": points(METRICS_MAX + 1)}), "at most 1000 metrics. Got 1001"),
        (json!({"params": pairs(PAIRS_MAX + 1)}), "at most 100 params. Got 101"),
        (json!({"tags": pairs(PAIRS_MAX + 1)}), "at most 100 tags. Got 101"),
        (json!({"metrics": points(950), "tags": pairs(60)}), "at most 1000 metrics, params, and"),
    ] {
        let message = refused(batch);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn long_values_of_runs_are_cut_and_those_of_experiments_refused() {
    let pair = |length: usize| Pair { key: Some("k".into()), value: Some("é".repeat(length)) };
    let length = |kept: check::Kept| kept.value.chars().count();
    assert_eq!(length(check::param(&pair(PARAM_MAX + 1), "").unwrap()), PARAM_MAX);
    assert_eq!(length(check::tag(&pair(TAG_MAX + 1), "").unwrap()), TAG_MAX);
    assert!(check::experiment_tag(&pair(EXPERIMENT_TAG_MAX)).is_ok());
    assert!(check::experiment_tag(&pair(EXPERIMENT_TAG_MAX + 1)).is_err());
    assert!(check::experiment_name(Some(&"é".repeat(EXPERIMENT_NAME_MAX))).is_ok());
    assert!(check::experiment_name(Some(&"é".repeat(EXPERIMENT_NAME_MAX + 1))).is_err());
    for name in [None, Some(""), Some("  ")] {
        assert!(check::experiment_name(name).is_err(), "{name:?}");
    }
}

#[test]
fn ids_are_what_they_can_be() {
    for good in ["6f1ed002ab5595859014ebf0951522d9", "a", "A-b_c"] {
        assert_eq!(check::run_id(Some(good)).as_deref(), Ok(good));
    }
    for bad in ["", "-a", "_a", "a/b", "../a", "a b", "é", "a\n", &"a".repeat(257)] {
        assert!(check::run_id(Some(bad)).is_err(), "{bad}");
    }
    assert_eq!(check::experiment_id(Some("7")), Ok(7));
    for bad in [None, Some(""), Some("-1"), Some("x"), Some("99999999999999999999")] {
        assert!(check::experiment_id(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn numbers_are_read_as_protocol_buffers_are_and_nothing_else_is_one() {
    let read = |text: &str| serde_json::from_str::<Metric>(text);
    for bad in [
        "{\"step\": 1.5}",
        "{\"step\": true}",
        "{\"step\": \"x\"}",
        "{\"step\": 9223372036854775808}",
        "{\"timestamp\": 1e19}",
        "{\"value\": true}",
        "{\"value\": \"inf\"}",
        "{\"value\": \"1e999\"}",
        "{\"value\": [1]}",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let metric = Metric {
        model_id: None,
        run_id: None,
        key: Some("a".to_owned()),
        value: Some(f64::INFINITY),
        timestamp: Some(i64::MAX),
        step: Some(i64::MIN),
    };
    let text = serde_json::to_string(&metric).unwrap();
    assert!(text.contains("\"Infinity\"") && text.contains(":9223372036854775807"), "{text}");
    assert_eq!(read(&text).unwrap(), metric);
}
