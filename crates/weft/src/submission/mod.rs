//! From a file or a command line to a spec that can be submitted.
//!
//! [`Source::read`] needs nothing but this machine; [`complete`] fetches what the file only
//! names, and uploads the files that are taken along.

mod bundle;
mod changes;

pub(crate) use changes::Changes;

use crate::failure::{Failure, sentence};
use crate::show::{Style, err_line, paint_err};
use std::path::{Path, PathBuf};
use weft_api::spec::{
    FileMapping, ParsedFile, Place, RequirementsFile, SpecError, WorkloadSpec, decode, parse,
};
use weft_client::{Client, Intent};
use weft_types::Bytes;

/// How a workload file is called.
const FILE_NAMES: [&str; 2] = ["weft.yaml", "weft.yml"];

/// From here on it is said how much is taken along: more than a project's own text has.
const MANY_FILES: usize = 1_000;
const MANY_BYTES: u64 = 10_000_000;

/// What is to be submitted, before anything it names is fetched.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: ParsedFile,
    /// Where what it names is found.
    base: PathBuf,
    /// The file's name and text, for messages.
    origin: Option<(String, String)>,
}

impl Source {
    /// Reads a file, a command, or both; with neither the one workload file that is here.
    pub(crate) fn read(
        path: Option<&Path>,
        command: Vec<String>,
        changes: &Changes,
    ) -> Result<Self, Failure> {
        let found = if path.is_none() && command.is_empty() { Some(only_file()?) } else { None };
        let mut source = match path.or(found.as_deref()) {
            Some(path) => Self::of_file(path)?,
            None => Self::of_nothing()?,
        };
        if !command.is_empty() {
            source.hint_at_files(&command, changes);
            source.file.spec.command = command;
        }
        let here = source.origin.is_none();
        changes.apply(&mut source.file, here)?;
        Ok(source)
    }

    /// What has no name is called as its file is: `hello` for `hello.weft.yaml`.
    pub(crate) fn name_after_file(&mut self) {
        let Some((path, _)) = &self.origin else { return };
        let file = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or("");
        let stem = file.split('.').next().unwrap_or("").to_ascii_lowercase();
        // `weft.yaml`, the id of a workload, and what cannot be a name: the server makes one.
        let generic = stem == "weft" || stem.parse::<weft_types::WorkloadId>().is_ok();
        if self.file.spec.name.is_none() && !generic && weft_types::UserName::new(&stem).is_ok() {
            self.file.spec.name = Some(stem);
        }
    }

    /// Reads a file.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| {
            let message = match e.kind() {
                std::io::ErrorKind::NotFound => format!("there is no file `{name}`"),
                _ => format!("`{name}`: {}", sentence(&e, path)),
            };
            Failure::usage(message)
                .hint("a command goes behind `--`, as in `weft run -- python3 train.py`")
        })?;
        let text = decode(&bytes).map_err(|error| {
            Failure::usage(error.render(&name, &String::from_utf8_lossy(&bytes)))
        })?;
        let file = parse(text).map_err(|errors| rendered(&errors, &name, text))?;
        for note in &file.notes {
            err_line(&format!("{}: {note}", paint_err("note", Style::Hint)));
        }
        let absolute = std::path::absolute(path).map_err(|e| Failure::local(&name, e))?;
        let base = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self { file, base, origin: Some((name, text.to_owned())) })
    }

    fn of_nothing() -> Result<Self, Failure> {
        let base = std::env::current_dir().map_err(|e| Failure::local("this directory", e))?;
        Ok(Self { file: ParsedFile::new(WorkloadSpec::empty()), base, origin: None })
    }

    /// A script that is here but not taken along is the slip everybody makes once.
    fn hint_at_files(&self, command: &[String], changes: &Changes) {
        let taken = changes.takes_files() || !self.file.files.is_empty();
        let here = |word: &&String| {
            !word.starts_with(['-', '/']) && self.base.join(word.as_str()).is_file()
        };
        if let (false, Some(file)) = (taken, command.iter().find(here)) {
            let hint = paint_err("hint", Style::Hint);
            err_line(&format!("{hint}: `{file}` is not taken along; add `--files {file}`"));
        }
    }

    /// A failure that points into the file, where there is one.
    fn broken(&self, at: Place, field: &str, message: String, hint: &str) -> Failure {
        match &self.origin {
            Some((name, text)) => {
                let error = SpecError::about(at, field, message, hint);
                Failure::usage(error.render(name, text))
            }
            None => Failure::usage(message).hint(hint),
        }
    }
}

