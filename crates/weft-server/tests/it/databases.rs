//! Imports from databases: real servers of PostgreSQL and MariaDB, on ports and folders of their
//! own. Where their programs are not installed the tests say so: `cargo xtask test` installs them.

use crate::api_world::{Api, Ask};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PASSWORD: &str = "pw-CANARY-51'\"\\x";
/// `nobody`: PostgreSQL does not run as root.
const NOBODY: u32 = 65_534;

/// A database server that ends with the test.
struct Server {
    dir: TempDir,
    child: Child,
    port: u16,
    certificate: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn source(&self, kind: &str) -> Value {
        json!({ "queue": "lab", "secret": PASSWORD, "at": {
            "kind": kind, "address": format!("127.0.0.1:{}", self.port), "database": "shop",
            "user": "reader", "allow": ["127.0.0.1"], "certificates": self.certificate,
        }})
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/sbin", "/usr/local/bin"].map(PathBuf::from));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists())
}

/// A port that nobody has now; who takes it meanwhile fails the start, which is tried again.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn as_nobody(command: &mut Command) -> &mut Command {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
}

/// A certificate for 127.0.0.1, and its key, in files of a folder.
fn certify(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    let key = dir.join("key.pem");
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, only).unwrap();
    made.cert.pem()
}

/// Waits until somebody listens.
fn listens(child: &mut Child, port: u16) -> bool {
    let (at, begun) = (SocketAddr::from(([127, 0, 0, 1], port)), Instant::now());
    while begun.elapsed() < Duration::from_secs(60) {
        if TcpStream::connect(at).is_ok() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    false
}

const TRIES: usize = 3;

fn postgres(sql: &str) -> Option<Server> {
    let (initdb, postgres) = (program("initdb")?, program("postgres")?);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    if rustix::process::geteuid().is_root() {
        for path in [dir.path(), &data] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let password = dir.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let mut init = Command::new(initdb);
    init.args(["-U", "owner", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale=C"]);
    init.arg(format!("--pwfile={}", password.display())).arg("-D").arg(&data);
    done(as_nobody(&mut init));
    let certificate = certify(&data);
    for file in ["cert.pem", "key.pem"] {
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(data.join(file), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    for (database, sql) in [("postgres", "CREATE DATABASE shop"), ("shop", sql)] {
        let script = dir.path().join("script.sql");
        std::fs::write(&script, sql.replace('\n', " ") + "\n").unwrap();
        let file = std::fs::File::open(&script).unwrap();
        let mut single = Command::new(&postgres);
        as_nobody(single.args(["--single", "-j", "-D"]).arg(&data).arg(database));
        let output = single.stdin(file).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !told.contains("ERROR"), "{told}");
    }
    for _ in 0..TRIES {
        let port = free_port();
        let mut server = Command::new(&postgres);
        as_nobody(server.arg("-D").arg(&data))
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "ssl=on"])
            .args(["-c", "ssl_cert_file=cert.pem", "-c", "ssl_key_file=key.pem"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = server.spawn().unwrap();
        if listens(&mut child, port) {
            return Some(Server { dir, child, port, certificate });
        }
    }
    panic!("PostgreSQL does not start");
}

fn mariadb(sql: &str) -> Option<Server> {
    let (install, mariadbd) = (program("mariadb-install-db")?, program("mariadbd")?);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    done(
        Command::new(install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg("--user=root")
            .arg(format!("--datadir={}", data.display())),
    );
    let certificate = certify(dir.path());
    let script = dir.path().join("script.sql");
    std::fs::write(&script, sql).unwrap();
    for _ in 0..TRIES {
        let port = free_port();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut child = Command::new(&mariadbd)
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1"])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", path("socket")))
            .arg(format!("--init-file={}", script.display()))
            .arg(format!("--ssl-cert={}", path("cert.pem")))
            .arg(format!("--ssl-key={}", path("key.pem")))
            .arg(format!("--secure-file-priv={}", dir.path().display()))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if listens(&mut child, port) {
            return Some(Server { dir, child, port, certificate });
        }
    }
    panic!("MariaDB does not start");
}

#[expect(clippy::print_stderr, reason = "what is left out is said")]
fn skipped(what: &str) {
    eprintln!("left out: {what} is not installed; `cargo xtask test` installs it");
}

async fn with(server: &Server, kind: &str) -> (Api, String) {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    api.dataset(&ana, "shop", "internal").await;
    api.source("crm", server.source(kind)).await;
    (api, ana)
}

/// Each is refused, and what it would have done is not done.
async fn refuses(api: &Api, token: &str, queries: &[&str]) {
    for query in queries {
        let ended = api.import(token, "shop", json!({ "from": "crm", "query": query })).await;
        assert_eq!(ended["state"], "failed", "{query}: {ended}");
        assert!(!ended["why"].as_str().unwrap().contains("CANARY"), "{ended}");
    }
}

/// Tables whose values, names and views are not what one hopes for.
fn customers() -> String {
    let quoted = PASSWORD.replace('\'', "''");
    format!(
        "CREATE ROLE reader LOGIN SUPERUSER PASSWORD '{quoted}';
         CREATE TABLE customers (id int, name text, note text, at timestamptz);
         INSERT INTO customers VALUES (1, 'Ana, \"A\"', NULL, '2026-01-01Z'),
           (2, '', 'zwei\u{fc}', '2026-01-02Z'), (3, 'c', 'x', NULL);
         CREATE TABLE \"odd \"\"; DROP TABLE customers\" (n int);
         INSERT INTO \"odd \"\"; DROP TABLE customers\" VALUES (7);
         CREATE SEQUENCE drawn;
         CREATE VIEW ticks AS SELECT nextval('drawn') AS n;"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_comes_as_it_was_at_one_moment() {
    let sql = customers();
    let Some(server) = postgres(&sql) else { return skipped("postgresql") };
    let (api, ana) = with(&server, "postgres").await;
    let from = json!({ "from": "crm:public.customers" });
    let first = api.imported(&ana, "shop", from).await;
    assert!(first["snapshot"].as_str().unwrap().ends_with('Z'), "{first}");
    let came = api.fetch(&ana, "shop", "customers.csv").await;
    let wanted = "id,name,note,at\n1,\"Ana, \"\"A\"\"\",,2026-01-01 00:00:00+00\n\
                  2,\"\",zwei\u{fc},2026-01-02 00:00:00+00\n3,c,x,\n";
    assert_eq!(came, wanted);
    // By a column: all at first, and then nothing, as nothing is new.
    let since = json!({ "from": "crm:customers", "to": "by/", "since": "at" });
    assert_eq!(api.imported(&ana, "shop", since.clone()).await["files"], 1);
    assert_eq!(api.fetch(&ana, "shop", "by/customers/000001.csv").await.lines().count(), 4);
    assert_eq!(api.imported(&ana, "shop", since).await["files"], 0);
    // A name with quotes and a statement in it is a name.
    let odd = json!({ "from": "crm:odd \"; DROP TABLE customers", "to": "odd.csv" });
    api.imported(&ana, "shop", odd).await;
    assert_eq!(api.fetch(&ana, "shop", "odd.csv").await, "n\n7\n");
    let query = json!({ "from": "crm", "to": "q.csv",
        "query": "SELECT name FROM customers WHERE id < 3 ORDER BY id DESC -- the last first" });
    api.imported(&ana, "shop", query).await;
    assert_eq!(api.fetch(&ana, "shop", "q.csv").await, "name\n\"\"\n\"Ana, \"\"A\"\"\"\n");
    // It is a superuser's, so that nothing but what we do stands against these.
    let file = server.dir.path().join("written").display().to_string();
    let program = format!("SELECT 1) TO PROGRAM 'touch {file}' --");
    let to_file = format!("COPY customers TO '{file}'");
    refuses(
        &api,
        &ana,
        &[
            &program,
            &to_file,
            "SELECT 1; DROP TABLE customers",
            "SELECT 1) TO STDOUT; DROP TABLE customers; --",
            "DROP TABLE customers",
            "DELETE FROM customers RETURNING id",
            "WITH gone AS (DELETE FROM customers RETURNING id) SELECT * FROM gone",
            "SELECT set_config('transaction_read_only', 'off', false), lo_create(1)",
            "COMMIT",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SELECT nextval('drawn')",
            "SELECT * FROM ticks",
            "",
            "SELECT 1 /*",
            "SELECT 1 + missing FROM customers",
        ],
    )
    .await;
    assert!(!Path::new(&file).exists());
    api.imported(&ana, "shop", json!({ "from": "crm:customers", "to": "again.csv" })).await;
    assert_eq!(api.fetch(&ana, "shop", "again.csv").await, wanted);
    proves_who_is_there(&api, &ana, &server).await;
    api.end().await;
}

/// Another password, a certificate that nobody vouches for, and no TLS where that was said.
async fn proves_who_is_there(api: &Api, ana: &str, server: &Server) {
    for (field, value, why) in [
        ("secret", json!("other"), "password authentication failed"),
        ("certificates", Value::Null, "TLS"),
        ("plain", json!(true), ""),
    ] {
        let mut source = server.source("postgres");
        match field {
            "secret" => source["secret"] = value,
            "plain" => {
                source["at"].as_object_mut().unwrap().remove("certificates");
                source["at"]["plain"] = value;
            }
            _ => _ = source["at"].as_object_mut().unwrap().remove(field),
        }
        api.source("crm", source).await;
        let ended = api.import(ana, "shop", json!({ "from": "crm:customers" })).await;
        let told = ended["why"].as_str().unwrap_or("");
        assert!(told.contains(why) && (field == "plain") == (ended["state"] == "done"), "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_comes_as_it_was_at_one_moment() {
    let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
    let sql = format!(
        "SET NAMES utf8mb4;\n\
         CREATE DATABASE shop CHARACTER SET utf8mb4;\n\
         CREATE USER reader@'%' IDENTIFIED BY '{quoted}';\n\
         GRANT ALL ON *.* TO reader@'%';\n\
         CREATE TABLE shop.orders (id int, name text, raw blob, at datetime) engine=InnoDB;\n\
         INSERT INTO shop.orders VALUES (1, 'Ana, \"A\"', NULL, '2026-01-01'), \
           (2, '', x'00ff', '2026-01-02'), (3, 'zwei\u{fc}', NULL, NULL);\n"
    );
    let Some(server) = mariadb(&sql) else { return skipped("mariadb-server-core") };
    let (api, ana) = with(&server, "mysql").await;
    let first = api.imported(&ana, "shop", json!({ "from": "crm:shop.orders" })).await;
    assert!(first["snapshot"].as_str().unwrap().ends_with('Z'), "{first}");
    let wanted = "id,name,raw,at\n1,\"Ana, \"\"A\"\"\",,2026-01-01 00:00:00\n\
                  2,\"\",\\x00ff,2026-01-02 00:00:00\n3,zwei\u{fc},,\n";
    assert_eq!(api.fetch(&ana, "shop", "orders.csv").await, wanted);
    let since = json!({ "from": "crm:orders", "since": "at" });
    assert_eq!(api.imported(&ana, "shop", since.clone()).await["files"], 1);
    assert_eq!(api.fetch(&ana, "shop", "orders/000001.csv").await.lines().count(), 4);
    assert_eq!(api.imported(&ana, "shop", since).await["files"], 0);
    // A file that somebody put there keeps its name, and what it is.
    let mine = Ask::new("PUT", "/api/v1/datasets/shop/objects/hand/orders/000001.csv");
    assert_eq!(api.send(mine.by(&ana).bytes(b"mine")).await.status, 201);
    let since = json!({ "from": "crm:orders", "to": "hand/", "since": "at" });
    assert_eq!(api.imported(&ana, "shop", since).await["files"], 1);
    assert_eq!(api.fetch(&ana, "shop", "hand/orders/000001.csv").await, "mine");
    assert_eq!(api.fetch(&ana, "shop", "hand/orders/000002.csv").await.lines().count(), 4);
    let query = json!({ "from": "crm", "to": "q.csv",
        "query": "SELECT id FROM orders ORDER BY id DESC -- the last first" });
    api.imported(&ana, "shop", query).await;
    assert_eq!(api.fetch(&ana, "shop", "q.csv").await, "id\n3\n2\n1\n");
    let file = server.dir.path().join("written").display().to_string();
    let into = format!("SELECT 1 INTO OUTFILE '{file}'");
    refuses(
        &api,
        &ana,
        &[
            &into,
            "SELECT 1; DROP TABLE orders",
            "DROP TABLE orders",
            "DELETE FROM orders",
            "DELETE FROM orders RETURNING id",
            "INSERT INTO orders (id) VALUES (9) RETURNING id",
            "COMMIT",
            "START TRANSACTION READ WRITE",
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE orders",
            "SELECT ?",
            "",
            "SELECT missing FROM orders",
        ],
    )
    .await;
    assert!(!Path::new(&file).exists());
    api.imported(&ana, "shop", json!({ "from": "crm:orders", "to": "again.csv" })).await;
    assert_eq!(api.fetch(&ana, "shop", "again.csv").await, wanted);
    let mut source = server.source("mysql");
    source["secret"] = json!("other");
    api.source("crm", source).await;
    let ended = api.import(&ana, "shop", json!({ "from": "crm:orders" })).await;
    assert!(ended["why"].as_str().unwrap().contains("Access denied"), "{ended}");
    api.end().await;
}
