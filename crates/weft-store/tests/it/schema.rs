//! The schema: SQLite's version, the golden dump, databases of every earlier schema.

use crate::given::{assert_sound, fast_dir, fill};
use rusqlite::Connection;
use std::path::PathBuf;
use weft_store::{Store, StoreError};
use weft_types::Timestamp;

/// The first SQLite without the WAL-reset race that could corrupt a database (3.7.0 to 3.51.2).
const SOUND_SQLITE: i32 = 3_051_003;

#[test]
fn sqlite_is_bundled_and_sound() {
    let found = rusqlite::version_number();
    assert!(found >= SOUND_SQLITE, "SQLite {} can corrupt its WAL", rusqlite::version());
}

/// What the migrations make, as text; `UPDATE_GOLDEN=1` rewrites it after a new migration.
#[test]
fn the_schema_is_the_golden_one() {
    let dir = fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let conn = Connection::open(store.path()).unwrap();
    let mut query = conn
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
        .unwrap();
    let lines: Vec<String> =
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let version: u32 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    let found = format!("-- schema {version}\n{};\n", lines.join(";\n\n"));
    let path = golden("schema.sql");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "a released schema changes only by a new migration");
}

/// Every database that a released schema wrote opens, is sound and keeps its rows. `v1.sql` is
/// the dump of one; a new migration adds the next and leaves the earlier ones as they are.
#[tokio::test]
async fn databases_of_every_schema_open() {
    for version in 1..=18u32 {
        let dump = format!("v{version}.sql");
        let dir = fast_dir();
        let conn = Connection::open(dir.path().join("weft.db")).unwrap();
        conn.execute_batch(&std::fs::read_to_string(golden(&dump)).unwrap()).unwrap();
        let found: u32 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
        assert_eq!(found, version);
        drop(conn);
        let store = Store::open(dir.path()).unwrap();
        assert_sound(&store).await;
        let snapshot = store.read(|r| r.snapshot()).await.unwrap();
        assert_eq!((snapshot.nodes.len(), snapshot.workloads.len()), (1, 2), "{dump}");
        assert_eq!(store.read(|r| r.verify_audit()).await.unwrap().rows, 2, "{dump}");
        store.write(fill).await.unwrap();
    }
}

/// Who named a bundle before there were holders had sent it, and need not send it again.
#[tokio::test]
async fn those_who_named_a_bundle_become_its_holders() {
    let dir = fast_dir();
    let conn = Connection::open(dir.path().join("weft.db")).unwrap();
    conn.execute_batch(&std::fs::read_to_string(golden("v1.sql")).unwrap()).unwrap();
    let named = format!("{{\"bundle\": \"{}\"}}", "a".repeat(64));
    conn.execute("UPDATE specs SET spec = ?1 WHERE workload = 2", [named]).unwrap();
    conn.execute("UPDATE specs SET spec = 'no JSON' WHERE workload = 3", []).unwrap();
    drop(conn);
    let store = Store::open(dir.path()).unwrap();
    let holds = store.read(|r| r.holds(&crate::given::user(), &"a".repeat(64))).await;
    assert_eq!(holds, Ok(true));
}

/// What datasets held before it was counted: chunks once each, of every object and part; in a time
/// that does not grow with the square of an object's chunks.
#[tokio::test]
async fn what_datasets_hold_is_counted_once_for_all_that_was_put() {
    const MANY: usize = 100_000;
    let dir = fast_dir();
    let conn = Connection::open(dir.path().join("weft.db")).unwrap();
    conn.execute_batch(&std::fs::read_to_string(golden("v11.sql")).unwrap()).unwrap();
    let id = |n: usize| -> Vec<u8> { [&n.to_be_bytes()[..], &[7; 24]].concat() };
    let ids = |all: std::ops::Range<usize>| all.flat_map(id).collect::<Vec<u8>>();
    conn.execute_batch("BEGIN").unwrap();
    for n in 0..MANY {
        conn.execute("INSERT INTO chunks VALUES (?1, 1, ?2, 10, 1, NULL, 0)", (id(n), n as i64))
            .unwrap();
    }
    for dataset in 1..=3 {
        let put =
            "INSERT INTO datasets (id, name, queue, owner, tier, about, created_at, content_key, key)
                   VALUES (?1, 'd' || ?1, 'q', 'ada', 'internal', '', 1, x'00', x'00')";
        conn.execute(put, [dataset]).unwrap();
    }
    let put =
        "INSERT INTO objects (dataset, path, since, bytes, tag, put_at, key_number, key, notes,
               manifest, chunks) VALUES (?1, ?2, 1, 1, x'00', 1, 1, x'00', x'00', x'00', ?3)";
    // One of all, one of some of them, one of one, one of none, and one that repeats itself.
    let twice = [id(5), id(6), id(5)].concat();
    let objects = [(1, "all", ids(0..MANY)), (1, "some", ids(3..10)), (2, "one", id(4))];
    let others = [(2, "none", Vec::new()), (2, "twice", twice)];
    for object in objects.into_iter().chain(others) {
        conn.execute(put, object).unwrap();
    }
    let upload = "INSERT INTO uploads VALUES (1, 2, 'part', 1, 1, x'00', x'00')";
    conn.execute(upload, []).unwrap();
    let part = "INSERT INTO upload_parts VALUES (1, 1, 1, x'00', 1, 1, x'00', x'00', x'00', ?1)";
    conn.execute(part, [ids(6..13)]).unwrap();
    conn.execute_batch("COMMIT").unwrap();
    drop(conn);
    let began = std::time::Instant::now();
    let store = Store::open(dir.path()).unwrap();
    let took = began.elapsed();
    let conn = Connection::open(store.path()).unwrap();
    let held: Vec<(i64, i64)> = conn
        .prepare("SELECT held_bytes, held_objects FROM datasets ORDER BY id")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    // Of the second: 4, 5, 6 and, of the part, 6 to 12.
    assert_eq!(held, [(10 * MANY as i64, 2), (90, 3), (0, 0)]);
    assert!(took.as_secs() < 30, "{took:?}: the square of {MANY} chunks takes many minutes");
}

