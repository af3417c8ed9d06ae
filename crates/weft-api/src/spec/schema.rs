//! The JSON schema (2020-12) of the file form, for editors and for programs that write files.
//!
//! Written by hand, because the file form has many ways to say one thing and no type of its own;
//! a property test generates files and holds schema and parser together. What needs arithmetic
//! (bounds of sizes, reversed ranges) is not in it.

use super::data::DATA_MAX;
use super::life::{PORTS_MAX, RETRIES_MAX};
use super::outputs::OUTPUTS_MAX;
use super::program::{ENV_MAX, LIST_MAX, SETUP_MAX};
use super::read::PRIORITY;
use serde_json::{Value, json};
use weft_types::GANG_MAX;

/// `10GB`, `1.5 GiB`; the case of the unit does not matter.
const SIZE: &str = r"\d+(\.\d{1,3})?\s*([KkMmGgTt][Ii]?[Bb]|[KkMmGgTt][Ii]|[Bb])";
const NUMBER: &str = r"\d+(\.\d{1,3})?";
const CORES: &str = r"(\d+(\.\d{1,3})?|\d+m)";
const NAME: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
/// A relative path that does not leave its directory.
const INSIDE: &str = r"(?!/)(?!(.*/)?\.\.(/|$))";

/// As buckets are named, so that every client can use it.
const DATASET: &str = "[a-z0-9][a-z0-9-]{1,61}[a-z0-9]";
/// What names a version: `v7`, a day, a name.
const MOMENT: &str = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}";
/// An absolute path without empty parts, `.` and `..`.
const PLACE: &str = r"^(/(?!\.{1,2}(/|$))[^/\x00-\x1f\x7f-\x9f]+)+$";

/// The JSON schema of `*.weft.yaml`.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Weft workload",
        "description": "A workload: what to run, with what, and what it needs. Only `run` is \
            needed, and a workspace does without.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties(),
        "allOf": exclusions(),
    })
}

fn properties() -> Value {
    let mut all = identity();
    for part in [program(), life()] {
        if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
            all.extend(part);
        }
    }
    all
}

fn identity() -> Value {
    json!({
        "type": {
            "description": "What it is: a job runs to an end, a workspace stays open, a service \
                answers requests. `task` and `dev-environment` are dstack's words.",
            "enum": ["workspace", "job", "service", "task", "dev-environment"],
            "default": "job",
        },
        "name": text("Name, unique in the team while it is kept.", &format!("^{NAME}$")),
        "phase": {
            "description": "Where it stands in a model's life; without it the type's.",
            "enum": ["concept", "training", "deployment"],
        },
        "queue": text(
            "Queue it is submitted to; without it the team's own.",
            &format!("^{NAME}(/{NAME}){{0,4}}$"),
        ),
        "priority": {
            "description": "Higher goes first in its queue.",
            "anyOf": [
                { "type": "integer", "minimum": PRIORITY.0, "maximum": PRIORITY.1 },
                { "enum": ["low", "normal", "high"] },
            ],
            "default": 0,
        },
        "resources": resources(),
    })
}

fn program() -> Value {
    let lines = json!({ "anyOf": [
        { "type": "string", "minLength": 1 },
        { "type": "array", "maxItems": SETUP_MAX, "items": { "type": "string", "minLength": 1 } },
    ]});
    json!({
        "image": text("An OCI image; without it the machine's own programs, read-only.", r"^\S+$"),
        "python": {
            "description": "A Python version; with `>=` in front, that or newer.",
            "anyOf": [
                { "type": "string", "pattern": r"^(>=)?\d{1,3}(\.\d{1,3}){1,2}$" },
                { "type": "number", "not": { "type": "integer" }, "minimum": 0 },
            ],
        },
        "requirements": text(
            "Path of a requirements file with hashes; several lines are the text itself.", "",
        ),
        "setup": describe(lines.clone(), "Shell lines run once before, cached by content."),
        "run": {
            "description": "What it runs: text for the shell, or a program and its arguments.",
            "anyOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": LIST_MAX,
                    "prefixItems": [{ "anyOf": [
                        { "type": "string", "pattern": r"^\S+$" },
                        { "type": ["number", "boolean"] },
                    ]}],
                    "items": { "type": ["string", "number", "boolean"] },
                },
            ],
        },
        "commands": { "description": "Shell lines, as dstack writes them.", "anyOf": [
            { "type": "string", "minLength": 1 },
            {
                "type": "array",
                "minItems": 1,
                "maxItems": LIST_MAX,
                "items": { "type": "string", "minLength": 1 },
            },
        ]},
        "env": env(),
        "envs": env(),
        "files": files(),
        "workdir": text("A directory whose content is taken along.", "^[^:]+$"),
        "bundle": text("SHA-256 of files that were uploaded before.", "^[0-9a-f]{64}$"),
        "outputs": outputs(),
        "data": data(),
    })
}

