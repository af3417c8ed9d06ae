//! What `weft simulate` shows and writes.

use crate::failure::Failure;
use crate::show::{err_is_terminal, err_line};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use weft_types::Bytes;

/// A file that will be written when there is something to write, and is there whole or not at all.
pub(super) struct Target {
    path: PathBuf,
}

impl Target {
    /// Finds out whether it can be written.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let wrong =
            |what: &str| Failure::usage(format!("{} cannot be written: {what}", path.display()));
        if path.is_dir() {
            return Err(wrong("it is a folder").hint("name a file in it"));
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !parent.is_dir() {
            return Err(wrong(&format!("there is no folder {}", parent.display())));
        }
        // It is gone again at once: who is killed leaves nothing behind.
        beside(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                wrong(&format!("you may not write in {}", parent.display()))
            }
            _ => Failure::local(path.display(), error),
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Writes it, in place of what was there.
    pub(super) fn write(self, text: &str) -> Result<(), Failure> {
        let shown = self.path.display().to_string();
        let wrong = |error: std::io::Error| Failure::local(&shown, error);
        let mut file = beside(&self.path).map_err(wrong)?;
        file.write_all(text.as_bytes()).map_err(wrong)?;
        file.persist(&self.path).map_err(|error| wrong(error.error))?;
        err_line(&format!("written: {shown} ({})", Bytes(text.len() as u64)));
        Ok(())
    }
}

/// A file in the same folder; others may read it, as far as the umask lets them.
fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".weft-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent.unwrap_or(Path::new(".")))
}

/// How far it is, on a terminal; elsewhere nothing.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn new(stage: &'static str) -> Self {
        Self(err_is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
            let style = "{prefix} {bar:32} {percent:>3} %  {elapsed}, about {eta} to go";
            bar.set_prefix(stage);
            bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar
        }))
    }

    pub(super) fn show(&self, (done, expected): (u64, u64)) {
        if let Some(bar) = self.0.as_ref().filter(|_| expected > 0) {
            bar.set_length(expected);
            bar.set_position(done.min(expected));
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