/// Writes the dump of a small state of the current schema as `golden/v<n>.sql`. Run it once when
/// a migration is released: `cargo test -p weft-store write_the_dump -- --ignored`.
#[tokio::test]
#[ignore = "writes a dump: cargo test -p weft-store write_the_dump -- --ignored"]
async fn write_the_dump_of_this_schema() {
    use crate::given::{audit, end, event, new_workload, placement, share, start};
    let dir = fast_dir();
    let store = crate::given::pool(dir.path()).await;
    store
        .write(|w| -> Result<(), StoreError> {
            for name in ["ended", "running", "waiting"] {
                let id = w.submit_workload(new_workload(name, 1))?.id;
                w.append_event(event(&id.to_string(), "submitted"))?;
                if name != "waiting" {
                    w.append_audit(audit(&id.to_string()))?;
                    start(w, id, vec![placement(0, vec![share(0, 500, 0)])], Timestamp(5_000))?;
                }
                if name == "ended" {
                    end(w, id, Timestamp(6_000))?;
                }
            }
            Ok(())
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    let conn = Connection::open(store.path()).unwrap();
    let version: u32 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    std::fs::write(golden(&format!("v{version}.sql")), dump(&conn, version)).unwrap();
}

fn dump(conn: &Connection, version: u32) -> String {
    let strings = |sql: &str| -> Vec<String> {
        let mut query = conn.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let made = |sort: &str| {
        strings(&format!(
            "SELECT sql FROM sqlite_schema WHERE type IN ({sort}) AND sql IS NOT NULL
             AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        ))
    };
    let mut lines = made("'table'");
    for table in strings("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid") {
        let columns =
            strings(&format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')"));
        let values = columns.join(" || ', ' || ");
        lines.extend(strings(&format!(
            "SELECT 'INSERT INTO {table} VALUES (' || {values} || ')' FROM {table}"
        )));
    }
    lines.extend(made("'index', 'trigger'"));
    lines.push(format!("PRAGMA user_version = {version}"));
    lines.join(";\n") + ";\n"
}

/// The file is refused in clear words, as it is and untouched.
fn refused_untouched(dir: &std::path::Path) -> StoreError {
    let path = dir.join("weft.db");
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(dir).err().expect("it opens");
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");
    let copied = weft_store::restore(&dir.join("elsewhere"), &path).err();
    assert_eq!(copied, Some(refused.clone()), "a backup of it is told likewise");
    refused
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let dir = fast_dir();
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    // A store that is only dropped may write that it was closed after this.
    store.close().await.unwrap();
    drop(store);
    let conn = Connection::open(dir.path().join("weft.db")).unwrap();
    conn.pragma_update(None, "user_version", 999).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(conn);
    let refused = refused_untouched(dir.path());
    assert!(matches!(refused, StoreError::Newer { found: 999, .. }), "{refused:?}");
    let text = refused.to_string();
    let says = ["schema 999", env!("CARGO_PKG_VERSION"), "hint: start it with the newer weft"];
    assert!(says.iter().all(|part| text.contains(part)), "{text}");
}

/// A state of the time before the first release: schema 1 by its number, without `specs`.
#[test]
fn a_state_from_before_the_first_release_is_refused() {
    let dir = fast_dir();
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    let conn = Connection::open(dir.path().join("weft.db")).unwrap();
    conn.execute_batch(&std::fs::read_to_string(golden("v1-unreleased.sql")).unwrap()).unwrap();
    drop(conn);
    let refused = refused_untouched(dir.path());
    let text = refused.to_string();
    let says = ["schema 1", "but it has no `", "before the first release", "hint: go on with"];
    assert!(says.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn another_programs_file_is_refused() {
    let dir = fast_dir();
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    let conn = Connection::open(dir.path().join("weft.db")).unwrap();
    conn.execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    drop(conn);
    let refused = refused_untouched(dir.path());
    assert!(matches!(refused, StoreError::Foreign { found: 0, .. }), "{refused:?}");
}

/// A page overwritten while nothing ran is found after a crash, before anything is served.
#[tokio::test]
async fn damage_is_found_after_an_unclean_stop() {
    let dir = fast_dir();
    let store = crate::given::pool(dir.path()).await;
    store
        .write(|w| -> Result<(), StoreError> {
            (0..500).try_for_each(|n| {
                w.append_event(crate::given::event(&format!("w{n}"), "tried")).map(drop)
            })
        })
        .await
        .unwrap();
    let path = store.path().to_owned();
    let unclean = || Connection::open(&path).unwrap().execute("UPDATE meta SET clean = 0", []);
    store.close().await.unwrap();
    drop(store);
    assert_eq!(unclean(), Ok(1));
    let again = Store::open(dir.path()).expect("unclean and sound");
    again.close().await.unwrap();
    drop(again);
    assert_eq!(unclean(), Ok(1));
    let copy = fast_dir();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 4096 * 4].fill(0x5a);
    std::fs::write(copy.path().join("weft.db"), bytes).unwrap();
    let refused = Store::open(copy.path()).err();
    assert!(matches!(refused, Some(StoreError::Damaged(_))), "{refused:?}");
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden").join(name)
}
