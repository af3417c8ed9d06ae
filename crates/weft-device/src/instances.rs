//! MIG instances as Weft's own: made for a holder, found again after a crash, ended with it.
//!
//! The driver does not know whose an instance is, so a note is written before one is made and
//! after each step; a note says which instances were there before.
//!
//! ```text
//! intent noted ─► instance made ─► its number noted ─► opened ─► in use ─► ended ─► note removed
//!      └ a crash here: what is new at the place, and was never opened, is ours
//! ```
//!
//! Each step is idempotent: asked again for the same holder, the same instance is found. Called by
//! the agent; absent on purpose: where on a device an instance lies (the planner has decided), and
//! instances of other people, which are never ended: what lies under them is not offered.

use crate::ladder::found;
use crate::{DeviceDriver, DeviceInfo};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use weft_sched::{DeviceMode, MigPlacement};
use weft_types::Isolation;

/// An instance that is on a device, whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its number on the device; given again once it has ended.
    pub id: u32,
    /// First memory slice.
    pub start: u8,
    /// Memory slices.
    pub size: u8,
    /// Whether programs can use it: a compute instance was made in it.
    pub open: bool,
}

impl Slot {
    fn lies_at(&self, place: &MigPlacement) -> bool {
        (self.start, self.size) == (place.start, place.size)
    }

    fn lies_over(&self, place: &MigPlacement) -> bool {
        self.start < place.start + place.size && place.start < self.start + self.size
    }
}

/// What a program is given of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The driver's identity of it, by which programs choose it: `MIG-…`.
    pub uuid: String,
    /// Device nodes beside those of the whole device.
    pub nodes: Vec<PathBuf>,
}

/// Why an instance was not made or not ended.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The driver refused.
    #[error("{0}")]
    Driver(String),
    /// What lies there was not made by Weft.
    #[error(
        "instance {id} on {device} lies there and was not made by Weft; end it with \
         `nvidia-smi mig -dci -gi {id}` and `nvidia-smi mig -dgi -gi {id}`, or leave it: it is \
         left alone, and its place is not given"
    )]
    Foreign {
        /// The device.
        device: String,
        /// The instance's number.
        id: u32,
    },
    /// A note could not be kept.
    #[error("the note of an instance, {}: {error}", path.display())]
    Note {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Names this run of the machine, from its boot to its end.
pub fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

/// The machine's instances that are Weft's.
pub struct Instances {
    driver: Arc<dyn DeviceDriver>,
    dir: PathBuf,
    boot: String,
    inner: Mutex<Tried>,
}

/// By device, whether an instance could be made there, and when that was tried.
type Tried = BTreeMap<String, (Instant, Result<String, String>)>;

/// Before what was refused is tried again: somebody may have made room, or given a right.
const AGAIN: Duration = Duration::from_secs(600);

/// What is noted of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    boot: String,
    device: String,
    start: u8,
    size: u8,
    before: Vec<u32>,
    id: Option<u32>,
}

impl Instances {
    /// Those noted in the folder, which is made when it is first needed.
    pub fn new(driver: Arc<dyn DeviceDriver>, dir: &Path) -> Self {
        Self { driver, dir: dir.to_owned(), boot: boot(), inner: Mutex::default() }
    }

    /// Every device, with what was found by trying: whether instances can be made, and where,
    /// beside those of others. The first call on a device in MIG mode makes one and ends it.
    pub fn inventory(&self) -> Vec<DeviceInfo> {
        let mut devices = self.driver.inventory();
        let mut tried = self.lock();
        for device in devices.iter_mut().filter(|device| device.health.is_healthy()) {
            let DeviceMode::Mig { geometry, .. } = &device.mode else { continue };
            let known = tried.get(&device.uuid);
            if known.is_none_or(|(at, result)| result.is_err() && at.elapsed() >= AGAIN) {
                let result = self.try_out(&device.uuid, geometry);
                tried.insert(device.uuid.clone(), (Instant::now(), result));
            }
            self.tell(device, &tried);
        }
        devices
    }

