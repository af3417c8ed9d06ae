//! `weft data key`: a key with which S3 clients read and write datasets as buckets.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line, out_line, when};
use clap::Args;
use weft_api::wire::{CreateDataKey, DataKey};
use weft_client::Intent;
use weft_types::Millis;

/// Make a key for S3 clients
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  eval \"$(weft data key)\"              for the programs of this shell
  weft data key --read --expires 1h    for reading alone, for an hour
  weft data key --process              as AWS clients call it by themselves:
                                       `credential_process = weft data key --process`
                                       in a profile of ~/.aws/config

A dataset is a bucket of its name, and claims.v3 is its version 3. The key is listed
and revoked as a token: `weft admin token list`.")]
pub(crate) struct Key {
    /// For reading alone
    #[arg(long)]
    read: bool,
    /// How long it is good for, at most 90d
    #[arg(long, value_name = "TIME", default_value = "12h")]
    expires: Millis,
    /// Print it as AWS clients read it from a `credential_process`
    #[arg(long)]
    process: bool,
}

impl Key {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let scope = if self.read { "read" } else { "write" };
        let create = CreateDataKey { scope: scope.to_owned(), expires_in_ms: self.expires.0 };
        let key = session.client()?.create_data_key(&create, &Intent::new()).await?;
        if self.process {
            show::json(&for_process(&key));
        } else if session.json {
            show::json(&key);
        } else {
            variables(&key).iter().for_each(|(name, value)| {
                out_line(&format!("export {name}={value}"));
            });
            err_line(&format!(
                "key {}, scope {}, until {}; its secret is not shown again",
                key.access_key_id,
                key.scope,
                when(key.expires_at_ms)
            ));
        }
        Ok(Code::Done.number())
    }
}

/// What AWS's clients look for in their environment.
fn variables(key: &DataKey) -> [(&'static str, &str); 5] {
    [
        ("AWS_ENDPOINT_URL", &key.endpoint),
        ("AWS_ACCESS_KEY_ID", &key.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &key.secret_access_key),
        ("AWS_REGION", &key.region),
        ("AWS_DEFAULT_REGION", &key.region),
    ]
}

/// Version 1 of what such a process prints.
fn for_process(key: &DataKey) -> serde_json::Value {
    serde_json::json!({
        "Version": 1,
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret_access_key,
        "Expiration": when(key.expires_at_ms).replacen(' ', "T", 1),
    })
}
