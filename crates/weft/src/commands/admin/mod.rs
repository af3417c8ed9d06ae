//! `weft admin`: shares, people, machines, backup, audit: what operators do.

mod audit;
mod backup;
mod device;
mod key;
mod ledger;
mod node;
mod queue;
mod replay;
mod token;
mod user;

use crate::failure::Outcome;
use crate::session::Session;
use clap::{Args, Subcommand};

/// Administer shares, people, machines, backup and audit
#[derive(Debug, Args)]
pub(crate) struct Admin {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Shares of the pool, one for each team
    #[command(subcommand)]
    Queue(queue::Queue),
    /// People and service accounts
    #[command(subcommand)]
    User(user::User),
    /// Tokens for clients over TCP
    #[command(subcommand)]
    Token(token::Token),
    /// Machines of the pool
    #[command(subcommand)]
    Node(node::Node),
    /// Accelerators of the pool
    #[command(subcommand)]
    Device(device::Device),
    /// The key above all keys of data
    #[command(subcommand)]
    Key(key::Key),
    Backup(backup::Backup),
    Restore(backup::Restore),
    /// The log of who did what
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The ledger of what was held and used
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    Replay(replay::Replay),
}

impl Admin {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.noun {
            Noun::Queue(queue) => queue.run(session).await,
            Noun::User(user) => user.run(session).await,
            Noun::Token(token) => token.run(session).await,
            Noun::Node(node) => node.run(session).await,
            Noun::Device(device) => device.run(session).await,
            Noun::Key(key) => key.run(session).await,
            Noun::Backup(backup) => backup.run(session).await,
            Noun::Restore(restore) => restore.run(session),
            Noun::Audit(audit) => audit.run(session).await,
            Noun::Ledger(ledger) => ledger.run(session).await,
            Noun::Replay(replay) => replay.run(session),
        }
    }
}
