//! `weft gpus`: the accelerators, what is free of them and who holds what.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Style, Table};
use clap::Args;
use weft_api::wire::Device;
use weft_types::{Bytes, MilliGpu};

/// Show the accelerators, what is free and who holds what
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  weft gpus\n  weft gpus --json | jq '.[] | select(.free_milli > 0)'"
)]
pub(crate) struct Gpus {}

impl Gpus {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let devices = session.client()?.devices().await?;
        if session.json {
            show::json(&devices);
        } else if devices.is_empty() {
            show::out_line("no accelerators: everything runs on CPU");
            show::err_line("to try one out: `weft down`, then `weft up --simulate 8xH200-141`");
        } else {
            show::out(&table(&devices));
        }
        Ok(Code::Done.number())
    }
}

fn table(devices: &[Device]) -> String {
    let mut table =
        Table::new(&["DEVICE", "KIND", ">MEMORY", ">FREE", ">ACTIVE", "HEALTH", "HELD BY"]);
    for device in devices {
        let simulated = if device.simulated { " (simulated)" } else { "" };
        let active = device.active_percent.map(|percent| format!("{percent} %"));
        table.row([
            device.id.clone(),
            format!("{}{simulated}", device.class),
            Bytes(device.memory_bytes).to_string(),
            free(device),
            active.unwrap_or_else(|| "-".to_owned()),
            device.health.detail.clone().unwrap_or_else(|| health(device.health.ok).to_owned()),
            holders(device),
        ]);
        table.style(5, if device.health.ok { Style::Good } else { Style::Bad });
    }
    table.render()
}

fn health(ok: bool) -> &'static str {
    if ok { "ok" } else { "ill" }
}

fn free(device: &Device) -> String {
    match device.free_milli {
        0 => "-".to_owned(),
        1000 => "all".to_owned(),
        milli => format!("{} ({})", MilliGpu(milli), Bytes(device.free_memory_bytes)),
    }
}

fn holders(device: &Device) -> String {
    let holder = |share: &weft_api::wire::DeviceShare| {
        let who = share.workload.as_deref().unwrap_or("another team");
        let what = match (&share.mig, share.milli) {
            (Some(profile), _) => profile.clone(),
            (None, 1000..) => "whole".to_owned(),
            (None, milli) => MilliGpu(milli).to_string(),
        };
        format!("{who} ({what}, {})", share.isolation)
    };
    device.shares.iter().map(holder).collect::<Vec<_>>().join(", ")
}
