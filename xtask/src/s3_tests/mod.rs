//! `cargo xtask s3-tests --checkout PATH`: ceph's S3 tests against a server of its own, compared
//! with the committed list of what passes and why the rest does not (`list.rs`).
//!
//! The tests are never part of this repository: PATH is a checkout of github.com/ceph/s3-tests, and
//! `--python` an interpreter that has what its `requirements.txt` names. What is left out is left
//! out by a rule that is printed with its count (`sets.rs`). A function that is listed as passing
//! and fails is an error; so is one that fails without a reason in the list.

mod list;
mod sets;
mod world;

use crate::{Outcome, process, workspace};
use list::{End, List};
use sets::Function;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use world::World;

/// Programs that run tests side by side: most of a test's time is spent waiting for answers.
const SIDE_BY_SIDE: usize = 3;
/// What a function says that was told to slow down in the place of being refused.
const SLOWED: &str = "503 == 403";
/// Before it is run again: the server forgives a bad signature in ten seconds.
const RECOVERS: Duration = Duration::from_secs(20);

/// Functions that look at all buckets there are: they run before the others.
const ALONE: [&str; 1] = ["::test_list_buckets_paginated"];

/// What is asked for.
struct Asked {
    checkout: PathBuf,
    python: PathBuf,
    binary: Option<PathBuf>,
    write: bool,
    /// Parts of functions' names; none: all of the core.
    names: Vec<String>,
}

impl Asked {
    fn parse(args: &[String]) -> Result<Self, String> {
        let usage = "s3-tests --checkout PATH [--python PATH] [--binary PATH] [--write] [NAME …]";
        let (mut checkout, mut python, mut binary) = (None, None, None);
        let (mut write, mut names) = (false, Vec::new());
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let into = match arg.as_str() {
                "--checkout" => &mut checkout,
                "--python" => &mut python,
                "--binary" => &mut binary,
                "--write" => {
                    write = true;
                    continue;
                }
                other if other.starts_with('-') => return Err(format!("`{other}`: {usage}")),
                name => {
                    names.push(name.to_owned());
                    continue;
                }
            };
            let path = args.next().ok_or_else(|| format!("`{arg}` needs a path: {usage}"))?;
            *into = Some(std::path::absolute(path).map_err(|e| e.to_string())?);
        }
        if write && !names.is_empty() {
            return Err("the list is written after all of the core: --write takes no names".into());
        }
        let checkout: PathBuf = checkout.ok_or(usage)?;
        if !checkout.join("s3tests/functional/test_s3.py").is_file() {
            let text = "has no s3tests/functional/test_s3.py; clone github.com/ceph/s3-tests there";
            return Err(format!("--checkout {}: {text}", checkout.display()));
        }
        Ok(Self { checkout, python: python.unwrap_or("python3".into()), binary, write, names })
    }
}

/// How the cases of a function ended, and the first that was not as it should be.
#[derive(Debug, Clone, Default)]
struct Told {
    passed: usize,
    failed: usize,
    why: String,
}

impl Told {
    fn end(&self) -> End {
        if self.failed == 0 && self.passed > 0 { End::Passes } else { End::Fails }
    }
}

pub(crate) fn run(args: &[String]) -> Outcome {
    let asked = Asked::parse(args)?;
    let binary = match &asked.binary {
        Some(binary) => binary.clone(),
        None => {
            process::show(&mut process::cargo(&["build", "--locked", "-p", "weft"]))?;
            workspace::target().join("debug/weft")
        }
    };
    let path = workspace::root().join("docs/reference/s3-tests.md");
    let list = List::parse(&std::fs::read_to_string(&path).unwrap_or_default())?;
    let world = World::begin(&binary)?;
    let functions = collect(&asked, &world)?;
    let (core, left_out) = sets::divide(functions);
    for (rule, left) in &left_out {
        println!("left out, {rule}: {}", left.len());
    }
    let wanted = |f: &&Function| {
        asked.names.is_empty() || asked.names.iter().any(|name| f.name.contains(name))
    };
    let chosen: Vec<_> = core.iter().filter(wanted).collect();
    println!("running {} of {} functions of the core", chosen.len(), core.len());
    let mut told = run_all(&asked, &world, &chosen)?;
    told.extend(again(&asked, &world, &chosen, &told)?);
    world.end()?;
    let mut ends = BTreeMap::new();
    for function in &chosen {
        let told = told.get(&function.name).cloned().unwrap_or_default();
        if told.end() == End::Fails {
            println!("{}: {}", function.name, told.why);
        }
        ends.insert(function.name.clone(), told);
    }
    let count =
        |ends: &BTreeMap<String, Told>, end| ends.values().filter(|told| told.end() == end).count();
    let cases = |of: fn(&Told) -> usize| ends.values().map(of).sum::<usize>();
    let figures = format!(
        "{} functions pass, {} fail; {} cases pass, {} fail",
        count(&ends, End::Passes),
        count(&ends, End::Fails),
        cases(|told| told.passed),
        cases(|told| told.failed),
    );
    println!("{figures}");
    let found = list.compare(&ends.iter().map(|(n, t)| (n.clone(), t.end())).collect());
    found.better.iter().for_each(|name| println!("passes, and is listed as failing: {name}"));
    if asked.write {
        let now = ends.iter().map(|(name, told)| (name.clone(), told.end())).collect();
        let text = list.written(&now, &left_out, &commit(&asked.checkout), &figures);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("wrote {}", path.display());
    }
    found.worse.iter().for_each(|sentence| println!("{sentence}"));
    match found.worse.len() {
        0 => Ok(()),
        worse => Err(format!("{worse} functions are not as the list says")),
    }
}

