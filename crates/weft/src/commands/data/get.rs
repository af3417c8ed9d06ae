//! `weft data get`: objects of a dataset into a folder.
//!
//! Each file is written aside and gets its name when it is whole; a fetch that was interrupted goes
//! on where it was when it is given once more. What is there and differs stays, unless it is said
//! that it may go.

use super::name::Named;
use super::parts::is_of;
use super::place::{Aside, Place, There, names};
use super::progress::Progress;
use super::put::{files, were};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, count, err_line};
use clap::Args;
use rustix::io::Errno;
use serde_json::json;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use weft_api::wire::{DataObject, MODIFIED};
use weft_client::{Client, ObjectQuery};
use weft_types::Bytes;

/// Things that are named one by one in a message.
const NAMED_MAX: usize = 10;

/// Fetch a dataset, a folder of it or a file
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data get claims@v3              version 3, into ./claims
  weft data get claims@v3:raw/ data    what is below raw/, into ./data
  weft data get claims:a.csv           a.csv as it is now, into ./claims

Confidential and restricted datasets never leave: use them in a run, under `data:`.
A fetch that was interrupted goes on where it was: give it again.")]
pub(crate) struct Get {
    /// Dataset, behind @ its version, behind a colon what of it
    #[arg(value_name = "DATASET[@VERSION][:PATH]")]
    source: Named,
    /// Into this folder; without one, into one of the dataset's name
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write over files that differ
    #[arg(long)]
    force: bool,
    /// Files that are fetched at once
    #[arg(short, long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
}

/// A file to be.
#[derive(Clone)]
struct Wanted {
    object: DataObject,
    /// Where below the folder.
    names: Vec<String>,
}

impl Wanted {
    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn modified_ns(&self) -> Option<i128> {
        self.object.notes.get(MODIFIED)?.parse().ok()
    }
}

