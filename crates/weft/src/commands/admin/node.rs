//! `weft admin node`: machines of the pool.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Style, Table, cores, err_line, out_line, paint};
use clap::Subcommand;
use weft_api::wire;
use weft_client::Intent;
use weft_types::{Bytes, NodeId};

#[derive(Debug, Subcommand)]
pub(super) enum Node {
    /// List them, with what they lack
    List,
    /// Keep new work off one; what runs on it goes on
    Drain {
        /// Name
        name: NodeId,
    },
    /// Let new work come to it again
    Undrain {
        /// Name
        name: NodeId,
    },
}

impl Node {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let (name, drained) = match self {
            Node::List => {
                let nodes = client.nodes().await?;
                match session.json {
                    true => show::json(&nodes),
                    false => list(&nodes),
                }
                return Ok(Code::Done.number());
            }
            Node::Drain { name } => (name, true),
            Node::Undrain { name } => (name, false),
        };
        let node = client.drain(name.as_str(), drained, &Intent::new()).await?;
        match session.json {
            true => show::json(&node),
            false => {
                err_line(&format!("{name} {}", if drained { "is drained" } else { "takes work" }))
            }
        }
        Ok(Code::Done.number())
    }
}

fn list(nodes: &[wire::Node]) {
    let mut table = Table::new(&["MACHINE", "STATE", ">CPU", ">MEMORY", ">DISK", ">GPUS"]);
    for node in nodes {
        let (state, style) = match (node.ready, node.drained) {
            (false, _) => ("away", Style::Bad),
            (true, true) => ("drained", Style::Busy),
            (true, false) => ("ready", Style::Good),
        };
        table.row([
            node.name.clone(),
            state.to_owned(),
            format!("{} of {}", cores(node.cpu_allocated_milli), cores(node.cpu_milli)),
            format!("{} of {}", Bytes(node.memory_allocated_bytes), Bytes(node.memory_bytes)),
            Bytes(node.disk_bytes).to_string(),
            node.devices.to_string(),
        ]);
        table.style(1, style);
    }
    show::out(&table.render());
    for node in nodes {
        for warning in &node.warnings {
            out_line(&format!("{} {}: {warning}", paint("lacks", Style::Busy), node.name));
        }
    }
}
