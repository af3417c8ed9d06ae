//! Any bytes as a filter, an order and a batch of MLflow's: read or refused, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_tracking::{EXPERIMENTS, Entry, RUNS, check, filter, order, wire};

/// What has everything, and all of it looks like what is asked for.
struct Echo;

impl Entry for Echo {
    fn text(&self, _: &str) -> Option<&str> {
        Some("aaaaaaaaaaaaaaab")
    }
    fn number(&self, _: &str) -> Option<i64> {
        Some(i64::MAX)
    }
    fn metric(&self, key: &str) -> Option<f64> {
        Some(if key.is_empty() { f64::NAN } else { 1.0 })
    }
    fn param(&self, key: &str) -> Option<&str> {
        Some(if key.is_empty() { "" } else { "a%_b" })
    }
    fn tag(&self, key: &str) -> Option<&str> {
        (!key.is_empty()).then_some("a")
    }
    fn any_dataset(&self, field: &str, test: &mut dyn FnMut(&str) -> bool) -> bool {
        test(field)
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(sent) = serde_json::from_slice::<wire::LogBatch>(bytes) {
        std::hint::black_box(check::batch(&sent).is_ok());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for searched in [&RUNS, &EXPERIMENTS] {
        if let Ok(clauses) = filter::parse(text, searched) {
            assert!(clauses.len() <= filter::CLAUSES_MAX);
            clauses.iter().for_each(|clause| {
                std::hint::black_box(clause.holds(&Echo));
            });
        }
        if let Ok(order) = order::parse(text, searched) {
            assert!(order.compare(&Echo, &Echo).is_eq(), "it is as itself");
        }
    }
});
