//! `weft admin queue`: shares of the pool.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, err_line};
use clap::{Args, Subcommand};
use weft_api::wire;
use weft_client::Intent;
use weft_types::{Bytes, Isolation, MilliCpu, MilliGpu, QueueName};

#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// List the shares and what is used of them
    List,
    /// Make a share or change it; what is not named stays
    #[command(after_help = "\
Examples:
  weft admin queue set lab/vision --gpu 8 --cpu 64 --memory 512GB
  weft admin queue set lab/vision --cohort lab --gpu-lend 4 --gpu-borrow 4
  weft admin queue set lab/vision --order service
  weft admin queue set guests --isolation mig
  weft admin queue set lab/vision --data 2TB")]
    Set(Box<Set>),
    /// Remove a share nobody uses
    Rm {
        /// Path, as in lab/vision
        name: QueueName,
    },
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// Path, as in lab/vision
    name: QueueName,
    /// The group it lends to and borrows from
    #[arg(long)]
    cohort: Option<String>,
    /// Who goes first: submission (who came first), or service (who had least, then who ends
    /// soonest; jobs that say `suspend` take turns)
    #[arg(long, value_name = "ORDER", value_parser = order)]
    order: Option<wire::QueueOrder>,
    /// What keeps its workloads apart from neighbours on an accelerator, at least: exclusive, mig,
    /// kernel, mps or shared; mig for tenants that are not trusted
    #[arg(long, value_name = "RUNG", value_parser = isolation)]
    isolation: Option<Isolation>,
    /// Accelerators of its own: 8, 0.5
    #[arg(long, value_name = "N", value_parser = devices)]
    gpu: Option<u64>,
    /// Accelerators it may borrow
    #[arg(long, value_name = "N", value_parser = devices)]
    gpu_borrow: Option<u64>,
    /// Accelerators others may borrow of it
    #[arg(long, value_name = "N", value_parser = devices)]
    gpu_lend: Option<u64>,
    /// Cores of its own
    #[arg(long, value_name = "CORES")]
    cpu: Option<MilliCpu>,
    /// Cores it may borrow
    #[arg(long, value_name = "CORES")]
    cpu_borrow: Option<MilliCpu>,
    /// Cores others may borrow of it
    #[arg(long, value_name = "CORES")]
    cpu_lend: Option<MilliCpu>,
    /// Memory of its own
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Memory it may borrow
    #[arg(long, value_name = "SIZE")]
    memory_borrow: Option<Bytes>,
    /// Memory others may borrow of it
    #[arg(long, value_name = "SIZE")]
    memory_lend: Option<Bytes>,
    /// What its datasets may be on the disk, with their history; nothing, until it is said
    #[arg(long, value_name = "SIZE")]
    data: Option<Bytes>,
    /// How many files they may be, as they are and as they were; with --data 10,000,000 at first
    #[arg(long, value_name = "N")]
    data_files: Option<u64>,
}

/// Files of a share that was given room for data and no number of files.
const FILES: u64 = 10_000_000;

/// Whole and parts of devices, in thousandths.
fn devices(text: &str) -> Result<u64, String> {
    let milli: MilliCpu =
        text.parse().map_err(|_| format!("`{text}` is not a number of devices, as in 8 or 0.5"))?;
    Ok(milli.0)
}

fn order(text: &str) -> Result<wire::QueueOrder, String> {
    let known = [wire::QueueOrder::Submission, wire::QueueOrder::Service];
    let found = known.into_iter().find(|order| order.as_str() == text);
    found.ok_or_else(|| "possible are submission and service".to_owned())
}

fn isolation(text: &str) -> Result<Isolation, String> {
    let known = || Isolation::LADDER.map(Isolation::as_str).join(", ");
    Isolation::rung(text).ok_or_else(|| format!("possible are {}", known()))
}

impl Queue {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        match self {
            Queue::List => {
                let queues = client.queues().await?;
                match session.json {
                    true => show::json(&queues),
                    false => show::out(&table(&queues)),
                }
            }
            Queue::Set(set) => {
                let known = client.queues().await?;
                let known = known.into_iter().find(|queue| queue.name == set.name.as_str());
                let queue = client.put_queue(&set.onto(known), &Intent::new()).await?;
                match session.json {
                    true => show::json(&queue),
                    false => show::out(&table(std::slice::from_ref(&queue))),
                }
            }
            Queue::Rm { name } => {
                client.delete_queue(name.as_str(), &Intent::new()).await?;
                match session.json {
                    true => show::json(&name),
                    false => err_line(&format!("removed {name}")),
                }
            }
        }
        Ok(Code::Done.number())
    }
}

