//! The main function of the parser: a text becomes a workload, or a list of what is wrong.

use super::error::{Place, Rule, SpecError};
use super::field::{Field, Fields, Findings};
use super::workload::WorkloadSpec;
use super::{keys, yaml};
use weft_types::{Kind, NAME_MAX, Phase, QueueName};

/// Highest priority, and below zero the lowest: room for a handful of levels between the words.
pub const PRIORITY_MAX: u32 = 1000;

/// Words for priorities.
pub const PRIORITY_WORDS: [(&str, i32); 3] = [("low", -100), ("normal", 0), ("high", 100)];

pub(super) const PRIORITY: (i64, i64) = (-(PRIORITY_MAX as i64), PRIORITY_MAX as i64);

/// A file that was read: the workload, and what the caller has to fetch for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedFile {
    /// The workload; what stands in the fields below is not in it yet.
    pub spec: WorkloadSpec,
    /// Files to take along, below the directory of the file.
    pub files: Vec<FileMapping>,
    /// The requirements file to read.
    pub requirements: Option<RequirementsFile>,
    /// Environment variables that are taken from the caller's own environment.
    pub env_from_caller: Vec<String>,
    /// How something was taken where the file left room, in sentences for people.
    pub notes: Vec<String>,
}

/// Something taken along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMapping {
    /// A file or directory here; `.` is the directory of the workload file.
    pub from: String,
    /// Its path in the working directory; none means the same name.
    pub to: Option<String>,
    /// Where the file says so.
    pub at: Place,
}

/// A requirements file that is read by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementsFile {
    /// Its path.
    pub path: String,
    /// Where the file says so.
    pub at: Place,
}

impl ParsedFile {
    /// A workload that needs nothing from here.
    pub fn new(spec: WorkloadSpec) -> Self {
        let (files, env_from_caller, notes) = Default::default();
        Self { spec, files, requirements: None, env_from_caller, notes }
    }
}

/// Reads a workload file. On `Err` every error found, in the order of the file.
pub fn parse(text: &str) -> Result<ParsedFile, Vec<SpecError>> {
    let root = yaml::load(text).map_err(|error| vec![error])?;
    let Some(root) = root else {
        return Err(vec![
            SpecError::new(Rule::Missing, Place::START, "the file says nothing")
                .hint("the least that runs is `run: echo hello`"),
        ]);
    };
    let mut found = Findings::default();
    let file = read(&root, &mut found);
    found.errors.sort_by_key(|error| error.at);
    match file {
        Some(file) if found.errors.is_empty() => Ok(ParsedFile { notes: found.notes, ..file }),
        _ => Err(found.errors),
    }
}

fn read(root: &yaml::Node, found: &mut Findings) -> Option<ParsedFile> {
    let root = Field { path: String::new(), node: root };
    if !matches!(root.node.value, yaml::Value::Map(_)) {
        let message = format!("the file is {}, it has to be a map of keys", root.node.sort());
        found.bad(&root, message, "the least that runs is `run: echo hello`");
        return None;
    }
    let top = found.map(&root, keys::FILE)?;
    let kind = kind(&top, found);
    let mut file = ParsedFile::new(WorkloadSpec {
        kind: kind.as_str().to_owned(),
        name: name(&top, found),
        phase: phase(&top, found),
        queue: queue(&top, found),
        priority: priority(&top, found),
        ..WorkloadSpec::empty()
    });
    super::program::read(&top, kind, &mut file, found);
    super::resources::read(&top, &mut file.spec.resources, found);
    super::life::read(&top, kind, &mut file.spec, found);
    Some(file)
}

fn kind(top: &Fields<'_>, found: &mut Findings) -> Kind {
    let Some(field) = found.take(top, &["type"]) else { return Kind::Job };
    if let Some((later @ ("pipeline" | "stream"), _)) = field.scalar() {
        let message = format!("`type` is `{later}`, which this version does not run yet");
        found.bad(&field, message, "possible are workspace, job and service");
        return Kind::Job;
    }
    let words = [
        ("workspace", Kind::Workspace),
        ("job", Kind::Job),
        ("service", Kind::Service),
        ("task", Kind::Job),
        ("dev-environment", Kind::Workspace),
    ];
    found.word(&field, &words).unwrap_or(Kind::Job)
}

fn name(top: &Fields<'_>, found: &mut Findings) -> Option<String> {
    let field = found.take(top, &["name"])?;
    let text = found.text(&field)?;
    if weft_types::UserName::new(text).is_err() {
        let message = format!("`name` is `{text}`, which is not a name");
        let rule = format!("use 1 to {NAME_MAX} lower-case letters, digits and inner `-`");
        let hint = match as_name(text) {
            Some(name) => format!("{rule}, as in `{name}`"),
            None => rule,
        };
        found.bad(&field, message, &hint);
        return None;
    }
    Some(text.to_owned())
}

/// The nearest legal name.
fn as_name(text: &str) -> Option<String> {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(legal).take(NAME_MAX).collect();
    let name = name.trim_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

fn phase(top: &Fields<'_>, found: &mut Findings) -> Option<String> {
    let field = found.take(top, &["phase"])?;
    let words = [Phase::Concept, Phase::Training, Phase::Deployment].map(|p| (p.as_str(), p));
    found.word(&field, &words).map(|phase| phase.as_str().to_owned())
}

fn queue(top: &Fields<'_>, found: &mut Findings) -> Option<String> {
    let field = found.take(top, &["queue"])?;
    let text = found.text(&field)?;
    if QueueName::new(text).is_err() {
        let message = format!("`queue` is `{text}`, which is not the path of a queue");
        found.bad(&field, message, "write lower-case names with `/` between, as in `lab/vision`");
        return None;
    }
    Some(text.to_owned())
}

fn priority(top: &Fields<'_>, found: &mut Findings) -> i32 {
    let Some(field) = found.take(top, &["priority"]) else { return 0 };
    if let Some((_, yaml::Scalar::Text)) = field.scalar() {
        return found.word(&field, &PRIORITY_WORDS).unwrap_or_default();
    }
    found.integer(&field, PRIORITY.0, PRIORITY.1).unwrap_or_default() as i32
}
