//! `weft admin token`: tokens for clients over TCP.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, clock, err_line, out_line, when};
use clap::Subcommand;
use weft_api::wire;
use weft_client::Intent;
use weft_types::{Millis, UserName};

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// List them, without their secrets
    List,
    /// Make one; its secret is shown once
    #[command(after_help = "Examples:\n  weft admin token create --user ada --expires 30d")]
    Create {
        /// Whose; without it one's own
        #[arg(long)]
        user: Option<UserName>,
        /// What it is good for
        #[arg(long, value_parser = ["read", "write"], default_value = "write")]
        scope: String,
        /// How long it is good for, at most 90d
        #[arg(long, value_name = "TIME", default_value = "30d")]
        expires: Millis,
    },
    /// Make one useless
    Revoke {
        /// Its public part
        id: String,
    },
}

impl Token {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        match self {
            Token::List => {
                let tokens = client.tokens().await?;
                match session.json {
                    true => show::json(&tokens),
                    false => show::out(&table(&tokens)),
                }
            }
            Token::Create { user, scope, expires } => {
                let token = wire::CreateToken {
                    user: user.map(|user| user.to_string()),
                    scope,
                    expires_in_ms: expires.0,
                };
                let made = client.create_token(&token, &Intent::new()).await?;
                if session.json {
                    show::json(&made);
                } else {
                    // Alone on the output, so that it can be piped where it belongs.
                    out_line(&made.secret);
                    err_line(&format!(
                        "token {} of {}, until {}; it is not shown again",
                        made.token.id,
                        made.token.user,
                        when(made.token.expires_at_ms)
                    ));
                }
            }
            Token::Revoke { id } => {
                client.revoke_token(&id, &Intent::new()).await?;
                match session.json {
                    true => show::json(&id),
                    false => err_line(&format!("revoked {id}")),
                }
            }
        }
        Ok(Code::Done.number())
    }
}

fn table(tokens: &[wire::Token]) -> String {
    let mut table = Table::new(&["TOKEN", "USER", "SCOPE", "UNTIL", "LAST USED", ""]);
    for token in tokens {
        let state = match () {
            () if token.revoked => "revoked",
            () if token.expires_at_ms <= clock() => "expired",
            () => "",
        };
        table.row([
            token.id.clone(),
            token.user.clone(),
            token.scope.clone(),
            when(token.expires_at_ms),
            token.used_at_ms.map_or_else(|| "never".to_owned(), when),
            state.to_owned(),
        ]);
    }
    table.render()
}
