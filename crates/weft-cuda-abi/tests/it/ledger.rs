//! The ledger under threads that race, and processes that die anywhere.

use std::alloc::{Layout, alloc_zeroed};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use weft_cuda_abi::ledger::{Ledger, Process, Refusal, SLOTS, System};
use weft_cuda_abi::limits::{Limit, head, read};

fn fresh() -> &'static Ledger {
    // SAFETY: zeroed memory of its size and alignment is a ledger that nobody joined.
    let ledger = unsafe { &*alloc_zeroed(Layout::new::<Ledger>()).cast::<Ledger>() };
    assert!(!ledger.is_ready());
    ledger.prepare();
    assert!(ledger.is_ready());
    ledger
}

fn process(number: u32) -> Process {
    Process { number, started: 1 }
}

const ALL_LIVE: System = System { alive: |_| true, pause: std::thread::yield_now };

#[test]
fn racing_threads_never_hold_more_than_the_limit() {
    const LIMIT: u64 = 1000;
    let ledger = fresh();
    let (most, granted) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let (most, granted) = (&most, &granted);
            scope.spawn(move || {
                let place = ledger.join(process(number), 1, &ALL_LIVE).expect("a place");
                let mut seed = u64::from(number);
                for _ in 0..3000 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let bytes = (seed >> 40) % 400 + 1;
                    if ledger.reserve(place, 2, bytes, LIMIT, &ALL_LIVE).is_ok() {
                        most.fetch_max(ledger.held(2), Ordering::Relaxed);
                        granted.fetch_add(1, Ordering::Relaxed);
                        ledger.refund(place, 2, bytes);
                    }
                }
            });
        }
    });
    assert!(most.into_inner() <= LIMIT);
    assert!(granted.into_inner() > 3000, "and most get some");
    assert_eq!(ledger.held(2), 0);
    assert!(ledger.holders(2).all(|(_, now, peak)| now == 0 && peak <= LIMIT));
}

#[test]
fn threads_of_one_process_lose_nothing_of_its_count() {
    let ledger = fresh();
    let place = ledger.join(process(1), 1, &ALL_LIVE).expect("a place");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    ledger.reserve(place, 0, 3, u64::MAX, &ALL_LIVE).expect("there is no limit");
                    ledger.refund(place, 0, 3);
                }
            });
        }
    });
    assert_eq!(ledger.held(0), 0);
}

#[test]
fn what_fits_is_given_to_the_byte_and_no_more() {
    let ledger = fresh();
    let place = ledger.join(process(1), 1, &ALL_LIVE).expect("a place");
    let reserve = |bytes, limit| ledger.reserve(place, 3, bytes, limit, &ALL_LIVE);
    assert_eq!(reserve(60, 100), Ok(()));
    assert_eq!(reserve(40, 100), Ok(()));
    let full = Err(Refusal::Limit { held: 100 });
    assert_eq!(reserve(1, 100), full);
    assert_eq!(reserve(u64::MAX, u64::MAX), full, "no overflow");
    assert_eq!(ledger.held(2), 0, "of another device nothing");
    ledger.refund(place, 3, 1000);
    assert_eq!(ledger.holders(3).collect::<Vec<_>>(), [(process(1), 0, 100)]);
    assert_eq!(reserve(1, 0), Err(Refusal::Limit { held: 0 }));
    let beyond = ledger.reserve(place, 99, 1, u64::MAX, &ALL_LIVE);
    assert_eq!(beyond, Err(Refusal::Limit { held: 0 }), "there is no such device");
    // A second copy of the library in the program finds what is held; the same process as another
    // program holds nothing.
    assert_eq!(reserve(50, 100), Ok(()));
    assert_eq!(ledger.join(process(1), 1, &ALL_LIVE), Some(place));
    assert_eq!(ledger.held(3), 50);
    assert_eq!(ledger.join(process(1), 2, &ALL_LIVE), Some(place));
    assert_eq!(ledger.held(3), 0);
}

/// Numbers of processes that have died.
static DEAD: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn alive(process: Process) -> bool {
    process.started == 1 && !DEAD.lock().expect("no panic").contains(&process.number)
}

#[test]
fn the_dead_give_back_and_their_slots_are_taken() {
    let system = System { alive, pause: std::thread::yield_now };
    let ledger = fresh();
    let dead = 1000..1000 + SLOTS as u32;
    for number in dead.clone() {
        let place = ledger.join(process(number), 1, &system).expect("a place");
        assert_eq!(ledger.reserve(place, 0, 1, SLOTS as u64, &system), Ok(()));
    }
    let late = process(9);
    assert!(ledger.join(late, 1, &system).is_none(), "all places are of the living");
    DEAD.lock().expect("no panic").extend(dead);
    let place = ledger.join(late, 1, &system).expect("a dead one's");
    assert_eq!(ledger.reserve(place, 0, SLOTS as u64, SLOTS as u64, &system), Ok(()));
    assert_eq!(ledger.holders(0).count(), 1);
    // A later process of the same number is another one.
    let again = Process { number: 9, started: 2 };
    assert!(ledger.join(again, 1, &ALL_LIVE).is_some());
    assert_eq!(ledger.holders(0).count(), 2);
}

#[test]
fn limits_are_read_whole_or_not_at_all() {
    let limits = [
        Limit { uuid: [7; 16], memory: 4 << 30, milli: 300 },
        Limit { uuid: [9; 16], memory: u64::MAX, milli: 1000 },
    ];
    let mut file = head(2).to_vec();
    limits.iter().for_each(|limit| file.extend(limit.write()));
    assert_eq!(read(&file).collect::<Vec<_>>(), limits);
    for cut in 0..file.len() {
        assert_eq!(read(&file[..cut]).count(), 0, "{cut}");
    }
    for at in 0..12 {
        let mut other = file.clone();
        other[at] ^= 1;
        assert_eq!(read(&other).count(), 0, "byte {at}");
    }
}