impl Get {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let name = &self.source.dataset;
        // A name may be moved to another version meanwhile: the number is not.
        let at = match self.source.at.as_deref().filter(|at| *at != "now") {
            Some(at) => Some(format!("v{}", client.dataset_version(name, at).await?.number)),
            None => None,
        };
        let (wanted, left_out) = self.wanted(&client, at.clone()).await?;
        let dir = self.dir.clone().unwrap_or_else(|| PathBuf::from(name));
        let place = Arc::new(Place::new(&dir));
        let (todo, there) = self.compare(&place, &dir, wanted)?;
        let bytes: u64 = todo.iter().map(|wanted| wanted.object.bytes).sum();
        let (fetched, all) = (todo.len() as u64, (todo.len() as u64 + there.0, bytes + there.1));
        self.fetch(&client, &place, at.as_deref(), todo, session.json).await?;
        if session.json {
            show::json(&json!({
                "dataset": name, "version": at, "dir": dir, "fetched": fetched, "bytes": bytes,
                "there": there.0, "left_out": left_out,
            }));
        } else {
            if there.0 > 0 {
                err_line(&format!("{} there already", were(there.0)));
            }
            let at = at.map(|at| format!("@{at}")).unwrap_or_default();
            let (all, size, new) = (files(all.0), Bytes(all.1), Bytes(bytes));
            let dir = dir.display();
            show::out_line(&format!("{name}{at}  {all}  {size} in {dir} (fetched {new})"));
        }
        if left_out.is_empty() {
            return Ok(Code::Done.number());
        }
        let message = format!("left out, since no file can be called so: {}", listed(&left_out));
        let hint = "whoever put them can copy them to other names; others reach them through S3";
        Err(Failure::new(Code::Failed, message).hint(hint))
    }

    /// The objects that are meant, and those that can be no files.
    async fn wanted(
        &self,
        client: &Client,
        at: Option<String>,
    ) -> Result<(Vec<Wanted>, Vec<String>), Failure> {
        let path = self.source.prefix();
        let which =
            ObjectQuery { at, prefix: path.to_owned(), notes: true, ..ObjectQuery::default() };
        let (objects, _) = client.all_objects(&self.source.dataset, &which).await?;
        let (mut wanted, mut left_out) = (Vec::new(), Vec::new());
        for object in objects {
            let Some(below) = below(path, &object.path) else { continue };
            // Clients of S3 make these for folders.
            if below.is_empty() || (below.ends_with('/') && object.bytes == 0) {
                continue;
            }
            match names(below) {
                Some(names) => {
                    let names = names.into_iter().map(str::to_owned).collect();
                    wanted.push(Wanted { object, names });
                }
                None => left_out.push(object.path),
            }
        }
        if wanted.is_empty() && left_out.is_empty() {
            let hint = format!("`weft data ls {}` shows what is there", self.source);
            let message = match path {
                "" => format!("{} is empty", self.source),
                path => format!("there is no `{path}` in {}", self.source),
            };
            return Err(Failure::new(Code::NotFound, message).hint(hint));
        }
        Ok((wanted, left_out))
    }

    /// What is to be fetched, and how many files and bytes are there already.
    fn compare(
        &self,
        place: &Place,
        dir: &Path,
        wanted: Vec<Wanted>,
    ) -> Result<(Vec<Wanted>, (u64, u64)), Failure> {
        let (mut todo, mut same, mut differ) = (Vec::new(), (0, 0), Vec::new());
        for wanted in wanted {
            let failed = |e: Errno| Failure::local(dir.join(wanted.names.join("/")).display(), e);
            match place.there(&wanted.names()).map_err(failed)? {
                There::Nothing => todo.push(wanted),
                There::File(bytes, modified) => {
                    match is_same(place, &wanted, bytes, modified).map_err(failed)? {
                        true => same = (same.0 + 1, same.1 + bytes),
                        false if self.force => todo.push(wanted),
                        false => differ.push(wanted.names.join("/")),
                    }
                }
                There::Other => differ.push(wanted.names.join("/")),
            }
        }
        if differ.is_empty() {
            return Ok((todo, same));
        }
        let dir = dir.display();
        let message = format!("{dir} has other files of these names: {}", listed(&differ));
        let hint = match self.force {
            true => "only files are written over: move folders and links away",
            false => "name another folder, or write over files with --force",
        };
        Err(Failure::new(Code::Conflict, message).hint(hint))
    }

    async fn fetch(
        &self,
        client: &Client,
        place: &Arc<Place>,
        at: Option<&str>,
        todo: Vec<Wanted>,
        json: bool,
    ) -> Result<(), Failure> {
        let bytes = todo.iter().map(|wanted| wanted.object.bytes).sum();
        let progress = Progress::new("fetching", todo.len() as u64, bytes, json);
        let (mut left, mut going) = (todo.into_iter(), JoinSet::new());
        let mut failed = None;
        loop {
            while failed.is_none() && going.len() < self.jobs as usize {
                let Some(wanted) = left.next() else { break };
                let one = Fetch {
                    client: client.clone(),
                    dataset: self.source.dataset.clone(),
                    at: at.map(str::to_owned),
                    place: place.clone(),
                    over: self.force,
                    progress: progress.clone(),
                };
                going.spawn(async move { one.fetch(&wanted).await });
            }
            match going.join_next().await {
                None => break,
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(failure))) => failed = failed.or(Some(failure)),
                Some(Err(panic)) => failed = failed.or(Some(Failure::local("fetching", panic))),
            }
        }
        progress.finish();
        failed.map_or(Ok(()), Err)
    }
}

/// What each file's fetch needs.
struct Fetch {
    client: Client,
    dataset: String,
    at: Option<String>,
    place: Arc<Place>,
    over: bool,
    progress: Progress,
}

