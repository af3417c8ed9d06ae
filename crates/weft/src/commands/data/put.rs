//! `weft data put`: files and folders into a dataset, then a version of it.
//!
//! What is there already, by its size and the time of its last change, is not sent again: a put
//! that was interrupted goes on where it was when it is given once more.

use super::name::Named;
use super::parts::{self, Sent, is_of};
use super::progress::Progress;
use super::walk::{Found, Walked, walk};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, count, err_line};
use clap::Args;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use weft_api::problem;
use weft_api::wire::{
    DataObject, MODIFIED, MakeDataset, PART_BYTES, SHA256, SHA256_PARTS, VersionMade,
};
use weft_client::{Client, ClientError, Intent, ObjectQuery, Upload};
use weft_types::Bytes;

/// How often a file is sent that changes meanwhile: twice is bad luck, more is a log.
const TRIES: u32 = 2;
/// Wait for room among the user's uploads, and how often: a second put beside this one shares it.
const ROOM_WAIT: Duration = Duration::from_millis(250);
const ROOM_WAITS: u32 = 240;
/// Things that are left out and named one by one.
const NAMED_MAX: usize = 10;

/// Put files and folders into a dataset, then make a version of it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data put ./claims claims             the folder's files, as the next version
  weft data put a.csv claims:raw/           one file, below raw/
  weft data put ./claims claims --delete    and end what is not in the folder any more
  weft data put ./scans scans --tier restricted   a new dataset that never leaves

A put that was interrupted goes on where it was: give it again.")]
pub(crate) struct Put {
    /// Files and folders; of one folder alone its content, without its name
    #[arg(required = true, value_name = "PATH")]
    sources: Vec<PathBuf>,
    /// Dataset, made where there is none; behind a colon, where in it
    #[arg(value_name = "DATASET[:PATH]")]
    target: Named,
    /// Tier of a new dataset: public, internal, confidential or restricted
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// What a new dataset is, for people
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// Team's queue of a new dataset
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Why, kept with the version
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// Compare what is there by content, not by size and time
    #[arg(long)]
    checksum: bool,
    /// End objects that are not in the folder any more; older versions keep them
    #[arg(long)]
    delete: bool,
    /// Make no version of it yet
    #[arg(long)]
    no_version: bool,
    /// Files that are sent at once
    #[arg(short, long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
}

/// What a put did.
#[derive(Default)]
struct Done {
    sent: u64,
    sent_bytes: u64,
    new_bytes: u64,
    resumed_bytes: u64,
    there: u64,
    deleted: u64,
}