    fn tell(&self, device: &mut DeviceInfo, tried: &Tried) {
        let DeviceMode::Mig { geometry, compute_slices } = &mut device.mode else { return };
        let result = tried.get(&device.uuid).map(|(_, result)| result.clone());
        let (offered, why) = match result.unwrap_or(Err("not tried".to_owned())) {
            Ok(how) => (true, how),
            Err(why) => (false, format!("tried, and refused: {why}")),
        };
        match self.foreign(&device.uuid) {
            Ok(foreign) if offered => {
                geometry.retain(|place| !foreign.iter().any(|slot| slot.lies_over(place)));
            }
            // What cannot be made is not to be planned with.
            _ => geometry.clear(),
        }
        let whole = geometry.iter().any(|place| place.profile.slices == *compute_slices);
        found(&mut device.rungs, Isolation::Mig, offered, &why);
        if !whole {
            let why =
                "in MIG mode the whole device is its largest instance, which is not to be had";
            found(&mut device.rungs, Isolation::Exclusive, false, why);
        }
    }

    /// Makes the smallest instance that has a place, sees that it is there, and ends it.
    fn try_out(&self, device: &str, geometry: &[MigPlacement]) -> Result<String, String> {
        let slots = self.driver.instances(device)?;
        let ours = slots.iter().filter(|slot| self.note_of(device, slot).is_some());
        if ours.count() > 0 {
            return Ok("instances made by this server's notes are there".to_owned());
        }
        let free = |place: &&MigPlacement| !slots.iter().any(|slot| slot.lies_over(place));
        let places = geometry.iter().filter(free);
        let Some(place) = places.min_by_key(|place| (place.size, place.start)) else {
            return Err("instances of others take every place".to_owned());
        };
        let (holder, begun) = (format!("trial-{device}"), Instant::now());
        let made = self.make_noted(&holder, device, place).map_err(|error| error.to_string());
        let ended = self.end_noted(&holder).map_err(|error| error.to_string());
        let opened = made?;
        ended?;
        let (took, profile) = (begun.elapsed().as_millis(), &place.profile);
        let uuid = opened.uuid;
        Ok(format!("tried: {profile} was made, opened as {uuid} and ended in {took} ms"))
    }

    /// Makes an instance for a holder, or finds the one it has. `holder` is a file's name.
    pub fn make(
        &self,
        holder: &str,
        device: &str,
        place: &MigPlacement,
    ) -> Result<Opened, InstanceError> {
        let _one = self.lock();
        self.make_noted(holder, device, place)
    }

    fn make_noted(
        &self,
        holder: &str,
        device: &str,
        place: &MigPlacement,
    ) -> Result<Opened, InstanceError> {
        let slots = self.driver.instances(device).map_err(InstanceError::Driver)?;
        let noted = self.read(holder).and_then(|note| note.id);
        let same = |slot: &&Slot| Some(slot.id) == noted && slot.lies_at(place);
        if let Some(slot) = slots.iter().find(same) {
            return self.driver.open_instance(device, slot.id).map_err(InstanceError::Driver);
        }
        self.end_noted(holder)?;
        // The planner gave this place: who had it of ours is over, whatever was left of it.
        for slot in slots.iter().filter(|slot| slot.lies_over(place)) {
            match self.note_of(device, slot) {
                Some(left) => self.end_noted(&left)?,
                None => {
                    return Err(InstanceError::Foreign { device: device.to_owned(), id: slot.id });
                }
            }
        }
        let slots = self.driver.instances(device).map_err(InstanceError::Driver)?;
        let mut note = Note {
            boot: self.boot.clone(),
            device: device.to_owned(),
            start: place.start,
            size: place.size,
            before: slots.iter().map(|slot| slot.id).collect(),
            id: None,
        };
        self.write(holder, &note)?;
        let id = self.driver.make_instance(device, place).map_err(InstanceError::Driver)?;
        note.id = Some(id);
        self.write(holder, &note)?;
        self.driver.open_instance(device, id).map_err(InstanceError::Driver)
    }

    /// Ends the instance of a holder, where it has one; fails while a program uses it.
    pub fn end(&self, holder: &str) -> Result<(), InstanceError> {
        let _one = self.lock();
        self.end_noted(holder)
    }

