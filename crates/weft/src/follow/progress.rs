//! One line of progress: `queued → placed → environment 63 % → running`, with the time it took.
//!
//! On a terminal the line changes in place; elsewhere each stage is a line of its own.

use super::summary::{turn_over, waits};
use crate::show::{
    Style, clock, cut, err_is_terminal, err_line, glyphs, one_line, paint_err, span, width,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use weft_api::wire::{State, WaitKind, Workload};

/// How often the wheel turns.
const TICK: Duration = Duration::from_millis(100);

/// Columns beside the message: the wheel, and the time in words such as `12m`.
const LEFT_FOR_TIME: usize = 12;

/// The line of one workload.
pub(super) struct Progress {
    name: String,
    begun: Instant,
    bar: Option<ProgressBar>,
    passed: Vec<String>,
    now: String,
    said: String,
    over: bool,
}

impl Progress {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            begun: Instant::now(),
            bar: None,
            passed: Vec::new(),
            now: String::new(),
            said: String::new(),
            over: false,
        }
    }

    /// Shows where the workload stands.
    pub(super) fn show(&mut self, workload: &Workload) {
        let (stage, more) = stage(workload);
        if stage == "queued" && self.over {
            // Started again: a new line begins.
            (self.over, self.begun) = (false, Instant::now());
            self.passed.clear();
            self.now.clear();
        }
        if self.over {
            return;
        }
        // Between two stages nothing is named: the last one stands.
        if stage == "placed" && !self.now.is_empty() && self.now != "queued" {
            return;
        }
        // The first look may come after it was placed.
        let placed = workload.state == State::Starting && stage != "placed";
        if placed && self.now == "queued" {
            self.passed.push(std::mem::replace(&mut self.now, "placed".to_owned()));
            if !err_is_terminal() {
                self.say("placed", "");
            }
        }
        if stage != self.now {
            let before = std::mem::replace(&mut self.now, stage.clone());
            self.passed.extend((!before.is_empty()).then_some(before));
        }
        match stage.as_str() {
            "running" | "stopping" => self.done(true),
            // How it ended is in the box.
            _ if workload.state.is_final() => self.done(false),
            _ if err_is_terminal() => self.draw(&more),
            _ => self.say(&stage, &more),
        }
    }

    /// Prints something without being in its way.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self, more: &str) {
        let line = format!("{} {}{more}", self.name, self.trail());
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_draw_target(ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style.tick_chars(glyphs().wheel));
            bar.enable_steady_tick(TICK);
            bar
        });
        // A line that wraps could not be drawn over.
        let room = width().saturating_sub(LEFT_FOR_TIME);
        bar.set_message(cut(&one_line(&line), room).to_owned());
    }

    fn say(&mut self, stage: &str, more: &str) {
        // Of percents only the stage is said: a line for each would bury the log.
        let line = if stage == "queued" { format!("{stage}{more}") } else { stage.to_owned() };
        if line != self.said {
            err_line(&format!("{} {line}", self.name));
            self.said = line;
        }
    }

    /// It runs, or is over: the trail stays as a line.
    fn done(&mut self, say: bool) {
        self.over = true;
        let took = span(self.begun.elapsed().as_millis() as u64);
        match self.bar.take() {
            Some(bar) => {
                bar.finish_and_clear();
                let trail = paint_err(&self.trail(), Style::Faint);
                err_line(&format!("{} {trail} ({took})", self.name));
            }
            None if say => err_line(&format!("{} {}", self.name, self.now)),
            None => {}
        }
    }

    fn trail(&self) -> String {
        let arrow = format!(" {} ", glyphs().arrow);
        let all: Vec<_> = self.passed.iter().chain([&self.now]).map(String::as_str).collect();
        all.join(&arrow)
    }
}

/// The word for where a workload stands, and what more there is to say of it.
fn stage(workload: &Workload) -> (String, String) {
    match (workload.state, &workload.stage) {
        (State::Queued, _) => {
            // Of a new one there is nothing to tell yet: the next plan is milliseconds away.
            let wait = workload.wait.as_ref().filter(|wait| wait.kind != WaitKind::New);
            let why = wait.map(|wait| format!(": {}{}", turn_over(workload), waits(wait, clock())));
            ("queued".to_owned(), why.unwrap_or_default())
        }
        (State::Starting, Some(stage)) => {
            let percent = stage.percent.map(|percent| format!(" {percent} %"));
            let detail = stage.detail.as_ref().map(|detail| format!(" {detail}"));
            (stage.name.clone(), percent.unwrap_or_default() + &detail.unwrap_or_default())
        }
        (State::Starting, None) => ("placed".to_owned(), String::new()),
        (state, _) => (state.as_str().to_owned(), String::new()),
    }
}