impl Put {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.target.now("put into")?;
        let walked = self.find()?;
        let client = session.client()?;
        let made = self.dataset(&client, session).await?;
        let prefix = self.prefix();
        let there = match made {
            true => BTreeMap::new(),
            false => objects(&client, &self.target.dataset, &prefix).await?,
        };
        let (todo, skipped) = self.compare(&walked.files, &there)?;
        let untold = || there.values().any(|known| !is_told(known));
        if self.checksum && !session.json && untold() {
            err_line("sums that are not told, as those of data that stays inside: sending instead");
        }
        let mut done = Done { there: skipped, ..Done::default() };
        self.send(&client, todo, session.json, &mut done).await?;
        if self.delete {
            let here: BTreeSet<_> = walked.files.iter().map(|file| &file.object).collect();
            for path in there.keys().filter(|path| !here.contains(path)) {
                client.delete_object(&self.target.dataset, path, &Intent::new()).await?;
                done.deleted += 1;
            }
        }
        let version = match self.no_version {
            true => None,
            false => {
                let dataset = &self.target.dataset;
                Some(client.make_version(dataset, &self.note, &Intent::new()).await?)
            }
        };
        self.tell(session, &walked, &done, version.as_ref());
        Ok(Code::Done.number())
    }

    /// Every file that is to be there.
    fn find(&self) -> Result<Walked, Failure> {
        let mut walked = Walked::default();
        let one = self.sources.len() == 1;
        if self.delete && !(one && self.sources[0].is_dir()) {
            return Err(Failure::usage("--delete compares with one folder, and that is to be all")
                .hint("name one folder, or leave --delete out"));
        }
        for source in &self.sources {
            let to = self.object(source, one)?;
            walk(source, &to, &mut walked)?;
        }
        let mut names: Vec<_> = walked.files.iter().map(|file| file.object.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure::usage(format!("two of them would be `{}`", twice[0]))
                .hint("put them one after the other, each behind a path of its own"));
        }
        if walked.files.is_empty() {
            return Err(Failure::usage("there is no file in what you named"));
        }
        Ok(walked)
    }

    /// What a source is called in the dataset: of a folder what its files' names begin with.
    fn object(&self, source: &Path, one: bool) -> Result<String, Failure> {
        let path = self.target.prefix();
        let folder = source.is_dir();
        if one && !folder && !path.is_empty() && !path.ends_with('/') {
            return Ok(path.to_owned());
        }
        let prefix = self.prefix();
        if one && folder {
            return Ok(prefix);
        }
        let real = if folder { source.canonicalize().ok() } else { None };
        let name = real.as_deref().unwrap_or(source).file_name().and_then(|name| name.to_str());
        let name = name
            .ok_or_else(|| Failure::usage(format!("{} has no name in UTF-8", source.display())))?;
        Ok(format!("{prefix}{name}{}", if folder { "/" } else { "" }))
    }

    /// The folder in the dataset, with its slash.
    fn prefix(&self) -> String {
        let path = self.target.prefix();
        let file = self.sources.len() == 1 && !self.sources[0].is_dir();
        match path {
            "" => String::new(),
            path if path.ends_with('/') => path.to_owned(),
            // One file under a name of its own.
            path if file => path.to_owned(),
            path => format!("{path}/"),
        }
    }

    /// Makes the dataset where there is none; whether it was made.
    async fn dataset(&self, client: &Client, session: &Session) -> Result<bool, Failure> {
        let make = MakeDataset {
            name: self.target.dataset.clone(),
            queue: self.queue.clone(),
            tier: self.tier.clone(),
            about: self.about.clone().unwrap_or_default(),
        };
        there(client, session, &make).await
    }

    /// What is to be sent, and how much is there already.
    fn compare(
        &self,
        files: &[Found],
        there: &BTreeMap<String, DataObject>,
    ) -> Result<(Vec<Found>, u64), Failure> {
        let (mut todo, mut same) = (Vec::new(), 0);
        for file in files {
            let known = there.get(&file.object).filter(|known| known.bytes == file.bytes);
            let equal = match known {
                None => false,
                Some(known) if self.checksum => same_content(known, file)?,
                Some(known) => known.notes.get(MODIFIED) == Some(&file.modified_ns.to_string()),
            };
            match equal {
                true => same += 1,
                false => todo.push(file.clone()),
            }
        }
        Ok((todo, same))
    }

    /// Sends all, several at once. What has arrived stays, whatever becomes of the others.
    async fn send(
        &self,
        client: &Client,
        todo: Vec<Found>,
        json: bool,
        done: &mut Done,
    ) -> Result<(), Failure> {
        let bytes = todo.iter().map(|file| file.bytes).sum();
        let all = todo.len() as u64;
        let progress = Progress::new("putting", all, bytes, json);
        let (mut left, mut going) = (todo.into_iter(), JoinSet::new());
        let mut failed = None;
        loop {
            while failed.is_none() && going.len() < self.jobs as usize {
                let Some(file) = left.next() else { break };
                let (client, dataset) = (client.clone(), self.target.dataset.clone());
                let progress = progress.clone();
                going.spawn(async move { send(&client, &dataset, &file, &progress, json).await });
            }
            match going.join_next().await {
                None => break,
                Some(Ok(Ok(Sent { put, resumed }))) => {
                    done.sent += 1;
                    done.resumed_bytes += resumed;
                    done.sent_bytes += put.bytes;
                    done.new_bytes += put.new_bytes;
                }
                Some(Ok(Err(failure))) => failed = failed.or(Some(failure)),
                Some(Err(panic)) => failed = failed.or(Some(Failure::local("sending", panic))),
            }
        }
        progress.finish();
        match failed {
            None => Ok(()),
            Some(failure) => {
                if !json {
                    let (sent, all) = (count(done.sent + done.there), count(all + done.there));
                    let dataset = &self.target.dataset;
                    err_line(&format!(
                        "{sent} of {all} files are in {dataset}; no version was made"
                    ));
                }
                Err(failure)
            }
        }
    }

    fn tell(&self, session: &Session, walked: &Walked, done: &Done, version: Option<&VersionMade>) {
        if session.json {
            let left_out = walked.left_out.iter();
            let left_out = left_out.map(|(path, why)| json!({ "path": path, "why": why }));
            show::json(&json!({
                "dataset": self.target.dataset,
                "version": version.map(|version| &version.made),
                "fresh": version.is_some_and(|version| version.fresh),
                "sent": done.sent, "sent_bytes": done.sent_bytes, "new_bytes": done.new_bytes,
                "resumed_bytes": done.resumed_bytes,
                "there": done.there, "deleted": done.deleted,
                "left_out": left_out.collect::<Vec<_>>(),
            }));
            return;
        }
        for (path, why) in walked.left_out.iter().take(NAMED_MAX) {
            err_line(&format!("left out {}: {why}", path.display()));
        }
        if let Some(more) = walked.left_out.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            err_line(&format!("left out {more} more; --json names all"));
        }
        if done.there > 0 {
            err_line(&format!("{} there already", were(done.there)));
        }
        if done.deleted > 0 {
            err_line(&format!("{} ended; older versions keep them", files(done.deleted)));
        }
        match version {
            Some(VersionMade { made, fresh }) => {
                let new = match fresh {
                    true => format!("new {}", Bytes(done.new_bytes)),
                    false => "nothing has changed".to_owned(),
                };
                let (name, size) = (&self.target.dataset, Bytes(made.bytes));
                let objects = files(made.objects);
                show::out_line(&format!("{name}@v{}  {objects}  {size} ({new})", made.number));
            }
            None => {
                let (sent, size) = (files(done.sent), Bytes(done.sent_bytes));
                let new = Bytes(done.new_bytes);
                show::out_line(&format!("{}  put {sent}  {size} (new {new})", self.target.dataset));
            }
        }
    }
}

