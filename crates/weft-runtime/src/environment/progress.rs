//! How far an environment is, read off what the installer prints.
//!
//! ```text
//! 0    interpreter, installer, empty environment
//! 10   "Resolved 7 packages"
//!  …   "Downloading numpy (16.1MiB)" … "Downloaded numpy": by bytes, of those announced
//! 60   "Prepared 7 packages"
//! 65   "Installed 7 packages"
//!  …   compiling: by files
//! 98   made durable
//! ```
//! The weights are what a first start with scikit-learn takes on two cores.

use crate::prepare::{Progress, Stage};
use std::collections::BTreeMap;

const RESOLVED: u8 = 10;
const PREPARED: u8 = 60;
const INSTALLED: u8 = 65;
const COMPILED: u8 = 98;

/// Where progress is told; percentages never go back.
pub(super) struct Report<'a> {
    tell: &'a mut (dyn FnMut(Progress) + Send),
    told: u8,
    announced: BTreeMap<String, u64>,
    done_bytes: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(tell: &'a mut (dyn FnMut(Progress) + Send)) -> Self {
        Self { tell, told: 0, announced: BTreeMap::new(), done_bytes: 0 }
    }

    /// Tells what happens now, at this percentage of the whole.
    pub(super) fn say(&mut self, percent: u8, detail: impl Into<String>) {
        self.told = self.told.max(percent);
        let (percent, detail) = (Some(self.told), detail.into());
        (self.tell)(Progress { stage: Stage::Environment, percent, detail });
    }

    /// Reads one line of the installer's.
    pub(super) fn installer_line(&mut self, line: &str) {
        let line = line.trim();
        if let Some((name, size)) = downloading(line) {
            self.announced.insert(name.to_owned(), size);
            self.say(self.downloaded(), format!("downloading {name}"));
        } else if let Some(name) = line.strip_prefix("Downloaded ") {
            self.done_bytes += self.announced.get(name).copied().unwrap_or(0);
            self.say(self.downloaded(), format!("downloaded {name}"));
        } else if line.starts_with("Resolved ") {
            self.say(RESOLVED, line.to_lowercase());
        } else if line.starts_with("Prepared ") {
            self.say(PREPARED, line.to_lowercase());
        } else if line.starts_with("Installed ") {
            self.say(INSTALLED, line.to_lowercase());
        }
    }

    /// Tells that `done` of `all` files are compiled.
    pub(super) fn compiled(&mut self, done: usize, all: usize) {
        let share = (done.min(all) * usize::from(COMPILED - INSTALLED)) / all.max(1);
        let percent = INSTALLED + u8::try_from(share).unwrap_or(0);
        if percent > self.told {
            self.say(percent, "compiling packages");
        }
    }

    fn downloaded(&self) -> u8 {
        let all = self.announced.values().sum::<u64>().max(1);
        let share = self.done_bytes.min(all) * u64::from(PREPARED - RESOLVED) / all;
        RESOLVED + u8::try_from(share).unwrap_or(0)
    }
}

/// `Downloading numpy (16.1MiB)`
fn downloading(line: &str) -> Option<(&str, u64)> {
    let (name, size) = line.strip_prefix("Downloading ")?.split_once(" (")?;
    let size = size.strip_suffix(')')?;
    let digits = size.find(|c: char| c.is_ascii_alphabetic())?;
    let unit: u64 = match &size[digits..] {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    // Tenths are enough, and keep it in integers.
    let (whole, tenths) = size[..digits].split_once('.').unwrap_or((&size[..digits], "0"));
    let tenths = whole.parse::<u64>().ok()? * 10 + tenths.get(..1)?.parse::<u64>().ok()?;
    Some((name, tenths.saturating_mul(unit) / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installers_lines() {
        let mut told = Vec::new();
        let mut tell = |progress: Progress| told.push(progress.percent.unwrap());
        let mut report = Report::new(&mut tell);
        for line in [
            "Resolved 7 packages in 12ms",
            "Downloading numpy (16.0MiB)",
            "Downloading scipy (48.0MiB)",
            " Downloaded numpy",
            " Downloaded scipy",
            "Prepared 7 packages in 485ms",
            "Installed 7 packages in 35ms",
            " + numpy==2.4.6",
        ] {
            report.installer_line(line);
        }
        report.compiled(50, 100);
        report.compiled(100, 100);
        report.say(5, "never back");
        assert_eq!(told, [10, 10, 10, 22, 60, 60, 65, 81, 98, 98]);
    }

    #[test]
    fn sizes() {
        assert_eq!(downloading("Downloading a (1.5KiB)"), Some(("a", 1536)));
        assert_eq!(downloading("Downloading b (900B)"), Some(("b", 900)));
        assert_eq!(downloading("Downloading c"), None);
        assert_eq!(downloading("Downloading d (huge)"), None);
    }
}
