//! The parser against its schema, its printer, its golden messages and against noise.

use super::*;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// Values that are legal for some key, and near misses of them.
const WORDS: &[&str] = &[
    "job",
    "task",
    "workspace",
    "dev-environment",
    "service",
    "pipeline",
    "jbo",
    "concept",
    "training",
    "none",
    "outbound",
    "auto",
    "low",
    "high",
    "off",
    "error",
    "lost",
    "interruption",
    "team-a",
    "lab/vision",
    "Team",
    "a/b/c/d/e/f",
    "-a",
    "8",
    "8..",
    "8..16",
    "16..8",
    "4+",
    "..8",
    "0.5",
    "500m",
    "500 m",
    "1.2345",
    "16GB",
    "1.5 GiB",
    "16gb..32GB",
    "32GB..",
    "64Gi+",
    "10XB",
    "1..",
    "GB",
    "90s",
    "20m",
    "1.5h",
    "2d",
    "20M",
    "0s",
    "99999w",
    "A100",
    "A100:2",
    "A100:0.5",
    "A100:40GB..80GB:2",
    "H100,A100:80GB..",
    "mig:1g.10gb",
    "mig:9g.10gb",
    "mig:",
    "A100:",
    "2",
    "0",
    "33",
    "1.5",
    "nvidia:A100:2..4",
    "A100:A100",
    "2..4",
    "A100-80GB:8",
    "A100-80GB",
    "3.12",
    "3.12.4",
    ">=3.11",
    "> 3.11",
    "3.x",
    "requirements.txt",
    "a==1\nb==2",
    "src",
    "src:app",
    ".:.",
    "a:../b",
    "a:/b",
    "a:b:c",
    "../a",
    "a/../b",
    "a/..",
    "..a",
    "out",
    "/abs",
    "X=1",
    "X",
    "1X=2",
    "a b",
    "echo hi",
    "two\nlines",
    " lead",
    "trail ",
    "",
    "true",
    "null",
    "~",
    "é",
    "#",
    "- a",
    "a: b",
    "'q'",
    "\"d\"",
    "\\",
    "registry.example/a:1",
    "preempted",
    "no-capacity",
    "nvidia",
    "checkpoint",
    "driver",
    "amd",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];

fn scalar() -> impl Strategy<Value = Value> {
    let numbers = vec![
        json!(0),
        json!(1),
        json!(2),
        json!(8),
        json!(33),
        json!(100),
        json!(101),
        json!(1000),
        json!(1001),
        json!(1025),
        json!(8080),
        json!(65535),
        json!(65536),
        json!(-1),
        json!(-1000),
        json!(-1001),
        json!(0.5),
        json!(1.5),
        json!(3.12),
        json!(-0.5),
    ];
    prop_oneof![
        12 => select(WORDS).prop_map(|word| json!(word)),
        6 => select(numbers),
        1 => any::<bool>().prop_map(|b| json!(b)),
        1 => Just(Value::Null),
    ]
}

/// A map of a few of these keys, their values of that depth.
fn object(keys: &'static [&'static str], depth: u32) -> impl Strategy<Value = Value> {
    let few = subsequence(keys, 0..=keys.len().min(3));
    few.prop_flat_map(move |keys| {
        let count = keys.len();
        (Just(keys), proptest::collection::vec(value(depth), count))
    })
    .prop_map(|(keys, values)| {
        Value::Object(keys.into_iter().map(str::to_owned).zip(values).collect())
    })
}

fn resources() -> impl Strategy<Value = Value> {
    let keys = &["cpu", "cpus", "memory", "disk", "disk_size", "gpu", "accelerators", "shm"];
    object(keys, 1)
}

fn value(depth: u32) -> BoxedStrategy<Value> {
    let list = proptest::collection::vec(scalar(), 0..4).prop_map(Value::Array);
    if depth == 0 {
        return prop_oneof![5 => scalar(), 1 => list].boxed();
    }
    prop_oneof![
        6 => value(depth - 1),
        1 => object(&["on", "on_events", "max", "duration"], 0),
        1 => object(&["by", "cost", "grace"], 0),
        1 => object(&["from", "to", "mode"], 0),
        1 => object(&["name", "memory", "count", "vendor"], 0),
        1 => object(&["X", "LR", "1X", "A100", "H100", "A100-80GB", "a b"], 0),
    ]
    .boxed()
}

