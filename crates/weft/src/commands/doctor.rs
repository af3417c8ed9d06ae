//! `weft doctor`: what this machine lacks, what that costs, what to do about it; and what the
//! state directory of its server holds on the disk.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::{Session, Target, answers};
use crate::show::{self, Style, out_line, paint};
use clap::Args;
use serde::Serialize;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use weft_api::wire::Rung;
use weft_runtime::Runtime;
use weft_types::{Bytes, Isolation};

/// Size of the blocks in `st_blocks`, whatever the file system's own are.
const BLOCK: u64 = 512;

/// Check this machine: what it lacks, and what that costs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft doctor")]
pub(crate) struct Doctor {}

#[derive(Serialize)]
struct Report {
    what: String,
    ok: bool,
    cost: String,
    fix: String,
    /// Why it is so, where that may be as it should, or past mending.
    #[serde(skip_serializing_if = "String::is_empty")]
    why: String,
    /// What it holds on the disk, where it is a folder of the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

/// What is in the state directory, by what people call it, and how it leaves again.
const CLASSES: [(&str, &[&str], &str); 7] = [
    ("images", &["images"], "stay until `weft image rm`"),
    ("environments", &["environments", "tools"], "above 64 GiB, unused ones go after a week"),
    ("bundles", &["bundles", "uploads"], "unused ones go after a week"),
    ("outputs", &["outputs"], "stay until `weft rm`"),
    ("checkpoints", &["kept"], "go when their job has ended"),
    ("runs", &["runs"], "logs; scratch of what runs, too"),
    ("store", &["weft.db", "weft.db-wal"], "history is thinned by itself"),
];

impl Doctor {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let mut report = vec![server(session)];
        report.extend(Runtime::probe().into_iter().map(|finding| Report {
            what: finding.what.to_string(),
            ok: finding.ok,
            cost: finding.cost.to_string(),
            fix: finding.fix.to_string(),
            why: String::new(),
            bytes: None,
        }));
        report.extend(ladder(&devices(session).await));
        if let Ok(Target::Here(dir)) = session.target() {
            report.extend(CLASSES.iter().map(|class| held(&dir, class)));
            report.extend(master_key(&dir));
        }
        report.extend(damaged(session).await);
        report.extend(data_store(session).await);
        if session.json {
            show::json(&report);
            return Ok(Code::Done.number());
        }
        for Report { what, ok, cost, fix, why, .. } in &report {
            let word = if *ok { paint("ok  ", Style::Good) } else { paint("lacks", Style::Busy) };
            out_line(&format!("{word:<5} {what}"));
            if !ok {
                out_line(&format!("      costs: {cost}"));
            }
            if !ok && !fix.is_empty() {
                out_line(&format!("      {}: {fix}", paint("fix", Style::Hint)));
            }
            if !why.is_empty() {
                out_line(&format!("      why: {why}"));
            }
        }
        Ok(Code::Done.number())
    }
}

/// The pool's accelerators as its server knows them; without one those of this machine, on which
/// nothing was tried.
async fn devices(session: &Session) -> Vec<(String, Vec<Rung>)> {
    if let Ok(Some(client)) = session.client_if_running() {
        let devices = client.devices().await.unwrap_or_default();
        let named =
            |id: String, simulated| if simulated { format!("{id} (simulated)") } else { id };
        let rungs = |d: weft_api::wire::Device| (named(d.id, d.simulated), d.isolation);
        return devices.into_iter().map(rungs).collect();
    }
    let found =
        weft_device::detect(None, None).map(|driver| driver.inventory()).unwrap_or_default();
    let rung = |rung: weft_types::Rung| Rung {
        isolation: rung.isolation.to_string(),
        offered: rung.offered,
        why: rung.why,
    };
    let rungs = |rungs: Vec<weft_types::Rung>| rungs.into_iter().map(rung).collect();
    found.into_iter().map(|device| (device.index.to_string(), rungs(device.rungs))).collect()
}

/// Where the key above all keys lies, and what becomes of data without it.
fn master_key(state: &Path) -> Option<Report> {
    let key = state.join("master.key");
    key.exists().then(|| Report {
        what: format!("data: the key above all keys is {}", key.display()),
        ok: true,
        cost: String::new(),
        fix: String::new(),
        why: "a backup of the state is worthless without it, and one that lies beside it protects \
              nothing: keep a copy where the disk is not"
            .to_owned(),
        bytes: None,
    })
}

/// The datasets in which the server has found damage.
async fn damaged(session: &Session) -> Vec<Report> {
    let Ok(Some(client)) = session.client_if_running() else { return Vec::new() };
    let sets = client.datasets().await.unwrap_or_default();
    let report = |set: weft_api::wire::Dataset| Report {
        what: format!("data: {} damaged in {}", set.damaged, set.name),
        ok: false,
        cost: "a read of what is damaged fails".to_owned(),
        fix: format!("`weft data verify {}` names it: put it again; check the disk", set.name),
        why: String::new(),
        bytes: None,
    };
    sets.into_iter().filter(|set| set.damaged > 0).map(report).collect()
}

