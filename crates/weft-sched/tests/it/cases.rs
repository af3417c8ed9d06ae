//! Every file under `cases/` holds: its plan is what the planner makes of it, and the audit finds
//! nothing. `UPDATE_CASES=1 cargo test -p weft-sched` writes the plans anew; read the difference.

use std::path::PathBuf;
use weft_sched::case::{parse, render};

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = std::fs::read_dir(folder).expect("cases/ is there");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[test]
fn every_case_holds() {
    let mut wrong = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("a case is text");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        match render(&text) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(now) if now == text => {}
            Ok(now) if std::env::var_os("UPDATE_CASES").is_some() => {
                std::fs::write(&file, now).expect("cases/ can be written");
            }
            Ok(now) => {
                let plan = now.split("--- plan\n").nth(1).unwrap_or_default();
                let expected = parse(&text).expect("read above").expected;
                wrong.push(format!("{name}: expected\n{expected}but planned\n{plan}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_cases_cover_every_action_and_reason() {
    let all: String =
        files().iter().map(|file| std::fs::read_to_string(file).expect("a case is text")).collect();
    for word in [
        "start ",
        "  preempt for ",
        "  reclaim for ",
        "  max-duration",
        "  back-off: ",
        "  impossible: ",
        "  quota: ",
        "  capacity: ",
        "  handover: ",
        "  min-run: ",
        "  behind: ",
        "\nwake ",
    ] {
        assert!(all.contains(word), "no case shows `{word}`");
    }
    assert!(!all.contains("\nfinding "), "a case's plan does not pass the audit");
    assert!(files().len() >= 40, "{} cases", files().len());
}

#[test]
fn errors_name_the_line_and_the_nearest_word() {
    let cases = [
        ("nod n1", "line 1: `nod` is not known here; did you mean `node`?"),
        ("node n1\nwant w1 q pritority=3", "did you mean `priority`?"),
        ("want w1 q kind=jub", "did you mean `job`?"),
        ("node n1 a100", "line 1: `a100` is no device kind"),
        ("run w1 q on=n1/x", "`n1/x` is no place"),
        ("queue q gpu=a", "is no quota"),
        ("want 7 q", "`7` is not a workload id"),
        ("sick n1/0", "is no device named above"),
        ("node n1 a100-80 x65", "at most 64 devices"),
    ];
    for (text, message) in cases {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}
