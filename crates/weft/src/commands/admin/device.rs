//! `weft admin device`: accelerators of the pool, taken out and given back.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Subcommand;
use weft_api::wire::DeviceUpdate;
use weft_client::Intent;
use weft_types::NodeId;

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// Keep new work off one; what holds it is moved, or told to save its work
    Drain {
        /// Machine and number, as in n1/0
        #[arg(value_parser = named)]
        device: String,
        /// Why, in a few words; whoever holds it is told
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
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
        let (device, update) = match self {
            Device::Drain { device, reason } => {
                (device, DeviceUpdate { takes_work: false, reason })
            }
            Device::Return { device } => (device, DeviceUpdate { takes_work: true, reason: None }),
        };
        let health = client.device(&device, &update, &Intent::new()).await?;
        match session.json {
            true => show::json(&health),
            false => err_line(&format!("{device} is {}", health.state)),
        }
        Ok(Code::Done.number())
    }
}
