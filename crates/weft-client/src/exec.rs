//! A program started inside a running workload: frames over an upgraded connection.
//!
//! A frame, both ways: one byte of kind, the length as `u32` big-endian, then that many bytes.

use crate::request::{Call, Client, Content};
use crate::workloads::workload_path;
use crate::{ClientError, Intent};
use hyper::upgrade::Upgraded;
use hyper::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

/// Largest payload of a frame.
pub(crate) const PAYLOAD_MAX: usize = 64 << 10;

/// What the connection is upgraded to.
const PROTOCOL: &str = "weft-exec";

/// A piece of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What the program reads, or writes to its output.
    Data(Vec<u8>),
    /// What it writes to its error output.
    Err(Vec<u8>),
    /// It ended with this code; the last frame.
    Exit(i32),
    /// The terminal has this many rows and columns now.
    Resize(u16, u16),
    /// Nothing more is to be read by it.
    Eof,
}

/// A program inside a workload: two halves that can be used at the same time.
pub struct ExecSession {
    /// What comes from it.
    pub reader: ExecReader,
    /// What goes to it.
    pub writer: ExecWriter,
}

/// What comes from the program.
pub struct ExecReader(ReadHalf<TokioIo<Upgraded>>);

/// What goes to the program.
pub struct ExecWriter(WriteHalf<TokioIo<Upgraded>>);

#[derive(Serialize)]
struct Request<'a> {
    argv: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<(u16, u16)>,
    env: &'a BTreeMap<String, String>,
    member: u32,
}

impl Client {
    /// Starts a program inside a member of a running workload; `tty` is the terminal's rows and
    /// columns.
    pub async fn exec(
        &self,
        workload: &str,
        member: u32,
        argv: &[String],
        tty: Option<(u16, u16)>,
        env: &BTreeMap<String, String>,
    ) -> Result<ExecSession, ClientError> {
        let request = Request { argv, tty, env, member };
        let body = serde_json::to_vec(&request).map_err(|e| self.protocol(e))?;
        let intent = Intent::new();
        let call = Call {
            content: Content::Json(body.into()),
            headers: vec![
                (header::CONNECTION, "upgrade".to_owned()),
                (header::UPGRADE, PROTOCOL.to_owned()),
            ],
            intent: Some(&intent),
            ..Call::new(Method::POST, &workload_path(workload, "/exec"))
        };
        let response = self.send(&call).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.protocol(format!("HTTP {} instead of 101", response.status())));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(|e| self.protocol(e))?;
        let (read, write) = tokio::io::split(TokioIo::new(upgraded));
        Ok(ExecSession { reader: ExecReader(read), writer: ExecWriter(write) })
    }
}

impl ExecReader {
    /// The next frame; none when the connection ended.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        let kind = match self.0.read_u8().await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        };
        let length = self.0.read_u32().await? as usize;
        if length > PAYLOAD_MAX {
            return Err(io::Error::other(format!("a frame of {length} bytes")));
        }
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await?;
        decode(kind, payload).map(Some)
    }
}

fn decode(kind: u8, payload: Vec<u8>) -> io::Result<Frame> {
    let bad = || io::Error::other(format!("a frame of kind {kind} with {} bytes", payload.len()));
    match kind {
        0 => Ok(Frame::Data(payload)),
        1 => Ok(Frame::Err(payload)),
        2 => {
            let code = payload.as_slice().try_into().map_err(|_| bad())?;
            Ok(Frame::Exit(i32::from_be_bytes(code)))
        }
        3 => match payload.as_slice() {
            [a, b, c, d] => {
                Ok(Frame::Resize(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
            }
            _ => Err(bad()),
        },
        4 => Ok(Frame::Eof),
        _ => Err(bad()),
    }
}

impl ExecWriter {
    /// Sends a frame; data beyond the limit goes in several.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        match frame {
            Frame::Data(bytes) => self.pieces(0, bytes).await?,
            Frame::Err(bytes) => self.pieces(1, bytes).await?,
            Frame::Exit(code) => self.piece(2, &code.to_be_bytes()).await?,
            Frame::Resize(rows, columns) => {
                let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
                self.piece(3, &[a, b, c, d]).await?;
            }
            Frame::Eof => self.piece(4, &[]).await?,
        }
        self.0.flush().await
    }

    async fn pieces(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PAYLOAD_MAX) {
            self.piece(kind, piece).await?;
        }
        Ok(())
    }

    async fn piece(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 5);
        frame.push(kind);
        frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await
    }
}
