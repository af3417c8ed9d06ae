//! `weft admin device`: accelerators of the pool, taken out and given back.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Subcommand;
use weft_client::Intent;
use weft_types::NodeId;

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// Keep new work off one; what holds it is moved, or told to save its work
    Drain {
        /// Machine and number, as in n1/0
        #[arg(value_parser = named)]
        device: String,
    },
    /// Let new work come to one again, after a look at it
    Return {
        /// Machine and number, as in n1/0
        #[arg(value_parser = named)]
        device: String,
    },
}

/// `n1/0`.
fn named(text: &str) -> Result<String, String> {
    let parts = text.split_once('/');
    let legal = parts.is_some_and(|(node, index)| {
        node.parse::<NodeId>().is_ok() && index.parse::<u32>().is_ok()
    });
    let wanted = || format!("`{text}` is no accelerator; `weft gpus` names them, as in n1/0");
    legal.then(|| text.to_owned()).ok_or_else(wanted)
}

impl Device {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let (device, takes_work) = match self {
            Device::Drain { device } => (device, false),
            Device::Return { device } => (device, true),
        };
        let health = client.device(&device, takes_work, &Intent::new()).await?;
        match session.json {
            true => show::json(&health),
            false => err_line(&format!("{device} is {}", health.state)),
        }
        Ok(Code::Done.number())
    }
}
