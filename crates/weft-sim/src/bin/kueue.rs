//! Prints Kueue's published scheduler fixture, run through the production planner in virtual time,
//! beside what is published: `cargo run --release -p weft-sim --bin kueue`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::{Duration, Instant};
use weft_sched::decide;
use weft_sim::kueue::{ClassName, Fixture, Published, run};
use weft_types::Millis;

/// The bar: at most so many hundredths of the bound.
const BAR_PERCENT: u64 = 115;

fn main() {
    let fixture = Fixture::baseline();
    let (mut engine, mut slowest) = (Duration::ZERO, Duration::ZERO);
    let outcome = run(&fixture, |snapshot, now| {
        let began = Instant::now();
        let plan = decide(snapshot, now);
        let took = began.elapsed();
        (engine, slowest) = (engine + took, slowest.max(took));
        plan
    });
    let published = Published::BASELINE;
    let seconds = |span: Millis| span.0 as f64 / 1000.0;
    let bound = fixture.bound();
    let ended: u64 = outcome.classes.values().map(|class| class.count).sum();
    println!("Kueue's baseline fixture, engine only: virtual time, no API server, no pods");
    println!("{ended} of {} ended", fixture.workloads().len());
    println!("seconds                    ours  published");
    println!(
        "until all have run      {:7.1}    {:7.1}",
        seconds(outcome.makespan),
        seconds(published.makespan)
    );
    println!("least possible          {:7.1}", seconds(bound));
    let names = [ClassName::Small, ClassName::Medium, ClassName::Large];
    for (name, known) in names.iter().zip(published.admission) {
        let class = outcome.classes.get(name).copied().unwrap_or_default();
        let mean = |sum: Millis| seconds(sum) / class.count.max(1) as f64;
        println!(
            "mean to admission {:6} {:6.1}    {:7.1}   (to the start that ran to its end {:.1})",
            format!("{name:?}").to_lowercase(),
            mean(class.first),
            seconds(known),
            mean(class.last),
        );
    }
    let over = 100.0 * outcome.makespan.0 as f64 / bound.0 as f64;
    println!("{over:.1} % of the least possible; bar {BAR_PERCENT} %");
    println!(
        "{} evictions, {} of them in vain; {:.1} % of the work done was lost",
        outcome.evictions,
        outcome.vain,
        100.0 * outcome.lost as f64 / (outcome.lost + work(&fixture)).max(1) as f64
    );
    println!(
        "planner: {} plans in {:.2} s, {:.0} workloads a second, slowest {:.1} ms",
        outcome.plans,
        engine.as_secs_f64(),
        ended as f64 / engine.as_secs_f64(),
        slowest.as_secs_f64() * 1000.0
    );
    println!("decisions {:016x}", outcome.decisions);
}

/// Units times milliseconds that all workloads take.
fn work(fixture: &Fixture) -> u64 {
    fixture.bound().0 * u64::from(fixture.nominal * fixture.cohorts * fixture.queues)
}
