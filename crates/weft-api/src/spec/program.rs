//! What a workload runs: image or Python, setup, command, environment, files, outputs.

use super::data;
use super::error::{Rule, SpecError};
use super::field::{Field, Fields, Findings};
use super::outputs::{self, is_inside};
use super::read::{FileMapping, ParsedFile, RequirementsFile};
use super::yaml::{Scalar, Value};
use weft_types::Kind;

/// Most entries of `files`, lines of `commands` and arguments of a command: what a start takes.
pub(super) const LIST_MAX: usize = 1000;

/// Most entries of `setup` and `env`: what the server takes.
pub(super) const SETUP_MAX: usize = 64;
pub(super) const ENV_MAX: usize = 256;

/// The shell that runs a `run:` text: it stops at the first line that fails, and an unset
/// variable is an error, because a run that goes on after either wastes what it holds.
pub(super) const SHELL: [&str; 2] = ["sh", "-euc"];

/// What a workspace runs when it names nothing: it stays until it is stopped.
pub(super) const IDLE: [&str; 2] = ["sleep", "infinity"];

pub(super) fn read(top: &Fields<'_>, kind: Kind, file: &mut ParsedFile, found: &mut Findings) {
    runtime(top, file, found);
    if let Some(field) = found.take(top, &["setup"]) {
        let lines = found.texts(&field, SETUP_MAX);
        file.spec.setup = lines.into_iter().map(trimmed).collect();
    }
    file.spec.command = command(top, kind, found);
    if let Some(field) = found.take(top, &["env", "envs"]) {
        env(&field, file, found);
    }
    files(top, file, found);
    if let Some(field) = found.take(top, &["bundle"]) {
        file.spec.bundle = bundle(&field, found);
    }
    if let Some(field) = found.take(top, &["outputs"]) {
        (file.spec.outputs, file.spec.publish) = outputs::read(&field, found);
    }
    if let Some(field) = found.take(top, &["data"]) {
        file.spec.data = data::read(&field, found);
    }
}

fn runtime(top: &Fields<'_>, file: &mut ParsedFile, found: &mut Findings) {
    let own = "an image brings its own Python; install what it lacks under `setup:`";
    found.exclude(top, ["image", "python"], own);
    found.exclude(top, ["image", "requirements"], own);
    if let Some(field) = found.take(top, &["image"])
        && let Some(text) = found.text(&field)
    {
        match text.contains(char::is_whitespace) {
            true => found.bad(
                &field,
                format!("`image` is `{text}`, which is not an image reference"),
                "write it as in `registry.example/team/image:1.2`",
            ),
            false => file.spec.runtime.image = Some(text.to_owned()),
        }
    }
    if let Some(field) = found.take(top, &["python"]) {
        file.spec.runtime.python = python(&field, found);
    }
    if let Some(field) = found.take(top, &["requirements"])
        && let Some(text) = requirements(&field, found)
    {
        // Several lines are the requirements themselves, one is the path of a file.
        match text.contains('\n') {
            true => file.spec.runtime.requirements = Some(text.to_owned()),
            false => {
                let (path, at) = (text.to_owned(), field.node.at);
                file.requirements = Some(RequirementsFile { path, at });
            }
        }
    }
}

/// Requirements repeated in a hint: enough to see that they are one's own.
const REQUIREMENTS_SHOWN: usize = 8;

fn requirements<'n>(field: &Field<'n>, found: &mut Findings) -> Option<&'n str> {
    let Value::List(items) = &field.node.value else { return found.text(field) };
    let names: Vec<_> = items
        .iter()
        .filter_map(|item| match &item.value {
            // The shell's own quote in it would not be the one text that is meant.
            Value::Scalar { text, .. } if !text.contains(['\'', '\n']) => Some(text.as_str()),
            _ => None,
        })
        .take(REQUIREMENTS_SHOWN)
        .collect();
    let echo = if names.is_empty() { "numpy".to_owned() } else { names.join("' '") };
    let rule = "`requirements` is a list; it has to be locked, with the hash of each package";
    let hint = format!(
        "lock it once: `printf '%s\\n' '{echo}' | uv pip compile --generate-hashes -o \
         requirements.txt -`, then write `requirements: requirements.txt`"
    );
    found.bad(field, rule.to_owned(), &hint);
    None
}

