//! `weft image`: the images runs can be made of.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, err_line};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use weft_client::Intent;
use weft_types::Bytes;

/// List and import images
#[derive(Debug, Args)]
pub(crate) struct ImageCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the images that are here
    List,
    /// Import an image from a tar archive of an OCI layout
    #[command(after_help = "Examples:\n  weft image import tools.tar --name tools:1")]
    Import {
        /// Archive, as `podman save --format oci-archive` and `skopeo` write it
        archive: PathBuf,
        /// What it is called in `image:`
        #[arg(long)]
        name: String,
    },
}

impl ImageCommand {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        match self.action {
            Action::List => {
                let images = client.images().await?;
                if session.json {
                    show::json(&images);
                    return Ok(Code::Done.number());
                }
                let mut table = Table::new(&["IMAGE", ">SIZE", "DIGEST"]);
                for image in &images {
                    let size = Bytes(image.bytes).to_string();
                    table.row([image.reference.clone(), size, image.digest.clone()]);
                }
                show::out(&table.render());
            }
            Action::Import { archive, name } => {
                let meta = std::fs::metadata(&archive)
                    .map_err(|e| Failure::usage(format!("{}: {e}", archive.display())))?;
                if meta.is_dir() {
                    let message = format!("{} is a directory", archive.display());
                    return Err(
                        Failure::usage(message).hint("pack it: `tar -C DIR -cf image.tar .`")
                    );
                }
                let image =
                    client.import_image(&name, &archive, meta.len(), &Intent::new()).await?;
                if session.json {
                    show::json(&image);
                } else {
                    err_line(&format!("imported {} ({})", image.reference, image.digest));
                }
            }
        }
        Ok(Code::Done.number())
    }
}
