//! Failpoints: named places before and after each durable step where a test may strike.
//!
//! `WEFT_FAILPOINT="name:action[:nth]"`, several joined by `,`; actions are `abort` (die as by
//! `kill -9`) and `error`; `nth` counts from 1 and strikes once (absent: every time). Called by
//! the store, the agent and the runtime. Release builds hold none of it: `hit` is `Ok(())`.

/// The name of the failpoint that made an operation fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("failpoint {0}")]
pub struct Struck(pub &'static str);

/// Dies, fails or does nothing, as the environment says for this name.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn hit(_name: &'static str) -> Result<(), Struck> {
    Ok(())
}

/// Dies, fails or does nothing, as the environment says for this name.
#[cfg(debug_assertions)]
pub fn hit(name: &'static str) -> Result<(), Struck> {
    use std::sync::atomic::Ordering;
    for point in armed().iter().filter(|point| point.name == name) {
        let count = point.hits.fetch_add(1, Ordering::SeqCst) + 1;
        if point.nth.is_some_and(|nth| nth != count) {
            continue;
        }
        match point.abort {
            true => std::process::abort(),
            false => return Err(Struck(name)),
        }
    }
    Ok(())
}

#[cfg(debug_assertions)]
struct Point {
    name: String,
    abort: bool,
    nth: Option<u64>,
    hits: std::sync::atomic::AtomicU64,
}

/// Read once: a process is armed when it starts, never while it runs.
#[cfg(debug_assertions)]
fn armed() -> &'static [Point] {
    static ARMED: std::sync::OnceLock<Vec<Point>> = std::sync::OnceLock::new();
    ARMED.get_or_init(|| {
        let text = std::env::var("WEFT_FAILPOINT").unwrap_or_default();
        text.split(',').filter(|one| !one.is_empty()).map(parse).collect()
    })
}

/// A misspelt failpoint would make a test pass that tests nothing, so it panics.
#[cfg(debug_assertions)]
fn parse(text: &str) -> Point {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default().to_owned();
    let abort = match parts.next() {
        Some("abort") => true,
        Some("error") => false,
        _ => panic!("WEFT_FAILPOINT: `{text}` is not name:abort or name:error"),
    };
    let nth = parts.next().map(|n| n.parse().expect("WEFT_FAILPOINT: nth is not a number"));
    Point { name, abort, nth, hits: Default::default() }
}
