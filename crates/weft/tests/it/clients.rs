//! Stock S3 clients, unmodified, as their users run them, with policy, encryption and audit on.
//! `cargo xtask test` fetches them; nothing of theirs is in the repository.

use crate::world;
use std::path::{Path, PathBuf};
use std::process::Command;
use weft_testkit::World;

/// Where `cargo xtask test` keeps them.
fn packages(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_weft")).parent().and_then(Path::parent);
    target.expect("the binary is in the target folder").join("clients").join(name)
}

/// Runs one of the programs in `programs/clients` on a bucket, with a key as `weft data key` gives.
fn run(world: &World, packages_of: &str, program: &str, bucket: &str, args: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/programs/clients");
    let interpreter = if program.ends_with(".py") { "python3" } else { "sh" };
    let mut command = Command::new(interpreter);
    command.arg(folder.join(program)).arg(bucket).args(args).current_dir(world.work());
    world.write("nothing", "");
    let nothing = world.work().join("nothing");
    let key = world.json(&["data", "key"]);
    let said = |name: &str| key[name].as_str().unwrap().to_owned();
    command
        .env("PYTHONPATH", packages(packages_of))
        .env("AWS_ENDPOINT_URL", said("endpoint"))
        .env("AWS_ACCESS_KEY_ID", said("access_key_id"))
        .env("AWS_SECRET_ACCESS_KEY", said("secret_access_key"))
        .env("AWS_REGION", said("region"))
        .env("AWS_DEFAULT_REGION", said("region"))
        .env("AWS_CONFIG_FILE", &nothing)
        .env("AWS_SHARED_CREDENTIALS_FILE", &nothing)
        .env("AWS_EC2_METADATA_DISABLED", "true");
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

#[test]
#[ignore = "the client's packages: cargo xtask test"]
fn clients_within_a_run_need_no_setting() {
    let world = world();
    world.write("a.csv", "n,group\n1,2\n2,1\n3,2\n");
    world.ok(&["data", "put", "a.csv", "claims", "--tier", "confidential"]);
    world.write("inside.py", include_str!("programs/clients/inside.py"));
    let taken = world.work().join("packages");
    std::fs::create_dir(&taken).unwrap();
    let from = packages("aiobotocore");
    let mut copy = Command::new("cp");
    copy.arg("-r").args(TAKEN_ALONG.map(|name| from.join(name))).arg(&taken);
    assert!(copy.status().unwrap().success());
    let spec = "resources: {disk: 1GB}\ndata: claims@v1\nfiles: [inside.py, packages]\n\
                env: {PYTHONPATH: /work/packages}\nrun: python3 inside.py boto3 s3fs\n";
    world.write("x.weft.yaml", spec);
    let ran = world.ok(&["run", "x.weft.yaml"]).out;
    assert!(ran.contains("boto3: all as") && ran.contains("s3fs: all as"), "{ran}");
    let rows = world.json(&["admin", "audit", "list"]).to_string();
    assert!(rows.contains("run w1-1-0") && !rows.contains("WEFTRUN"), "{rows}");
}
