//! Intake: bytes on their way in, bounded in number, time and room on the disk.
//!
//! A sender may be slow, but not idle: one that sends a byte now and then would hold its file and
//! its place for ever. Used by bundles and images; what it was received for is dropped with it.

use super::bundles::disk;
use super::call::Call;
use super::fault::{Fault, fault};
use super::share::Share;
use super::state::App;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::Instant;
use weft_api::problem::{Code, Problem};
use weft_runtime::{ROOM_STEP, Room};
use weft_types::UserName;

/// A sender that is silent for so long has gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Before this the rate is not looked at: connections start slowly, and disks stall.
const GRACE: Duration = Duration::from_secs(60);
/// Slowest sender in bytes per second, on average: the largest bundle arrives within a working
/// day, over any line that people work on.
const RATE_MIN: u64 = 32 * 1024;

/// How long a sender is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    silence: Duration,
    grace: Duration,
    rate: u64,
}

/// Bytes on their way in.
pub(crate) struct Intake {
    body: Body,
    room: Room,
    patience: Patience,
    begun: Instant,
    bytes: u64,
    unchecked: u64,
    most: u64,
    _share: Option<Share>,
}

impl Intake {
    /// The call's body, at most so many bytes; refused where the caller sends enough already, or
    /// where there is no room for what it announces.
    pub(crate) fn of(call: &Call, most: u64) -> Result<Self, Fault> {
        let user = &call.who.principal.user;
        Self::from(&call.app, user, (call.stream()?, announced(&call.headers)), most)
    }

    /// A body of this user's, with the length that is announced.
    pub(crate) fn from(
        app: &App,
        user: &UserName,
        (body, announced): (Body, Option<u64>),
        most: u64,
    ) -> Result<Self, Fault> {
        let limits = &app.about.limits;
        let share = app.uploading.take(user, limits.uploads_per_user, "uploads")?;
        let intake = Self::anonymous(app, body, most);
        intake.room.check(announced.unwrap_or(0).max(ROOM_STEP)).map_err(disk)?;
        Ok(Self { _share: Some(share), ..intake })
    }

    /// A body of whom nobody knows yet who sends it: bounded likewise, and counted nowhere.
    pub(crate) fn anonymous(app: &App, body: Body, most: u64) -> Self {
        let reserve = app.about.limits.disk_reserve.map(|bytes| bytes.0);
        let room = Room::of(&app.about.state_dir).keeping(reserve);
        let patience = Patience { silence: SILENCE_MAX, grace: GRACE, rate: RATE_MIN };
        Self::new(body, room, patience, most)
    }

    fn new(body: Body, room: Room, patience: Patience, most: u64) -> Self {
        let begun = Instant::now();
        Self { body, room, patience, begun, bytes: 0, unchecked: 0, most, _share: None }
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let data = match self.frame().await? {
                None => return Ok(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_trailers) => continue,
                },
            };
            self.bytes += data.len() as u64;
            self.unchecked += data.len() as u64;
            if self.bytes > self.most {
                let detail = format!("the body is larger than {} bytes", self.most);
                return Err(fault(Code::TooLarge, detail));
            }
            if self.unchecked >= ROOM_STEP {
                self.room.check(ROOM_STEP).map_err(disk)?;
                self.unchecked = 0;
            }
            return Ok(Some(data));
        }
    }

    async fn frame(&mut self) -> Result<Option<hyper::body::Frame<Bytes>>, Fault> {
        let Patience { silence, grace, rate } = self.patience;
        let earned = Duration::from_secs(self.bytes / rate.max(1));
        let (silent, slow) = (Instant::now() + silence, self.begun + grace + earned);
        match tokio::time::timeout_at(silent.min(slow), self.body.frame()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => Ok(Some(frame)),
            Ok(Some(Err(_))) => Err(fault(Code::BadRequest, "the body ended early")),
            Err(_) if slow < silent => {
                let detail = format!("the body comes too slowly: at least {rate} bytes a second");
                Err(Problem::new(Code::BadRequest, detail)
                    .hint("send it over a faster line")
                    .into())
            }
            Err(_) => Err(fault(Code::BadRequest, "the body stopped coming")),
        }
    }
}

/// The length the sender announces; none where it does not.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use futures_util::stream;

    const LONG: Duration = Duration::from_secs(3_600);
    const SHORT: Duration = Duration::from_millis(1);

    /// Some bytes, and then silence.
    fn then_silence(bytes: &'static [u8]) -> Body {
        let sent = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(bytes))]);
        Body::from_stream(sent.chain(stream::pending()))
    }

    async fn refusal(body: Body, patience: Patience, reserve: u64, most: u64) -> Problem {
        let room = Room::of(&std::env::temp_dir()).keeping(Some(reserve));
        let mut intake = Intake::new(body, room, patience, most);
        loop {
            match intake.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it was taken"),
                Err(Fault::Problem(problem)) => return *problem,
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_sender_may_be_neither_silent_nor_slow() {
        let patient = Patience { silence: LONG, grace: LONG, rate: 1 };
        let silent = Patience { silence: SHORT, ..patient };
        let told = refusal(then_silence(b"x"), silent, 0, 9).await;
        assert!(told.detail.contains("stopped coming"), "{told}");
        // A byte a day is not silence.
        let slow = Patience { grace: SHORT, rate: 1_000, ..patient };
        let told = refusal(then_silence(b"x"), slow, 0, 9).await;
        assert!(told.detail.contains("at least 1000 bytes a second"), "{told}");
        assert_eq!(told.code, Code::BadRequest);
    }

    #[tokio::test]
    async fn it_is_bounded_in_number_and_by_the_disk() {
        let patient = Patience { silence: LONG, grace: LONG, rate: 1 };
        assert_eq!(refusal(then_silence(b"four"), patient, 0, 3).await.code, Code::TooLarge);
        let step: &'static [u8] = vec![0; ROOM_STEP as usize].leak();
        let told = refusal(then_silence(step), patient, u64::MAX, u64::MAX).await;
        assert_eq!(told.code, Code::DiskFull, "it grew beyond the room there is");
    }
}
