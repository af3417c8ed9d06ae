//! Follows a workload: its stages, its log, and a closing box; Ctrl-C detaches.
//!
//! Two streams of the server are read at once: the workload as it changes, and its log. Nothing
//! is asked for twice and nothing sleeps, so that the end is seen when it happens.

mod progress;
mod summary;

pub(crate) use summary::{expectation, helps, holds, size, summary, turn_over, waits};

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::show::{self, Style, err_line, err_line_raw, out_line, out_line_raw, paint_err};
use progress::Progress;
use std::time::Duration;
use weft_api::wire::{LogLine, Published, PublishedState, Workload};
use weft_client::{Client, ClientError, Events, LogQuery};

/// How long the rest of a log is waited for after the end was seen: the server has all of it by
/// then, so this only guards against one that hangs.
const LOG_END_WITHIN: Duration = Duration::from_secs(10);

/// How what a run wrote is shown.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// The result as JSON; its lines go to the error output.
    pub(crate) json: bool,
    /// As it was written, whatever that does to a terminal.
    pub(crate) raw: bool,
}

/// Follows a workload from now to its end; gives the run's own exit code.
pub(crate) async fn to_the_end(client: &Client, workload: Workload, how: How) -> Outcome {
    let which = LogQuery::default();
    let (watch, log) =
        tokio::join!(client.watch(&workload.id), client.follow_logs(&workload.id, &which));
    let mut following = Following {
        watch: watch?,
        log: Some(log?),
        progress: Progress::new(&workload.name),
        members: workload.spec.members().1,
        workload,
        how,
    };
    tokio::select! {
        ended = following.run() => ended?,
        _ = tokio::signal::ctrl_c() => return Ok(following.detached()),
    }
    following.progress.finish();
    let workload = following.workload;
    if how.json {
        show::json(&workload);
    } else {
        err_line(&summary(&workload, client.address()));
    }
    Ok(exit_code(&workload))
}

/// What a followed run exits with.
pub(crate) fn exit_code(workload: &Workload) -> u8 {
    let code = workload.exit.as_ref().and_then(|exit| exit.code);
    let made = |output: &Published| output.state == PublishedState::Made;
    match code.map(u8::try_from) {
        // It did its work, and what it was to leave for others is not there.
        Some(Ok(0)) if !workload.published.iter().all(made) => Code::Failed.number(),
        Some(Ok(code)) => code,
        // A process's exit code is one byte; what is not is shown in the box.
        _ => Code::Failed.number(),
    }
}

struct Following {
    watch: Events<Workload>,
    log: Option<Events<LogLine>>,
    progress: Progress,
    members: u32,
    workload: Workload,
    how: How,
}

impl Following {
    async fn run(&mut self) -> Result<(), Failure> {
        self.progress.show(&self.workload);
        while !self.workload.is_settled() {
            tokio::select! {
                // The log first: what was written before a change is shown before it.
                biased;
                line = next(&mut self.log) => self.logged(line?).await?,
                changed = self.watch.next() => self.changed(changed?).await?,
            }
        }
        let rest = tokio::time::timeout(LOG_END_WITHIN, self.rest_of_log()).await;
        rest.unwrap_or_else(|_| {
            err_line("the end of the log did not come; `weft logs` shows it");
            Ok(())
        })
    }

    async fn changed(&mut self, changed: Option<Workload>) -> Result<(), Failure> {
        match changed {
            Some(workload) => {
                let ended = workload.state.is_final() && !self.workload.state.is_final();
                self.workload = workload;
                if ended && !self.workload.is_settled() {
                    let publishing = format!("{} publishing", self.workload.name);
                    self.progress.aside(|| err_line(&paint_err(&publishing, Style::Faint)));
                }
                self.progress.show(&self.workload);
                Ok(())
            }
            // The server ended, not the run: it is there again soon.
            None => Ok(self.watch.reopen().await?),
        }
    }

    async fn logged(&mut self, line: Option<LogLine>) -> Result<(), Failure> {
        match (line, &mut self.log) {
            (Some(line), _) => self.print(&line),
            // It ends with the run, which the watch tells, or with the server.
            (None, log) => {
                let workload = self.watch.next().await?;
                let over = workload.as_ref().is_some_and(|w| w.state.is_final());
                if let (false, Some(log)) = (over, log) {
                    log.reopen().await?;
                } else {
                    self.log = None;
                }
                self.changed(workload).await?;
            }
        }
        Ok(())
    }

    async fn rest_of_log(&mut self) -> Result<(), Failure> {
        while let Some(log) = &mut self.log {
            match log.next().await? {
                Some(line) => self.print(&line),
                None => self.log = None,
            }
        }
        Ok(())
    }

    fn print(&self, line: &LogLine) {
        self.progress.aside(|| print_line(line, self.members > 1, self.how));
    }

    fn detached(&self) -> u8 {
        self.progress.finish();
        let name = &self.workload.name;
        err_line(&format!(
            "\ndetached; the run goes on — follow with `weft attach {name}`, end with `weft stop \
             {name}`"
        ));
        Code::Detached.number()
    }
}

/// The next line; of a log that has ended none ever comes.
async fn next(log: &mut Option<Events<LogLine>>) -> Result<Option<LogLine>, ClientError> {
    match log {
        Some(log) => log.next().await,
        None => std::future::pending().await,
    }
}

/// Prints a line where the run wrote it: its output to ours, its errors to ours. With JSON the
/// output is the result's, so that every line goes to the error output.
pub(crate) fn print_line(line: &LogLine, with_member: bool, how: How) {
    let member = if with_member { format!("[{}] ", line.member) } else { String::new() };
    let text = format!("{member}{}", line.text);
    match line.stream.as_str() {
        "out" if !how.json && how.raw => out_line_raw(&text),
        "out" if !how.json => out_line(&text),
        "weft" => err_line(&paint_err(&text, Style::Faint)),
        _ if how.raw => err_line_raw(&text),
        _ => err_line(&text),
    }
}