/// A value that is often right for this key.
fn value_for(key: &'static str) -> BoxedStrategy<Value> {
    let right: Vec<Value> = match key {
        "type" => vec![json!("job"), json!("workspace"), json!("task")],
        "resources" => return prop_oneof![9 => resources(), 1 => value(1)].boxed(),
        "env" | "envs" => vec![json!({ "LR": 0.1, "TOKEN": null }), json!(["A=1", "B"])],
        "retry" => vec![json!(true), json!(3), json!({ "on": ["error"], "max": 2 })],
        "suspend" => vec![json!("checkpoint"), json!("off"), json!({ "cost": "2m" }), json!({})],
        "data" => vec![
            json!("claims@v7"),
            json!(["claims", { "from": "claims@gold", "to": "/mnt/x", "mode": "ro" }]),
            json!([{ "from": "claims", "to": "/data/../x" }, "a", "A@", "claims@v7/x"]),
            json!({ "from": "claims@2026-11-01", "mode": "rw" }),
            json!(["claims", "claims@v1"]),
        ],
        "outputs" => vec![
            json!("model/"),
            json!(["model/", { "from": "a/*.csv", "to": "claims" }]),
            json!({ "from": "model/", "to": "digits-model" }),
            json!({ "from": "model/", "to": "digits@v1" }),
            json!([{ "from": "../x", "to": "claims" }, { "from": "x" }, { "to": "claims" }]),
            json!([{ "from": "a", "to": "claims" }, { "from": "b", "to": "claims" }]),
        ],
        "expected_duration" => vec![json!("40m"), json!("0s"), json!(3)],
        "ports" => vec![json!(8080), json!([8080, 9090]), json!([1, 1])],
        "run" => vec![json!("echo hi"), json!(["python", "-c", "print(1)", 2, true, ""])],
        "setup" | "commands" => vec![json!(["a", "b"]), json!("a\nb\n"), json!([])],
        _ => vec![],
    };
    match right.is_empty() {
        true => value(1),
        false => prop_oneof![3 => select(right), 1 => value(2)].boxed(),
    }
}

const KEYS: &[&str] = &[
    "type",
    "name",
    "phase",
    "queue",
    "priority",
    "image",
    "python",
    "requirements",
    "setup",
    "commands",
    "env",
    "envs",
    "files",
    "workdir",
    "bundle",
    "outputs",
    "data",
    "resources",
    "replicas",
    "nodes",
    "num_nodes",
    "max_duration",
    "retry",
    "ports",
    "network",
    "stop_grace",
    "stop_duration",
    "suspend",
    "expected_duration",
    "unknown",
];

/// A file of a few keys, as a value of the JSON data model.
fn file() -> impl Strategy<Value = Value> {
    let keys = subsequence(KEYS, 0..3).prop_flat_map(|keys| {
        let values: Vec<_> = keys.iter().map(|key| value_for(key)).collect();
        (Just(keys), values)
    });
    (keys, proptest::option::weighted(0.8, value_for("run"))).prop_map(|((keys, values), run)| {
        let mut file: Map<_, _> = keys.into_iter().map(str::to_owned).zip(values).collect();
        file.extend(run.map(|run| ("run".to_owned(), run)));
        Value::Object(file)
    })
}

#[test]
fn a_vendor_alone_is_one_device_of_any_model() {
    let file = |gpu: &str| format!("run: x\nresources: {{gpu: '{gpu}'}}");
    let gpu = |text: &str| parse(&file(text)).unwrap().spec.resources.gpu;
    assert_eq!(gpu("nvidia"), "1");
    assert_eq!(gpu("nvidia:2"), "2");
    assert_eq!(gpu("nvidia:A100:2..4"), "a100:2");
}