fn env() -> Value {
    let name = "[A-Za-z_][A-Za-z0-9_]*";
    json!({
        "description": "Environment variables; one without a value is taken from the caller's.",
        "anyOf": [
            {
                "type": "object",
                "maxProperties": ENV_MAX,
                "propertyNames": { "pattern": format!("^{name}$") },
                "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
            },
            {
                "type": "array",
                "maxItems": ENV_MAX,
                "items": { "type": "string", "pattern": format!(r"^{name}(=[\s\S]*)?$") },
            },
        ],
    })
}

fn files() -> Value {
    let mapping = json!({
        "type": "string",
        "pattern": format!("^[^:]+(:{INSIDE}[^:]+)?$"),
    });
    json!({
        "description": "Files and directories to take along, `here` or `here:there`.",
        "anyOf": [mapping, { "type": "array", "maxItems": LIST_MAX, "items": mapping }],
    })
}

fn outputs() -> Value {
    let path = json!({ "type": "string", "minLength": 1, "pattern": format!("^{INSIDE}") });
    let entry = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["from", "to"],
        "properties": {
            "from": path,
            "to": text("The dataset, of which it becomes a version.", &format!("^{DATASET}$")),
        },
    });
    let one = json!({ "anyOf": [path, entry] });
    json!({
        "description": "Paths in the working directory that are kept after the end, as files or as \
                        versions of datasets.",
        "anyOf": [path, entry, { "type": "array", "maxItems": OUTPUTS_MAX, "items": one }],
    })
}

fn data() -> Value {
    let from = text(
        "A dataset, or a version of it; without one the newest, whose number is kept.",
        &format!("^{DATASET}(@{MOMENT})?$"),
    );
    let entry = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["from"],
        "properties": {
            "from": from,
            "to": text("The folder; without it /data/ and the dataset's name.", PLACE),
            "mode": { "description": "It can be read only.", "enum": ["ro"], "default": "ro" },
            "sample": {
                "description": "Of its tables so many rows, of its other files so many, the same \
                                ones each time; without it all.",
                "type": ["string", "number"],
                "pattern": r"^[0-9]+(\.[0-9]+)?%?$",
                "maxLength": 16,
                "examples": ["1%", "0.5%"],
            },
        },
    });
    json!({
        "description": "Datasets it finds as read-only folders, a version each.",
        "anyOf": [
            from,
            entry,
            {
                "type": "array",
                "maxItems": DATA_MAX,
                "items": { "anyOf": [from, entry] },
            },
        ],
    })
}

fn life() -> Value {
    let members = json!({
        "description": "Members that start together or not at all; `2..8`: 8 where there is room.",
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": GANG_MAX },
            { "type": "string", "pattern": least(r"\d+") },
        ],
    });
    let duration = r"^\s*\d+(\.\d{1,3})?\s*(ms|s|m|h|d|w)\s*$";
    let grace = text("Time between the request to end and the kill.", duration);
    let port = json!({ "type": "integer", "minimum": 1, "maximum": 65535 });
    json!({
        "replicas": members,
        "nodes": members,
        "num_nodes": members,
        "max_duration": text("It is stopped after this long.", &format!("{duration}|^off$")),
        "retry": retry(),
        "ports": {
            "description": "TCP ports it listens on.",
            "anyOf": [
                port,
                { "type": "array", "maxItems": PORTS_MAX, "uniqueItems": true, "items": port },
            ],
        },
        "network": {
            "description": "What it can reach: nothing, or out through a proxy.",
            "enum": ["none", "outbound"],
            "default": "none",
        },
        "expected_duration": text(
            "How long it is expected to run in all; for its turn and for estimates.", duration,
        ),
        "suspend": suspend(duration),
        "stop_grace": grace,
        "stop_duration": grace,
    })
}

fn suspend(duration: &str) -> Value {
    let by = json!({ "enum": ["checkpoint", "off"] });
    let cost = text("Time not worked: saving, starting again, loading.", duration);
    json!({
        "description": "How a job can be suspended and go on later: `checkpoint` saves to \
            $WEFT_CHECKPOINT_DIR when it is sent SIGTERM, and goes on from there.",
        "anyOf": [by, {
            "type": "object",
            "additionalProperties": false,
            "properties": { "by": by, "cost": cost },
        }],
    })
}