    fn end_noted(&self, holder: &str) -> Result<(), InstanceError> {
        let Some(note) = self.read(holder) else { return Ok(()) };
        // Instances do not outlive the machine's run: after a boot the number is another's.
        if note.boot == self.boot {
            let slots = self.driver.instances(&note.device).map_err(InstanceError::Driver)?;
            if let Some(slot) = slots.iter().find(|slot| note.is(slot)) {
                let ended = self.driver.end_instance(&note.device, slot.id);
                ended.map_err(InstanceError::Driver)?;
            }
        }
        let path = self.dir.join(holder);
        fs::remove_file(&path).map_err(|error| InstanceError::Note { path, error })
    }

    /// Ends what is noted for holders that are none of these: left by a crash. What cannot be ended
    /// now stays noted, and is told.
    pub fn keep_only(&self, lives: impl Fn(&str) -> bool) -> Vec<InstanceError> {
        let _one = self.lock();
        let left = self.holders().into_iter().filter(|holder| !lives(holder));
        left.filter_map(|holder| self.end_noted(&holder).err()).collect()
    }

    /// Instances that nobody noted.
    fn foreign(&self, device: &str) -> Result<Vec<Slot>, String> {
        let slots = self.driver.instances(device)?;
        Ok(slots.into_iter().filter(|slot| self.note_of(device, slot).is_none()).collect())
    }

    /// For whom an instance is noted.
    fn note_of(&self, device: &str, slot: &Slot) -> Option<String> {
        let own = |note: Note| note.boot == self.boot && note.device == device && note.is(slot);
        self.holders().into_iter().find(|holder| self.read(holder).is_some_and(own))
    }

    /// Everybody for whom something is noted.
    pub fn holders(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn read(&self, holder: &str) -> Option<Note> {
        Note::parse(&fs::read_to_string(self.dir.join(holder)).ok()?)
    }

    /// Writes a note so that it is on disk, whole, when this returns.
    fn write(&self, holder: &str, note: &Note) -> Result<(), InstanceError> {
        let (path, new) = (self.dir.join(holder), self.dir.join(format!(".{holder}")));
        let written = || -> io::Result<()> {
            fs::create_dir_all(&self.dir)?;
            let mut file = File::create(&new)?;
            file.write_all(note.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        written().map_err(|error| InstanceError::Note { path: path.clone(), error })
    }

    /// One change at a time: what is there is looked at before it.
    fn lock(&self) -> MutexGuard<'_, Tried> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Note {
    /// Whether it is of this instance: by its number, or, where the crash came before that was
    /// noted, what is new at the place and was never opened.
    fn is(&self, slot: &Slot) -> bool {
        let there = (slot.start, slot.size) == (self.start, self.size);
        match self.id {
            Some(id) => there && slot.id == id,
            None => there && !slot.open && !self.before.contains(&slot.id),
        }
    }

    fn text(&self) -> String {
        let before: Vec<String> = self.before.iter().map(u32::to_string).collect();
        let mut text = format!("boot {}\ndevice {}\n", self.boot, self.device);
        let _ = writeln!(text, "place {} {}", self.start, self.size);
        let _ = writeln!(text, "before {}", before.join(" "));
        if let Some(id) = self.id {
            let _ = writeln!(text, "id {id}");
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let (start, size) = value("place")?.split_once(' ')?;
        let before = value("before")?.split_whitespace().map(str::parse);
        Some(Self {
            boot: value("boot")?.to_owned(),
            device: value("device")?.to_owned(),
            start: start.parse().ok()?,
            size: size.parse().ok()?,
            before: before.collect::<Result<_, _>>().ok()?,
            id: value("id").map(str::parse).transpose().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_note_reads_as_it_was_written(
            (start, size) in (0..8_u8, 1..9_u8),
            before in proptest::collection::vec(any::<u32>(), 0..4),
            id in proptest::option::of(any::<u32>()),
        ) {
            let device = "GPU-1".to_owned();
            let note = Note { boot: "b".to_owned(), device, start, size, before, id };
            prop_assert_eq!(Note::parse(&note.text()), Some(note));
        }

        #[test]
        fn any_text_is_a_note_or_none(text in "\\PC{0,60}") {
            let _ = Note::parse(&text);
        }
    }
}
