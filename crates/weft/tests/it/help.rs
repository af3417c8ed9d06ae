//! Help: its words, its examples, the exit codes, the schema, completion.

use crate::{golden, world};
use weft_testkit::World;

/// Words of infrastructure that no screen of a data scientist may hold (requirement R48).
const BANNED: [&str; 10] =
    ["node", "nodes", "pod", "pods", "vm", "vms", "namespace", "namespaces", "driver", "drivers"];

const COMMANDS: [&str; 22] = [
    "up",
    "down",
    "run",
    "apply",
    "ps",
    "logs",
    "attach",
    "exec",
    "stop",
    "rm",
    "why",
    "gpus",
    "metrics",
    "events",
    "cost",
    "outputs",
    "data",
    "image",
    "doctor",
    "schema",
    "simulate",
    "completion",
];

const DATA: [&str; 14] = [
    "put", "get", "ls", "search", "info", "version", "versions", "diff", "tag", "set", "rm",
    "restore", "gc", "verify",
];

fn help(world: &World, command: &[&str]) -> String {
    let args: Vec<_> = command.iter().copied().chain(["--help"]).collect();
    world.ok(&args).out
}

#[test]
fn the_help_is_as_reviewed() {
    golden("help", &help(&world(), &[]));
}

#[test]
fn the_help_of_run_is_as_reviewed() {
    golden("help-run", &help(&world(), &["run"]));
}

#[test]
fn the_help_of_data_is_as_reviewed() {
    let world = world();
    let actions = DATA.map(|action| help(&world, &["data", action])).join("\n---\n\n");
    golden("help-data", &format!("{}\n---\n\n{actions}", help(&world, &["data"])));
}

#[test]
fn no_screen_holds_words_of_infrastructure() {
    let world = world();
    let mut screens = vec![("weft".to_owned(), help(&world, &[]))];
    screens.extend(COMMANDS.iter().map(|name| ((*name).to_owned(), help(&world, &[name]))));
    for action in DATA {
        screens.push((format!("data {action}"), help(&world, &["data", action])));
    }
    screens.push(("image import".to_owned(), help(&world, &["image", "import"])));
    screens.push(("image rm".to_owned(), help(&world, &["image", "rm"])));
    for (name, text) in screens {
        let words = text.split(|c: char| !c.is_alphanumeric());
        let found: Vec<_> =
            words.filter(|word| BANNED.contains(&word.to_lowercase().as_str())).collect();
        assert!(found.is_empty(), "{name}: {found:?}");
    }
}

#[test]
fn every_command_has_an_example() {
    let world = world();
    for name in COMMANDS.iter().filter(|name| !["data", "image"].contains(name)) {
        let text = help(&world, &[name]);
        assert!(text.contains(&format!("  weft {name}")), "{name}: {text}");
    }
    for name in DATA {
        let text = help(&world, &["data", name]);
        assert!(text.contains(&format!("  weft data {name}")), "{name}: {text}");
    }
}

#[test]
fn the_guide_holds_the_exit_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/exit-codes.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let help = help(&world(), &[]);
    let table = help.split("Exit codes:\n").nth(1).unwrap();
    let mut rows = 0;
    for line in table.lines().take_while(|line| !line.is_empty()) {
        let (code, says) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {} |", says.trim());
        assert!(guide.contains(&row), "{row}");
        rows += 1;
    }
    assert_eq!(rows, 9);
}

#[test]
fn the_schema_is_the_published_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/weft.schema.json");
    let published = std::fs::read_to_string(path).unwrap();
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert!(read(&world().ok(&["schema"]).out) == read(&published), "docs/weft.schema.json is old");
}

#[test]
fn completion_knows_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = world().ok(&["completion", shell]).out;
        assert!(script.contains("metrics") && script.contains("print-spec"), "{shell}");
    }
}