fn rendered(errors: &[SpecError], name: &str, text: &str) -> Failure {
    let shown: Vec<_> = errors.iter().map(|error| error.render(name, text)).collect();
    Failure::usage(shown.join("\n"))
}

/// The one workload file of this directory.
fn only_file() -> Result<PathBuf, Failure> {
    let named = |name: &str| FILE_NAMES.contains(&name) || name.ends_with(".weft.yaml");
    let entries = std::fs::read_dir(".").map_err(|e| Failure::local("this directory", e))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| named(name))
        .map(PathBuf::from)
        .collect();
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage("there is nothing to run: no `*.weft.yaml` is here")
            .hint("name a file, or a command behind `--`, as in `weft run -- python3 train.py`")),
        many => {
            let names: Vec<_> = many.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::usage(format!("which one? here are {}", names.join(", ")))
                .hint("name it, as in `weft run FILE`"))
        }
    }
}

/// The spec with everything in it that its file only names.
pub(crate) async fn complete(client: &Client, source: Source) -> Result<WorkloadSpec, Failure> {
    let mut spec = source.file.spec.clone();
    for name in &source.file.env_from_caller {
        let value = std::env::var(name).map_err(|_| {
            let message =
                format!("`{name}` is to be taken from your environment, and is not there");
            let hint = format!("set it, or write `{name}=value`");
            let place = source.place_of(name);
            source.broken(place, "env", message, &hint)
        })?;
        spec.env.insert(name.clone(), value);
    }
    if let Some(file) = &source.file.requirements {
        spec.runtime.requirements = Some(requirements(&source, file)?);
    }
    if !source.file.files.is_empty() {
        spec.bundle = Some(upload(client, &source).await?);
    }
    Ok(spec)
}

impl Source {
    /// Where a word stands in the file, for a message about it.
    fn place_of(&self, word: &str) -> Place {
        let lines = self.origin.iter().flat_map(|(_, text)| text.lines().enumerate());
        let at = lines.filter_map(|(n, line)| Some((n, line, line.find(word)?))).next();
        at.map_or(Place::START, |(n, line, byte)| Place {
            line: n as u32 + 1,
            column: line[..byte].chars().count() as u32 + 1,
            length: word.chars().count() as u32,
        })
    }
}

fn requirements(source: &Source, file: &RequirementsFile) -> Result<String, Failure> {
    let path = source.base.join(&file.path);
    std::fs::read_to_string(&path).map_err(|e| {
        let message = format!("`requirements`: `{}`: {}", file.path, sentence(&e, &path));
        let hint = "make one with hashes: `uv pip compile --generate-hashes pyproject.toml`";
        source.broken(file.at, "requirements", message, hint)
    })
}

/// Packs what is taken along and uploads it, unless the server has it; gives its digest.
async fn upload(client: &Client, source: &Source) -> Result<String, Failure> {
    let pack = |mapping: &FileMapping| bundle::Item {
        from: source.base.join(&mapping.from),
        name: mapping.from.clone(),
        to: mapping.to.clone(),
    };
    let items: Vec<_> = source.file.files.iter().map(pack).collect();
    let packed = bundle::pack(&items).map_err(|(item, message)| {
        let at = source.file.files.get(item).map_or(Place::START, |mapping| mapping.at);
        let hint = "paths are relative to the file; without one, to this directory";
        source.broken(at, "files", format!("`files`: {message}"), hint)
    })?;
    if packed.files >= MANY_FILES || packed.bytes >= MANY_BYTES {
        let (files, size) = (packed.files, Bytes(packed.bytes));
        let note = paint_err("note", Style::Hint);
        err_line(&format!(
            "{note}: {files} files, {size} together, are taken along; leave some out with \
             .gitignore or .weftignore"
        ));
    }
    if !client.has_bundle(&packed.sha256).await? {
        let archive = packed.file.path();
        client.put_bundle(&packed.sha256, archive, packed.bytes, &Intent::new()).await?;
    }
    Ok(packed.sha256)
}
