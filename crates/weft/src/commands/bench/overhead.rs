//! `weft bench overhead`: what a program pays for each call of the driver, by how it was given its
//! accelerator.
//!
//! Every round measures each way once, in an order that turns from round to round: `direct` is a
//! program beside Weft, the others are runs of this pool. What they run is this binary, which
//! takes the driver that it finds there ([`measure`]). Ways that the pool does not have, or has no
//! device for in a minute, are said, with why; figures of the tests' stand-in for the driver are
//! marked as such.

use super::compare::{Difference, difference};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, err_line};
use crate::submission::{self, Changes, Source};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weft_api::spec::{ResourcesSpec, WorkloadSpec};
use weft_api::wire::{Device, Rung, State, Workload};
use weft_client::{Client, ClientError, Intent, LogQuery};
use weft_device::Figures;
use weft_types::Isolation;

/// What a line of figures begins with.
const MARK: &str = "weft-measured ";

/// Between two looks whether a run has ended.
const LOOK: Duration = Duration::from_millis(100);

/// How long a run may wait for its device: on a machine to measure on it starts within seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rounds where nobody says how many: enough that the interval is narrower than what is looked for.
const ROUNDS: u32 = 10;

/// The share of a device that `shared` is measured with: nearly all, so that a call's cost is seen
/// and not the waiting for its turn.
const SHARE: &str = "0.9";

/// How a program came to its accelerator: a program beside Weft, then the ladder.
const WAYS: [&str; 6] = ["direct", "exclusive", "mig", "kernel", "mps", "shared"];

/// Measure what a call of the driver costs by how an accelerator is given: direct, exclusive, mig,
/// mps, shared
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft bench overhead
  weft bench overhead --rounds 30
  weft --json bench overhead | jq '.ways.shared.launch'")]
pub(crate) struct Overhead {
    /// How often each way is measured
    #[arg(long, default_value_t = ROUNDS, value_name = "N",
          value_parser = clap::value_parser!(u32).range(2..=1_000))]
    rounds: u32,
    /// Folder with the driver that `direct` takes, where it is not the machine's own
    #[arg(long, value_name = "FOLDER")]
    driver: Option<PathBuf>,
}

/// What was measured where, as it is stored and printed.
#[derive(Debug, Serialize)]
struct Report {
    at_ms: u64,
    fingerprint: Fingerprint,
    /// That no device computed anything: declared devices, or a stand-in for the driver.
    simulated: bool,
    rounds: u32,
    /// The way that the others are compared with.
    against: String,
    /// Each way's figures in nanoseconds.
    ways: BTreeMap<&'static str, BTreeMap<&'static str, Difference>>,
    /// Ways that were not measured, with why.
    missing: BTreeMap<&'static str, String>,
}

/// What the figures are of.
#[derive(Debug, Serialize)]
struct Fingerprint {
    device: String,
    driver: i32,
    processor: String,
    kernel: String,
    weft: &'static str,
}

/// One way, and what it has measured in each round.
struct Way {
    name: &'static str,
    /// The run that measures it; none: a program beside Weft.
    spec: Option<WorkloadSpec>,
    rounds: Vec<Figures>,
}

/// Prints this process's figures on one line; what the runs of a bench do.
pub(crate) fn measure() -> u8 {
    match weft_device::measure() {
        Ok(figures) => {
            let text = serde_json::to_string(&figures).unwrap_or_default();
            show::out_line(&format!("{MARK}{text}"));
            Code::Done.number()
        }
        Err(why) => {
            err_line(&why);
            Code::Failed.number()
        }
    }
}

