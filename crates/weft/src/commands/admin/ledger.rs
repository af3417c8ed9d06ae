//! `weft admin ledger`: whether what was accounted is what was there.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, span};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Check that the sum over runs is each accelerator's time
    Check,
}

impl Ledger {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let Ledger::Check = self;
        let check = session.client()?.check_ledger().await?;
        if session.json {
            show::json(&check);
        } else {
            let mut table = Table::new(&["DEVICE", ">OBSERVED", ">ACCOUNTED", ">ERROR"]);
            for device in &check.devices {
                table.row([
                    device.device.clone(),
                    span(device.wall_ms),
                    span(device.accounted_ms),
                    format!("{}.{:04} %", device.error_ppm / 10_000, device.error_ppm % 10_000),
                ]);
            }
            show::out(&table.render());
        }
        match check.ok {
            true => Ok(Code::Done.number()),
            false => Err(Failure::new(Code::Failed, "the ledger does not add up")
                .hint("keep the state with `weft admin backup` and report it")),
        }
    }
}