fn python(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let text = found.written(field, "a Python version")?;
    let version = text.strip_prefix(">=").unwrap_or(text);
    let parts: Vec<_> = version.split('.').collect();
    let number = |p: &&str| !p.is_empty() && p.len() <= 3 && p.bytes().all(|b| b.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(number) {
        let message = format!("`python` is `{text}`, which is not a version");
        found.bad(field, message, "write it as in `3.12`, `3.12.4` or `>=3.11`");
        return None;
    }
    Some(text.to_owned())
}

fn command(top: &Fields<'_>, kind: Kind, found: &mut Findings) -> Vec<String> {
    found.exclude(top, ["run", "commands"], "they mean the same; keep one");
    let script = |lines: String| SHELL.map(str::to_owned).into_iter().chain([lines]).collect();
    if let Some(field) = found.take(top, &["run"]) {
        return match field.node.value {
            Value::List(_) => argv(&field, found),
            _ => found.text(&field).map(|t| script(trimmed(t.to_owned()))).unwrap_or_default(),
        };
    }
    if let Some(field) = found.take(top, &["commands"]) {
        let lines = found.texts(&field, LIST_MAX);
        if lines.is_empty() && found.errors.is_empty() {
            found.bad(&field, "`commands` is empty".to_owned(), "give it at least one line");
        }
        return script(lines.into_iter().map(trimmed).collect::<Vec<_>>().join("\n"));
    }
    match kind {
        Kind::Workspace => IDLE.map(str::to_owned).to_vec(),
        // The slip is shown already; that nothing is left to run follows from it.
        Kind::Job | Kind::Service if misspelt(found) => Vec::new(),
        Kind::Job | Kind::Service => {
            let message = format!("a {kind} has to say what it runs");
            found.push(
                SpecError::new(Rule::Missing, top.at, message)
                    .field("run")
                    .hint("add `run: python train.py`, or several lines under `commands:`"),
            );
            Vec::new()
        }
    }
}

/// Whether an unknown key was meant to say what is run.
fn misspelt(found: &Findings) -> bool {
    let mut hints = found.errors.iter().filter_map(|error| error.hint.as_deref());
    let meant = |hint: &str| ["`run`", "`run:`", "`commands`"].iter().any(|key| hint.contains(key));
    hints.any(meant)
}

fn argv(field: &Field<'_>, found: &mut Findings) -> Vec<String> {
    let mut command = Vec::new();
    for item in found.list(field, LIST_MAX).unwrap_or_default() {
        match item.scalar() {
            Some((_, Scalar::Null)) | None => {
                let message = format!("`{}` is {}, it has to be text", item.path, item.node.sort());
                found.bad(&item, message, "an empty argument is written `\"\"`");
            }
            Some((text, _)) => command.push(text.to_owned()),
        }
    }
    match command.first() {
        None if found.errors.is_empty() => {
            found.bad(field, "`run` is empty".to_owned(), "name a program and its arguments");
        }
        Some(program) if program.is_empty() || program.contains(char::is_whitespace) => found.bad(
            field,
            format!("`run` as a list is one program and its arguments, `{program}` is no program"),
            "for shell lines write them under `commands:`, or as text with `run: |`",
        ),
        _ => {}
    }
    command
}

/// Without the line ends that block texts carry.
fn trimmed(text: String) -> String {
    text.trim_end_matches(['\n', '\r']).to_owned()
}

fn env(field: &Field<'_>, file: &mut ParsedFile, found: &mut Findings) {
    if let Value::Map(entries) = &field.node.value {
        if entries.len() > ENV_MAX {
            let many = entries.len();
            let message = format!("`{}` has {many} entries, allowed are {ENV_MAX}", field.path);
            return found.bad(field, message, "put them into a file that is taken along");
        }
        for entry in entries {
            let item = Field { path: format!("{}.{}", field.path, entry.key), node: &entry.node };
            let value = match item.scalar() {
                Some((_, Scalar::Null)) => None,
                Some((text, _)) => Some(text),
                None => {
                    let message =
                        format!("`{}` is {}, it has to be text", item.path, item.node.sort());
                    found.bad(&item, message, "");
                    continue;
                }
            };
            variable(&item, &entry.key, value, file, found);
        }
        return;
    }
    for item in found.list(field, ENV_MAX).unwrap_or_default() {
        let Some(text) = found.text(&item) else { continue };
        match text.split_once('=') {
            Some((name, value)) => variable(&item, name, Some(value), file, found),
            None => variable(&item, text, None, file, found),
        }
    }
}

/// A variable with its value, or one that is taken from the caller's environment.
fn variable(
    field: &Field<'_>,
    name: &str,
    value: Option<&str>,
    file: &mut ParsedFile,
    found: &mut Findings,
) {
    let first = name.bytes().next().unwrap_or(b'0');
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !legal || first.is_ascii_digit() {
        let message = format!("`{name}` is not the name of a variable");
        found.bad(field, message, "use letters, digits and `_`, as in `LEARNING_RATE`");
        return;
    }
    let twice = match value {
        Some(value) => file.spec.env.insert(name.to_owned(), value.to_owned()).is_some(),
        None => {
            let twice = file.env_from_caller.iter().any(|known| known == name);
            file.env_from_caller.push(name.to_owned());
            twice
        }
    };
    if twice {
        found.beyond(Rule::Beyond, field, format!("`{name}` is set twice"), "keep one");
    }
}

fn files(top: &Fields<'_>, file: &mut ParsedFile, found: &mut Findings) {
    if let Some(field) = found.take(top, &["workdir"])
        && let Some(text) = found.text(&field)
    {
        if text.contains(':') {
            let message = format!("`workdir` is `{text}`, which is not a directory to take along");
            found.bad(&field, message, "for a place of its own write `files: [\"here:there\"]`");
        }
        let (from, to, at) = (text.to_owned(), Some(".".to_owned()), field.node.at);
        file.files.push(FileMapping { from, to, at });
    }
    let Some(field) = found.take(top, &["files"]) else { return };
    let items = match field.node.value {
        Value::List(_) => found.list(&field, LIST_MAX).unwrap_or_default(),
        _ => vec![field],
    };
    for item in items {
        let Some(text) = found.text(&item) else { continue };
        let (from, to) = match text.split_once(':') {
            Some((from, to)) => (from, Some(to)),
            None => (text, None),
        };
        if from.is_empty() || !to.is_none_or(|to| is_inside(to) && !to.contains(':')) {
            let message = format!("`{}` is `{text}`, which is not a file to take along", item.path);
            found.bad(&item, message, "write `here` or `here:there`, `there` a relative path");
            continue;
        }
        let (from, to, at) = (from.to_owned(), to.map(str::to_owned), item.node.at);
        file.files.push(FileMapping { from, to, at });
    }
}

fn bundle(field: &Field<'_>, found: &mut Findings) -> Option<String> {
    let text = found.text(field)?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() != 64 || !text.bytes().all(hex) {
        let message = "`bundle` is not the SHA-256 of an uploaded archive, 64 hex digits";
        found.bad(field, message.to_owned(), "to take files along write `files:`");
        return None;
    }
    Some(text.to_owned())
}