proptest! {
    #![proptest_config(ProptestConfig {
        // `PROPTEST_CASES` can ask for more; a failing case belongs among the tests below.
        cases: ProptestConfig::default().cases.max(3000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What the schema accepts the parser accepts, and the other way round; the parser may
    /// refuse more only by the rules that no schema can say.
    #[test]
    fn schema_and_parser_agree(file in file()) {
        thread_local! {
            static VALIDATOR: jsonschema::Validator = jsonschema::validator_for(&schema()).unwrap();
        }
        let by_schema = VALIDATOR.with(|v| v.validate(&file).map_err(|e| e.to_string()));
        // JSON is YAML, so the text needs no printer that could hide a difference.
        let by_parser = parse(&file.to_string());
        match (&by_parser, &by_schema) {
            (Ok(_), Err(error)) => prop_assert!(false, "schema alone refuses {file}: {error}"),
            (Err(errors), Ok(())) => prop_assert!(
                errors.iter().all(|e| e.rule == Rule::Beyond),
                "parser alone refuses {file}: {errors:?}"
            ),
            _ => {}
        }
    }

    /// A printed file reads back as the same workload.
    #[test]
    fn printed_files_read_back(file in file()) {
        if let Ok(parsed) = parse(&file.to_string()) {
            let text = to_file(&parsed);
            let again = parse(&text);
            prop_assert!(again.is_ok(), "{text}: {again:?}");
            prop_assert_eq!(strip(again.unwrap()), strip(parsed), "{}", text);
        }
    }

    /// Any text at all in the places that hold free text survives printing.
    #[test]
    fn free_text_survives_printing(
        run in any::<String>(), word in any::<String>(), arg in any::<String>()
    ) {
        let mut spec = WorkloadSpec::empty();
        let run = run.replace('\0', "").trim_end_matches(['\n', '\r']).to_owned();
        let clean = |t: String| t.replace('\0', "");
        spec.command = match run.is_empty() {
            true => vec!["x".to_owned(), clean(arg)],
            false => ["sh", "-euc", &run].map(str::to_owned).to_vec(),
        };
        spec.env.insert("X".to_owned(), clean(word));
        let text = to_file(&ParsedFile::new(spec.clone()));
        prop_assert_eq!(parse(&text).map(|p| p.spec), Ok(spec), "{}", text);
    }

    /// No bytes make it panic, and every error can be shown.
    #[test]
    fn noise_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        show(&bytes);
    }

    /// The same with the alphabet of YAML.
    #[test]
    fn yaml_noise_is_no_panic(text in "[a-c:\\-\\[\\]{}&*!|>'\"# \n\t%@,?.0-9]{0,80}") {
        show(text.as_bytes());
    }
}

/// Notes, places and the text a value was taken from are not part of the workload.
fn strip(mut file: ParsedFile) -> ParsedFile {
    file.notes.clear();
    file.files.iter_mut().for_each(|file| file.at = Place::START);
    file.requirements.iter_mut().for_each(|file| file.at = Place::START);
    file.env_from_caller.sort_unstable();
    // `workdir: x` is printed as the mapping it stands for.
    file.files.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    file
}

fn show(bytes: &[u8]) -> String {
    let errors = match decode(bytes) {
        Err(error) => return error.render("x.weft.yaml", &String::from_utf8_lossy(bytes)),
        Ok(text) => parse(text).err().unwrap_or_default(),
    };
    let text = str::from_utf8(bytes).unwrap();
    errors.iter().map(|error| error.render("x.weft.yaml", text)).collect::<Vec<_>>().join("\n")
}

/// Golden messages: `cases/errors.txt` holds files and what is said of them. Rewritten with
/// `WEFT_BLESS=1`; read the difference as a user would.
#[test]
fn messages_are_as_reviewed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/spec/cases/errors.txt");
    let golden = std::fs::read_to_string(path).unwrap();
    let mut fresh = String::new();
    for case in golden.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (file, _) = rest.split_once("--- says\n").unwrap();
        let said = show(file.replace("\\t", "\t").as_bytes());
        assert!(!said.is_empty(), "no error for: {title}");
        fresh += &format!("=== {title}\n{file}--- says\n{said}\n");
    }
    let fresh = format!("{}\n", fresh.trim_end());
    if std::env::var_os("WEFT_BLESS").is_some() {
        std::fs::write(path, fresh).unwrap();
        return;
    }
    assert_eq!(fresh, golden, "set WEFT_BLESS=1 to take it over");
}

