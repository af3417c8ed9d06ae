//! `weft gpus`: the accelerators, what is free of them, who holds what, and what a new workload
//! could have now.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Style, Table, clock, last, percent};
use clap::Args;
use weft_api::wire::{Device, Offer, OfferBack, OfferRoom, Offers, WaitKind};
use weft_types::{Bytes, MilliGpu};

/// A whole accelerator, and what one is worth where all are worth the same, in thousandths.
const WHOLE: u64 = 1_000;

/// Show the accelerators, who holds what, and what a new workload could have now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft gpus
  weft gpus --now --queue vision
  weft gpus --json | jq '.[] | select(.free_milli > 0)'
  weft gpus --now --json | jq '.items[] | select(.now.on_one_machine >= 8)'
")]
pub(crate) struct Gpus {
    /// Only what a new workload could have now; with --json, that as JSON
    #[arg(long)]
    now: bool,
    /// What one submitted to this queue could have; your team's without it
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
}

impl Gpus {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        if self.now || self.queue.is_some() {
            let offers = client.offers(self.queue.as_deref()).await?;
            match session.json {
                true => show::json(&offers),
                false => show::out(&offered(&offers)),
            }
            return Ok(Code::Done.number());
        }
        let devices = client.devices().await?;
        if session.json {
            show::json(&devices);
        } else if devices.is_empty() {
            show::out_line("no accelerators: everything runs on CPU");
            show::err_line("to try one out: `weft down`, then `weft up --simulate 8xH200-141`");
        } else {
            show::out(&table(&devices));
            use weft_api::problem::Code as Problem;
            match client.offers(None).await {
                Ok(offers) => show::out(&format!("\n{}", offered(&offers))),
                // Who may not submit has nothing to be offered.
                Err(error)
                    if error.problem().is_some_and(|problem| {
                        matches!(problem.code, Problem::Forbidden | Problem::NotFound)
                    }) => {}
                Err(error) => {
                    show::err_line(&format!(
                        "what a new workload could have is not known: {error}"
                    ));
                }
            }
        }
        Ok(Code::Done.number())
    }
}

/// What could be had now, by kind.
fn offered(offers: &Offers) -> String {
    if offers.items.is_empty() {
        return "no accelerators: everything runs on CPU\n".to_owned();
    }
    let mut table = Table::new(&[
        "KIND",
        ">STARTS NOW",
        ">ON ONE MACHINE",
        "PART OF ONE",
        ">OF OWN SHARE",
        "BY TAKING BACK",
        "WHY NOT MORE",
    ]);
    for offer in &offers.items {
        let simulated = if offer.simulated { " (simulated)" } else { "" };
        table.row([
            format!("{} {}{simulated}", offer.class, Bytes(offer.memory_bytes)),
            number(offer),
            offer.now.on_one_machine.to_string(),
            parts(&offer.now),
            own(offer),
            offer.taking_back.as_ref().map_or_else(|| "-".to_owned(), back),
            why_not_more(offer),
        ]);
    }
    let lent = offers.items.iter().any(|offer| offer.now != offer.own);
    let lent = match lent {
        true => "what starts now beyond the own share is lent by others and may be taken back\n",
        false => "",
    };
    let queue = &offers.queue;
    let head = format!("what a new workload of queue {queue} could have now\n\n");
    format!("{head}{}{lent}{}", table.render(), nothing(offers))
}

/// `2 of 8`, and how many more there would be if they were well.
fn number(offer: &Offer) -> String {
    let out = if offer.out > 0 { format!(", {} out", offer.out) } else { String::new() };
    format!("{} of {}{out}", offer.now.devices, offer.devices)
}

fn why_not_more(offer: &Offer) -> String {
    match &offer.why {
        Some(why) => why.word.clone(),
        None if offer.out > 0 => "no new work for their health".to_owned(),
        None => "-".to_owned(),
    }
}

/// Why nothing starts, where it is for a share and not for the accelerators: a sentence each.
fn nothing(offers: &Offers) -> String {
    let none = offers.items.iter().filter(|offer| offer.now.devices == 0);
    let shares = none.filter_map(|offer| offer.why.as_ref());
    let shares = shares.filter(|why| why.kind == WaitKind::Quota);
    let sentence = |reason: &String| format!("one more would wait: {reason}\n");
    let mut said: Vec<_> = shares.filter_map(|why| why.reason.as_ref().map(sentence)).collect();
    said.dedup();
    said.concat()
}