impl Overhead {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let mut missing = BTreeMap::new();
        let mut ways = self.ways(&client, &mut missing).await?;
        let mut round = 0;
        while round < self.rounds as usize && !ways.is_empty() {
            match self.round(&client, &ways, round).await {
                Ok(figures) => {
                    ways.iter_mut().zip(figures).for_each(|(way, found)| way.rounds.push(found));
                    round += 1;
                }
                // Its round counts for none of the others: theirs stay side by side.
                Err((at, why)) => {
                    let way = ways.remove(at);
                    err_line(&format!("{} is left out: {why}", way.name));
                    missing.insert(way.name, why);
                }
            }
        }
        let report = report(&ways, missing, self.rounds);
        if let Some(path) = store(session, &report)? {
            err_line(&format!("kept in {}", path.display()));
        }
        match session.json {
            true => show::json(&report),
            false => show::out(&table(&report)),
        }
        let done = if report.ways.is_empty() { Code::Failed } else { Code::Done };
        Ok(done.number())
    }

    /// Measures each way once, in this round's order; their figures in their own. Else the place of
    /// the one that failed, with why.
    async fn round(
        &self,
        client: &Client,
        ways: &[Way],
        round: usize,
    ) -> Result<Vec<Figures>, (usize, String)> {
        let names: Vec<_> = ways.iter().map(|way| way.name).collect();
        err_line(&format!("round {} of {}: {}", round + 1, self.rounds, names.join(", ")));
        let mut found = BTreeMap::new();
        for place in 0..ways.len() {
            let at = (place + round) % ways.len();
            let figures = self.once(client, &ways[at]).await.map_err(|why| (at, why))?;
            found.insert(at, figures);
        }
        Ok(found.into_values().collect())
    }

    /// The ways that the pool has; why it has not the others.
    async fn ways(
        &self,
        client: &Client,
        missing: &mut BTreeMap<&'static str, String>,
    ) -> Result<Vec<Way>, Failure> {
        let devices = client.devices().await?;
        let mut ways = vec![Way { name: "direct", spec: None, rounds: Vec::new() }];
        let offers = client.offers(None).await?;
        let instances = offers.items.iter().flat_map(|item| &item.now.mig);
        let smallest = instances.filter(|mig| mig.count > 0).map(|mig| &mig.profile).min();
        let mut probe: Option<WorkloadSpec> = None;
        for rung in Isolation::LADDER {
            let gpu = match (rung, smallest) {
                (Isolation::Exclusive, _) => Ok("1".to_owned()),
                (Isolation::Mig, Some(profile)) => Ok(format!("mig:{profile}")),
                (Isolation::Mig, None) => Err("no instance has a place now".to_owned()),
                _ => Ok(SHARE.to_owned()),
            };
            match offered(&devices, rung).and(gpu) {
                Err(why) => _ = missing.insert(rung.as_str(), why),
                Ok(gpu) => {
                    let spec = match &probe {
                        Some(spec) => spec.clone(),
                        None => probe.insert(sent(client).await?).clone(),
                    };
                    let isolation = rung.as_str().to_owned();
                    let resources = ResourcesSpec { gpu, isolation, ..spec.resources.clone() };
                    let spec = Some(WorkloadSpec { resources, ..spec });
                    ways.push(Way { name: rung.as_str(), spec, rounds: Vec::new() });
                }
            }
        }
        Ok(ways)
    }

    /// One measurement of a way.
    async fn once(&self, client: &Client, way: &Way) -> Result<Figures, String> {
        let said = match &way.spec {
            None => self.direct()?,
            Some(spec) => run(client, spec).await?,
        };
        let line = said.lines().find_map(|line| line.strip_prefix(MARK));
        let figures = line.and_then(|line| serde_json::from_str(line).ok());
        figures.ok_or_else(|| {
            said.lines().rfind(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned()
        })
    }

    /// What a program beside Weft says.
    fn direct(&self) -> Result<String, String> {
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = std::process::Command::new(exe);
        command.arg("__measure");
        if let Some(folder) = &self.driver {
            command.env("LD_LIBRARY_PATH", folder);
        }
        let output = command.output().map_err(|error| error.to_string())?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Whether some device gives the rung, and computes; else why none does.
fn offered(devices: &[Device], rung: Isolation) -> Result<(), String> {
    if devices.is_empty() {
        return Err("the pool has no accelerator".to_owned());
    }
    if devices.iter().all(|device| device.declared) {
        return Err("the accelerators are declared (--simulate): nothing runs on them".to_owned());
    }
    let found = devices.iter().flat_map(|device| &device.isolation);
    let mut found = found.filter(|found| found.isolation == rung.as_str()).peekable();
    let first = found.peek().map(|rung| rung.why.clone());
    match found.any(|rung| rung.offered) {
        true => given(&devices.iter().map(|d| &d.isolation[..]).collect::<Vec<_>>(), rung),
        false => Err(first.unwrap_or_else(|| "no device says anything of it".to_owned())),
    }
}

/// Whether a share that is asked for by a rung is given by that: a device that has a stronger one
/// gives it instead.
fn given(devices: &[&[Rung]], rung: Isolation) -> Result<(), String> {
    let shares = |rungs: &&[Rung]| {
        let offers = |rung: &Isolation| {
            rungs.iter().any(|found| found.offered && found.isolation == rung.as_str())
        };
        Isolation::LADDER.into_iter().filter(|rung| *rung > Isolation::Mig).find(offers)
    };
    let strongest = devices.iter().filter_map(shares).min();
    match strongest.filter(|strongest| rung > Isolation::Mig && *strongest < rung) {
        None => Ok(()),
        Some(stronger) => Err(format!("shares are given by {stronger} here")),
    }
}

/// A run of this binary, which is sent along, that measures what it is given.
async fn sent(client: &Client) -> Result<WorkloadSpec, Failure> {
    let folder = tempfile::tempdir().map_err(|e| Failure::local("a folder", e))?;
    let exe = std::env::current_exe().map_err(|e| Failure::local("this program", e))?;
    std::fs::copy(&exe, folder.path().join("weft"))
        .map_err(|e| Failure::local(exe.display(), e))?;
    let file = folder.path().join("bench.weft.yaml");
    let text = "type: job\nname: bench-overhead\nrun: [./weft, __measure]\nfiles: [weft]\n\
                resources: { cpu: 1, memory: 1GB, disk: 2GB }\n";
    std::fs::write(&file, text).map_err(|e| Failure::local(file.display(), e))?;
    let source = Source::read(Some(&file), Vec::new(), &Changes::default())?;
    submission::complete(client, source).await
}

/// Runs it to its end; what it said. It is removed again.
async fn run(client: &Client, spec: &WorkloadSpec) -> Result<String, String> {
    let said = |error: ClientError| error.to_string();
    let random = Intent::new().to_string();
    let name = Some(format!("bench-overhead-{}", &random[..8]));
    let spec = WorkloadSpec { name, ..spec.clone() };
    let id = client.submit(&spec, &Intent::new()).await.map_err(said)?.id;
    let text = output(client, &id).await;
    let removed = client.delete(&id, &Intent::new()).await.map_err(said);
    text.and_then(|text| removed.map(|()| text))
}

/// What a run has said at its end.
async fn output(client: &Client, id: &str) -> Result<String, String> {
    let said = |error: ClientError| error.to_string();
    let ended = ended(client, id).await?;
    let lines = client.logs(id, &LogQuery::default()).await.map_err(said)?;
    let mut text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
    if text.is_empty()
        && let Some(exit) = &ended.exit
    {
        text += &exit.detail;
    }
    Ok(text)
}

/// A run at its end; one that has waited for a device past patience is ended, and why it waited is
/// the error.
async fn ended(client: &Client, id: &str) -> Result<Workload, String> {
    let said = |error: ClientError| error.to_string();
    let mut waits_since = Instant::now();
    let mut given_up: Option<String> = None;
    loop {
        let now = client.workload(id).await.map_err(said)?;
        match now.state {
            state if state.is_final() => return given_up.map_or(Ok(now), Err),
            State::Queued if given_up.is_none() && waits_since.elapsed() >= PATIENCE => {
                given_up = Some(waited(client, id).await);
                client.stop(id, true, &Intent::new()).await.map_err(said)?;
            }
            State::Queued => {}
            _ => waits_since = Instant::now(),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// That no device came in time, and why as far as it is known.
async fn waited(client: &Client, id: &str) -> String {
    let patience = format!("no device was free for {} s", PATIENCE.as_secs());
    match client.why(id).await {
        Ok(Some(wait)) => format!("{patience}: {}", wait.reason),
        _ => patience,
    }
}

/// The figures of a way by name, one for each round.
type Figure = (&'static str, fn(&Figures) -> f64);

const FIGURES: [Figure; 5] = [
    ("start", |f| f.start),
    ("pass", |f| f.pass),
    ("launch", |f| f.launch),
    ("memory", |f| f.memory),
    ("copy", |f| f.copy),
];

fn report(ways: &[Way], missing: BTreeMap<&'static str, String>, rounds: u32) -> Report {
    let base = ways.first();
    let first = base.and_then(|way| way.rounds.first());
    let all = |way: &Way, of: fn(&Figures) -> f64| way.rounds.iter().map(of).collect::<Vec<_>>();
    let against = |way: &Way| {
        let each = FIGURES.iter().filter_map(|(name, of)| {
            let found = difference(&all(way, *of), &all(base?, *of))?;
            Some((*name, found))
        });
        (way.name, each.collect())
    };
    Report {
        at_ms: show::clock(),
        fingerprint: Fingerprint {
            device: first.map_or_else(|| "none".to_owned(), |f| f.device.clone()),
            driver: first.map_or(0, |f| f.driver),
            processor: processor(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            weft: env!("CARGO_PKG_VERSION"),
        },
        simulated: first.is_none_or(|f| f.stand_in),
        rounds,
        against: base.map_or_else(|| "nothing".to_owned(), |way| way.name.to_owned()),
        ways: ways.iter().map(against).collect(),
        missing,
    }
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": ")).map(|(_, name)| name.trim());
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Keeps a report in the state directory, where that is on this machine and anything was measured.
fn store(session: &Session, report: &Report) -> Result<Option<PathBuf>, Failure> {
    let Ok(crate::session::Target::Here(state)) = session.target() else { return Ok(None) };
    if report.ways.is_empty() {
        return Ok(None);
    }
    let folder = state.join("bench");
    std::fs::create_dir_all(&folder).map_err(|e| Failure::local(folder.display(), e))?;
    let path = folder.join(format!("overhead-{}.json", report.at_ms));
    let text = serde_json::to_string_pretty(report).unwrap_or_default();
    let written = |path: &Path| std::fs::write(path, text);
    written(&path).map_err(|e| Failure::local(path.display(), e))?;
    Ok(Some(path))
}

fn table(report: &Report) -> String {
    let Fingerprint { device, driver, processor, kernel, .. } = &report.fingerprint;
    let mut text = format!("{device}, driver {driver}, {processor}, Linux {kernel}\n");
    if report.simulated {
        text += "SIMULATED: no device computed anything; these are costs of the path alone\n";
    }
    let (against, rounds) = (&report.against, report.rounds);
    text += "nanoseconds a call, microseconds a start; ";
    text += &format!("against {against}, {rounds} alternating rounds, 95 %\n\n");
    let mut table = Table::new(&["WAY", ">START US", ">PASS", ">LAUNCH", ">MEMORY", ">COPY"]);
    for name in WAYS {
        let Some(figures) = report.ways.get(name) else { continue };
        let cell = |(figure, _): &Figure| {
            // A start takes milliseconds.
            let unit = if *figure == "start" { 1_000.0 } else { 1.0 };
            let shown = |found| shown(found, unit, name == against);
            figures.get(figure).map_or_else(|| "-".to_owned(), shown)
        };
        let row: Vec<String> =
            std::iter::once(name.to_owned()).chain(FIGURES.iter().map(cell)).collect();
        table.row(row);
    }
    text += &table.render();
    for name in WAYS {
        if let Some(why) = report.missing.get(name) {
            text += &format!("not there: {name}: {why}\n");
        }
    }
    text
}

/// `120.4`, and of another way than the first `133.1 (+12.7 ±2.0)`.
fn shown(found: &Difference, unit: f64, first: bool) -> String {
    let [mean, more, within] = [found.mean, found.more, found.within].map(|ns| ns / unit);
    match first {
        true => format!("{mean:.1}"),
        false => format!("{mean:.1} ({more:+.1} ±{within:.1})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_below_what_shares_are_given_by_is_not_measured_as_what_it_is_not() {
        let offers = |words: &[&str]| -> Vec<Rung> {
            let rung = |word: &&str| Rung {
                isolation: (*word).to_owned(),
                offered: true,
                why: String::new(),
            };
            words.iter().map(rung).collect()
        };
        let (both, one) = (offers(&["exclusive", "mps", "shared"]), offers(&["shared"]));
        assert_eq!(given(&[&both], Isolation::Exclusive), Ok(()));
        assert_eq!(given(&[&both], Isolation::Mps), Ok(()));
        let refused = given(&[&both], Isolation::Shared);
        assert_eq!(refused, Err("shares are given by mps here".to_owned()));
        assert!(given(&[&one, &both], Isolation::Shared).is_err(), "it may come to either");
        assert_eq!(given(&[&one, &one], Isolation::Shared), Ok(()));
    }
}
