//! Server-sent events: a task that speaks until it is done, the client leaves or the server ends.

use super::call::Call;
use super::clock::now;
use super::fault::{Fault, fault, internal};
use super::share::Share;
use super::state::App;
use crate::auth::{Caller, still};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::poll_fn;
use serde::Serialize;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use weft_api::problem::Code;

/// A comment is sent when nothing else is for so long: well under the minute after which
/// proxies and address translators forget a silent connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a stream's caller is recognised again: what was revoked is shut out within this.
const RECOGNISE_AGAIN: Duration = Duration::from_secs(2);
/// Messages on their way to a slow client before its task waits.
const BUFFER: usize = 64;

/// The speaking end. A failed send means that the client has gone.
pub(crate) struct Speaker {
    sender: mpsc::Sender<Event>,
}

/// The client has gone.
pub(crate) struct Gone;

impl Speaker {
    /// Sends one message: its sort, its number to resume after, its data as JSON.
    pub(crate) async fn say<T: Serialize>(
        &self,
        sort: &str,
        id: Option<u64>,
        data: &T,
    ) -> Result<(), Gone> {
        let event = Event::default().event(sort).json_data(data).map_err(|_| Gone)?;
        let event = match id {
            Some(id) => event.id(id.to_string()),
            None => event,
        };
        self.sender.send(event).await.map_err(|_| Gone)
    }

    /// Resolves when the client has gone.
    pub(crate) async fn gone(&self) {
        self.sender.closed().await;
    }
}

/// A stream's place among all of them and among its caller's, until it is dropped.
pub(super) struct Place {
    _among_all: OwnedSemaphorePermit,
    _among_own: Share,
}

/// Room for one more stream of the caller's.
pub(super) fn place(call: &Call) -> Result<Place, Fault> {
    let (app, user) = (&call.app, &call.who.principal.user);
    let own = app.streaming.take(user, app.about.limits.streams_per_user, "streams")?;
    let all = app.streams.clone().try_acquire_owned().map_err(|_| {
        let most = app.about.limits.streams;
        fault(Code::Busy, format!("{most} streams are open; close one, or try later"))
    })?;
    Ok(Place { _among_all: all, _among_own: own })
}

/// Answers with what `speak` says. It ends with the client, its token, or the server.
pub(crate) fn stream<F, Fut>(call: &Call, speak: F) -> Result<Response, Fault>
where
    F: FnOnce(Speaker) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let (app, who) = (call.app.clone(), call.who.clone());
    let place = place(call)?;
    let (sender, receiver) = mpsc::channel(BUFFER);
    let mut closing = app.control.closing();
    tokio::spawn(async move {
        let left = sender.clone();
        let ended = async move { closing.wait_for(|closing| *closing).await.is_ok() };
        tokio::select! {
            _ = speak(Speaker { sender }) => {}
            () = left.closed() => {}
            _ = ended => {}
            () = expired(&app, &who) => {}
        }
        drop(place);
    });
    Ok(spoken(receiver, HEARTBEAT))
}

/// What is spoken, as a response, with a comment whenever nothing was for so long.
fn spoken(mut said: mpsc::Receiver<Event>, heartbeat: Duration) -> Response {
    let messages = poll_fn(move |cx| said.poll_recv(cx).map(|m| m.map(Ok::<_, Infallible>)));
    Sse::new(messages).keep_alive(KeepAlive::new().interval(heartbeat)).into_response()
}

/// Resolves when the caller is no longer who it was: token revoked or expired, user disabled or
/// of another role. A caller on the socket stays.
pub(super) async fn expired(app: &App, who: &Caller) {
    let Some(token) = &who.token else { return std::future::pending().await };
    loop {
        tokio::time::sleep(RECOGNISE_AGAIN).await;
        match still(&app.store, token, now()).await {
            Ok(Some(principal)) if principal == who.principal => {}
            // A store that cannot be read is no reason to believe in a token.
            _ => return,
        }
    }
}

/// The number a client resumes after: `Last-Event-ID`, which a browser sends by itself.
pub(crate) fn last_id(headers: &axum::http::HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let refused = || super::fault::at(Code::BadRequest, "Last-Event-ID", "must be a number");
    number.map(Some).ok_or_else(refused)
}

/// A fault in a stream that has begun: told as its last message.
pub(crate) async fn broke(speaker: &Speaker, cause: Fault) {
    let problem = match cause {
        Fault::Problem(problem) => *problem,
        Fault::TakenBack(_) => internal("a dry run in a stream"),
    };
    let _ = speaker.say("problem", None, &problem).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_silent_stream_has_a_heartbeat() {
        let (speaker, said) = mpsc::channel(1);
        let mut body = spoken(said, Duration::from_millis(1)).into_body();
        let mut next = async || {
            let frame = body.frame().await?.unwrap();
            Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
        };
        for _ in 0..3 {
            assert_eq!(next().await.as_deref(), Some(":\n\n"), "a comment, which is no message");
        }
        speaker.send(Event::default().data("x")).await.unwrap();
        let told = async { while next().await.as_deref() != Some("data: x\n\n") {} };
        tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    }
}
