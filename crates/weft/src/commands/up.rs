//! `weft up`: runs this machine's server, in the foreground or behind.
//!
//! The assembly: everything below the command line meets here, in [`weft_server::serve`].

use crate::autostart::{self, ready_line};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::place;
use crate::session::{Session, answers};
use crate::show::{self, Style, err_line, out, paint_err};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;
use weft_client::ClientFile;
use weft_server::{Limits, Ready, ServeConfig, ServeError, TlsFiles, serve};

/// Most threads of the server: it waits far more than it computes, and what it computes at once
/// is one plan and a few requests.
const THREADS_MAX: usize = 4;

/// How long the other of two servers that start at once is waited for.
const OTHER_WITHIN: Duration = Duration::from_secs(20);

/// How often the other is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// Start this machine's server
///
/// Any command that needs it starts it, too. Ending it leaves the runs running.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft up
  weft up --detach
  weft up --simulate 8xH200-141
  weft up --listen 0.0.0.0:7433 --tls-cert server.pem --tls-key server.key")]
pub(crate) struct Up {
    /// Leave it in the background
    #[arg(short, long)]
    detach: bool,
    /// Address for clients elsewhere, host:port; other than loopback needs TLS
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Certificate chain for TLS, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Pretend to have accelerators, as in 8xH200-141; shown as simulated everywhere
    #[arg(long, value_name = "DEVICES")]
    simulate: Option<String>,
    /// Folder with the accelerators' own libraries, libcuda.so.1 and others, where it is not the
    /// system's
    #[arg(long, value_name = "DIR", conflicts_with = "simulate")]
    gpu_libraries: Option<PathBuf>,
    /// Try MPS on every accelerator at the start, and have it keep shares apart where that works; a
    /// program's fault may then end its neighbours'
    #[arg(long, conflicts_with = "simulate")]
    mps: bool,
    /// Set what one user may take of it, as in workloads-per-user=10000; may be repeated
    #[arg(long = "limit", value_name = "NAME=NUMBER", value_parser = limit)]
    limits: Vec<String>,
    /// Pull images from this host though its address is private, or let it hand out a
    /// registry's tokens; may be repeated
    #[arg(long = "allow-registry", value_name = "HOST[:PORT]")]
    registries: Vec<String>,
    /// Write every plan down in this folder, with what it was made on; for `weft admin replay`
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Started by another command: says on its output when it is ready
    #[arg(long, hide = true)]
    background: bool,
}

impl Up {
    pub(crate) fn run(self, session: &Session) -> Outcome {
        let state_dir = session.state_dir()?;
        if self.detach && !self.background {
            return detach(&self, &state_dir, session.json);
        }
        if self.background {
            // Nothing that ends the terminal it was started from may end it.
            let _ = rustix::process::setsid();
        }
        log(self.background);
        crate::memory::keep_little();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.min(THREADS_MAX))
            .enable_all()
            .build()
            .map_err(|e| Failure::local("starting", e))?;
        runtime.block_on(self.serve(&state_dir, session.json))
    }

    /// Serves; while another server has the state, until that answers or is gone.
    async fn serve(self, state_dir: &Path, json: bool) -> Outcome {
        let begun = Instant::now();
        loop {
            let note = match self.serve_once(state_dir, json).await {
                Ok(()) => return Ok(Code::Done.number()),
                Err(ServeError::Running { note, .. }) => note,
                Err(error) => return Err(failed(&error)),
            };
            if answers(state_dir) {
                let address = note.map(|note| note.address).unwrap_or_default();
                return Ok(self.found(&address));
            }
            // The other does not listen yet, or was killed and is on its way out.
            if begun.elapsed() > OTHER_WITHIN {
                let message = "another server holds the state and does not answer";
                return Err(Failure::new(Code::Unreachable, message)
                    .hint(format!("see {}", state_dir.join("server.log").display())));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn serve_once(&self, state_dir: &Path, json: bool) -> Result<(), ServeError> {
        let (tell, told) = oneshot::channel();
        let background = self.background;
        let dir = state_dir.to_owned();
        let announce = tokio::spawn(async move {
            if let Ok(ready) = told.await {
                announce(&dir, &ready, background, json);
            }
        });
        let served = serve(self.config(state_dir), tell).await;
        // Before an end that comes at once the announcement must be out.
        let _ = announce.await;
        served
    }

    fn config(&self, state_dir: &Path) -> ServeConfig {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.clone(), key: key.clone() }),
            _ => None,
        };
        let mut limits = Limits::default();
        for text in &self.limits {
            // Read once by `limit` already.
            let _ = limits.set(text);
        }
        ServeConfig {
            listen: self.listen.clone(),
            tls,
            simulate: self.simulate.clone(),
            driver: self.gpu_libraries.clone(),
            mps: self.mps,
            limits,
            registries: self.registries.clone(),
            record: self.record.clone(),
            ..ServeConfig::new(state_dir)
        }
    }
}

