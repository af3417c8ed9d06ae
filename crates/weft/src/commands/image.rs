//! `weft image`: the images runs can be made of. They stay until they are removed here.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Table, err_line};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use weft_api::wire::Image;
use weft_client::Intent;
use weft_types::Bytes;

/// List, import and remove images
#[derive(Debug, Args)]
pub(crate) struct ImageCommand {
    #[command(subcommand)]
    action: Action,
}

/// Digits of a digest that may stand for all of it.
const DIGEST_MIN: usize = 8;

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
    /// Remove an image that nothing uses, with all its names
    #[command(after_help = "Examples:\n  weft image rm tools:1\n  weft image rm 3f1c09ab")]
    Rm {
        /// Name, digest, or the digest's first eight digits or more
        image: String,
    },
}

/// The digest of an image that is called so, or whose digest begins so.
fn digest_of<'i>(images: &'i [Image], name: &str) -> Result<&'i Image, Failure> {
    let called = |image: &&Image| {
        let (digest, reference) = (image.digest.as_str(), image.reference.as_str());
        let short = digest.strip_prefix("sha256:").unwrap_or(digest);
        // In full it is `docker.io/library/tools:1`.
        let by_name =
            reference.strip_suffix(name).is_some_and(|r| r.is_empty() || r.ends_with('/'));
        let by_digest = name.len() >= DIGEST_MIN && short.starts_with(name);
        by_name || by_digest || digest == name
    };
    let mut found: Vec<_> = images.iter().filter(called).collect();
    found.dedup_by(|a, b| a.digest == b.digest);
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::new(Code::NotFound, format!("there is no image `{name}`"))
            .hint("`weft image list` shows those that are here")),
        _ => Err(Failure::usage(format!("several images are called `{name}`"))
            .hint("name it by its digest, as `weft image list` shows it")),
    }
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
            Action::Rm { image } => {
                let images = client.images().await?;
                let image = digest_of(&images, &image)?;
                client.remove_image(&image.digest, &Intent::new()).await?;
                if session.json {
                    show::json(image);
                } else {
                    err_line(&format!("removed {} ({})", image.reference, Bytes(image.bytes)));
                }
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