/// The object store in which the server's data lies, and what lies on its disk alone.
async fn data_store(session: &Session) -> Option<Report> {
    let client = session.client_if_running().ok().flatten()?;
    let store = client.info().await.ok()?.data_store?;
    let (there, owed) = (Bytes(store.bytes), Bytes(store.owed_bytes));
    let ok = store.failing.is_none();
    Some(Report {
        what: format!("data: {there} in the object store, {owed} owed to it"),
        ok,
        cost: store.failing.unwrap_or_default(),
        fix: if ok { String::new() } else { "see data-store.toml, and the store".to_owned() },
        why: String::new(),
        bytes: Some(store.here_bytes),
    })
}

/// Each rung of isolation once, with the devices that have it, or that lack it for one reason.
fn ladder(devices: &[(String, Vec<Rung>)]) -> Vec<Report> {
    let mut found: Vec<(&Rung, Vec<&str>)> = Vec::new();
    for (device, rung) in devices.iter().flat_map(|(d, all)| all.iter().map(move |r| (d, r))) {
        let same = |seen: &&mut (&Rung, Vec<&str>)| {
            seen.0.isolation == rung.isolation
                && seen.0.offered == rung.offered
                && (rung.offered || seen.0.why == rung.why)
        };
        match found.iter_mut().find(same) {
            Some((_, devices)) => devices.push(device),
            None => found.push((rung, vec![device])),
        }
    }
    let place = |rung: &Rung| Isolation::rung(&rung.isolation);
    found.sort_by_key(|(rung, _)| place(rung));
    let report = |(rung, devices): (&Rung, Vec<&str>)| {
        let word = &rung.isolation;
        let why = if rung.offered { format!(" ({})", rung.why) } else { String::new() };
        Report {
            what: format!("accelerators given as {word}: {}{why}", devices.join(", ")),
            ok: rung.offered,
            cost: format!("nobody is given {word} there, and who demands it waits"),
            fix: String::new(),
            why: if rung.offered { String::new() } else { rung.why.clone() },
            bytes: None,
        }
    };
    found.into_iter().map(report).collect()
}

fn server(session: &Session) -> Report {
    let (what, ok) = match session.target() {
        Ok(Target::Here(dir)) => {
            let runs =
                if answers(&dir) { "runs" } else { "does not run; the next command starts it" };
            (format!("server: {runs} (state in {})", dir.display()), true)
        }
        Ok(Target::There { address, .. }) => (format!("server: {address}"), true),
        Err(_) => ("server: not known which".to_owned(), false),
    };
    let fix = "see `weft ps`, which says why".to_owned();
    let cost = "no command that needs it works".to_owned();
    Report { what, ok, bytes: None, cost, fix, why: String::new() }
}

/// What a class of files holds; shown even where it is nothing.
fn held(state: &Path, (class, folders, leaves): &(&str, &[&str], &str)) -> Report {
    let mut seen = HashSet::new();
    let bytes = folders.iter().map(|folder| on_disk(&state.join(folder), &mut seen)).sum();
    let what = format!("disk: {class}: {} ({leaves})", Bytes(bytes));
    let nothing = String::new;
    Report { what, ok: true, cost: nothing(), fix: nothing(), why: nothing(), bytes: Some(bytes) }
}

/// Bytes on the disk of a file or of all below a folder; what has several names counts once, as
/// packages that environments share do. What cannot be looked at counts nothing.
fn on_disk(path: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let (mut bytes, mut open) = (0_u64, vec![path.to_owned()]);
    while let Some(path) = open.pop() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| entry.path()));
        }
        if meta.is_dir() || meta.nlink() < 2 || seen.insert((meta.dev(), meta.ino())) {
            bytes = bytes.saturating_add(meta.blocks().saturating_mul(BLOCK));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_said_once_for_all_that_lack_it_for_one_reason() {
        let rung =
            |offered, why: &str| Rung { isolation: "mig".to_owned(), offered, why: why.to_owned() };
        let one = |name: &str, rung: Rung| (name.to_owned(), vec![rung]);
        let said = ladder(&[
            one("n1/0", rung(false, "its MIG mode is off")),
            one("n1/1", rung(true, "tried")),
            one("n1/2", rung(false, "its MIG mode is off")),
        ]);
        let what: Vec<_> = said.iter().map(|r| (r.ok, r.what.as_str())).collect();
        let off = (false, "accelerators given as mig: n1/0, n1/2");
        assert_eq!(what, [off, (true, "accelerators given as mig: n1/1 (tried)")]);
        let said: Vec<_> = said.iter().map(|r| (r.fix.as_str(), r.why.as_str())).collect();
        assert_eq!(said, [("", "its MIG mode is off"), ("", "")], "not all can be mended");
    }

    #[test]
    fn what_has_two_names_counts_once() {
        let state = tempfile::tempdir().unwrap();
        for folder in ["environments/a", "tools/cache"] {
            std::fs::create_dir_all(state.path().join(folder)).unwrap();
        }
        let file = state.path().join("tools/cache/x");
        std::fs::write(&file, vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(&file, state.path().join("environments/a/x")).unwrap();
        let environments = CLASSES.iter().find(|class| class.0 == "environments").unwrap();
        let bytes = held(state.path(), environments).bytes.unwrap();
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
        assert_eq!(held(state.path(), &CLASSES[0]).bytes, Some(0));
    }
}
