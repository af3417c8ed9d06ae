//! What passes between the agent and a container: rates, marks, and a ledger's bytes as read.

use std::alloc::{Layout, alloc_zeroed};
use weft_cuda_abi::ledger::{LAYOUT, Ledger, Process, System};
use weft_cuda_abi::mark::{self, Build};
use weft_cuda_abi::rates::{HOLDS_NS, rate, word};
use weft_cuda_abi::reading::{BUCKETS, BYTES, Reading, Spent, head, spent};

const ALL_LIVE: System = System { alive: |_| true, pause: std::thread::yield_now };
const NINE_IS_DEAD: System = System { alive: |it| it.number != 9, ..ALL_LIVE };

#[test]
fn a_rate_holds_for_a_while_and_nonsense_is_none() {
    let now = 86_400_000_000_000;
    for given in [0, 1, 300, 999, 1000] {
        assert_eq!(rate(word(given, now), now), Some(given));
        assert_eq!(rate(word(given, now), now + HOLDS_NS - (1 << 20)), Some(given));
        assert_eq!(rate(word(given, now), now + HOLDS_NS + (2 << 20)), None, "it has run out");
    }
    assert_eq!(rate(word(5000, now), now), Some(1000));
    assert_eq!(rate(0, now), None);
    assert_eq!(rate(0, 0), None);
    assert_eq!(rate(word(300, now + 10 * HOLDS_NS), now), None, "from a time that is not yet");
    // A word of which half is another's.
    let (old, new) = (word(300, now), word(700, now + 7 * HOLDS_NS));
    for bytes in 1..8 {
        let low = (1u64 << (8 * bytes)) - 1;
        let torn = rate(old & !low | new & low, now);
        assert!(torn.is_none_or(|rate| rate <= 1000), "{torn:?}");
    }
    let wrong = (0..64).filter(|bit| rate(word(300, now) ^ 1 << bit, now).is_some());
    assert_eq!(wrong.count(), 0, "one bit that is not as written");
}

#[test]
fn a_file_says_which_build_it_is_of() {
    let built = mark::this("0.1.0");
    let file = [&[7; 100][..], &built, &[7; 100]].concat();
    assert_eq!(mark::read(&file), Some(Build { layout: LAYOUT, version: "0.1.0" }));
    assert_eq!(mark::read(&file[..120]), None, "cut short");
    assert_eq!(mark::read(&[&file[..], &file].concat()), None, "two of them");
    assert_eq!(mark::read(b"nothing"), None);
    let long = "9".repeat(100);
    let cut = mark::this(&long);
    assert!(mark::read(&cut).is_some_and(|build| build.version.len() < 60));
}

#[test]
fn a_copy_is_read_as_the_ledger_is_and_nonsense_as_nothing() {
    // SAFETY: zeroed memory of its size and alignment is a ledger that nobody joined.
    let ledger = unsafe { &*alloc_zeroed(Layout::new::<Ledger>()).cast::<Ledger>() };
    let copy = || {
        // SAFETY: the ledger itself, whose bytes are all initialised.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(ledger).cast::<u8>(), BYTES) }
            .to_vec()
    };
    assert!(Reading::of(&copy()).is_none(), "not yet one");
    ledger.prepare();
    let mut made = vec![0; BYTES];
    made[..head().len()].copy_from_slice(&head());
    assert_eq!(made, copy(), "made of its first bytes");
    let join = |number| ledger.join(Process { number, started: 1 }, 1, &ALL_LIVE).expect("a place");
    let (dead, living) = (join(9), join(10));
    for place in [dead, living] {
        ledger.reserve(place, 3, 500, 1000, &ALL_LIVE).expect("room");
        for counter in [&ledger.slot(place).launches, &ledger.slot(place).to_device] {
            counter.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
        }
    }
    ledger.bucket(3).expect("one").correct(0, 123);
    // The dead one is looked for, and what it did stays counted.
    ledger.reserve(living, 3, 100, 1000, &NINE_IS_DEAD).expect("the dead hold nothing");
    let bytes = copy();
    let read = Reading::of(&bytes).expect("a ledger");
    assert_eq!((read.memory(3), read.memory_peak(3), read.memory(2)), (600, 1000, 0));
    assert_eq!((read.launches(), read.to_device(), read.from_device()), (14, 14, 0));
    assert_eq!((read.processes(), read.memory(99), read.memory_peak(99)), (1, 0, 0));
    let took = Spent { ns: 123, waits: 0 };
    assert_eq!((read.spent(3), read.spent(99)), (took, Spent::default()));
    assert_eq!(spent(&bytes[BUCKETS], 3), took);
    assert_eq!(spent(&bytes[..10], 3), Spent::default());

    assert!(Reading::of(&bytes[..BYTES - 1]).is_none());
    assert!(Reading::of(&[]).is_none());
    let mut scribbled = vec![0xff; BYTES];
    assert!(Reading::of(&scribbled).is_none());
    scribbled[..24].copy_from_slice(&bytes[..24]);
    let read = Reading::of(&scribbled).expect("its head is right");
    assert_eq!((read.memory(0), read.launches()), (u64::MAX, u64::MAX));
}