impl Set {
    /// The share with what is named changed; without one before, what is not named is zero.
    fn onto(&self, before: Option<wire::Queue>) -> wire::Queue {
        let mut queue = before.unwrap_or_else(|| wire::Queue {
            name: self.name.to_string(),
            cohort: None,
            order: None,
            isolation: None,
            gpu_milli: wire::QueueQuota::default(),
            cpu_milli: wire::QueueQuota::default(),
            memory_bytes: wire::QueueQuota::default(),
            data: None,
            waiting: 0,
            running: 0,
            version: 0,
        });
        let had = queue.data.unwrap_or_default();
        let bytes = self.data.map_or(had.bytes, |bytes| bytes.0);
        let first = if had.objects == 0 && bytes > 0 { FILES } else { had.objects };
        let objects = self.data_files.unwrap_or(first);
        queue.data = Some(wire::DataQuota { bytes, objects, ..had });
        queue.order = self.order.or(queue.order);
        queue.isolation = self.isolation.map(|rung| rung.to_string()).or(queue.isolation);
        queue.cohort = self.cohort.clone().or(queue.cohort);
        let cpu = |cpu: Option<MilliCpu>| cpu.map(|cpu| cpu.0);
        let memory = |memory: Option<Bytes>| memory.map(|memory| memory.0);
        set(&mut queue.gpu_milli, [self.gpu, self.gpu_borrow, self.gpu_lend]);
        set(&mut queue.cpu_milli, [self.cpu, self.cpu_borrow, self.cpu_lend].map(cpu));
        set(
            &mut queue.memory_bytes,
            [self.memory, self.memory_borrow, self.memory_lend].map(memory),
        );
        queue
    }
}

fn set(quota: &mut wire::QueueQuota, [nominal, borrowing, lending]: [Option<u64>; 3]) {
    quota.nominal = nominal.unwrap_or(quota.nominal);
    quota.borrowing = borrowing.unwrap_or(quota.borrowing);
    quota.lending = lending.unwrap_or(quota.lending);
}

fn table(queues: &[wire::Queue]) -> String {
    let mut table = Table::new(&[
        "QUEUE", "COHORT", "ORDER", "APART BY", "GPU", "CPU", "MEMORY", "DATA", ">RUNNING",
        ">WAITING",
    ]);
    let gpu = |milli| MilliGpu(milli).to_string();
    let cpu = |milli| MilliCpu(milli).to_string();
    let memory = |bytes| Bytes(bytes).to_string();
    for queue in queues {
        table.row([
            queue.name.clone(),
            queue.cohort.clone().unwrap_or_else(|| "-".to_owned()),
            queue.order.map_or("-", wire::QueueOrder::as_str).to_owned(),
            queue.isolation.clone().unwrap_or_else(|| "-".to_owned()),
            quota(&queue.gpu_milli, gpu),
            quota(&queue.cpu_milli, cpu),
            quota(&queue.memory_bytes, memory),
            data(&queue.data.unwrap_or_default()),
            queue.running.to_string(),
            queue.waiting.to_string(),
        ]);
    }
    table.render()
}

/// `21 MB of 1.0 TB`, and files where those are the narrower limit.
fn data(data: &wire::DataQuota) -> String {
    let bytes = format!("{} of {}", Bytes(data.used_bytes), Bytes(data.bytes));
    let share = |used: u64, of: u64| used.saturating_mul(100).checked_div(of).unwrap_or_default();
    match share(data.used_objects, data.objects) > share(data.used_bytes, data.bytes) {
        true => format!("{bytes}, {} of {} files", data.used_objects, data.objects),
        false => bytes,
    }
}

/// `2 of 8, borrows 4, lends 4`.
fn quota(quota: &wire::QueueQuota, shown: impl Fn(u64) -> String) -> String {
    let mut text = format!("{} of {}", shown(quota.used), shown(quota.nominal));
    for (word, value) in [("borrows", quota.borrowing), ("lends", quota.lending)] {
        if value > 0 {
            text += &format!(", {word} {}", shown(value));
        }
    }
    text
}