/// The largest fraction and the instances: `0.5`, `any`, `1g.18gb x3`.
fn parts(room: &OfferRoom) -> String {
    let share = match room.share_milli {
        0 => None,
        999.. => Some("any".to_owned()),
        milli => Some(MilliGpu(milli).to_string()),
    };
    let mig = room.mig.iter().filter(|mig| mig.count > 0);
    let mig = mig.map(|mig| format!("{} x{}", mig.profile, mig.count));
    let all: Vec<String> = share.into_iter().chain(mig).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

fn own(offer: &Offer) -> String {
    match (offer.own.devices, parts(&offer.own)) {
        (0, part) if part != "-" => part,
        (devices, _) => devices.to_string(),
    }
}

fn back(back: &OfferBack) -> String {
    let mut whom = back.stops.clone();
    match back.stops_others {
        0 => {}
        1 => whom.push("another team's".to_owned()),
        more => whom.push(format!("{more} of other teams")),
    }
    format!("{}, stops {}", back.devices, whom.join(", "))
}

fn table(devices: &[Device]) -> String {
    // Where all are worth the same, there is nothing to say of it.
    let worth = devices.iter().any(|device| device.worth_milli != WHOLE);
    let mut columns =
        vec!["DEVICE", "KIND", ">MEMORY", ">FREE", ">ACTIVE", "HEALTH", "GIVEN AS", "HELD BY"];
    if worth {
        columns.insert(3, ">WORTH");
    }
    let mut table = Table::new(&columns);
    for device in devices {
        let simulated = if device.simulated { " (simulated)" } else { "" };
        let active = device.active_percent.map(|percent| format!("{percent} %"));
        let detail = device.health.detail.clone();
        let mut row = vec![
            device.id.clone(),
            format!("{}{simulated}", device.class),
            Bytes(device.memory_bytes).to_string(),
            free(device),
            active.unwrap_or_else(|| "-".to_owned()),
            detail.unwrap_or_else(|| health(&device.health)),
            rungs(device),
            holders(device),
        ];
        if worth {
            row.insert(3, MilliGpu(device.worth_milli).to_string());
        }
        table.row(row);
        table.style(columns.len() - 2, if device.health.ok { Style::Good } else { Style::Bad });
    }
    let legend = match worth {
        true => "WORTH is what one counts when teams take turns; the pool's mean is 1\n",
        false => "",
    };
    table.render() + legend + &out(devices) + &used(devices, clock())
}

/// What is done about each that takes no new work, a sentence each.
fn out(devices: &[Device]) -> String {
    let each = devices.iter().filter(|device| !device.health.ok).map(|device| {
        let Device { id, health, .. } = device;
        let back = format!("`weft admin device return {id}`");
        let what = match health.state.as_str() {
            "suspect" => {
                format!("is watched, and takes work again when it was quiet; {back} sooner")
            }
            "drained" if device.shares.is_empty() => format!("is being emptied; then {back}"),
            "drained" => format!("is emptied as what holds it ends or moves; then {back}"),
            "quarantined" => format!("is empty: have a look at it, then {back}"),
            _ => "takes no new work".to_owned(),
        };
        format!("{id} {what}\n")
    });
    let each: String = each.collect();
    if each.is_empty() { each } else { format!("\n{each}") }
}

/// What is used now of what is given, as far as it is known; by device, then as it is held.
fn used(devices: &[Device], now: u64) -> String {
    let mut table =
        Table::new(&["HELD BY", "DEVICE", ">GIVEN", ">USED NOW", ">MEMORY", "LAST USED", "SOURCE"]);
    let mut some = false;
    for share in devices.iter().flat_map(|device| &device.shares) {
        let (Some(who), Some(used)) = (&share.workload, &share.used) else { continue };
        let milli = |milli| {
            let part = percent(milli, share.milli);
            format!("{} ({part})", MilliGpu(milli))
        };
        let (memory, limit) = (Bytes(used.memory_bytes), Bytes(share.memory_bytes));
        table.row([
            who.clone(),
            share.device.clone(),
            MilliGpu(share.milli).to_string(),
            used.milli.map_or_else(|| "-".to_owned(), milli),
            format!("{memory} of {limit}"),
            used.active_at_ms.map_or_else(|| "never".to_owned(), |at| last(at, now)),
            used.source.clone(),
        ]);
        some = true;
    }
    if some { format!("\n{}", table.render()) } else { String::new() }
}

/// `ok`, or where it stands on its way out of the pool or back; a server of before says neither.
fn health(health: &weft_api::wire::Health) -> String {
    match (health.state.as_str(), health.ok) {
        ("", true) => "ok".to_owned(),
        ("", false) => "ill".to_owned(),
        (state, _) => state.to_owned(),
    }
}

/// The rungs of isolation it is given with, the strongest first; `weft doctor` says why not others.
fn rungs(device: &Device) -> String {
    let offered = device.isolation.iter().filter(|rung| rung.offered);
    let words: Vec<_> = offered.map(|rung| rung.isolation.as_str()).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

fn free(device: &Device) -> String {
    match device.free_milli {
        // Nobody is given what is left of one that takes no new work.
        _ if !device.health.ok => "-".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use weft_api::wire::{OfferMig, OfferWhy};

    #[test]
    fn parts_and_whose_is_taken_back_are_named() {
        let mig = vec![OfferMig { profile: "1g.18gb".to_owned(), count: 3 }];
        let now = OfferRoom { devices: 2, on_one_machine: 1, share_milli: 500, mig };
        let back = OfferBack { devices: 6, stops: vec!["w3".to_owned()], stops_others: 2 };
        let why = OfferWhy {
            kind: WaitKind::Capacity,
            word: "in use".to_owned(),
            reason: Some("what it needs is in use".to_owned()),
        };
        let offer = Offer {
            class: "h200".to_owned(),
            memory_bytes: 150_000_000_000,
            simulated: false,
            devices: 8,
            out: 0,
            own: OfferRoom { devices: 0, on_one_machine: 0, ..now.clone() },
            now,
            why: Some(why),
            taking_back: Some(back),
            worth_milli: 1_000,
        };
        let said = offered(&Offers { queue: "vision".to_owned(), items: vec![offer] });
        assert!(said.contains("2 of 8               1  0.5, 1g.18gb x3"), "{said}");
        assert!(said.contains("6, stops w3, 2 of other teams  in use\n"), "{said}");
        assert!(said.ends_with("is lent by others and may be taken back\n"), "{said}");
    }

    #[test]
    fn a_kind_of_which_none_is_well_says_so() {
        let offer = Offer {
            class: "h200".to_owned(),
            memory_bytes: 150_000_000_000,
            simulated: false,
            devices: 0,
            out: 1,
            own: OfferRoom::default(),
            now: OfferRoom::default(),
            why: None,
            taking_back: None,
            worth_milli: 1_000,
        };
        let said = offered(&Offers { queue: "vision".to_owned(), items: vec![offer] });
        assert!(said.contains("0 of 0, 1 out "), "{said}");
        assert!(said.contains("no new work for their health"), "{said}");
    }
}
