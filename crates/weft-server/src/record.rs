//! The record of decisions: every snapshot a plan was made on, and the plan's hash.
//!
//! Written by the loop where `weft up --record DIR` asks for it, read by [`replay()`], which makes
//! each plan again and compares. That they are the same shows that the planner is a function of
//! what it was given, that the simulator, which calls it too, decides as the server did, and
//! whether another version would decide otherwise.
//!
//! ```text
//! DIR/plans.jsonl          {"now": …, "plan": "<SHA-256>", "snapshot": {…}}, one line each
//! DIR/plans.1.jsonl        the older part, once the first has grown
//! ```
//!
//! It is no truth of its own: what cannot be written is told once and left out.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use weft_sched::{Plan, Snapshot};
use weft_types::{Timestamp, WorkloadId};

/// The file is set aside beyond this: with the older part twice as much, some tens of thousands
/// of plans of a small pool.
const FILE_MAX: u64 = 64 << 20;

/// The newer part.
const PLANS: &str = "plans.jsonl";
/// The older part.
const OLDER: &str = "plans.1.jsonl";

/// Where plans are recorded.
#[derive(Debug)]
pub(crate) struct Recorder {
    dir: PathBuf,
    file: Mutex<Option<File>>,
}

/// One plan that was made.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded<'a> {
    now: Timestamp,
    plan: Cow<'a, str>,
    snapshot: Cow<'a, Snapshot>,
}

/// What came of making recorded plans again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Plans made again.
    pub plans: u64,
    /// Of these, the ones with something to start or to stop.
    pub acting: u64,
    /// Where another plan came out: file and line, counted from 1.
    pub different: Vec<(PathBuf, u64)>,
    /// Lines that a server left half written when it was killed.
    pub torn: u64,
}

impl Recorder {
    /// Records into this folder, behind what is there.
    pub(crate) fn open(dir: &Path) -> io::Result<Recorder> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut file = append(&dir.join(PLANS))?;
        if !ends_a_line(&dir.join(PLANS))? {
            // A server was killed while it wrote: what follows is a line of its own.
            file.write_all(b"\n")?;
        }
        Ok(Recorder { dir: dir.to_owned(), file: Mutex::new(Some(file)) })
    }

    /// Writes one plan down. Blocks on the disk; not durable, as the plan's effects are.
    pub(crate) fn put(&self, snapshot: &Snapshot, now: Timestamp, plan: &Plan) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = self.write(&mut file, snapshot, now, plan);
        if let Err(error) = written {
            tracing::error!(dir = %self.dir.display(), %error, "plans are not recorded any more");
            *file = None;
        }
    }

    fn write(
        &self,
        file: &mut Option<File>,
        snapshot: &Snapshot,
        now: Timestamp,
        plan: &Plan,
    ) -> io::Result<()> {
        let Some(open) = file else { return Ok(()) };
        let (plan, snapshot) = (Cow::Owned(hash(plan)?), Cow::Borrowed(snapshot));
        let mut line = serde_json::to_vec(&Recorded { now, plan, snapshot })?;
        line.push(b'\n');
        open.write_all(&line)?;
        if open.metadata()?.len() > FILE_MAX {
            fs::rename(self.dir.join(PLANS), self.dir.join(OLDER))?;
            *file = Some(append(&self.dir.join(PLANS))?);
        }
        Ok(())
    }
}

/// Makes every recorded plan again, the older part first. Reads line by line; blocks.
pub fn replay(dir: &Path) -> io::Result<Replayed> {
    let mut done = Replayed::default();
    let mut found = false;
    for name in [OLDER, PLANS] {
        let path = dir.join(name);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => replay_file(&path, opened?, &mut done)?,
        }
        found = true;
    }
    match found {
        true => Ok(done),
        false => Err(io::Error::new(io::ErrorKind::NotFound, "no plans were recorded there")),
    }
}

