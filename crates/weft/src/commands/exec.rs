//! `weft exec`: runs a program inside a running run, with a terminal or without.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::err_line;
use clap::Args;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::collections::BTreeMap;
use std::io::Write as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use weft_api::wire::State;
use weft_client::{Client, ExecReader, ExecWriter, Frame};

/// Pieces of input on their way: enough that typing never waits.
const INPUT_PIECES: usize = 16;

/// Run a program inside a run
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft exec digits -- ls -l\n  weft exec -t digits -- bash")]
pub(crate) struct Exec {
    /// Name or id
    name: String,
    /// With a terminal, for a shell
    #[arg(short, long)]
    tty: bool,
    /// In this member
    #[arg(long, value_name = "N", default_value_t = 0)]
    member: u32,
    /// Variable, NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Program and arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Exec {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        if self.tty && !(isatty(std::io::stdin()) && isatty(std::io::stdout())) {
            return Err(Failure::usage("--tty needs a terminal, and this is none")
                .hint("leave it out in scripts and pipes"));
        }
        let client = session.client()?;
        until_running(&client, &self.name).await?;
        let mut env: BTreeMap<_, _> = self.env.into_iter().collect();
        let size = if self.tty { size() } else { None };
        if self.tty
            && let Ok(term) = std::env::var("TERM")
        {
            env.entry("TERM".to_owned()).or_insert(term);
        }
        let tty = size.or(self.tty.then_some((24, 80)));
        let exec = client.exec(&self.name, self.member, &self.command, tty, &env).await?;
        let raw = if self.tty { Some(Raw::enter()?) } else { None };
        let input = tokio::spawn(send(exec.writer, self.tty));
        let ended = receive(exec.reader).await;
        drop(raw);
        input.abort();
        let code = ended?;
        // What waits for the keyboard cannot be ended: the process ends without it.
        std::process::exit(i32::from(code));
    }
}

/// Waits for one that is about to run; what does not wait to run is the server's to refuse.
async fn until_running(client: &Client, name: &str) -> Result<(), Failure> {
    let mut workload = client.workload(name).await?;
    if !matches!(workload.state, State::Queued | State::Starting) {
        return Ok(());
    }
    err_line(&format!("{} is {}; waiting until it runs", workload.name, workload.state.as_str()));
    let mut changes = client.watch(&workload.id).await?;
    while matches!(workload.state, State::Queued | State::Starting) {
        match changes.next().await? {
            Some(changed) => workload = changed,
            None => changes.reopen().await?,
        }
    }
    Ok(())
}

/// Sends what is typed, and the terminal's size when it changes.
async fn send(mut writer: ExecWriter, tty: bool) -> std::io::Result<()> {
    let mut input = read_input();
    let mut resized = signal(SignalKind::window_change())?;
    loop {
        let frame = tokio::select! {
            piece = input.recv() => match piece {
                Some(piece) => Frame::Data(piece),
                None => {
                    writer.send(&Frame::Eof).await?;
                    // The connection stays open for what the program still writes.
                    return std::future::pending().await;
                }
            },
            _ = resized.recv() => match size() {
                Some((rows, columns)) if tty => Frame::Resize(rows, columns),
                _ => continue,
            },
        };
        writer.send(&frame).await?;
    }
}

/// Reads the standard input on a thread of its own: reading a terminal cannot be given up.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(INPUT_PIECES);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        loop {
            match rustix::io::read(std::io::stdin(), &mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    if sender.blocking_send(buffer[..read].to_vec()).is_err() {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// Prints what the program writes; gives its exit code.
async fn receive(mut reader: ExecReader) -> Outcome {
    let broken =
        |e: std::io::Error| Failure::new(Code::Unreachable, format!("the connection broke: {e}"));
    loop {
        match reader.next().await.map_err(broken)? {
            Some(Frame::Data(bytes)) => write(std::io::stdout().lock(), &bytes)?,
            Some(Frame::Err(bytes)) => write(std::io::stderr().lock(), &bytes)?,
            Some(Frame::Exit(code)) => {
                return Ok(u8::try_from(code).unwrap_or(Code::Failed.number()));
            }
            Some(Frame::Resize(..) | Frame::Eof) => {}
            None => {
                return Err(Failure::new(Code::Failed, "the run ended before the program did"));
            }
        }
    }
}

fn write(mut to: impl std::io::Write, bytes: &[u8]) -> Result<(), Failure> {
    let written = to.write_all(bytes).and_then(|()| to.flush());
    written.map_err(|e| Failure::local("writing", e))
}

fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// The terminal passes every key through, until this is dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> Result<Self, Failure> {
        let failed = |e: rustix::io::Errno| Failure::local("the terminal", e);
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
        let _ = std::io::stdout().flush();
    }
}
