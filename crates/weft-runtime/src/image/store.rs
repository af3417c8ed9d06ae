//! The images of one state directory: found by reference or digest, obtained where absent.

use super::assemble::assemble;
use super::references::{References, hex_of, parse};
use super::{IMAGE_BYTES_MAX, IMAGE_ENTRIES_MAX, ImageConfig, ImageError, Registries, Source};
use super::{layout, registry};
use crate::archive::{Limits, Unpack};
use crate::claim::{Claim, sweep};
use crate::prepare::{Progress, Stage};
use crate::room::Room;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Downloading is this share of a pull; the rest is unpacking.
const DOWNLOADED: u64 = 70;

/// The images of one state directory.
#[derive(Debug)]
pub struct Images {
    dir: PathBuf,
    references: References,
    registries: Arc<Registries>,
    room: Room,
}

/// One image, unpacked and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `sha256:…`; of its manifest, or of its configuration where it came without one.
    pub digest: String,
    /// The names it has here, in full.
    pub references: Vec<String>,
    /// What it says about running it.
    pub config: ImageConfig,
}

impl Images {
    /// Opens `<state_dir>/images`, making it where absent; removes unfinished builds.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let dir = state_dir.join("images");
        fs::create_dir_all(&dir)?;
        sweep(&dir)?;
        let references = References::new(dir.join("references.json"));
        let (registries, room) = (Arc::default(), Room::of(state_dir));
        Ok(Self { dir, references, registries, room })
    }

    /// Pulls as these rules say.
    #[must_use]
    pub fn pulling(self, registries: Arc<Registries>) -> Self {
        Self { registries, ..self }
    }

    /// Keeps so many bytes of the state's file system free; none: the usual reserve.
    #[must_use]
    pub fn keeping(self, reserve: Option<u64>) -> Self {
        Self { room: self.room.keeping(reserve), ..self }
    }

    /// The image of this reference or digest: what is here under that name, else pulled. A name
    /// that is here is not looked up again: remove it to have it pulled anew.
    pub async fn obtain(
        &self,
        reference: &str,
        tell: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Image, ImageError> {
        if let Some(image) = self.find(reference)? {
            return Ok(image);
        }
        if reference.starts_with("sha256:") {
            return Err(ImageError::Unknown(reference.to_owned()));
        }
        let reference = parse(reference)?;
        let name = reference.whole();
        let mut say = |percent: u64, detail: &str| {
            let percent = u8::try_from(percent.min(100)).ok();
            tell(Progress { stage: Stage::Image, percent, detail: detail.to_owned() });
        };
        say(0, "waiting for its turn");
        let claim = Claim::take(&self.dir, &hex::encode(Sha256::digest(&name))).await?;
        if let Some(image) = self.find(&name)? {
            return Ok(image);
        }
        let mut told = 0;
        let mut pulled = |done: u64, all: u64| {
            let percent = done.saturating_mul(DOWNLOADED) / all.max(1);
            if percent > told {
                told = percent;
                say(percent, "pulling");
            }
        };
        let source = {
            let to = claim.tree();
            registry::pull(&reference, &to, &self.registries, &self.room, &mut pulled).await?
        };
        say(DOWNLOADED, "unpacking");
        let digest = self.build(claim, source, vec![name]).await?;
        self.by_digest(&digest)
    }

    /// Imports an image from an OCI layout or what `docker save` wrote, as a folder, tar or
    /// gzipped tar, under `name` or, without one, the names the archive has.
    pub async fn import(&self, from: &Path, name: Option<&str>) -> Result<Image, ImageError> {
        let name = name.map(|name| parse(name).map(|r| r.whole())).transpose()?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let claim = Claim::take(&self.dir, &format!("import-{}", hex::encode(random))).await?;
        let (tree, from) = (claim.tree(), from.to_owned());
        let room = self.room.clone();
        let found =
            tokio::task::spawn_blocking(move || open_archive(&from, &tree, &room)).await??;
        let names = match name {
            Some(name) => vec![name],
            // A name that does not read is the archive's fault, and no reason to refuse it.
            None => found.names.iter().filter_map(|n| parse(n).ok()).map(|r| r.whole()).collect(),
        };
        let layout::Found { source, .. } = &found;
        let digest = source.digest.clone();
        let (dir, room) = (self.dir.clone(), self.room.clone());
        tokio::task::spawn_blocking(move || build(&dir, &claim, &found.source, &room)).await??;
        self.name(&names, &digest)?;
        self.by_digest(&digest)
    }

    /// The image of this reference or digest, if it is here.
    pub fn find(&self, reference: &str) -> Result<Option<Image>, ImageError> {
        let digest = match reference.starts_with("sha256:") {
            true => Some(reference.to_owned()),
            false => self.references.all()?.get(&parse(reference)?.whole()).cloned(),
        };
        match digest {
            Some(digest) if self.folder(&digest)?.exists() => self.by_digest(&digest).map(Some),
            _ => Ok(None),
        }
    }

    /// All images here, by digest.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        let mut digests = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            digests.extend(Some(format!("sha256:{name}")).filter(|digest| hex_of(digest).is_ok()));
        }
        digests.sort_unstable();
        digests.iter().map(|digest| self.by_digest(digest)).collect()
    }

    /// Forgets a reference; with the last one, or by digest, the image itself goes, unless it is
    /// `in_use`. Returns whether anything was there. Blocks on the disk.
    pub fn remove(&self, reference: &str, in_use: &[String]) -> Result<bool, ImageError> {
        let Some(image) = self.find(reference)? else { return Ok(false) };
        let by_digest = reference.starts_with("sha256:");
        let name = if by_digest { String::new() } else { parse(reference)?.whole() };
        self.references.change(|table| {
            table.retain(|known, digest| *digest != image.digest || !by_digest && *known != name);
        })?;
        let named = self.references.all()?.values().any(|digest| *digest == image.digest);
        if !named && !in_use.contains(&image.digest) {
            let key = format!("removed-{}", hex_of(&image.digest)?);
            // Moved away first: a reader finds all of an image or nothing.
            if let Some(claim) = Claim::attempt(&self.dir, &key)? {
                fs::rename(self.folder(&image.digest)?, claim.tree().join("image"))?;
            }
        }
        Ok(true)
    }

    /// The root file system of an image, for a sandbox to show read-only.
    pub fn rootfs(&self, digest: &str) -> Result<PathBuf, ImageError> {
        let rootfs = self.folder(digest)?.join("rootfs");
        match rootfs.is_dir() {
            true => Ok(rootfs),
            false => Err(ImageError::Unknown(digest.to_owned())),
        }
    }

    async fn build(
        &self,
        claim: Claim,
        source: Source,
        names: Vec<String>,
    ) -> Result<String, ImageError> {
        let (dir, digest) = (self.dir.clone(), source.digest.clone());
        let room = self.room.clone();
        tokio::task::spawn_blocking(move || build(&dir, &claim, &source, &room)).await??;
        self.name(&names, &digest)?;
        Ok(digest)
    }

    fn name(&self, names: &[String], digest: &str) -> io::Result<()> {
        self.references.change(|table| {
            table.extend(names.iter().map(|name| (name.clone(), digest.to_owned())));
        })
    }

    fn by_digest(&self, digest: &str) -> Result<Image, ImageError> {
        let config = match fs::read(self.folder(digest)?.join("config.json")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(ImageError::Unknown(digest.to_owned()));
            }
            other => serde_json::from_slice(&other?).map_err(io::Error::from)?,
        };
        let references = self.references.all()?.into_iter();
        let references = references.filter(|(_, d)| d == digest).map(|(name, _)| name).collect();
        Ok(Image { digest: digest.to_owned(), references, config })
    }

    fn folder(&self, digest: &str) -> Result<PathBuf, ImageError> {
        Ok(self.dir.join(hex_of(digest)?))
    }
}

