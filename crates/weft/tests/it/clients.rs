//! Stock clients of S3 and MLflow, unmodified, as their users run them, with policy, encryption and
//! audit on. `cargo xtask test` fetches them; nothing of theirs is in the repository.

use crate::world;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use weft_testkit::World;

/// Where `cargo xtask test` keeps them.
fn packages(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_weft")).parent().and_then(Path::parent);
    target.expect("the binary is in the target folder").join("clients").join(name)
}

/// One of the programs in `programs/clients` on a bucket, with no setting of whose machine it is.
fn client(world: &World, packages_of: &str, program: &str, bucket: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/programs/clients");
    let interpreter = if program.ends_with(".py") { "python3" } else { "sh" };
    let mut command = Command::new(interpreter);
    world.write("nothing", "");
    let nothing = world.work().join("nothing");
    command
        .arg(folder.join(program))
        .arg(bucket)
        .current_dir(world.work())
        .env("PYTHONPATH", packages(packages_of))
        .env("AWS_CONFIG_FILE", &nothing)
        .env("AWS_SHARED_CREDENTIALS_FILE", &nothing)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Runs one with a key as `weft data key` gives.
fn run(world: &World, packages_of: &str, program: &str, bucket: &str, args: &[&str]) {
    let mut command = client(world, packages_of, program, bucket);
    command.args(args);
    let key = world.json(&["data", "key"]);
    let said = |name: &str| key[name].as_str().unwrap().to_owned();
    command
        .env("AWS_ENDPOINT_URL", said("endpoint"))
        .env("AWS_ACCESS_KEY_ID", said("access_key_id"))
        .env("AWS_SECRET_ACCESS_KEY", said("secret_access_key"))
        .env("AWS_REGION", said("region"))
        .env("AWS_DEFAULT_REGION", said("region"));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let went_well = output.status.success() && out.contains("as expected");
    assert!(went_well, "{program}: {out}\n{err}");
}

/// What the client did is on the audit log, and the log's chain holds.
fn is_told(world: &World, bucket: &str) {
    let audit = world.json(&["admin", "audit", "list"]);
    let rows = audit.as_array().unwrap();
    let told = |verb: &str| {
        rows.iter().any(|row| {
            row["verb"] == verb && row["resource"].as_str().is_some_and(|r| r.contains(bucket))
        })
    };
    assert!(told("data-make") && told("data-write"), "{audit}");
    world.ok(&["admin", "audit", "verify"]);
}

macro_rules! clients {
    ($($name:ident: $packages:literal, $program:literal, [$($arg:literal),*];)*) => {$(
        #[test]
        #[ignore = "the client's packages: cargo xtask test"]
        fn $name() {
            let world = world();
            world.ok(&["up", "--detach"]);
            run(&world, $packages, $program, "claims", &[$($arg),*]);
            is_told(&world, "claims");
        }
    )*};
}

clients! {
    clients_boto3: "boto", "boto3_client.py", [];
    clients_awscli: "boto", "awscli.sh", [];
    clients_minio: "boto", "minio_client.py", [];
    clients_pyarrow: "boto", "pyarrow_dataset.py", [];
    clients_polars: "boto", "polars_scan.py", [];
    clients_deltalake: "boto", "delta_writers.py", ["8", "50"];
    clients_lance: "boto", "lance_table.py", [];
    clients_s3fs_and_pandas: "aiobotocore", "s3fs_pandas.py", [];
    clients_dvc: "aiobotocore", "dvc_remote.sh", [];
}

/// Runs a program that changes a token into sessions by itself; when it is ready, the token is
/// revoked.
fn with_a_token(program: &str, endpoints: &[&str]) {
    let world = world();
    world.ok(&["up", "--detach"]);
    world.write("a.csv", "n,group\n1,2\n2,1\n3,2\n");
    world.ok(&["data", "put", "a.csv", "claims"]);
    let token = world.ok(&["admin", "token", "create", "--expires", "1d"]).out;
    let file = world.work().join("token");
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).mode(0o600).open(&file);
    made.unwrap().write_all(token.as_bytes()).unwrap();
    let server = world.json(&["data", "key"]);
    let said = |name: &str| server[name].as_str().unwrap();

    let mut command = client(&world, "boto", program, "claims");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
        .env("HOME", world.work())
        .env("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/read")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &file)
        .env("AWS_DEFAULT_REGION", said("region"))
        .envs(endpoints.iter().map(|name| (name, said("endpoint"))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(fs::File::create(world.work().join("err")).unwrap()));
    let mut child = command.spawn().unwrap();
    let (mut out, mut text) = (BufReader::new(child.stdout.take().unwrap()), String::new());
    out.read_line(&mut text).unwrap();
    if text == "ready\n" {
        world.ok(&["admin", "token", "revoke", token.split('_').nth(2).unwrap()]);
        child.stdin.take().unwrap().write_all(b"revoked\n").unwrap();
        out.read_to_string(&mut text).unwrap();
    }
    let went_well = child.wait().unwrap().success() && text.contains("as expected");
    let err = || fs::read_to_string(world.work().join("err")).unwrap();
    assert!(went_well, "{program}: {text}\n{}", err());

    let audit = world.json(&["admin", "audit", "list"]).to_string();
    assert!(audit.contains("\"resource\":\"session "), "{audit}");
    let secret = token.trim().rsplit('_').next().unwrap();
    let log = fs::read_to_string(world.state().join("server.log")).unwrap();
    assert!(
        !audit.contains(secret) && !log.contains(secret),
        "the token's secret was written down"
    );
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_boto3_with_a_token() {
    with_a_token("sts_boto3.py", &["AWS_ENDPOINT_URL"]);
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_awscli_with_a_token() {
    with_a_token("sts_awscli.sh", &["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_S3"]);
}

/// What boto3, s3fs and pandas need of the packages: little enough to be taken along in a moment.
const TAKEN_ALONG: [&str; 26] = [
    "aiobotocore",
    "aiohappyeyeballs",
    "aiohttp",
    "aioitertools",
    "aiosignal",
    "attr",
    "attrs",
    "boto3",
    "botocore",
    "dateutil",
    "frozenlist",
    "fsspec",
    "idna",
    "jmespath",
    "multidict",
    "numpy",
    "numpy.libs",
    "pandas",
    "propcache",
    "s3fs",
    "s3transfer",
    "six.py",
    "typing_extensions.py",
    "urllib3",
    "wrapt",
    "yarl",
];

/// What polars, pyarrow and deltalake need: 570 MB, most of them in four libraries.
const TAKEN_ALONG_TOO: [&str; 9] = [
    "_polars_runtime_32",
    "arro3",
    "deltalake",
    "numpy",
    "numpy.libs",
    "polars",
    "pyarrow",
    "six.py",
    "typing_extensions.py",
];

/// Writes what `inside.py` looks for beside `a.csv`.
const MADE: &str = "import deltalake, polars
table = polars.read_csv('made/a.csv')
table.write_parquet('made/a.parquet')
deltalake.write_deltalake('made/table', table)
";

/// Runs clients within a run that declared the dataset, with nothing set. Their packages are taken
/// along from where they lie.
fn inside(world: &World, packages_of: &str, taken: &[&str], clients: &[&str]) {
    world.ok(&["data", "put", "made", "claims", "--tier", "confidential"]);
    world.write("inside.py", include_str!("programs/clients/inside.py"));
    let from = packages(packages_of);
    let lines = taken.iter().map(|name| {
        let from = from.join(name);
        format!("  - {}:packages/{name}\n", from.display())
    });
    let spec = format!(
        "resources: {{disk: 2GB}}\ndata: claims@v1\nenv: {{PYTHONPATH: /work/packages}}\n\
         run: python3 inside.py {}\nfiles:\n  - inside.py\n{}",
        clients.join(" "),
        lines.collect::<String>()
    );
    world.write("x.weft.yaml", &spec);
    let ran = world.ok(&["run", "x.weft.yaml"]).out;
    for client in clients {
        assert!(ran.contains(&format!("{client}: all as expected")), "{client}: {ran}");
    }
    let rows = world.json(&["admin", "audit", "list"]).to_string();
    assert!(rows.contains("run w1-1-0") && !rows.contains("WEFTRUN"), "{rows}");
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_within_a_run_need_no_setting() {
    let world = world();
    world.write("made/a.csv", "n,group\n1,2\n2,1\n3,2\n");
    inside(&world, "aiobotocore", &TAKEN_ALONG, &["boto3", "s3fs"]);
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_of_tables_within_a_run_need_no_setting() {
    let world = world();
    world.write("made/a.csv", "n,group\n1,2\n2,1\n3,2\n");
    let mut make = Command::new("python3");
    make.args(["-c", MADE]).current_dir(world.work()).env("PYTHONPATH", packages("boto"));
    assert!(make.status().unwrap().success());
    inside(&world, "boto", &TAKEN_ALONG_TOO, &["polars", "pyarrow", "deltalake"]);
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_read_views_of_parquet() {
    let world = world();
    let made = Command::new("python3")
        .args(["-c", MADE_PARQUET])
        .env("PYTHONPATH", packages("boto"))
        .current_dir(world.work())
        .status();
    assert!(made.unwrap().success());
    world.ok(&["data", "put", "made", "claims"]);
    let rows = "age >= 18 and city is not null";
    let masks = ["--mask", "id=hash", "--mask", "born=year"];
    let columns = ["--columns", "id,age,born,at", "--rows", rows];
    world.ok(&[&["data", "view", "adults", "--of", "claims"][..], &columns, &masks].concat());
    run(&world, "boto", "parquet_views.py", "adults", &[]);
}

/// The same table, written by two.
const MADE_PARQUET: &str = "import datetime, os, polars, pyarrow.parquet
n = range(500)
born = [datetime.date(1950 + k % 50, 1, 1 + k % 28) for k in n]
at = [datetime.datetime(2026, 3, 5, k % 24, tzinfo=datetime.timezone.utc) for k in n]
city = [('Graz', 'Wien', None)[k % 3] for k in n]
age = [None if k % 7 == 0 else k % 90 for k in n]
table = polars.DataFrame({'id': n, 'age': age, 'born': born, 'at': at, 'city': city})
os.mkdir('made')
table.write_parquet('made/polars.parquet')
pyarrow.parquet.write_table(table.to_arrow(), 'made/pyarrow.parquet', row_group_size=70)
";

/// Runs a program of MLflow's client, which has a token and nothing else.
fn mlflow(world: &World, beside: &[&str], program: &str, args: &[&str]) {
    let token = world.ok(&["admin", "token", "create", "--expires", "1d"]).out;
    let address = world.json(&["data", "key"])["endpoint"].as_str().unwrap().to_owned();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/programs/clients");
    let all = beside.iter().chain(&["mlflow"]).map(|name| packages(name));
    let path = std::env::join_paths(all).unwrap();
    let output = Command::new("python3")
        .arg(folder.join(program))
        .args(args)
        .current_dir(world.work())
        .env("PYTHONPATH", path)
        .env("MLFLOW_TRACKING_URI", address)
        .env("MLFLOW_TRACKING_TOKEN", token.trim())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let went_well = output.status.success() && out.contains("as expected");
    assert!(went_well, "{program}: {out}\n{err}");
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_mlflow_tracks() {
    let world = world();
    world.ok(&["up", "--detach"]);
    mlflow(&world, &[], "tracking.py", &["outside"]);
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_mlflow_is_answered_as_by_its_own_store() {
    let world = world();
    world.ok(&["up", "--detach"]);
    let folder = world.work().display().to_string();
    mlflow(&world, &[], "tracking_same.py", &[&folder, "1500"]);
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_mlflow_logs_a_training_by_itself() {
    let world = world();
    world.ok(&["up", "--detach"]);
    mlflow(&world, &["sklearn"], "tracking_sklearn.py", &[]);
}

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_mlflow_within_a_run_needs_no_setting() {
    let world = world();
    world.write("tracking.py", include_str!("programs/clients/tracking.py"));
    let spec = format!(
        "resources: {{disk: 2GB}}\nenv: {{PYTHONPATH: /work/packages}}\n\
         run: python3 tracking.py inside $WEFT_WORKLOAD\nfiles:\n  - tracking.py\n  - {}:packages\n",
        packages("mlflow").display()
    );
    world.write("x.weft.yaml", &spec);
    let ran = world.ok(&["run", "x.weft.yaml"]).out;
    assert!(ran.contains("as expected"), "{ran}");
}
