//! Further programs in a running sandbox, over frames.

use crate::support::{Machine, PATIENCE, key, shell};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use weft_runtime::{ExecRequest, RuntimeError};

/// What a program sent, by kind of frame.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    out: String,
    err: String,
    exit: Option<i32>,
}

fn request<const N: usize>(argv: [&str; N], tty: Option<(u16, u16)>) -> ExecRequest {
    ExecRequest { argv: argv.map(str::to_owned).to_vec(), tty, env: BTreeMap::new() }
}

async fn running() -> Machine {
    let machine = Machine::new();
    machine.runtime.start(&shell("exec sleep 1000")).await.unwrap();
    assert!(machine.runtime.started(key(1)).await);
    machine
}

async fn send(stream: &mut UnixStream, kind: u8, payload: &[u8]) {
    let mut frame = vec![kind];
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await.unwrap();
}

async fn hear(mut stream: UnixStream) -> Said {
    let mut said = Said::default();
    let all = async {
        while let Ok(kind) = stream.read_u8().await {
            let length = stream.read_u32().await.unwrap();
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            match kind {
                0 => said.out.push_str(&String::from_utf8(payload).unwrap()),
                1 => said.err.push_str(&String::from_utf8(payload).unwrap()),
                2 => said.exit = Some(i32::from_be_bytes(payload.try_into().unwrap())),
                other => panic!("frame of kind {other}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("the program does not end");
    said
}

#[tokio::test]
async fn a_program_is_added_with_its_streams_and_its_exit_code() {
    let machine = running().await;
    // Reads to the end: one that has ended takes no end of input.
    let script = "read word; cat; echo got $word; echo oops >&2; id -u; exit 7";
    let asked = machine.runtime.exec(key(1), request(["sh", "-c", script], None));
    let mut stream = asked.await.unwrap();
    send(&mut stream, 0, b"hello\n").await;
    send(&mut stream, 4, b"").await;
    let wanted = Said { out: "got hello\n1000\n".into(), err: "oops\n".into(), exit: Some(7) };
    assert_eq!(hear(stream).await, wanted);
    machine.runtime.forget(key(1)).await.unwrap();
}

#[tokio::test]
async fn a_terminal_has_a_size_that_can_change() {
    let machine = running().await;
    let script = "stty size; tty; read line; stty size";
    let asked = machine.runtime.exec(key(1), request(["sh", "-c", script], Some((24, 80))));
    let mut stream = asked.await.unwrap();
    send(&mut stream, 3, &[0, 50, 0, 132]).await;
    send(&mut stream, 0, b"go\n").await;
    let said = hear(stream).await;
    assert!(said.out.contains("/dev/pts/0"), "{said:?}");
    assert!(said.out.contains("50 132"), "{said:?}");
    assert_eq!(said.exit, Some(0));
    machine.runtime.forget(key(1)).await.unwrap();
}

#[tokio::test]
async fn an_added_program_has_no_more_rights_than_the_run() {
    let machine = running().await;
    let script = "grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs' /proc/self/status | cut -f2; \
                  cut -d: -f3 /proc/self/cgroup | sort -u; readlink /proc/self/ns/net \
                  /proc/self/ns/user | sort > /tmp/a; ls /proc/self/fd | wc -l";
    let stream = machine.runtime.exec(key(1), request(["sh", "-c", script], None)).await.unwrap();
    let said = hear(stream).await;
    let wanted = "0000000000000000\n0000000000000000\n1\n2\n/\n4\n";
    assert_eq!(said.out, wanted, "{said:?}");
    machine.runtime.forget(key(1)).await.unwrap();
}

#[tokio::test]
async fn who_hangs_up_ends_what_they_started() {
    let machine = running().await;
    let asked = machine.runtime.exec(key(1), request(["sleep", "999"], None)).await.unwrap();
    let count = || machine.runtime.usage(key(1)).map_or(0, |usage| usage.pids);
    assert_eq!(count(), 3);
    drop(asked);
    let deadline = std::time::Instant::now() + PATIENCE;
    while count() != 2 {
        assert!(std::time::Instant::now() < deadline, "{}", count());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    machine.runtime.forget(key(1)).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    let machine = running().await;
    let refused = machine.runtime.exec(key(1), request(["no-such-program"], None)).await;
    let Err(RuntimeError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why, "`no-such-program`: no such program");
    machine.runtime.forget(key(1)).await.unwrap();
    let gone = machine.runtime.exec(key(1), request(["true"], None)).await;
    assert!(matches!(gone, Err(RuntimeError::NotRunning(_))), "{gone:?}");
}

#[tokio::test]
async fn a_run_that_ends_ends_its_added_programs() {
    let machine = running().await;
    let stream = machine.runtime.exec(key(1), request(["sleep", "999"], None)).await.unwrap();
    machine.runtime.stop(key(1), true).await.unwrap();
    assert_eq!(hear(stream).await.out, "");
    machine.ended(key(1)).await;
}

/// A workload's owner may add programs; that must not take from others the means to end it.
#[tokio::test]
async fn any_number_of_added_programs_leaves_room_for_a_stop() {
    let machine = running().await;
    let mut held = Vec::new();
    let refused = loop {
        match machine.runtime.exec(key(1), request(["sleep", "1000"], None)).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
        assert!(held.len() < 64, "as many as requests");
    };
    assert!(matches!(&refused, RuntimeError::Refused(why) if why.contains("end one")), "{refused}");
    machine.runtime.stop(key(1), true).await.unwrap();
    machine.runtime.wait(key(1)).await;
}