/// Unpacks and publishes; an image already here stays as it is.
fn build(dir: &Path, claim: &Claim, source: &Source, room: &Room) -> Result<(), ImageError> {
    let to = dir.join(hex_of(&source.digest)?);
    if to.exists() {
        return Ok(());
    }
    assemble(source, &claim.tree().join("image"), room)?;
    match claim.publish_folder("image", &to) {
        // Another reference to the same image was first.
        Err(_) if to.exists() => Ok(()),
        other => Ok(other?),
    }
}

/// Reads a folder where it is; a tar is unpacked below `scratch` first.
fn open_archive(from: &Path, scratch: &Path, room: &Room) -> Result<layout::Found, ImageError> {
    if from.is_dir() {
        return layout::read(from);
    }
    let folder = scratch.join("archive");
    fs::create_dir(&folder)?;
    let mut file = BufReader::new(File::open(from)?);
    let gzip = io::BufRead::fill_buf(&mut file)?.starts_with(&[0x1f, 0x8b]);
    let input: Box<dyn Read> = match gzip {
        true => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let limits = Limits { entries: IMAGE_ENTRIES_MAX, bytes: IMAGE_BYTES_MAX };
    Unpack::into(&folder, None)?.archive(room.watch(input), limits)?;
    layout::read(&folder)
}
