//! `weft source`: where data is imported from, declared once, with a password that nobody sees
//! again.
//!
//! A password comes from a file or from the standard input: never from an argument or a variable,
//! which others on the machine can read.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, err_line, out_line};
use clap::{Args, Subcommand, ValueEnum};
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use weft_api::wire::{PutSource, Source as Row, SourceAt};
use weft_client::Intent;

/// Longest password, in bytes; the server's limit.
const SECRET_MAX: u64 = 1_000;
/// Longest file of certificates, in bytes; the server's limit.
const CERTIFICATES_MAX: u64 = 64 << 10;

/// Declare where data is imported from: databases, object stores, the web
#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Add(Box<Add>),
    Ls(Ls),
    Rm(Rm),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Postgres,
    Mysql,
    S3,
    Http,
}

/// Declare a source, or change it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  weft source add crm postgres --address db.example:5432 --database crm \\
      --user reader --password-file crm.pw --allow 10.1.2.0/24
  weft source add shop mysql --address shop.example --database shop --user reader \\
      --password-file -
  weft source add lake s3 --address https://s3.example --bucket lake \\
      --user ACCESS_KEY_ID --password-file secret
  weft source add files http --address https://files.example/team/ --password-file token

A team's lead declares its sources. Only public addresses are reached, unless an
operator allows a network. Of http, a password without a user is a bearer token.
Give it again to change it. Use it with `weft data import`.")]
struct Add {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is
    #[arg(value_enum, value_name = "KIND")]
    kind: Kind,
    /// Where: of a database host or host:port, else https://…
    #[arg(long, value_name = "ADDRESS")]
    address: String,
    /// The database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// The bucket
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// The region of the object store; us-east-1 if absent
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// Who asks: a user, of s3 the public part of a key
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File with the password, token or secret part of the key; `-`: the standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Team that may use it, with the teams below; yours if absent
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// Network that it may reach although it is not public, as 10.1.2.0/24; operators only
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<String>,
    /// PEM file of certificates to be trusted in place of the machine's
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Without TLS: password and data go over the line as they are
    #[arg(long)]
    plain: bool,
}

/// List sources
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft source ls")]
struct Ls {}

/// Remove a source and its password; what came from it stays
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft source rm crm")]
struct Rm {
    /// Source
    #[arg(value_name = "NAME")]
    name: String,
}

impl Source {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.action {
            Action::Add(add) => add.run(session).await,
            Action::Ls(ls) => ls.run(session).await,
            Action::Rm(rm) => rm.run(session).await,
        }
    }
}

impl Add {
    async fn run(self, session: &Session) -> Outcome {
        let kind = match self.kind {
            Kind::Postgres => "postgres",
            Kind::Mysql => "mysql",
            Kind::S3 => "s3",
            Kind::Http => "http",
        };
        let certificates = match &self.certificates {
            Some(file) => Some(read(file, CERTIFICATES_MAX)?),
            None => None,
        };
        let put = PutSource {
            queue: self.queue,
            at: SourceAt {
                kind: kind.to_owned(),
                address: self.address,
                database: self.database,
                bucket: self.bucket,
                region: self.region,
                user: self.user,
                plain: self.plain,
                allow: self.allow,
                certificates,
            },
            secret: match &self.password_file {
                Some(file) => read(file, SECRET_MAX)?.trim_end_matches(['\n', '\r']).to_owned(),
                None => String::new(),
            },
        };
        let made = session.client()?.put_source(&self.name, &put, &Intent::new()).await?;
        match session.json {
            true => show::json(&made),
            false => out_line(&format!("{}  {}, for {}", made.name, made.at.kind, made.queue)),
        }
        Ok(Code::Done.number())
    }
}

/// A short text of a file, or of the standard input.
fn read(file: &Path, most: u64) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::local(file.display().to_string(), error);
    let mut text = String::new();
    let read = if file == Path::new("-") {
        if std::io::stdin().is_terminal() {
            err_line("the password, then Ctrl-D:");
        }
        std::io::stdin().lock().take(most + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).map_err(failed)?.take(most + 1).read_to_string(&mut text)
    };
    if read.map_err(failed)? as u64 > most {
        return Err(Failure::usage(format!("{} is longer than {most} bytes", file.display())));
    }
    Ok(text)
}

impl Ls {
    async fn run(self, session: &Session) -> Outcome {
        let sources = session.client()?.sources().await?;
        if session.json {
            show::json(&sources);
            return Ok(Code::Done.number());
        }
        let mut table = Table::new(&["NAME", "KIND", "TEAM", "WHERE", "USER", "BY"]);
        for row in &sources {
            table.row([
                row.name.clone(),
                row.at.kind.clone(),
                row.queue.clone(),
                place(row),
                row.at.user.clone().unwrap_or_default(),
                row.by.clone(),
            ]);
        }
        show::out(&table.render());
        Ok(Code::Done.number())
    }
}

fn place(row: &Row) -> String {
    let part = row.at.database.as_ref().or(row.at.bucket.as_ref());
    match part {
        Some(part) => format!("{} {part}", row.at.address),
        None => row.at.address.clone(),
    }
}

impl Rm {
    async fn run(self, session: &Session) -> Outcome {
        session.client()?.remove_source(&self.name, &Intent::new()).await?;
        if !session.json {
            out_line(&format!("{} is no source any more", self.name));
        }
        Ok(Code::Done.number())
    }
}
