//! Exec: a command inside a running workload, over the connection itself.
//!
//! `POST …/exec` with `Upgrade: weft-exec` is answered 101, and from then on both sides speak
//! the runtime's frames; the server copies bytes and reads none of them.

use super::call::Call;
use super::fault::{Fault, at, fault, internal, quoted};
use super::stream::{expired, place};
use super::view::member_key;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use utoipa::ToSchema;
use weft_api::problem::{Code, Problem};
use weft_lifecycle::State;
use weft_runtime::{ExecRequest, RuntimeError};
use weft_types::Member;

/// Bytes copied at once: a frame's payload.
const BUFFER: usize = 64 * 1024;
/// What the connection is upgraded to.
const PROTOCOL: &str = "weft-exec";
/// Arguments, variables and their bytes: as for a workload's own command.
const ENTRIES_MAX: usize = 1_024;
const BYTES_MAX: usize = 128 * 1024;

/// What to run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exec {
    /// The program and its arguments.
    argv: Vec<String>,
    /// Rows and columns of the terminal; absent: plain pipes.
    #[serde(default)]
    tty: Option<(u16, u16)>,
    /// Environment variables over the run's own.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// In which member.
    #[serde(default)]
    member: u32,
}

/// `POST /workloads/{id}/exec`.
pub(crate) async fn exec(call: Call) -> Result<Response, Fault> {
    let exec: Exec = call.json()?;
    check(&exec)?;
    let asked = call.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    let upgrade = call.upgrade();
    let (Some(PROTOCOL), Some(upgrade)) = (asked, upgrade) else {
        let problem = Problem::new(Code::BadRequest, "exec needs an upgrade of the connection");
        return Err(problem.hint("send `Connection: upgrade` and `Upgrade: weft-exec`").into());
    };
    let row = call.workload()?;
    let (State::Running, Some(key)) = (row.record.state, member_key(row, Member(exec.member)))
    else {
        let detail = format!(
            "{} is {} with {} members; exec needs a running one",
            row.id,
            row.record.state.as_str(),
            row.members
        );
        return Err(fault(Code::Conflict, detail));
    };
    let place = place(&call)?;
    // Written before anything runs: what cannot be audited is not done.
    // The program is told, its arguments are the user's own.
    let program = quoted(exec.argv.first().map_or("", String::as_str));
    call.note(serde_json::json!({ "program": program, "member": exec.member })).await?;
    let request = ExecRequest { argv: exec.argv, tty: exec.tty, env: exec.env };
    let inside = call.app.runtime.exec(key, request).await.map_err(refused)?;
    let mut closing = call.app.control.closing();
    let (app, who) = (call.app.clone(), call.who.clone());
    tokio::spawn(async move {
        let copy = async {
            match upgrade.await {
                Ok(upgraded) => {
                    // Either side going away ends it; the supervisor ends the command then.
                    relay(TokioIo::new(upgraded), inside).await;
                }
                Err(error) => tracing::debug!(%error, "an exec was not taken up"),
            }
        };
        tokio::select! {
            () = copy => {}
            _ = closing.wait_for(|closing| *closing) => {}
            () = expired(&app, &who) => {}
        }
        drop(place);
    });
    let switch = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, PROTOCOL);
    switch.body(Body::empty()).map_err(|e| internal(e).into())
}

/// Copies both ways until either side goes away. What comes from inside is copied to its end
/// also when nothing is taken there any more: a command that ends while its input is on its way
/// has said how it ended.
async fn relay<O, I>(outside: O, inside: I)
where
    O: AsyncRead + AsyncWrite,
    I: AsyncRead + AsyncWrite,
{
    let (mut from_outside, mut to_outside) = tokio::io::split(outside);
    let (mut from_inside, mut to_inside) = tokio::io::split(inside);
    let inwards = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            match from_outside.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    if to_inside.write_all(&buffer[..read]).await.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = inwards => {}
        _ = tokio::io::copy(&mut from_inside, &mut to_outside) => {}
    }
    let _ = to_outside.shutdown().await;
}

fn check(exec: &Exec) -> Result<(), Fault> {
    let broken = |field: &str, rule: String| Err(at(Code::BadRequest, field, rule));
    if exec.argv.first().is_none_or(String::is_empty) {
        return broken("argv", "must name a program".to_owned());
    }
    if exec.argv.len() + exec.env.len() > ENTRIES_MAX {
        return broken("argv", format!("with env has more than {ENTRIES_MAX} entries"));
    }
    let texts = || exec.argv.iter().chain(exec.env.keys()).chain(exec.env.values());
    if texts().map(String::len).sum::<usize>() > BYTES_MAX {
        return broken("argv", format!("with env has more than {BYTES_MAX} bytes"));
    }
    if texts().any(|text| text.contains('\0')) {
        return broken("argv", "or env has a NUL character".to_owned());
    }
    if exec.env.keys().any(|name| name.is_empty() || name.contains('=')) {
        return broken("env", "has a name that is empty or contains `=`".to_owned());
    }
    match exec.tty {
        Some((0, _) | (_, 0)) => broken("tty", "has no rows or no columns".to_owned()),
        _ => Ok(()),
    }
}

fn refused(error: RuntimeError) -> Fault {
    match error {
        RuntimeError::NotRunning(_) => fault(Code::Conflict, "it is not running any more"),
        RuntimeError::Refused(why) => fault(Code::Conflict, quoted(&why)),
        RuntimeError::Invalid { .. } => fault(Code::BadRequest, quoted(&error.to_string())),
        other => internal(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_ends_before_its_input_came_still_says_how() {
        let (mut client, outside) = tokio::io::duplex(64);
        let (mut command, inside) = tokio::net::UnixStream::pair().unwrap();
        command.write_all(b"ended").await.unwrap();
        drop(command);
        client.write_all(b"late input").await.unwrap();
        let relayed = tokio::spawn(relay(outside, inside));
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"ended");
        relayed.await.unwrap();
    }
}
