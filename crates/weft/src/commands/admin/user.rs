//! `weft admin user`: people and service accounts.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, err_line, when};
use clap::{Subcommand, ValueEnum};
use weft_api::wire::{CreateUser, Role};
use weft_client::Intent;
use weft_types::{QueueName, UserName};

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// List them
    List,
    /// Add one
    #[command(after_help = "Examples:\n  weft admin user add ada --role member --queue lab/vision")]
    Add {
        /// Name
        name: UserName,
        /// What they may do
        #[arg(long, value_enum, default_value_t = RoleWord::Member)]
        role: RoleWord,
        /// Their team's queue; needed for leads and members
        #[arg(long)]
        queue: Option<QueueName>,
    },
    /// Shut one out; their tokens are useless from then on
    Rm {
        /// Name
        name: UserName,
    },
}

/// What a person may do, by and large.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleWord {
    /// Everything but reading users' data
    Admin,
    /// Machines and queues, no users' data
    Operator,
    /// A team's workloads, all of them
    Lead,
    /// One's own workloads, and seeing the team's
    Member,
    /// Reading the audit log and nothing else
    Auditor,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Admin => Role::Admin,
            RoleWord::Operator => Role::Operator,
            RoleWord::Lead => Role::Lead,
            RoleWord::Member => Role::Member,
            RoleWord::Auditor => Role::Auditor,
        }
    }
}

impl User {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        match self {
            User::List => {
                let users = client.users().await?;
                match session.json {
                    true => show::json(&users),
                    false => show::out(&table(&users)),
                }
            }
            User::Add { name, role, queue } => {
                let user = CreateUser {
                    name: name.to_string(),
                    role: role.into(),
                    queue: queue.map(|queue| queue.to_string()),
                };
                let user = client.create_user(&user, &Intent::new()).await?;
                match session.json {
                    true => show::json(&user),
                    false => err_line(&format!(
                        "added {name}; `weft admin token create --user {name}` makes a token"
                    )),
                }
            }
            User::Rm { name } => {
                client.delete_user(name.as_str(), &Intent::new()).await?;
                match session.json {
                    true => show::json(&name),
                    false => err_line(&format!("shut out {name}")),
                }
            }
        }
        Ok(Code::Done.number())
    }
}

fn table(users: &[weft_api::wire::User]) -> String {
    let mut table = Table::new(&["USER", "ROLE", "QUEUE", "SINCE", ""]);
    for user in users {
        table.row([
            user.name.clone(),
            format!("{:?}", user.role).to_lowercase(),
            user.queue.clone().unwrap_or_else(|| "-".to_owned()),
            when(user.created_at_ms),
            if user.disabled { "shut out".to_owned() } else { String::new() },
        ]);
    }
    table.render()
}
