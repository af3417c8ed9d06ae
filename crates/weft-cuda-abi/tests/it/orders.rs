//! The ledger in every order in which its threads' accesses can fall, memory orders included: few
//! threads, small tables, each question by itself. By `cargo xtask prove orders`.

use loom::sync::Arc;
use loom::thread;
use weft_cuda_abi::ledger::{Ledger, Place, Process, Refusal, System};
use weft_cuda_abi::share::Bucket;

/// A process that was killed.
const KILLED: u32 = 9;
const SYSTEM: System =
    System { alive: |process| process.number != KILLED, pause: thread::yield_now };
const LIMIT: u64 = 100;

fn process(number: u32) -> Process {
    Process { number, started: 1 }
}

fn fresh() -> Arc<Ledger> {
    let ledger = Ledger::modelled();
    ledger.prepare();
    Arc::new(ledger)
}

fn reserve(ledger: &Ledger, place: Place, bytes: u64) -> bool {
    match ledger.reserve(place, 0, bytes, LIMIT, &SYSTEM) {
        Ok(()) => true,
        Err(Refusal::Limit { held }) => {
            assert!(held <= LIMIT && held + bytes > LIMIT, "refused for nothing: {held}");
            false
        }
        Err(Refusal::Busy) => panic!("nobody stands still"),
    }
}

#[test]
fn of_two_processes_that_want_the_last_one_has_it() {
    loom::model(|| {
        let ledger = fresh();
        let places = [1, 2].map(|number| ledger.join(process(number), 1, &SYSTEM).expect("free"));
        let other = {
            let ledger = ledger.clone();
            thread::spawn(move || reserve(&ledger, places[1], 60))
        };
        let one = reserve(&ledger, places[0], 60);
        assert!(ledger.held(0) <= LIMIT);
        assert_ne!(one, other.join().unwrap(), "one of them");
        assert_eq!(ledger.held(0), 60);
    });
}

#[test]
fn a_thread_that_gives_back_while_another_takes_is_counted() {
    loom::model(|| {
        let ledger = fresh();
        let place = ledger.join(process(1), 1, &SYSTEM).expect("free");
        assert!(reserve(&ledger, place, 7));
        let other = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.refund(place, 0, 7))
        };
        assert!(reserve(&ledger, place, 3));
        other.join().unwrap();
        assert_eq!(ledger.held(0), 3);
    });
}

#[test]
fn the_lock_of_one_that_was_killed_is_taken_over_once() {
    loom::model(|| {
        let ledger = fresh();
        let places = [1, 2].map(|number| ledger.join(process(number), 1, &SYSTEM).expect("free"));
        ledger.die_with_the_lock(process(KILLED), &SYSTEM);
        let other = {
            let ledger = ledger.clone();
            thread::spawn(move || reserve(&ledger, places[1], 60))
        };
        let one = reserve(&ledger, places[0], 60);
        assert_ne!(one, other.join().unwrap(), "one of them");
        assert_eq!(ledger.held(0), 60);
    });
}

#[test]
fn who_joins_at_once_has_places_of_their_own() {
    loom::model(|| {
        let ledger = fresh();
        let killed = ledger.join(process(KILLED), 1, &SYSTEM).expect("free");
        assert!(reserve(&ledger, killed, 60));
        let other = {
            let ledger = ledger.clone();
            thread::spawn(move || ledger.join(process(2), 1, &SYSTEM))
        };
        let one = ledger.join(process(1), 1, &SYSTEM);
        let other = other.join().unwrap();
        assert!(one.is_some() && other.is_some() && one != other, "{one:?} {other:?}");
        assert_eq!(ledger.held(0), 0, "the place of the dead was cleared");
    });
}

#[test]
fn time_is_filled_once_and_paid_by_each() {
    loom::model(|| {
        const COST: u64 = 3_000_000;
        let bucket = Arc::new(Bucket::default());
        let pays = |bucket: &Bucket| bucket.pay(10_000_000, COST, 1000).is_ok();
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || pays(&bucket))
        };
        let paid = u64::from(pays(&bucket)) + u64::from(other.join().unwrap());
        assert!(paid >= 1, "who filled it can pay");
        assert_eq!(bucket.spent(), paid * COST);
        // Ten milliseconds were filled, once: a third and a fourth can be paid, and no fifth.
        let more = (0..5).filter(|_| pays(&bucket)).count() as u64;
        assert_eq!(paid + more, 4);
    });
}