/// The commit of the checkout, or that it is none.
fn commit(checkout: &Path) -> String {
    let mut git = Command::new("git");
    let commit = process::quiet(git.arg("-C").arg(checkout).args(["rev-parse", "HEAD"]));
    commit.map_or("no commit".to_owned(), |text| text.trim().to_owned())
}

/// A run of pytest; `told` is where the plugin writes.
fn pytest(asked: &Asked, world: &World, told: &Path) -> Command {
    let mut command = Command::new(&asked.python);
    command.args(["-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]);
    command.args(["-p", "weft_s3_tests"]).current_dir(&asked.checkout);
    command.env("PYTHONPATH", world.folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("S3TEST_CONF", world.config()).env("WEFT_S3_TESTS_TOLD", told);
    command.stdin(Stdio::null());
    command
}

/// All functions of the two files that are about S3 itself.
fn collect(asked: &Asked, world: &World) -> Result<Vec<Function>, String> {
    let told = world.folder().join("functions");
    let mut command = pytest(asked, world, &told);
    command.args(["--collect-only", "s3tests/functional/test_s3.py"]);
    command.arg("s3tests/functional/test_headers.py").env("WEFT_S3_TESTS_COLLECT", "1");
    let output = command.output().map_err(|e| format!("{}: {e}", asked.python.display()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let hint = "does this Python have what the checkout's requirements.txt names?";
        return Err(format!("the tests cannot be collected; {hint}\n{text}"));
    }
    let text = std::fs::read_to_string(&told).map_err(|e| format!("{}: {e}", told.display()))?;
    Ok(sets::parse(&text))
}

/// Runs functions, some side by side: each program has buckets of its own.
fn run_all(
    asked: &Asked,
    world: &World,
    functions: &[&Function],
) -> Result<BTreeMap<String, Told>, String> {
    let told = world.folder().join("told");
    let (alone, others): (Vec<_>, Vec<_>) =
        functions.iter().partition(|f| ALONE.iter().any(|name| f.name.ends_with(name)));
    side_by_side(asked, world, &alone, 1)?;
    side_by_side(asked, world, &others, SIDE_BY_SIDE)?;
    let text = std::fs::read_to_string(&told).unwrap_or_default();
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.splitn(4, '\t');
        let (Some(name), _, Some(outcome)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let of = all.entry(name.to_owned()).or_default();
        if outcome == "passed" {
            of.passed += 1;
        } else {
            of.failed += 1;
            of.why = format!("{outcome}: {}", fields.next().unwrap_or_default());
        }
    }
    Ok(all)
}

/// Runs those again that were told to slow down: an address from which too many bad signatures come
/// is answered so, and on a fast machine the suite's come within a minute.
fn again(
    asked: &Asked,
    world: &World,
    functions: &[&Function],
    told: &BTreeMap<String, Told>,
) -> Result<BTreeMap<String, Told>, String> {
    let slowed = |f: &&&Function| told.get(&f.name).is_some_and(|told| told.why.contains(SLOWED));
    let mut all = BTreeMap::new();
    for function in functions.iter().filter(slowed) {
        println!("{} was told to slow down, and is run again", function.name);
        std::thread::sleep(RECOVERS);
        std::fs::remove_file(world.folder().join("told")).map_err(|e| e.to_string())?;
        all.extend(run_all(asked, world, &[function])?);
    }
    Ok(all)
}

/// Shares functions out among so many programs, and waits for them.
fn side_by_side(asked: &Asked, world: &World, functions: &[&Function], programs: usize) -> Outcome {
    let mut children = Vec::new();
    for share in 0..programs.min(functions.len()) {
        let mine = functions.iter().skip(share).step_by(programs);
        let log = std::fs::File::create(world.folder().join(format!("pytest-{programs}-{share}")));
        let log = log.map_err(|e| e.to_string())?;
        let mut command = pytest(asked, world, &world.folder().join("told"));
        command.args(mine.map(|f| format!("s3tests/functional/{}", f.name)));
        command.stderr(log.try_clone().map_err(|e| e.to_string())?).stdout(log);
        children.push(command.spawn().map_err(|e| e.to_string())?);
    }
    for mut child in children {
        child.wait().map_err(|e| e.to_string())?;
    }
    Ok(())
}
