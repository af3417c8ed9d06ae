//! Pods that share devices by turns: what each step of the ladder costs can be told beforehand.

use weft_sim::idle::{Burst, Outcome, Setup, serve};

/// One device of ten units; copying a unit takes a second, leaving or coming one more.
const ONE: Setup = Setup { devices: 1, memory: 10, linger: 60_000, link: 1, toggle: 1000 };

fn burst(at: u64, pod: u32, work: u64, memory: u64) -> Burst {
    Burst { at: at * 1000, pod, work: work * 1000, memory }
}

fn seconds(times: &[u64]) -> Vec<u64> {
    times.iter().map(|time| time / 1000).collect()
}

#[test]
fn who_stays_is_hot_and_who_left_comes_back() {
    let bursts = [burst(0, 0, 5, 4), burst(20, 0, 5, 4), burst(200, 0, 5, 4)];
    let outcome = serve(&ONE, &bursts, 1);
    // The first comes within 1 + 4 s; the second finds it; the third after it was suspended.
    assert_eq!((outcome.hot, seconds(&outcome.resumes)), (1, vec![5, 5]));
    assert_eq!((outcome.displaced, outcome.host, outcome.work), (0, 4, 15_000));
}

#[test]
fn two_that_fit_together_stay_and_work_in_turn() {
    let bursts = [burst(0, 0, 10, 5), burst(0, 1, 10, 5), burst(40, 0, 1, 5), burst(40, 1, 1, 5)];
    let outcome = serve(&ONE, &bursts, 2);
    // The link brings them one after the other, at 6 s and 12 s; the second works from 16 s on.
    assert_eq!((outcome.hot, seconds(&outcome.resumes)), (2, vec![6, 12]));
    assert_eq!(seconds(&outcome.delays), [0, 1, 6, 16]);
}

#[test]
fn an_idle_one_makes_room_and_one_that_works_is_waited_for() {
    let idle = serve(&ONE, &[burst(0, 0, 5, 8), burst(30, 1, 5, 8)], 2);
    // At 30 s the first is idle: 9 s to leave, 9 s to come.
    assert_eq!((idle.displaced, seconds(&idle.resumes)), (1, vec![9, 18]));
    let busy = serve(&ONE, &[burst(0, 0, 41, 8), burst(30, 1, 5, 8)], 2);
    // It works from 9 s to 50 s, and leaves then.
    assert_eq!((busy.displaced, seconds(&busy.resumes)), (1, vec![9, 38]));
}

#[test]
fn the_device_where_it_begins_soonest_is_taken_and_what_is_too_large_is_not_served() {
    let two = Setup { devices: 2, ..ONE };
    let bursts = [burst(0, 0, 100, 8), burst(1, 1, 5, 8), burst(2, 2, 5, 11)];
    let outcome = serve(&two, &bursts, 3);
    assert_eq!(seconds(&outcome.resumes), [9, 9]);
    assert_eq!((outcome.delays.len(), outcome.displaced), (2, 0));
}

#[test]
fn one_that_grows_out_of_its_device_moves() {
    let two = Setup { devices: 2, linger: 1_000_000, ..ONE };
    // The third joins the first; the first then no longer fits beside it.
    let bursts = [burst(0, 0, 1, 5), burst(1, 1, 200, 9), burst(20, 2, 1, 5), burst(40, 0, 1, 6)];
    let outcome = serve(&two, &bursts, 3);
    assert_eq!((outcome.hot, outcome.resumes.len()), (0, 4));
}

#[test]
fn equal_runs_are_equal_and_fewer_devices_are_no_quicker() {
    let mut bursts: Vec<Burst> =
        (0..2000_u64).map(|n| burst(n * 7 % 4001, (n * n % 23) as u32, n % 5, 1 + n % 7)).collect();
    bursts.sort_unstable();
    let run = |devices| serve(&Setup { devices, ..ONE }, &bursts, 23);
    assert_eq!(run(4), run(4));
    let delay = |devices| Outcome::at(&run(devices).delays, 900);
    assert!(delay(4) > delay(12), "{} {}", delay(4), delay(12));
    assert!(run(4).utilisation() > run(12).utilisation());
}