/// Makes a dataset where there is none; whether it was made.
pub(super) async fn there(
    client: &Client,
    session: &Session,
    make: &MakeDataset,
) -> Result<bool, Failure> {
    let name = &make.name;
    match client.dataset(name).await {
        Ok(there) => match &make.tier {
            Some(tier) if *tier != there.tier => {
                let message = format!("{name} is there, and {}, not {tier}", there.tier);
                let hint = "leave --tier out; `weft data set` raises the tier of what is there";
                Err(Failure::new(Code::Conflict, message).hint(hint))
            }
            _ => Ok(false),
        },
        Err(error) if is(&error, problem::Code::NotFound) => {
            let made = client.make_dataset(make, &Intent::new()).await?;
            if !session.json {
                err_line(&format!("made {name}: {}, of {}", made.tier, made.queue));
            }
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// `1 file`, `1,204 files`.
pub(super) fn files(number: u64) -> String {
    let files = if number == 1 { "file" } else { "files" };
    format!("{} {files}", count(number))
}

/// `1 file was`, `1,204 files were`.
pub(super) fn were(number: u64) -> String {
    format!("{} {}", files(number), if number == 1 { "was" } else { "were" })
}

fn is(error: &ClientError, code: problem::Code) -> bool {
    error.problem().is_some_and(|problem| problem.code == code)
}

/// What is there below a path, with its notes.
async fn objects(
    client: &Client,
    dataset: &str,
    prefix: &str,
) -> Result<BTreeMap<String, DataObject>, Failure> {
    let which = ObjectQuery { prefix: prefix.to_owned(), notes: true, ..ObjectQuery::default() };
    let (objects, _) = client.all_objects(dataset, &which).await?;
    Ok(objects.into_iter().map(|object| (object.path.clone(), object)).collect())
}

/// Sends one file, as it is from its first byte to its last.
async fn send(
    client: &Client,
    dataset: &str,
    file: &Found,
    progress: &Progress,
    quiet: bool,
) -> Result<Sent, Failure> {
    for _ in 0..TRIES {
        let (open, bytes, modified_ns) = file.open()?;
        let open = Arc::new(open);
        let sent = Arc::new(AtomicU64::new(0));
        let (counted, shown) = (sent.clone(), progress.clone());
        let upload = Upload {
            file: open.clone(),
            from: 0,
            bytes,
            modified_ns: Some(modified_ns),
            sent: Arc::new(move |more| {
                counted.fetch_add(more, Relaxed);
                shown.bytes(more);
            }),
        };
        let put = match bytes > PART_BYTES {
            true => parts::put(client, dataset, &file.object, &upload, quiet).await,
            false => whole(client, dataset, &file.object, &upload).await,
        };
        let after = rustix::fs::fstat(&open).ok();
        let after =
            after.map(|s| (u64::try_from(s.st_size).unwrap_or(0), super::walk::modified_ns(&s)));
        if after != Some((bytes, modified_ns)) {
            progress.again(sent.load(Relaxed));
            continue;
        }
        let put = put?;
        progress.file();
        return Ok(put);
    }
    let message = format!("`{}` changes while it is sent", file.object);
    let hint = "what is in the dataset now may be half of the one and half of the other: put it \
                again once nothing writes to it";
    Err(Failure::new(Code::Failed, message).hint(hint))
}

/// Puts a small file in one go.
async fn whole(
    client: &Client,
    dataset: &str,
    object: &str,
    upload: &Upload,
) -> Result<Sent, Failure> {
    let mut turn = Turn::default();
    loop {
        let put = client.put_object(dataset, object, upload, &Intent::new()).await;
        if turn.waits(put.as_ref().err()).await {
            continue;
        }
        return Ok(Sent { put: put?, resumed: 0 });
    }
}

/// Where the user's uploads are as many as they may be.
#[derive(Default)]
pub(super) struct Turn {
    waited: u32,
}

impl Turn {
    /// Whether it was refused for want of room, and may be tried again now.
    pub(super) fn waits(
        &mut self,
        refused: Option<&ClientError>,
    ) -> impl Future<Output = bool> + use<> {
        let full = refused.is_some_and(|error| is(error, problem::Code::LimitReached));
        let waits = full && self.waited < ROOM_WAITS;
        self.waited += u32::from(waits);
        async move {
            if waits {
                tokio::time::sleep(ROOM_WAIT).await;
            }
            waits
        }
    }
}

/// Whether what an object holds is told by its sum.
fn is_told(known: &DataObject) -> bool {
    [SHA256, SHA256_PARTS].iter().any(|name| known.notes.contains_key(*name))
}

/// Whether a file is what an object is, by the sum that is told of it.
fn same_content(known: &DataObject, file: &Found) -> Result<bool, Failure> {
    let (open, ..) = file.open()?;
    let same = is_of(&open, known).map_err(|e| Failure::local(file.object.as_str(), e))?;
    Ok(same == Some(true))
}
