//! Housekeeping: what nothing names any more leaves the disk.
//!
//! The sampler calls it once an hour, beside the store's own. Whatever a workload that waits or
//! runs needs stays, and so does what was used lately, so nothing here needs a lock: a file is
//! noted as used before anybody may rely on it. Images stay until somebody removes them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};
use weft_api::spec::WorkloadSpec;
use weft_lifecycle::State;
use weft_runtime::Runtime;
use weft_store::{Store, StoreError, WorkloadFilter};
use weft_types::{Bytes, Millis, Timestamp, WorkloadId};

/// What was used within a week stays: the same files and packages come again from one Monday to
/// the next, and what a restored backup does not know can be got back by restoring another.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A bundle has its name within this after it was written down whose it is.
const STORED: Millis = Millis::from_secs(3_600);

/// Environments and the installer's cache together: several of the largest that people make
/// (ten gigabytes with CUDA libraries). Below it none is removed, however old.
const ENVIRONMENTS_MAX: Bytes = Bytes(64 << 30);

/// Removes bundles, environments and outputs that nothing names. What fails is told in the log
/// and tried again in the next round.
pub(crate) async fn housekeep(store: &Store, runtime: &Runtime, state_dir: &Path) {
    let named = match store.read(named_bundles).await {
        Ok(named) => named,
        Err(error) => return tracing::warn!(%error, "nothing is cleared away now"),
    };
    let (here, outputs) = (runtime.clone(), state_dir.join("outputs"));
    let swept = tokio::task::spawn_blocking(move || {
        told("bundles", here.bundles().collect_garbage(KEPT, &named));
        let in_use = here.environments_in_use();
        told("environments", here.environments().collect_garbage(ENVIRONMENTS_MAX, KEPT, &in_use));
        let outputs = told("outputs", old_outputs(&outputs)).unwrap_or_default();
        (outputs, told("bundles", here.bundles().list()))
    });
    let (outputs, bundles) = swept.await.unwrap_or_default();
    if let Some(here) = bundles {
        let (here, until) = (here.into_iter().collect(), weft_agent::now().0);
        let until = Timestamp(until.saturating_sub(STORED.0));
        let forgotten = store.write(move |w| w.forget_bundles(&here, until)).await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "bundles that are gone still count for their senders");
        }
    }
    for (name, id) in outputs {
        let known = match id {
            Some(id) => store.read(move |r| r.workload(id)).await.map(|row| row.is_some()),
            None => Ok(false),
        };
        if known == Ok(false) {
            let path = state_dir.join("outputs").join(name);
            told("outputs", tokio::fs::remove_dir_all(path).await);
        }
    }
}

/// The bundles of workloads that may still start, and of those whose versions are there.
fn named_bundles(read: &weft_store::Read<'_>) -> Result<BTreeSet<String>, StoreError> {
    let mut named = read.origin_bundles()?;
    named.extend(live(read, |spec| spec.bundle.clone())?.into_iter().map(|(_, bundle)| bundle));
    Ok(named)
}

/// The images of workloads that may still start, by the names they have there.
pub(crate) fn live_images(
    read: &weft_store::Read<'_>,
) -> Result<Vec<(WorkloadId, String)>, StoreError> {
    live(read, |spec| spec.runtime.image.clone())
}

/// What the workloads that may still start name.
fn live(
    read: &weft_store::Read<'_>,
    what: impl Fn(&WorkloadSpec) -> Option<String>,
) -> Result<Vec<(WorkloadId, String)>, StoreError> {
    let states = vec![State::Queued, State::Starting, State::Running, State::Stopping];
    let filter = WorkloadFilter { states, ..WorkloadFilter::default() };
    let (mut named, mut before) = (Vec::new(), None);
    loop {
        let page = read.workloads(&filter, before, weft_store::PAGE_MAX)?;
        let Some(last) = page.last() else { return Ok(named) };
        before = Some(last.id);
        // A spec that this version cannot read never starts, and needs no files.
        let specs = page.iter().filter_map(|row| Some((row.id, crate::control::spec(row).ok()?)));
        named.extend(specs.filter_map(|(id, spec)| Some((id, what(&spec)?))));
    }
}

