//! Shares of a device's time by a virtual clock: containers that saturate, rest and come back.

use std::collections::VecDeque;
use weft_cuda_abi::share::{Bucket, PERIOD_NS, Tenant, divide};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// A container as the device meets it: what it launches, and when it wants to.
struct Container {
    share: u32,
    kernel_ns: u64,
    /// Whether it wants to launch at a moment.
    wants: fn(u64) -> bool,
    bucket: Bucket,
    rate: u32,
    /// Launches on their way, and how many it lets be at once.
    queued: usize,
    in_flight: usize,
    /// When it may try again.
    next: u64,
    /// Nanoseconds of the device it had, and of the last period.
    had: u64,
    before: (u64, u64),
}

/// Launches that a program has on their way at most, unless it waits for each.
const QUEUE: usize = 8;
/// The simulation's step.
const STEP: u64 = 20_000;

fn container(share: u32, kernel_ns: u64, wants: fn(u64) -> bool) -> Container {
    let bucket = Bucket::default();
    let (queued, in_flight, next, had, before) = (0, QUEUE, 0, 0, (0, 0));
    Container { share, kernel_ns, wants, bucket, rate: share, queued, in_flight, next, had, before }
}

/// A device that serves launches in the order they come.
struct Device {
    containers: Vec<Container>,
    queue: VecDeque<usize>,
    free: u64,
    now: u64,
}

impl Device {
    fn new(containers: Vec<Container>) -> Self {
        Self { containers, queue: VecDeque::new(), free: 0, now: 0 }
    }

    /// Runs for a time; what each had of it, in thousandths.
    fn run(&mut self, nanoseconds: u64) -> Vec<u32> {
        let before: Vec<u64> = self.containers.iter().map(|c| c.had).collect();
        let end = self.now + nanoseconds;
        while self.now < end {
            self.now += STEP;
            if self.now.is_multiple_of(PERIOD_NS) {
                self.divide();
            }
            self.launch();
            self.serve();
        }
        let had = self.containers.iter().zip(before);
        had.map(|(c, before)| ((c.had - before) * 1000 / nanoseconds) as u32).collect()
    }

    fn divide(&mut self) {
        let tenants: Vec<Tenant> = self
            .containers
            .iter_mut()
            .map(|c| {
                let (spent, waits) = (c.bucket.spent(), c.bucket.waits());
                let used = ((spent - c.before.0.min(spent)) * 1000 / PERIOD_NS) as u32;
                let waited = waits > c.before.1;
                c.before = (spent, waits);
                Tenant { share: c.share, used, waited }
            })
            .collect();
        let mut rates = vec![0; tenants.len()];
        divide(&tenants, &mut rates);
        self.containers.iter_mut().zip(rates).for_each(|(c, rate)| c.rate = rate);
    }

    fn launch(&mut self) {
        for (which, c) in self.containers.iter_mut().enumerate() {
            while c.queued < c.in_flight && self.now >= c.next && (c.wants)(self.now) {
                match c.bucket.pay(self.now, c.kernel_ns, c.rate) {
                    Ok(()) => {
                        c.queued += 1;
                        self.queue.push_back(which);
                    }
                    Err(wait) => c.next = self.now + wait.min(PERIOD_NS),
                }
            }
        }
    }

    fn serve(&mut self) {
        while let Some(which) = self.queue.front().copied().filter(|_| self.free <= self.now) {
            self.queue.pop_front();
            let c = &mut self.containers[which];
            c.queued -= 1;
            c.had += c.kernel_ns;
            self.free = self.free.max(self.now - STEP) + c.kernel_ns;
        }
    }
}

fn always(_: u64) -> bool {
    true
}

fn never(_: u64) -> bool {
    false
}

/// The largest distance from the shares, in thousandths, over windows of a length.
fn worst(device: &mut Device, window: u64, windows: u64) -> u32 {
    let shares: Vec<u32> = device.containers.iter().map(|c| c.share).collect();
    let runs = (0..windows).map(|_| device.run(window));
    let distance = |had: Vec<u32>| had.iter().zip(&shares).map(|(a, b)| a.abs_diff(*b)).max();
    runs.filter_map(distance).max().unwrap_or(0)
}

#[test]
fn shares_hold_between_containers_that_saturate() {
    // Kernels of like and unlike lengths: whoever launches long ones gets no more by it.
    for (shares, kernels) in [
        ([700, 300], [MS, MS]),
        ([500, 500], [MS, MS]),
        ([700, 300], [100_000, 4 * MS]),
        ([300, 700], [100_000, 4 * MS]),
        ([500, 500], [7 * MS, 300_000]),
    ] {
        let make = || {
            let containers = shares.iter().zip(kernels);
            Device::new(
                containers.map(|(share, kernel)| container(*share, kernel, always)).collect(),
            )
        };
        let mut device = make();
        device.run(SECOND);
        let ten = worst(&mut device, 10 * SECOND, 2);
        let one = worst(&mut device, SECOND, 10);
        assert!(ten <= 30 && one <= 80, "{shares:?} {kernels:?}: {ten} over 10 s, {one} over 1 s");
    }
}

