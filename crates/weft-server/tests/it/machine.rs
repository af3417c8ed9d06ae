//! The machine in the pool: what it gives, what keeps work off it, who may use it.

use crate::world::{World, job};
use weft_lifecycle::State;
use weft_sched::Quota;
use weft_types::{MilliGpu, QueueName};

fn first_queue(world: &World) -> weft_sched::Queue {
    let name = QueueName::new("default").unwrap();
    world.write(move |w| w.queue(&name)).unwrap().queue
}

#[test]
fn the_first_queue_has_the_whole_pool_until_somebody_changes_it() {
    let Some(mut world) = World::with(|config| config.simulate = Some("2xH200-141".into())) else {
        return;
    };
    let nodes = world.write(|w| w.nodes());
    let queue = first_queue(&world);
    assert_eq!(queue.gpu.nominal, MilliGpu(2_000));
    assert_eq!((queue.cpu.nominal, queue.memory.nominal), (nodes[0].cpu, nodes[0].memory));
    world.crash();
    world.simulate("4xH200-141");
    world.start();
    assert_eq!(first_queue(&world).gpu.nominal, MilliGpu(4_000));
    let edited = weft_sched::Queue {
        gpu: Quota { nominal: MilliGpu(1_000), ..Quota::default() },
        ..first_queue(&world)
    };
    let name = QueueName::new("default").unwrap();
    world.write(move |w| w.put_queue(&name, &edited, None));
    world.crash();
    world.simulate("8xH200-141");
    world.start();
    assert_eq!(first_queue(&world).gpu.nominal, MilliGpu(1_000));
    assert_eq!(world.write(|w| w.devices()).len(), 8);
}

#[test]
fn a_drained_machine_takes_nothing_and_keeps_its_name_and_mark() {
    let Some(mut world) = World::new() else { return };
    let name = world.write(|w| w.nodes())[0].name.clone();
    let drained = name.clone();
    world.write(move |w| w.drain_node(&drained, true, None));
    let id = world.submit(job("waits", "true"));
    world.until_verdict(id);
    world.crash();
    world.start();
    world.until_verdict(id);
    assert_eq!(world.row(id).record.state, State::Queued);
    let nodes = world.write(|w| w.nodes());
    assert_eq!((nodes.len(), &nodes[0].name, nodes[0].drained), (1, &name, true));
    world.write(move |w| w.drain_node(&name, false, None));
    assert_eq!(world.until_final(id).record.state, State::Succeeded);
}
