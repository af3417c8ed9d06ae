//! `weft data request-access`, `requests`, `approve`, `deny` and `revoke`: what takes two people.

use super::name::Named;
use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, err_line, when};
use clap::Args;
use weft_api::wire::{AskAccess, DataRequest};
use weft_client::Intent;

/// Ask a dataset's owner for access to it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data request-access scans --why 'the study on stents' --for 90d

The answer is the same whether there is such a dataset or not. Who was given access to a restricted
or confidential dataset uses it in runs, as its owner does.")]
pub(crate) struct RequestAccess {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
    /// Why, for who decides
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// For how long
    #[arg(long = "for", value_name = "DAYS", value_parser = days, default_value = "30d")]
    days: u32,
}

/// List what you asked about datasets, and what is asked of you
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data requests          those that nobody has decided on, or that are not done
  weft data requests --all")]
pub(crate) struct Requests {
    /// Those that are done, denied or expired, too
    #[arg(short, long)]
    all: bool,
}

/// Say yes to what another asked about a dataset
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data approve 7
  weft data approve 7 --for 14d    access for less, or more, than was asked")]
pub(crate) struct Approve {
    /// Its number, as `weft data requests` shows it
    number: u64,
    /// Of access: for how long
    #[arg(long = "for", value_name = "DAYS", value_parser = days)]
    days: Option<u32>,
}

/// Say no to what was asked about a dataset, or take it back
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data deny 7    also of one that was approved and is not done yet")]
pub(crate) struct Deny {
    /// Its number, as `weft data requests` shows it
    number: u64,
}

/// Take access to a dataset back from somebody
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft data revoke scans bo    `weft data info scans` shows who has access")]
pub(crate) struct Revoke {
    /// Dataset
    #[arg(value_name = "DATASET")]
    what: Named,
    /// Who was given it
    user: String,
}

/// `30d`, `30`.
pub(super) fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or(text).parse::<u32>().ok();
    number.filter(|days| *days > 0).ok_or_else(|| "write days, as in 30d".to_owned())
}

impl RequestAccess {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("access")?;
        self.what.now("asked of")?;
        let (dataset, why) = (self.what.dataset.clone(), self.why);
        let ask = AskAccess { dataset, why, days: Some(self.days) };
        let asked = session.client()?.ask_access(&ask, &Intent::new()).await?;
        match session.json {
            true => show::json(&asked),
            false => show::out_line(&format!(
                "asked, as request {}: if there is a dataset {}, its owner decides; \
                 `weft data requests` shows the answer",
                asked.id, self.what.dataset
            )),
        }
        Ok(Code::Done.number())
    }
}

impl Requests {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let mut all = session.client()?.data_requests().await?;
        if !self.all {
            all.retain(|request| matches!(&*request.state, "asked" | "approved"));
        }
        if session.json {
            show::json(&all);
            return Ok(Code::Done.number());
        }
        if all.is_empty() {
            err_line("nothing is asked");
            return Ok(Code::Done.number());
        }
        let mut table = Table::new(&[">NO", "DATASET", "ASKS", "BY", "STATE", "UNTIL", "WHY"]);
        for request in &all {
            let until = request.due_at_ms.unwrap_or(request.expires_at_ms);
            table.row([
                request.id.to_string(),
                request.dataset.clone(),
                asks(request),
                request.asker.clone(),
                state(request),
                when(until),
                show::one_line(&request.why),
            ]);
        }
        show::out(&table.render());
        if all.iter().any(|request| request.yours) {
            err_line("yours to decide on: `weft data approve NO`, `weft data deny NO`");
        }
        Ok(Code::Done.number())
    }
}

impl Approve {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let done = client.approve_request(self.number, self.days, &Intent::new()).await?;
        if session.json {
            show::json(&done);
            return Ok(Code::Done.number());
        }
        let (asker, dataset) = (&done.asker, &done.dataset);
        let due = when(done.due_at_ms.unwrap_or_default());
        show::out_line(&match &*done.asks {
            "access" => {
                format!("{asker} has access to {dataset}; `weft data info` shows until when")
            }
            "keep" => format!("{dataset} keeps what ended fewer days from {due} on"),
            "lower" => format!("{dataset} is {} now", done.tier.as_deref().unwrap_or_default()),
            _ => format!(
                "{dataset} is ended at {due}, not before; `weft data deny {}` until then",
                done.id
            ),
        });
        Ok(Code::Done.number())
    }
}

impl Deny {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let done = session.client()?.deny_request(self.number, &Intent::new()).await?;
        match session.json {
            true => show::json(&done),
            false => show::out_line(&format!("request {} of {} is denied", done.id, done.asker)),
        }
        Ok(Code::Done.number())
    }
}

impl Revoke {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        self.what.whole("access")?;
        self.what.now("revoked of")?;
        let (name, user) = (&self.what.dataset, &self.user);
        session.client()?.revoke_grant(name, user, &Intent::new()).await?;
        match session.json {
            true => show::json(&user),
            false => err_line(&format!("{user} has no access to {name} any more")),
        }
        Ok(Code::Done.number())
    }
}

fn asks(request: &DataRequest) -> String {
    let days = request.days.unwrap_or_default();
    match (&*request.asks, request.version) {
        ("access", _) => format!("access, {days} days"),
        ("keep", _) => format!("to keep {days} days"),
        ("lower", _) => format!("to be {}", request.tier.as_deref().unwrap_or_default()),
        (_, Some(version)) => format!("to end v{version} early"),
        _ => "to end it early".to_owned(),
    }
}

/// With who decided.
fn state(request: &DataRequest) -> String {
    match &request.decided_by {
        Some(by) => format!("{} by {by}", request.state),
        None if request.yours => "waits for you".to_owned(),
        None => request.state.clone(),
    }
}