/// Outputs folders that have not changed lately, with the workload whose they are; none where
/// they are the rest of a copy that was cut off.
fn old_outputs(dir: &Path) -> io::Result<Vec<(String, Option<WorkloadId>)>> {
    let mut old = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(old),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let changed = entry.metadata()?.modified()?;
        let (Ok(name), true) =
            (entry.file_name().into_string(), changed.elapsed().is_ok_and(|age| age > KEPT))
        else {
            continue;
        };
        match (name.parse(), name.starts_with('.')) {
            (Ok(id), _) => old.push((name, Some(id))),
            (Err(_), true) => old.push((name, None)),
            // Not ours: somebody put it there.
            (Err(_), false) => {}
        }
    }
    Ok(old)
}

fn told<T>(what: &str, result: io::Result<T>) -> Option<T> {
    result.map_err(|error| tracing::warn!(%error, what, "not all was cleared away")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;
    use weft_store::NewWorkload;
    use weft_types::{Kind, Phase, QueueName, ReclaimPolicy, UserName};

    /// One that waits for more memory than there is, and names a bundle.
    fn waits(bundle: &str) -> NewWorkload {
        let spec = serde_json::json!({
            "type": "job", "command": ["true"], "bundle": bundle,
            "resources": { "cpu_milli": 1, "memory_bytes": 1, "disk_bytes": 1, "gpu": "none" },
        });
        NewWorkload {
            name: "waits".to_owned(),
            queue: QueueName::new("default").unwrap(),
            user: UserName::new("admin").unwrap(),
            kind: Kind::Job,
            phase: Phase::Training,
            priority: 0,
            submitted_at: weft_agent::now(),
            spec_json: spec.to_string(),
            request: Default::default(),
            gang: 1,
            gang_most: 0,
            reclaim: ReclaimPolicy {
                preemptible: true,
                reclaimable: true,
                min_run_ms: weft_types::Millis::ZERO,
            },
            max_duration: None,
            expected: None,
            learned_from: 0,
            program: String::new(),
            suspend: None,
            retry: Default::default(),
        }
    }

    #[tokio::test]
    async fn what_nothing_names_goes_when_it_is_old() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        // No run is started here, so nothing needs a supervisor.
        let runtime = Runtime::open(state.path(), Path::new("/bin/true")).unwrap();
        let aged = |path: &str, age: Duration| {
            let path = state.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::File::open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let outputs = |name: &str, age: Duration| {
            let file = aged(&format!("outputs/{name}/model"), age);
            let folder = file.parent().unwrap().to_owned();
            fs::File::open(&folder).unwrap().set_modified(SystemTime::now() - age).unwrap();
            folder
        };
        let (named, unnamed) = ("a".repeat(64), "b".repeat(64));
        let row = named.clone();
        let submitted = store.write(move |w| {
            w.put_queue(&QueueName::new("default").unwrap(), &Default::default(), None)?;
            w.submit_workload(waits(&row))
        });
        let id = submitted.await.unwrap().id;
        let ana: UserName = "ana".parse().unwrap();
        let whose = ana.clone();
        let sent = [named.clone(), unnamed.clone()];
        let holds = store.write(move |w| -> Result<(), StoreError> {
            for sha256 in sent {
                let (bytes, since) = (Bytes(1), Timestamp(1));
                let held = weft_store::Holding { user: whose.clone(), sha256, bytes, since };
                w.hold_bundle(&held)?;
            }
            Ok(())
        });
        holds.await.unwrap();
        let stays = [
            aged(&format!("bundles/{named}"), 2 * KEPT),
            outputs(&id.to_string(), 2 * KEPT),
            outputs("w902", KEPT / 2),
            outputs("notes", 2 * KEPT),
        ];
        let goes = [
            aged(&format!("bundles/{unnamed}"), 2 * KEPT),
            outputs("w900", 2 * KEPT),
            outputs(".w901.new", 2 * KEPT),
        ];
        housekeep(&store, &runtime, state.path()).await;
        for path in stays {
            assert!(path.exists(), "{} is gone", path.display());
        }
        for path in goes {
            assert!(!path.exists(), "{} is left", path.display());
        }
        let held = store.read(move |r| r.held_bytes(&ana)).await;
        assert_eq!(held, Ok(Bytes(1)), "what is gone counts for nobody");
        store.close().await.unwrap();
    }
}