fn retry() -> Value {
    let event = json!({ "enum": ["error", "lost", "interruption", "preempted", "no-capacity"] });
    let events = json!({
        "description": "Ends after which it is started again.",
        "anyOf": [event, { "type": "array", "maxItems": 5, "items": event }],
    });
    let max = json!({ "type": "integer", "minimum": 0, "maximum": RETRIES_MAX });
    json!({
        "description": "When it is started again.",
        "anyOf": [
            { "type": "boolean" },
            max,
            {
                "type": "object",
                "additionalProperties": false,
                "properties": { "on": events, "on_events": events, "max": max },
                "not": { "required": ["on", "on_events"] },
            },
        ],
    })
}

fn resources() -> Value {
    let cores = json!({
        "description": "Cores: 2, 0.5, 500m; of a range the least.",
        "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": least(CORES) },
        ],
    });
    let size = json!({
        "description": "Size: 512MB, 16GB, 64GiB; a number alone is GB; of a range the least.",
        "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": least(&format!("({SIZE}|{NUMBER})")) },
        ],
    });
    json!({
        "description": "What each member needs.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "cpu": cores,
            "cpus": cores,
            "memory": size,
            "disk": size,
            "disk_size": size,
            "gpu": { "description": GPU, "anyOf": [gpu_text(), gpu_number(), gpu_map()] },
            "accelerators": {
                "description": "SkyPilot's form: A100:8, {A100: 8}, [A100:1, L4:1].",
                "anyOf": [gpu_text(), gpu_number(), accelerator_map(), {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 16,
                    "items": { "type": "string", "minLength": 1 },
                }],
            },
            "isolation": {
                "description": "What keeps it apart from neighbours on the same accelerator, at \
                    least: what is named, or anything before it in this order.",
                "enum": ["exclusive", "mig", "kernel", "mps", "shared"],
            },
        },
        "allOf": [
            exclusive("cpu", "cpus"),
            exclusive("disk", "disk_size"),
            exclusive("gpu", "accelerators"),
        ],
    })
}

const GPU: &str = "Accelerators: none, auto, 0.5 (a share), 10GB (as much of one), 0.3,10GB, \
    A100, A100:2, A100:40GB..80GB:2, mig:1g.10gb.";

fn gpu_number() -> Value {
    json!({ "type": "number", "minimum": 0 })
}

fn gpu_text() -> Value {
    let names = r"[A-Za-z][A-Za-z0-9_ -]*(\s*,\s*[A-Za-z][A-Za-z0-9_ -]*)*";
    let memory = format!(r"({SIZE}(\s*\.\.\s*({SIZE})?)?|\.\.\s*{SIZE})");
    let count = r"\d+(\.\.\d*)?";
    let share = format!(r"0+\.\d{{1,3}}(\s*,\s*{SIZE})?");
    let part = format!(r"\s*({names}|{memory}|{count}|{share})\s*");
    let mig = r"[Mm][Ii][Gg]:.*";
    json!({ "type": "string", "pattern": format!(r"^(nvidia:)?({mig}|{part}(:{part})*)$") })
}

fn gpu_map() -> Value {
    let name = json!({ "type": "string", "minLength": 1 });
    json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "properties": {
            "name": { "anyOf": [name, { "type": "array", "maxItems": 16, "items": name }] },
            "memory": { "anyOf": [gpu_number(), { "type": "string", "minLength": 1 }] },
            "count": { "anyOf": [gpu_number(), { "type": "string", "minLength": 1 }] },
            "vendor": { "enum": ["nvidia"] },
        },
    })
}

fn accelerator_map() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": { "type": "number", "minimum": 0 },
    })
}

/// Names of one key, and keys that make no sense together.
fn exclusions() -> Value {
    let pairs = [
        ("run", "commands"),
        ("env", "envs"),
        ("replicas", "nodes"),
        ("replicas", "num_nodes"),
        ("nodes", "num_nodes"),
        ("stop_grace", "stop_duration"),
        ("image", "python"),
        ("image", "requirements"),
    ];
    let mut rules: Vec<Value> = pairs.into_iter().map(|(a, b)| exclusive(a, b)).collect();
    let idle = json!({ "enum": ["workspace", "dev-environment"] });
    rules.push(json!({ "anyOf": [
        { "required": ["run"] },
        { "required": ["commands"] },
        { "required": ["type"], "properties": { "type": idle } },
    ]}));
    Value::Array(rules)
}

fn exclusive(a: &str, b: &str) -> Value {
    json!({ "not": { "required": [a, b] } })
}

fn text(description: &str, pattern: &str) -> Value {
    match pattern {
        "" => json!({ "description": description, "type": "string", "minLength": 1 }),
        _ => json!({ "description": description, "type": "string", "pattern": pattern }),
    }
}

fn describe(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// One value, or a range that has a lower bound.
fn least(value: &str) -> String {
    format!(r"^\s*{value}\s*(\+|\.\.\s*({value})?)?\s*$")
}