impl Up {
    /// Another server has the state and answers: that is what was wanted.
    fn found(&self, address: &str) -> u8 {
        if self.background {
            out(&ready_line(address));
            return Code::Done.number();
        }
        err_line(&format!("weft runs already at {address}"));
        let devices = self.simulate.is_some() || self.gpu_libraries.is_some() || self.mps;
        let asks = self.listen.is_some() || devices || self.record.is_some();
        if asks || !self.limits.is_empty() || !self.registries.is_empty() {
            err_line("what is asked of it here it takes up when it is started anew: `weft down`");
        }
        Code::Done.number()
    }
}

/// `<name>=<number>` of a limit there is.
fn limit(text: &str) -> Result<String, String> {
    Limits::default().set(text).map(|()| text.to_owned())
}

/// Starts it in the background, as other commands do, with what was said here.
fn detach(up: &Up, state_dir: &Path, json: bool) -> Outcome {
    let mut args: Vec<std::ffi::OsString> = Vec::new();
    let mut add = |flag: &str, value: Option<&std::ffi::OsStr>| {
        if let Some(value) = value {
            args.extend([flag.into(), value.to_owned()]);
        }
    };
    let absolute = |path: &Option<PathBuf>| path.as_ref().and_then(|p| std::path::absolute(p).ok());
    let (cert, key) = (absolute(&up.tls_cert), absolute(&up.tls_key));
    add("--listen", up.listen.as_ref().map(AsRef::as_ref));
    add("--tls-cert", cert.as_ref().map(AsRef::as_ref));
    add("--tls-key", key.as_ref().map(AsRef::as_ref));
    let record = absolute(&up.record);
    add("--record", record.as_ref().map(AsRef::as_ref));
    let libraries = absolute(&up.gpu_libraries);
    add("--gpu-libraries", libraries.as_ref().map(AsRef::as_ref));
    add("--simulate", up.simulate.as_ref().map(AsRef::as_ref));
    up.limits.iter().for_each(|text| add("--limit", Some(text.as_ref())));
    up.registries.iter().for_each(|host| add("--allow-registry", Some(host.as_ref())));
    if up.mps {
        args.push("--mps".into());
    }
    if !autostart::start_with(state_dir, &args)? {
        err_line("weft runs already; `weft down` first to start it anew");
    }
    if json {
        show::json(&serde_json::json!({ "state_dir": state_dir }));
    }
    Ok(Code::Done.number())
}

/// Where the log goes: what a person should see to the terminal, everything to the file.
fn log(background: bool) {
    let usual = if background { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("WEFT_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    // What the S3 library has to say is each client's every mistake, and with it what was signed.
    let filter = match "s3s=off".parse() {
        Ok(silent) => filter.add_directive(silent),
        Err(_) => filter,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(!background && show::err_is_terminal())
        .init();
}

/// Says that it runs; keeps the first token, which is shown once and never in a log.
fn announce(state_dir: &Path, ready: &Ready, background: bool, json: bool) {
    let kept = ready.token.as_ref().and_then(|token| keep(state_dir, token));
    if background {
        out(&ready_line(&ready.address));
        return;
    }
    if json {
        let (address, socket) = (&ready.address, &ready.socket);
        show::json(&serde_json::json!({
            "address": address, "socket": socket, "state_dir": state_dir, "token": ready.token,
            "simulated": ready.simulated,
        }));
        return;
    }
    let strong = |text: &str| paint_err(text, Style::Strong);
    err_line(&format!("{} runs at {}", strong("weft"), strong(&ready.address)));
    err_line(&format!("  state   {}", state_dir.display()));
    err_line(&format!("  socket  {}", ready.socket.display()));
    if ready.simulated {
        err_line("  gpus    simulated: none of their figures is of hardware");
    }
    if let Some(token) = &ready.token {
        err_line(&format!("  token   {token}"));
        err_line("          the administrator's, for clients over TCP; it is not shown again");
        if let Some(path) = kept {
            err_line(&format!("          kept in {}", path.display()));
        }
    }
    err_line("Ctrl-C ends the server; runs go on");
}

/// Keeps the administrator's token in the client file, unless there is one for another server.
fn keep(state_dir: &Path, token: &str) -> Option<PathBuf> {
    let path = place::client_file()?;
    let address = format!("unix:{}", place::socket(state_dir).display());
    match ClientFile::load(&path) {
        Ok(None) => {}
        Ok(Some(file)) if file.address.as_ref() == Some(&address) => {}
        // It is of another server, or not readable: it is the user's.
        _ => return None,
    }
    let file = ClientFile { address: Some(address), token: Some(token.to_owned()), ca: None };
    match file.save(&path) {
        Ok(()) => Some(path),
        Err(error) => {
            err_line(&format!("the token could not be kept: {error}"));
            None
        }
    }
}

/// The server's words, with the hint they may end in.
fn failed(error: &ServeError) -> Failure {
    let text = error.to_string();
    let code = match error {
        ServeError::NeedsTls { .. } | ServeError::Simulate(_) | ServeError::Tls { .. } => {
            Code::Usage
        }
        _ => Code::Failed,
    };
    match text.split_once("\nhint: ") {
        Some((message, hint)) => Failure::new(code, message).hint(hint),
        None => Failure::new(code, text),
    }
}
