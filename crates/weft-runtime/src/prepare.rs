//! Making ready what a launch needs before it starts: its root and its environment.
//!
//! The agent calls [`crate::Runtime::prepare`] once per start; the work is done by `image` and
//! `environment`, whose results are shared by every run and kept.

use crate::environment::{EnvironmentError, Environments};
use crate::image::{ImageConfig, ImageError, Images};
use crate::launch::Root;
use std::io;
use std::path::{Path, PathBuf};

/// What a run wants to stand on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepare {
    /// An OCI image reference or digest; none: the machine's own `/usr`.
    pub image: Option<String>,
    /// A Python version, `3.11` or `>=3.11`; none with `requirements`: the machine's.
    pub python: Option<String>,
    /// The text of a requirements file, every line locked with hashes.
    pub requirements: Option<String>,
}

/// What was made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// For [`crate::Launch::root`].
    pub root: Root,
    /// For [`crate::Launch::environment`].
    pub environment: Option<PathBuf>,
    /// What the image says about running it; none without one.
    pub image: Option<ImageConfig>,
}

/// What is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An image is being pulled.
    Image,
    /// An environment is being made.
    Environment,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being made.
    pub stage: Stage,
    /// 0 to 100, where it is known.
    pub percent: Option<u8>,
    /// One line for people: what happens now.
    pub detail: String,
}

/// Why something could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An image and packages for the machine's Python: two worlds that do not fit.
    #[error(
        "`image` and `python`/`requirements` exclude each other: an image brings its own packages\n\
         hint: leave `image` out, or install what is missing under `setup`"
    )]
    ImageAndEnvironment,
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
}

/// The images and environments of one state directory.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) images: Images,
    pub(crate) environments: Environments,
}

impl Shelf {
    /// With the images as they were opened; unfinished builds of dead servers are removed.
    pub(crate) fn open(state_dir: &Path, images: Images) -> io::Result<Self> {
        let environments = Environments::open(state_dir, std::env::vars_os())?;
        Ok(Self { images, environments })
    }

    /// Makes ready what is wanted, telling how far it is. Dropping the future cancels it.
    pub(crate) async fn prepare(
        &self,
        want: &Prepare,
        tell: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Prepared, PrepareError> {
        let packages = want.requirements.is_some() || want.python.is_some();
        if let Some(reference) = &want.image {
            if packages {
                return Err(PrepareError::ImageAndEnvironment);
            }
            let image = self.images.obtain(reference, tell).await?;
            let root = Root::Image { digest: image.digest };
            return Ok(Prepared { root, environment: None, image: Some(image.config) });
        }
        let environment = match packages {
            true => {
                let requirements = want.requirements.as_deref().unwrap_or_default();
                let python = want.python.as_deref();
                Some(self.environments.prepare(python, requirements, tell).await?)
            }
            false => None,
        };
        Ok(Prepared { root: Root::HostUsr, environment, image: None })
    }
}