fn replay_file(path: &Path, file: File, done: &mut Replayed) -> io::Result<()> {
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        let recorded: Recorded<'_> = match serde_json::from_str(&line) {
            Ok(recorded) => recorded,
            Err(error) if error.is_eof() => {
                done.torn += 1;
                continue;
            }
            Err(error) => {
                let text = format!("{}, line {number}: {error}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        };
        let plan = weft_sched::plan(&recorded.snapshot, recorded.now);
        done.plans += 1;
        done.acting += u64::from(!plan.actions.is_empty());
        if hash(&plan)? != recorded.plan {
            done.different.push((path.to_owned(), number));
        }
    }
    Ok(())
}

/// SHA-256 of all that a plan says: its base, what is to be done in its order, why each waits with
/// place and estimate, and when to look again.
fn hash(plan: &Plan) -> io::Result<String> {
    type Waits<'p> = (WorkloadId, &'p weft_sched::Reason, u32, Option<Timestamp>);
    let verdicts = plan.verdicts.iter();
    let waits: Vec<Waits<'_>> =
        verdicts.map(|(id, v)| (*id, v.reason.as_ref(), v.position, v.eta)).collect();
    let text = serde_json::to_vec(&(plan.base, &plan.actions, waits, plan.wake_at))?;
    Ok(hex::encode(Sha256::digest(text)))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn ends_a_line(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> (Snapshot, Timestamp) {
        let case = weft_sched::case::parse(text).unwrap();
        (case.snapshot, case.now)
    }

    const POOL: &str = "\
node n1 a100-80 x2
node n2 a100-80:mig x1
queue lab gpu=3 cpu=64 memory=512GB order=service
run w1 lab gpu=1 on=n1/0 ran=2h suspend=30s served=1h
run w2 lab gpu=0.5 on=n1/1:0.5:40GB ran=10m expected=1h
want w3 lab gpu=2 waited=1h
want w4 lab gpu=mig:1g.10gb
";

    #[test]
    fn what_was_recorded_comes_out_again_and_a_change_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (snapshot, now) = case(POOL);
        let plan = weft_sched::plan(&snapshot, now);
        assert!(!plan.actions.is_empty() && !plan.verdicts.is_empty());
        let recorder = Recorder::open(dir.path()).unwrap();
        recorder.put(&snapshot, now, &plan);
        drop(recorder);
        // Killed while it wrote; the next server goes on behind it.
        let path = dir.path().join(PLANS);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
        Recorder::open(dir.path()).unwrap().put(&snapshot, now, &plan);
        let done = replay(dir.path()).unwrap();
        assert_eq!((done.plans, done.acting, done.torn), (2, 2, 1));
        assert_eq!(done.different, []);
        // Another moment, another plan.
        let later = whole.replacen(&format!("\"now\":{}", now.0), "\"now\":1", 1);
        assert_ne!(later, whole);
        fs::write(&path, later).unwrap();
        assert_eq!(replay(dir.path()).unwrap().different, [(path.clone(), 1)]);
        fs::write(&path, "{\"now\": \"x\"}\n").unwrap();
        assert!(replay(dir.path()).unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn a_hash_says_all_that_a_plan_does() {
        let (snapshot, now) = case(POOL);
        let plan = weft_sched::plan(&snapshot, now);
        let changes: [fn(&mut Plan); 5] = [
            |plan| plan.base.0 += 1,
            |plan| drop(plan.actions.pop()),
            |plan| plan.wake_at = Some(Timestamp(1)),
            |plan| drop(plan.verdicts.pop_first()),
            |plan| plan.verdicts.values_mut().for_each(|verdict| verdict.position += 1),
        ];
        for change in changes {
            let mut other = plan.clone();
            change(&mut other);
            assert_ne!(hash(&other).unwrap(), hash(&plan).unwrap());
        }
    }

    #[test]
    fn nothing_recorded_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(replay(dir.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
