//! Figures of datasets for `/metrics`: what is read of them and by whom, what teams hold, what is
//! imported and published, and what starts have to have brought.
//!
//! Labels are queues, tiers and states: no dataset, user or workload is one, so that the number of
//! series is bounded by the teams and nothing personal is scraped. Who read which object stands on
//! the audit log.

use crate::api::metrics::{family, label};
use crate::control::LoopStats;
use crate::reads::Totals;
use std::fmt::{Result as Written, Write as _};
use weft_store::{DataHeld, Read, StoreError};
use weft_types::QueueName;

/// What the store knows.
pub(crate) struct Figures {
    /// By queue: what it holds, and what it may.
    held: Vec<(QueueName, DataHeld, DataHeld)>,
    imports: Vec<(String, u64)>,
    publications: Vec<(String, u64)>,
}

impl Figures {
    pub(crate) fn read(r: &Read<'_>) -> Result<Self, StoreError> {
        let queues = r.queues()?.into_iter().map(|row| row.name);
        let held = queues.map(|name| {
            let (held, may) = (r.data_held(&name)?, r.data_quota(&name)?);
            Ok((name, held, may))
        });
        Ok(Self {
            held: held.collect::<Result<_, StoreError>>()?,
            imports: r.imports_by_state()?,
            publications: r.publications_by_state()?,
        })
    }

    /// All of them as text.
    pub(crate) fn write(&self, out: &mut String, totals: &Totals, stats: &LoopStats) -> Written {
        reads(out, totals)?;
        self.teams(out)?;
        states(out, "weft_data_imports", "Imports on record, by how they stand.", &self.imports)?;
        let help = "Outputs that are to be, are or could not be versions of datasets.";
        states(out, "weft_data_publications", help, &self.publications)?;
        let name = "weft_data_declared_bytes_total";
        family(out, name, "counter", "Bytes of datasets that started workloads had declared.")?;
        writeln!(out, "{name} {}", stats.declared)?;
        let name = "weft_data_brought_bytes_total";
        let help = "Bytes of these that the machines of their starts did not hold.";
        family(out, name, "counter", help)?;
        writeln!(out, "{name} {}", stats.brought)
    }

    fn teams(&self, out: &mut String) -> Written {
        type Of = fn(&(QueueName, DataHeld, DataHeld)) -> u64;
        let all: [(&str, &str, Of); 4] = [
            ("weft_data_held_bytes", "Bytes that datasets hold on the disk.", |it| it.1.bytes.0),
            ("weft_data_quota_bytes", "Bytes that they may hold.", |it| it.2.bytes.0),
            ("weft_data_held_objects", "Objects as they are and were.", |it| it.1.objects),
            ("weft_data_quota_objects", "Objects that there may be.", |it| it.2.objects),
        ];
        for (name, help, of) in all {
            family(out, name, "gauge", help)?;
            for line in &self.held {
                writeln!(out, "{name}{{queue=\"{}\"}} {}", label(line.0.as_str()), of(line))?;
            }
        }
        Ok(())
    }
}

fn reads(out: &mut String, totals: &Totals) -> Written {
    let name = "weft_data_read_bytes_total";
    family(out, name, "counter", "Bytes of datasets that were served to be read.")?;
    for ((queue, tier, by), (_, bytes)) in totals {
        writeln!(out, "{name}{{queue=\"{}\",tier=\"{tier}\",by=\"{by}\"}} {bytes}", label(queue))?;
    }
    let name = "weft_data_reads_total";
    family(out, name, "counter", "Reads of objects that were served.")?;
    for ((queue, tier, by), (reads, _)) in totals {
        writeln!(out, "{name}{{queue=\"{}\",tier=\"{tier}\",by=\"{by}\"}} {reads}", label(queue))?;
    }
    Ok(())
}

fn states(out: &mut String, name: &str, help: &str, counts: &[(String, u64)]) -> Written {
    family(out, name, "gauge", help)?;
    counts.iter().try_for_each(|(state, count)| {
        writeln!(out, "{name}{{state=\"{}\"}} {count}", label(state))
    })
}
