//! `weft admin audit`: the log of who did what, and whether it is whole.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, Table, out_line, paint, when};
use clap::Subcommand;
use weft_api::wire::{AuditCheck, AuditEntry};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List who did what, and what was denied
    List,
    /// Check that no entry was changed or removed
    Verify,
}

impl Audit {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        match self {
            Audit::List => {
                let entries = client.audit().await?;
                match session.json {
                    true => show::json(&entries),
                    false => show::out(&table(&entries)),
                }
                Ok(Code::Done.number())
            }
            Audit::Verify => checked(&client.verify_audit().await?, session.json),
        }
    }
}

fn table(entries: &[AuditEntry]) -> String {
    let mut table = Table::new(&[">NO", "WHEN", "WHO", "DID", "TO", "DECISION", ""]);
    for entry in entries {
        let actor = if entry.actor.is_empty() { "nobody" } else { &entry.actor };
        table.row([
            entry.seq.to_string(),
            when(entry.at_ms),
            actor.to_owned(),
            entry.verb.clone(),
            entry.resource.clone(),
            entry.decision.clone(),
            entry.detail.clone(),
        ]);
        if entry.decision == "denied" {
            table.style(5, Style::Bad);
        }
    }
    table.render()
}

fn checked(check: &AuditCheck, json: bool) -> Outcome {
    if json {
        show::json(check);
    }
    if !check.intact {
        let at = check.broken_at.unwrap_or(0);
        return Err(Failure::new(Code::Failed, format!("the audit log is broken at {at}"))
            .hint("compare with a backup: `weft admin backup` keeps the log with the state"));
    }
    if !json {
        let intact = paint("intact", Style::Good);
        out_line(&format!("{intact}: {} entries, head {}", check.rows, check.head));
    }
    Ok(Code::Done.number())
}
