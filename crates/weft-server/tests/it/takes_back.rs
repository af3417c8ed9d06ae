//! Taking capacity back: the lower priority gives way, waits again and runs in the end.

use crate::world::{World, job};
use weft_lifecycle::State;
use weft_sched::{Queue, Quota};
use weft_types::{Attempt, MilliCpu, QueueName};

#[test]
fn a_higher_priority_takes_the_place_and_gives_it_back() {
    let Some(world) = World::new() else { return };
    let name = QueueName::new("default").unwrap();
    world.write(move |w| {
        let row = w.queue(&name)?.unwrap();
        let cpu = Quota { nominal: MilliCpu(50), ..Quota::default() };
        w.put_queue(&name, &Queue { cpu, ..row.queue }, None)
    });
    // As a training run that saves its state when it is told to end: it exits with 0, undone.
    let saves = "trap 'exit 0' TERM; test $WEFT_ATTEMPT = 2 && exit; while :; do sleep 0.05; done";
    let low = world.submit(job("low", saves));
    world.until_state(low, State::Running);
    let mut high = job("high", "true");
    high.priority = 10;
    let high = world.submit(high);
    assert_eq!(world.until_final(high).record.state, State::Succeeded);
    let row = world.until_final(low);
    assert_eq!((row.record.state, row.record.attempt), (State::Succeeded, Attempt(2)));
    assert_eq!(row.record.retries, 0);
    let told = world.told(low);
    assert!(told.contains(&"preempted".to_owned()) && told.contains(&"requeued".to_owned()));
}
