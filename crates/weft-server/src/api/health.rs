//! Whether the server lives and serves; for supervisors and load balancers, without a token.

use super::call::Call;
use super::fault::{Fault, fault};
use axum::response::{IntoResponse, Response};
use weft_api::problem::Code;

/// `GET /healthz`: the process answers.
pub(crate) async fn alive(_: Call) -> Result<Response, Fault> {
    Ok("ok\n".into_response())
}

/// `GET /readyz`: the state can be read and the loop turns.
pub(crate) async fn ready(call: Call) -> Result<Response, Fault> {
    call.app.store.read(|r| r.meta()).await?;
    match call.app.control.ready() {
        Ok(()) => Ok("ready\n".into_response()),
        Err(why) => Err(fault(Code::Busy, why)),
    }
}
