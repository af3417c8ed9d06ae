//! What holds of every plan, as a table: each law is tried on some random inputs by every test
//! run, and on as many as are asked for by `cargo xtask prove`.
//!
//! A law is written once, with `laws!`, in the file of its subject. One that breaks is made
//! smaller and printed with its input. A law with known gaps says how many of a thousand inputs
//! may break it; that number may only shrink. Seeds are fixed: the same command tries the same
//! inputs.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tries a law on as many inputs as the runner says.
pub(crate) type Try = fn(&mut TestRunner) -> Result<(), String>;

/// A law.
#[derive(Clone, Copy)]
pub(crate) struct Law {
    pub(crate) name: &'static str,
    pub(crate) tried: Try,
    /// Inputs of a plain test run.
    pub(crate) cases: u32,
    /// Of a thousand inputs, those that may break it.
    pub(crate) gaps: u64,
}

/// Making a failing input smaller takes no longer than this, in milliseconds.
const SHRINK_MS: u32 = 20_000;
/// Inputs of all laws where `WEFT_PROVE_CASES` says nothing else.
const CASES: u64 = 100_000;

/// Writes laws as tests: `fn name(cases, input in strategy) { … }`, where `cases` is how many
/// inputs a plain test run tries; `cases but 3` lets three of a thousand break it. The body is
/// that of a property: `prop_assert!` and `?`.
macro_rules! laws {
    ($($(#[$doc:meta])* fn $name:ident(
        $cases:literal $(but $gaps:literal)?, $input:pat in $strategy:expr $(,)?
    ) $body:block)*) => {
        $($(#[$doc])* fn $name(
            runner: &mut proptest::test_runner::TestRunner,
        ) -> Result<(), String> {
            runner.run(&$strategy, |$input| { $body Ok(()) }).map_err($crate::laws::told)
        })*
        /// The laws of this file.
        pub(crate) const LAWS: &[$crate::laws::Law] = &[$($crate::laws::Law {
            name: stringify!($name),
            tried: $name,
            cases: $cases,
            gaps: 0 $(+ $gaps)?,
        }),*];
        /// Each law on the first of its inputs.
        mod holds { $(#[test] fn $name() { $crate::laws::holds(super::LAWS, stringify!($name)) })* }
    };
}
pub(crate) use laws;

/// Every law there is, or those whose names hold the word that is asked for.
fn all() -> Vec<Law> {
    let files = [
        crate::drains::LAWS,
        crate::engine::LAWS,
        crate::market::LAWS,
        crate::properties::LAWS,
        crate::promises::LAWS,
        crate::reasons::LAWS,
        crate::shadows::LAWS,
        crate::small::LAWS,
        crate::streams::LAWS,
        crate::why::LAWS,
    ];
    let word = std::env::var("WEFT_PROVE_LAW").unwrap_or_default();
    files.concat().into_iter().filter(|law| law.name.contains(&word)).collect()
}

/// For a plain test run.
#[track_caller]
pub(crate) fn holds(laws: &[Law], name: &str) {
    let law = laws.iter().find(|law| law.name == name).expect("a law of this file");
    let sum = law.attempt(law.cases, 0);
    if let Some(error) = sum.error.filter(|_| sum.broken * 1000 > law.gaps * sum.cases) {
        panic!("{} of {}: {error}", sum.broken, sum.cases);
    }
}

/// What came of a law.
#[derive(Default)]
struct Sum {
    cases: u64,
    broken: u64,
    took: Duration,
    error: Option<String>,
}

impl Law {
    /// Tries it; where it may break sometimes, on one input after the other.
    fn attempt(&self, cases: u32, seed: u64) -> Sum {
        let start = Instant::now();
        let (runs, each) = if self.gaps == 0 { (1, cases) } else { (u64::from(cases), 1) };
        let first = seed * runs;
        let mut sum = Sum { cases: cases.into(), ..Sum::default() };
        for seed in first..first + runs {
            if let Err(error) = (self.tried)(&mut runner(each, seed)) {
                sum.broken += 1;
                sum.error.get_or_insert(error);
            }
        }
        Sum { took: start.elapsed(), ..sum }
    }
}

/// Why a law does not hold, then the smallest input that was found.
pub(crate) fn told<T: Debug>(error: TestError<T>) -> String {
    match error {
        TestError::Abort(why) => format!("given up: {why}"),
        TestError::Fail(why, input) => format!("{why}\nfound with {input:?}"),
    }
}

fn runner(cases: u32, seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    // Where single inputs are counted, making each failing one smaller is not worth its time.
    let max_shrink_iters = if cases == 1 { 0 } else { u32::MAX };
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters,
        max_shrink_time: SHRINK_MS,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Inputs of a strategy, each by its own seed.
pub(crate) fn random<S: Strategy>(strategy: S, cases: u64) -> impl Iterator<Item = S::Value> {
    (0..cases).map(move |seed| {
        let tree = strategy.new_tree(&mut runner(1, seed)).expect("it refuses nothing");
        tree.current()
    })
}

/// A number from the environment.
pub(crate) fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// Pieces of work on all processors; what came of each, in no order.
pub(crate) fn threads<T: Send>(pieces: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let (next, results) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let worker = || {
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return;
            }
            let result = work(piece);
            results.lock().expect("no other piece failed").push(result);
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(worker))));
    results.into_inner().expect("no piece failed")
}

#[test]
#[ignore = "a million cases: cargo xtask prove laws"]
fn every_law_in_bulk() {
    let laws = all();
    let cases = asked("WEFT_PROVE_CASES").unwrap_or(CASES);
    let seconds = asked("WEFT_PROVE_SECONDS").map_or(Duration::MAX, Duration::from_secs);
    let begun = Instant::now();
    let tried: Mutex<BTreeMap<&str, (Law, Sum)>> = Mutex::new(BTreeMap::new());
    // Each round is a plain test run of every law; the first tries the same inputs.
    let rounds = cases.div_ceil(laws.iter().map(|law| u64::from(law.cases)).sum());
    threads(rounds * laws.len() as u64, |number| {
        if begun.elapsed() >= seconds {
            return;
        }
        let law = laws[(number % laws.len() as u64) as usize];
        let new = law.attempt(law.cases, number / laws.len() as u64);
        let mut tried = tried.lock().expect("no law panics outside its runner");
        let (_, sum) = tried.entry(law.name).or_insert((law, Sum::default()));
        sum.cases += new.cases;
        sum.broken += new.broken;
        sum.took += new.took;
        sum.error = sum.error.take().or(new.error);
    });
    report(tried.into_inner().expect("no law panics outside its runner"));
}

fn report(tried: BTreeMap<&str, (Law, Sum)>) {
    let (mut failed, mut all) = (Vec::new(), 0);
    println!("\n{:>9}  {:>8}  {:>8}  law", "cases", "seconds", "broken");
    for (name, (law, sum)) in &tried {
        let seconds = sum.took.as_secs_f64();
        println!("{:>9}  {seconds:>8.1}  {:>8}  {name}", sum.cases, sum.broken);
        all += sum.cases;
        if sum.broken * 1000 > law.gaps * sum.cases {
            let error = sum.error.as_deref().unwrap_or_default();
            failed.push(format!("{name}: {} of {}: {error}", sum.broken, sum.cases));
        }
    }
    println!("{all:>9}  cases of {} laws, {} of them do not hold", tried.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