#[test]
fn members_are_so_many_or_between_so_many_and_so_many() {
    let members = |text: &str| {
        let file = parse(&format!("run: x\nreplicas: {text}\n"))?;
        Ok::<_, Vec<SpecError>>((file.spec.replicas, file.spec.replicas_max, file))
    };
    for (text, least, most, written) in [
        ("3", 3, None, "replicas: 3\n"),
        ("2..8", 2, Some(8), "replicas: 2..8\n"),
        (" 1 .. 1024", 1, Some(1024), "replicas: 1..1024\n"),
        ("2..2", 2, None, "replicas: 2\n"),
        ("1..1", 1, None, ""),
    ] {
        let (found, up_to, file) = members(text).unwrap();
        assert_eq!((found, up_to), (least, most), "{text}");
        assert!(file.notes.is_empty(), "{:?}", file.notes);
        assert!(to_file(&file).contains(written), "{text}");
    }
    let (found, most, file) = members("2+").unwrap();
    assert_eq!((found, most), (2, None));
    assert_eq!(
        file.notes,
        ["`replicas` is `2+`: 2 is given; `2..1024` starts with more where there is room"]
    );
    for wrong in ["8..2", "0..4", "2..1025", "..4", "two", "2..x", "-1..4"] {
        assert!(members(wrong).is_err(), "{wrong}");
    }
}

/// The most members stand once in the code, and the schema and the guide say the same.
#[test]
fn the_most_members_are_told_as_they_are() {
    let most = schema()["properties"]["replicas"]["anyOf"][0]["maximum"].clone();
    assert_eq!(most, weft_types::GANG_MAX);
    let guide = include_str!("../../../../docs/guide/spec.md");
    let row = guide.lines().find(|line| line.starts_with("| `replicas`")).unwrap();
    assert!(row.contains(&format!("1 to {};", weft_types::GANG_MAX)), "{row}");
    let text = |members| format!("run: x\nreplicas: {members}\n");
    assert!(parse(&text(weft_types::GANG_MAX)).is_ok());
    assert!(parse(&text(weft_types::GANG_MAX + 1)).is_err());
}

/// The published schema is the one in the code.
#[test]
fn the_published_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/weft.schema.json");
    let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("WEFT_BLESS").is_some() {
        std::fs::write(path, fresh).unwrap();
        return;
    }
    // As values: the order of keys depends on features that other crates choose.
    let published = std::fs::read_to_string(path).unwrap();
    let published: Value = serde_json::from_str(&published).unwrap();
    assert!(published == schema(), "set WEFT_BLESS=1 to take it over");
}