#[test]
fn what_one_leaves_the_others_have() {
    let mut device = Device::new(vec![container(300, MS, always), container(700, MS, never)]);
    device.run(SECOND);
    let had = device.run(5 * SECOND);
    assert!(had[0] >= 950, "{had:?}");
    // And by their shares, where several want it.
    let all =
        vec![container(200, MS, always), container(400, MS, always), container(400, MS, never)];
    let mut device = Device::new(all);
    device.run(SECOND);
    let had = device.run(5 * SECOND);
    assert!(had[0].abs_diff(333) <= 30 && had[1].abs_diff(667) <= 30, "{had:?}");
}

#[test]
fn who_pauses_between_launches_has_all_that_it_can_use_of_an_idle_device() {
    /// Nine tenths of the time: as programs do that wait for what they have launched.
    fn with_pauses(now: u64) -> bool {
        now % (2 * MS) >= MS / 5
    }
    let run = |share: u32, others: u32| {
        let ours = container(share, MS / 20, with_pauses);
        let mut device = Device::new(vec![ours, container(others, MS, never)]);
        device.containers[0].in_flight = 1;
        device.run(SECOND);
        device.run(5 * SECOND)[0]
    };
    let whole = run(1000, 0);
    assert!((800..=960).contains(&whole), "it pauses: {whole}");
    for share in [100, 200, 500, 900] {
        let had = run(share, 1000 - share);
        assert!(had * 100 >= whole * 95, "{share}: {had} of {whole}");
    }
}

#[test]
fn who_comes_back_has_its_share_at_once() {
    /// Rests for the first half of each four seconds.
    fn at_times(now: u64) -> bool {
        now % (4 * SECOND) >= 2 * SECOND
    }
    let mut device = Device::new(vec![container(300, MS, always), container(700, MS, at_times)]);
    device.run(4 * SECOND);
    for _ in 0..3 {
        let alone = device.run(2 * SECOND);
        assert!(alone[0] >= 950, "{alone:?}");
        let back = device.run(SECOND / 5);
        // What is on its way, and a burst, is let through first.
        assert!(back[1] >= 560, "four fifths within a fifth of a second: {back:?}");
        let both = device.run(2 * SECOND - SECOND / 5);
        assert!(both[1].abs_diff(700) <= 60, "{both:?}");
    }
}

#[test]
fn a_rest_saves_up_no_more_than_a_burst_and_no_rate_is_nothing() {
    let bucket = Bucket::default();
    let mut launched = 0;
    while bucket.pay(3600 * SECOND, MS, 500).is_ok() {
        launched += 1;
    }
    assert_eq!(launched, 20);
    let none = Bucket::default();
    assert_eq!(none.pay(SECOND, 1, 0), Err(PERIOD_NS));
    assert_eq!(none.pay(3600 * SECOND, 1, 0), Err(PERIOD_NS));
    // A long kernel is waited off, then it goes on; a clock that goes back gives nothing.
    let long = Bucket::default();
    assert_eq!(long.pay(SECOND, 500 * MS, 250), Ok(()));
    let wait = long.pay(SECOND, MS, 250).expect_err("a debt");
    assert!(wait > 1900 * MS && wait < 2000 * MS, "{wait}");
    assert!(long.pay(SECOND / 2, MS, 250).is_err());
    assert!(long.pay(SECOND + wait - MS, MS, 250).is_err());
    // A debt is worked off by time alone, whoever asks meanwhile or not.
    let idle = Bucket::default();
    assert_eq!(idle.pay(SECOND, 500 * MS, 250), Ok(()));
    assert_eq!(idle.pay(4 * SECOND, MS, 250), Ok(()));
    // What was paid is set right when it is known what it took.
    long.correct(500 * MS, 0);
    assert_eq!(long.pay(SECOND + wait, MS, 250), Ok(()));
}

#[test]
fn rates_never_fall_below_shares_and_give_all_that_is_left() {
    let tenant = |share, used, waited| Tenant { share, used, waited };
    let divided = |tenants: &[Tenant]| {
        let mut rates = vec![0; tenants.len()];
        divide(tenants, &mut rates);
        rates
    };
    assert_eq!(divided(&[tenant(300, 300, true), tenant(700, 0, false)]), [980, 700]);
    assert_eq!(divided(&[tenant(300, 300, true), tenant(700, 700, true)]), [300, 700]);
    // What nobody wants is there for all: a tenth is used by each, and a little kept for more.
    assert_eq!(divided(&[tenant(300, 100, false), tenant(700, 100, false)]), [348, 700]);
    // Who uses what others leave keeps it, and gives it back when they want it.
    assert_eq!(divided(&[tenant(200, 900, false)]), [1000]);
    assert_eq!(divided(&[tenant(200, 900, false), tenant(800, 30, false)]), [926, 800]);
    assert_eq!(divided(&[tenant(200, 900, false), tenant(800, 30, true)]), [200, 800]);
    assert_eq!(divided(&[tenant(200, 190, false), tenant(800, 800, true)]), [200, 800]);
    assert_eq!(divided(&[tenant(0, 0, true), tenant(0, 0, false)]), [0, 0], "no share is none");
    assert_eq!(divided(&[tenant(1000, 1000, true)]), [1000]);
    assert!(divided(&[]).is_empty());
}
