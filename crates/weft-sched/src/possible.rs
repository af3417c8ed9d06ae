//! Whether a request could ever run: on the pool as it would be with nothing on it, every machine
//! open and every device healthy.
//!
//! Called at submit time, to refuse at once with what is lacking, and by each look.

use crate::board::{Board, Class, Pool, View, empty_pool};
use crate::lacking::{instead, lacking, nearest};
use crate::{Reason, Request, Snapshot};
use alloc::string::String;
use alloc::vec::Vec;
use weft_types::{NodeId, Phase};

/// Most members of a gang: as many as the largest published training runs have processes, and
/// few enough that placing one by one stays bounded.
pub const GANG_MAX: u32 = 32_768;

/// Why no state of this pool could hold the request; none where one could.
///
/// `gpu: auto` is taken as what the concept phase gives, the least of all phases.
pub fn impossible(snapshot: &Snapshot, request: &Request, gang: u32) -> Option<Reason> {
    let (pool, kinds) = empty_pool(snapshot);
    let pool = pool.emptied();
    let class = Class::new(0, request, Phase::Concept, &kinds);
    let gang = gang.max(1);
    let possible = gang <= GANG_MAX && pool.fits(&class, gang, View::Now);
    let names: Vec<NodeId> = snapshot.nodes.keys().cloned().collect();
    (!possible).then(|| reason(&names, &pool, &class, gang))
}

/// For each class, the members that would fit on the empty pool, counted as far as some gang asks.
pub(crate) fn ever(board: &Board) -> Vec<u64> {
    let pool = &board.empty;
    let mut asked = alloc::vec![0; board.classes.len()];
    for wait in &board.waiting {
        let most = &mut asked[wait.class as usize];
        *most = wait.gang.min(GANG_MAX).max(*most);
    }
    let slots = |(class, asked): (&Class, u32)| {
        let mut sum = 0u64;
        for node in 0..pool.machines.len() as u32 {
            if sum >= u64::from(asked) {
                break;
            }
            sum = sum.saturating_add(pool.slots(node, class, View::Now));
        }
        sum.min(u64::from(GANG_MAX))
    };
    board.classes.iter().zip(asked).map(slots).collect()
}

/// The reason, for a class that does not fit on the empty pool.
pub(crate) fn impossible_class(board: &Board, class: u32, gang: u32) -> Reason {
    let class = &board.classes[class as usize];
    reason(&board.names, &board.empty, class, gang)
}

fn reason(names: &[NodeId], pool: &Pool, class: &Class, gang: u32) -> Reason {
    let node = nearest(pool, class, View::Now);
    let one = node.map(|node| lacking(pool, node, class, &class.request, View::Now));
    let lacking = match one {
        None => String::from("the pool has no machine"),
        Some(words) if !words.is_empty() => words,
        // One member fits; the gang as a whole does not.
        Some(_) => {
            let nodes = 0..pool.machines.len() as u32;
            let slots = nodes.map(|node| pool.slots(node, class, View::Now));
            let slots = slots.fold(0, u64::saturating_add).min(u64::from(GANG_MAX));
            alloc::format!("room for all: {slots} of the {gang} members fit at once")
        }
    };
    let instead = node.and_then(|node| instead(pool, node, class)).unwrap_or_default();
    let nearest = node.map(|node| names[node as usize].clone());
    Reason::Impossible { nearest, lacking, instead: String::from(instead) }
}