/// Every example of the repository is a legal file.
#[test]
fn examples_are_legal() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for dir in std::fs::read_dir(examples).unwrap() {
        for file in std::fs::read_dir(dir.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.to_string_lossy().ends_with(".weft.yaml") {
                let bytes = std::fs::read(&path).unwrap();
                assert_eq!(show(&bytes), "", "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "{seen} examples");
}

/// Every key of the table is in the schema and the other way round.
#[test]
fn every_key_is_in_the_schema() {
    let schema = schema();
    let check = |known: &[keys::Names], schema: &Value| {
        let mut table: Vec<_> = known.iter().flat_map(|names| names.iter().copied()).collect();
        let mut described: Vec<_> =
            schema.as_object().unwrap().keys().map(String::as_str).collect();
        table.sort_unstable();
        described.sort_unstable();
        assert_eq!(table, described);
    };
    let top = &schema["properties"];
    check(keys::FILE, top);
    check(keys::RESOURCES, &top["resources"]["properties"]);
    check(keys::GPU, &top["resources"]["properties"]["gpu"]["anyOf"][2]["properties"]);
    check(keys::RETRY, &top["retry"]["anyOf"][2]["properties"]);
    check(keys::DATA, &top["data"]["anyOf"][1]["properties"]);
    check(keys::SUSPEND, &top["suspend"]["anyOf"][1]["properties"]);
}

#[test]
fn a_dataset_is_named_in_a_word_or_with_its_place() {
    let data = |text: &str| parse(&format!("run: x\n{text}")).map(|file| file.spec.data);
    let sampled = |from: &str, to: &str, sample: Option<&str>| DataSpec {
        from: from.into(),
        to: to.into(),
        sample: sample.map(str::to_owned),
        tier: None,
    };
    let at = |from: &str, to: &str| sampled(from, to, None);
    assert_eq!(data("data: claims@v7").unwrap(), [at("claims@v7", "/data/claims")]);
    let both = "data: [claims, {from: images@gold, to: /mnt/images, mode: ro}]";
    let wanted = [at("claims", "/data/claims"), at("images@gold", "/mnt/images")];
    assert_eq!(data(both).unwrap(), wanted);
    for (text, wanted) in [("1%", "1%"), ("0.01", "0.01"), ("'12.5%'", "12.5%")] {
        let entry = format!("data: {{from: claims@v7, sample: {text}}}");
        let wanted = [sampled("claims@v7", "/data/claims", Some(wanted))];
        assert_eq!(data(&entry).unwrap(), wanted, "{text}");
    }
    for (bad, said) in [
        ("data: {from: claims, mode: rw}", "`data.mode` is not `ro`"),
        ("data: {from: claims, to: data}", "`data.to` is `data`, which is no absolute path"),
        ("data: {from: claims, to: /data/../etc}", "no absolute path"),
        ("data: {to: /data/x}", "does not say which dataset"),
        ("data: [claims@v1, claims@v2]", "is mounted at `/data/claims` like another"),
        ("data: s3://claims", "which is no dataset"),
        ("data: {from: claims, sample: some}", "`data.sample` is `some`, which is no part of all"),
        ("data: {from: claims, sample: -1%}", "no part of all"),
        ("data: {from: claims, samples: 1%}", "unknown key `samples`"),
    ] {
        let errors = data(bad).unwrap_err();
        assert!(errors.iter().any(|e| e.to_string().contains(said)), "{bad}: {errors:?}");
    }
}

#[test]
fn habits_of_other_tools_keep_working() {
    let dstack = "
type: task
name: train
python: 3.10
env: [HF_TOKEN, LR=0.001]
commands: [pip list, python train.py]
nodes: 2
ports: [8501]
resources: {gpu: 'A100:40GB..80GB:2..4', cpu: 16.., memory: 200GB.., disk: 500GB}
max_duration: 2h
retry: {on_events: [no-capacity, error, interruption]}
";
    let file = parse(dstack).unwrap();
    let spec = &file.spec;
    assert_eq!((spec.kind.as_str(), spec.replicas), ("job", 2));
    assert_eq!(spec.runtime.python.as_deref(), Some("3.10"));
    assert_eq!(spec.command, ["sh", "-euc", "pip list\npython train.py"]);
    assert_eq!(file.env_from_caller, ["HF_TOKEN"]);
    assert_eq!(spec.env["LR"], "0.001");
    assert_eq!(spec.resources.gpu, "a100:40GB..80GB:2");
    assert_eq!((spec.resources.cpu_milli, spec.resources.memory_bytes), (16_000, 200_000_000_000));
    assert_eq!(spec.retry, RetrySpec { on: vec![RetryOn::Error, RetryOn::Lost], max: 3 });
    assert_eq!(file.notes.len(), 4, "{:?}", file.notes);

    let sky = "
name: sft
num_nodes: 2
workdir: .
resources: {accelerators: {A100-80GB: 8}, cpus: 4+, memory: 32+}
envs: {LR: 3e-4}
setup: |
  uv sync
run: |
  torchrun train.py
";
    let file = parse(sky).unwrap();
    assert_eq!(file.spec.resources.gpu, "a100:80GB..:8");
    assert_eq!(file.spec.resources.memory_bytes, 32_000_000_000);
    assert_eq!(file.spec.env["LR"], "3e-4");
    assert_eq!(file.spec.setup, ["uv sync"]);
    assert_eq!(file.spec.command, ["sh", "-euc", "torchrun train.py"]);
    assert_eq!(file.files[0].to.as_deref(), Some("."));
}

#[test]
fn a_file_prints_as_a_person_would_write_it() {
    let text = "\
type: job
name: digits
python: 3.11
requirements: requirements.txt
run: |-
  python train.py
  echo done
env:
  LR: 0.1
  TOKEN:
files:
  - train.py
outputs:
  - model
  - from: report/
    to: reports
data:
  - from: claims@v7
  - from: images
    to: /mnt/images
resources:
  cpu: 2
  memory: 4GB
  gpu: a100:2
max_duration: 1h
retry:
  on: [error]
  max: 2
ports: [8080]
network: outbound
expected_duration: 40m
suspend:
  by: checkpoint
  cost: 2m
";
    let printed = to_file(&parse(text).unwrap());
    let expected = [("3.11", "\"3.11\""), ("0.1", "\"0.1\""), ("a100:2", "\"a100:2\"")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    assert_eq!(printed, expected);
}
