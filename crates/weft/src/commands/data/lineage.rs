//! `weft data lineage`: where a version comes from, and what came of it.

use super::name::Named;
use super::put::files;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, err_line, one_line, out_line, paint, span, when};
use clap::Args;
use std::collections::BTreeSet;
use weft_api::spec::{ParsedFile, WorkloadSpec, to_file};
use weft_api::wire::{Lineage as Graph, LineageOrigin, LineageVersion};
use weft_types::Bytes;

/// Show where a version of a dataset comes from, and what came of it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data lineage digits-model
  weft data lineage digits-model@v1 --spec > again.weft.yaml    the run that left it, as a file")]
pub(crate) struct Lineage {
    /// Dataset and version; without one, the newest
    #[arg(value_name = "DATASET[@VERSION]")]
    what: Named,
    /// Print the workload that left it, to be run again
    #[arg(long)]
    spec: bool,
}

impl Lineage {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("a lineage")?;
        let client = session.client()?;
        let graph = client.lineage(&self.what.dataset, self.what.at.as_deref()).await?;
        if self.spec {
            return again(&graph);
        }
        if session.json {
            show::json(&graph);
            return Ok(Code::Done.number());
        }
        let mut tree = Tree { graph: &graph, shown: BTreeSet::new() };
        tree.back(&graph.of, 0);
        if graph.origins.iter().any(|origin| origin.from.contains(&graph.of)) {
            out_line("");
            out_line(&paint("what came of it", Style::Faint));
            tree.shown.clear();
            tree.on(&graph.of, 1);
        }
        if !graph.whole {
            err_line(
                "there is more than is shown; ask about a version nearer to what you look for",
            );
        }
        Ok(Code::Done.number())
    }
}

/// Prints the file of the run that left it last.
fn again(graph: &Graph) -> Outcome {
    let of = &graph.of;
    let mut runs = graph.origins.iter().filter(|origin| origin.of == *of && origin.kind == "run");
    let none = || {
        Failure::new(Code::NotFound, format!("{of} was not left by a run"))
            .hint(format!("`weft data lineage {of}` shows where it comes from"))
    };
    let run = runs.next_back().ok_or_else(none)?;
    let hidden = || {
        Failure::new(Code::Denied, format!("what {} ran is its user's", run.what))
            .hint(format!("ask {}", run.by))
    };
    let spec: WorkloadSpec = run.spec.clone().ok_or_else(hidden)?;
    show::out(&to_file(&ParsedFile::new(spec)));
    Ok(Code::Done.number())
}

struct Tree<'a> {
    graph: &'a Graph,
    shown: BTreeSet<String>,
}

impl Tree<'_> {
    /// A version, and below it what it comes from.
    fn back(&mut self, id: &str, level: usize) {
        if !self.version(id, level) {
            return;
        }
        let graph = self.graph;
        for origin in graph.origins.iter().filter(|origin| origin.of == id) {
            line(level + 1, &made(origin));
            origin.from.iter().for_each(|from| self.back(from, level + 2));
        }
    }

    /// What came of a version.
    fn on(&mut self, id: &str, level: usize) {
        let graph = self.graph;
        for origin in graph.origins.iter().filter(|o| o.from.iter().any(|from| from == id)) {
            let fresh = self.version(&origin.of, level);
            // Two runs may have left one version.
            line(level + 1, &made(origin));
            if fresh {
                self.on(&origin.of, level + 1);
            }
        }
    }

    /// Whether it is shown for the first time.
    fn version(&mut self, id: &str, level: usize) -> bool {
        let fresh = self.shown.insert(id.to_owned());
        let version = self.graph.versions.iter().find(|version| version.id == id);
        let about = match version {
            Some(version) if fresh => about(version),
            _ => "  see above".to_owned(),
        };
        line(level, &format!("{}{about}", paint(&one_line(id), Style::Strong)));
        fresh
    }
}

fn line(level: usize, text: &str) {
    out_line(&format!("{}{text}", "  ".repeat(level)));
}

fn about(version: &LineageVersion) -> String {
    let objects = version.objects.map(files);
    let bytes = version.bytes.map(|bytes| Bytes(bytes).to_string());
    let by = version.by.as_ref().map(|by| format!("by {by}"));
    let at = version.at_ms.map(when);
    let removed = version.removed.then(|| "removed".to_owned());
    let all = [objects, bytes, version.tier.clone(), by, at, removed];
    let all: Vec<String> = all.into_iter().flatten().map(|text| one_line(&text)).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!("  {}", all.join(", ")),
    }
}

/// `left by run digits (w1) of ana, which ran 9.3 s: python train.py`.
fn made(origin: &LineageOrigin) -> String {
    let name = origin.name.as_deref().unwrap_or_default();
    let mut text = match origin.kind.as_str() {
        "run" => format!("left by run {name} ({}) of {}", origin.what, origin.by),
        "view" => format!("made of it as a view, for {}", origin.by),
        "branch" => format!("made a branch by {}", origin.by),
        "merge" => format!("merged by {}", origin.by),
        _ => format!("brought from {} by {}", origin.what, origin.by),
    };
    if let Some(ran) = origin.ran_ms {
        text += &format!(", which ran {}", span(ran));
    }
    if let Some(spec) = &origin.spec {
        let words: Vec<&str> = match spec.command.as_slice() {
            // As a file says it.
            [sh, _, text] if sh == "sh" => vec![text],
            words => words.iter().map(String::as_str).collect(),
        };
        text += &format!(": {}", show::cut(&words.join(" "), COMMAND_COLUMNS));
    }
    one_line(&text)
}

/// Columns of a command that are shown.
const COMMAND_COLUMNS: usize = 80;