impl Fetch {
    async fn fetch(&self, wanted: &Wanted) -> Result<(), Failure> {
        let path = &wanted.object.path;
        let failed = |e: std::io::Error| Failure::local(path.as_str(), e);
        // What an earlier fetch left is looked at first, and made only once the server agrees.
        let had = self.place.had(&wanted.names(), &wanted.object.tag).unwrap_or(0);
        let from = if had <= wanted.object.bytes { had } else { 0 };
        let whole = from == wanted.object.bytes && from > 0;
        let (at, tag) = (self.at.as_deref(), wanted.object.tag.as_str());
        // Of one that is whole already its last byte is asked for: the server decides each time.
        let begin = if whole { from - 1 } else { from };
        let mut body = self.client.get_object(&self.dataset, path, at, begin, tag).await?;
        let aside = self.place.aside(&wanted.names(), tag).map_err(|e| failed(e.into()))?;
        aside.file.set_len(begin).map_err(failed)?;
        self.progress.bytes(begin);
        let mut file = tokio::fs::File::from_std(aside.file.try_clone().map_err(failed)?);
        tokio::io::AsyncSeekExt::seek(&mut file, SeekFrom::Start(begin)).await.map_err(failed)?;
        let mut has = begin;
        while let Some(bytes) = body.next().await? {
            file.write_all(&bytes).await.map_err(failed)?;
            has += bytes.len() as u64;
            self.progress.bytes(bytes.len() as u64);
        }
        file.flush().await.map_err(failed)?;
        self.finish(wanted, aside, from, has)
    }

    fn finish(&self, wanted: &Wanted, aside: Aside, from: u64, has: u64) -> Result<(), Failure> {
        let path = &wanted.object.path;
        if has != wanted.object.bytes {
            let message = format!("`{path}` ended early: {has} of {} bytes", wanted.object.bytes);
            return Err(Failure::new(Code::Unreachable, message).hint("fetch it again: it goes on"));
        }
        // What was there before is the disk's word, not the server's.
        if from > 0
            && is_of(&aside.file, &wanted.object)
                .map_err(|e| Failure::local(path.as_str(), e))?
                .is_some_and(|same| !same)
        {
            aside.discard();
            let message = format!("what an earlier fetch left of `{path}` was damaged");
            return Err(Failure::new(Code::Failed, message).hint("fetch it again: it begins anew"));
        }
        match aside.finish(wanted.modified_ns(), self.over) {
            Ok(()) => {
                self.progress.file();
                Ok(())
            }
            Err(Errno::EXIST) => {
                let message = format!("`{path}` came to be there meanwhile");
                Err(Failure::new(Code::Conflict, message).hint("fetch into another folder"))
            }
            Err(error) => Err(Failure::local(path.as_str(), error)),
        }
    }
}

/// What stands behind a path that is a file, a folder, or all of it.
fn below<'o>(path: &str, object: &'o str) -> Option<&'o str> {
    let rest = object.strip_prefix(path)?;
    if path.is_empty() || path.ends_with('/') {
        return Some(rest);
    }
    match rest {
        "" => Some(object.rsplit('/').next().unwrap_or(object)),
        rest => rest.strip_prefix('/'),
    }
}

/// Whether the file that is there is the one that is wanted: by size and time, else by content.
fn is_same(place: &Place, wanted: &Wanted, bytes: u64, modified: i128) -> Result<bool, Errno> {
    if bytes != wanted.object.bytes {
        return Ok(false);
    }
    if wanted.modified_ns() == Some(modified) {
        return Ok(true);
    }
    let file = place.open(&wanted.names())?;
    let same = is_of(&file, &wanted.object);
    let same = same.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
    Ok(same == Some(true))
}

/// The first of them, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        None => shown.join(", "),
        Some(more) => format!("{} and {} more", shown.join(", "), count(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_file_a_folder_or_all() {
        assert_eq!(below("", "raw/a"), Some("raw/a"));
        assert_eq!(below("raw/", "raw/a"), Some("a"));
        assert_eq!(below("raw", "raw/a"), Some("a"));
        assert_eq!(below("raw/a", "raw/a"), Some("a"));
        assert_eq!(below("raw/a", "raw/ab"), None);
        assert_eq!(below("x", "raw/a"), None);
    }
}
