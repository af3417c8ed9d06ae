//! The health of a device: what may happen to it, and whether it takes work.
//!
//! ```text
//!           slight, ailing            slight too often, grave       nothing holds it
//!     ok ──────────────────► suspect ────────────────────► drained ─────────────────► quarantined
//!     ▲ │ ◄──────────────────   │                          ▲     ▲                         │
//!     │ │   quiet for a while   │ given back by            │     │                         │
//!     │ │                       │ an operator              │     │                         │
//!     │ └───────────────────────┼─────── grave ────────────┘     │                         │
//!     │                         ▼                                │                         │
//!     └──────────────────── returned ────────────────────────────┘                         │
//!        quiet for longer       ▲            slight, grave                                 │
//!                               └──────────────────────────────────────────────────────────┘
//!                                  given back by an operator, or reset
//! ```
//!
//! An operator's word takes it from wherever it stands to drained.
//!
//! Work is placed on what is ok or returned. A fault of a program is no event here: who makes his
//! own program fail must not take devices out of the pool. A device that fails again after it was
//! returned waits for a person: a reset alone has not mended it. So does what an operator has taken
//! out: a reboot is no answer to his reason.
//!
//! One fault is often told several times, as an error's number, in a counter and as a row of memory
//! that was replaced: what is slight counts once within [`BURST`]. What ails, such as heat, is no
//! fault and lasts; it never drains a device, and does not overrule an operator who returned it.
//!
//! The server applies what the driver reports, in the transaction that writes its event.

use alloc::string::String;
use serde::{Deserialize, Serialize};
use weft_types::{Millis, Timestamp};

/// How long a suspect must be quiet to be believed: errors that come in bursts come within
/// minutes, and the price is one device for as long.
pub const SUSPICION: Millis = Millis::from_secs(600);

/// How long a returned one must be quiet until its past is forgotten: a burn-in of a working day's
/// jobs finds most of what was not mended.
pub const PROBATION: Millis = Millis::from_secs(8 * 3_600);

/// Slight troubles within a suspicion that are one too many.
pub const SLIGHT_MAX: u32 = 3;

/// How long slight troubles are one: a driver's counters are looked at every ten seconds, and what
/// they show was told as an error before.
pub const BURST: Millis = Millis::from_secs(60);

/// What is known of a device's health, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// Where it stands.
    pub state: DeviceState,
    /// Since when.
    pub since: Timestamp,
    /// When something was last wrong, to within [`BURST`].
    pub troubled: Timestamp,
    /// Slight troubles of this suspicion.
    pub slight: u32,
    /// When the last of them was counted.
    pub counted: Timestamp,
    /// Whether it failed again after it was returned: then only a person returns it.
    pub again: bool,
    /// Whether an operator has taken it out: then likewise.
    pub taken_out: bool,
    /// What was wrong, for people; empty while it is ok.
    pub reason: String,
    /// The boot of its machine in which it failed; another one has reset it.
    pub boot: String,
}

/// Where a device stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceState {
    /// It takes work.
    #[default]
    Ok,
    /// Something slight happened: it takes no new work until it was quiet for a while.
    Suspect,
    /// It takes no new work and is waited for to be empty.
    Drained,
    /// It is empty, and waits for an operator or a reset.
    Quarantined,
    /// It takes work again and is watched.
    Returned,
}

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceEvent {
    /// Something was wrong that it goes on from: an error that was corrected.
    Slight {
        /// What, as a clause for people.
        what: String,
    },
    /// Something is wrong with its surroundings, as long as it is told: it is too hot, or short of
    /// power, and computes right but slowly.
    Ailing {
        /// What, likewise.
        what: String,
    },
    /// Something was wrong that work must not meet: it is lost, or its memory is.
    Grave {
        /// What, likewise.
        what: String,
    },
    /// It was looked at and nothing was wrong.
    Quiet,
    /// Nothing holds any of it.
    Empty,
    /// It was reset since it failed, and answers.
    Reset,
    /// An operator takes it out.
    TakenOut {
        /// Why, for people.
        what: String,
    },
    /// An operator has looked and lets it work again.
    GivenBack,
}

/// Why an event does not apply; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRefusal {
    /// It repeats what is known.
    Stale,
    /// Something holds it still.
    Held,
}

impl Device {
    /// Whether new work may be placed on it.
    pub fn takes_work(&self) -> bool {
        matches!(self.state, DeviceState::Ok | DeviceState::Returned)
    }

    /// What is wrong with it, as a sentence's clause; none while it takes work.
    pub fn fault(&self) -> Option<String> {
        let state = self.state.as_str();
        (!self.takes_work()).then(|| alloc::format!("{state}: {}", self.reason))
    }

    /// Applies what happened in this boot of the machine. On `Err` nothing has changed.
    pub fn apply(
        &mut self,
        event: &DeviceEvent,
        boot: &str,
        now: Timestamp,
    ) -> Result<(), DeviceRefusal> {
        use DeviceState::{Drained, Ok as Well, Quarantined, Returned, Suspect};
        match (event, self.state) {
            (DeviceEvent::Ailing { what }, Well) => self.trouble(Suspect, what, now),
            // Its quiet begins when that is over.
            (DeviceEvent::Ailing { .. }, Suspect) if now.since(self.troubled) >= BURST => {
                self.troubled = now;
            }
            // The same trouble, told once more.
            (DeviceEvent::Slight { .. }, Suspect)
                if self.slight > 0 && now.since(self.counted) < BURST =>
            {
                return Err(DeviceRefusal::Stale);
            }
            (DeviceEvent::Slight { what }, Well | Suspect) if self.slight + 1 < SLIGHT_MAX => {
                (self.slight, self.counted, self.boot) = (self.slight + 1, now, boot.into());
                self.trouble(Suspect, what, now);
            }
            (DeviceEvent::Slight { what } | DeviceEvent::Grave { what }, Well | Suspect) => {
                self.boot = boot.into();
                self.trouble(Drained, what, now);
            }
            (DeviceEvent::Slight { what } | DeviceEvent::Grave { what }, Returned) => {
                (self.again, self.boot) = (true, boot.into());
                self.trouble(Drained, what, now);
            }
            // The first trouble is the one to tell; that this boot had one too is to be known.
            (DeviceEvent::Slight { .. } | DeviceEvent::Grave { .. }, Drained | Quarantined)
                if self.boot != boot =>
            {
                (self.troubled, self.boot) = (now, boot.into());
            }
            (DeviceEvent::TakenOut { what }, Well | Suspect | Returned) => {
                (self.taken_out, self.boot) = (true, boot.into());
                self.trouble(Drained, what, now);
            }
            (DeviceEvent::TakenOut { .. }, Drained | Quarantined) if !self.taken_out => {
                self.taken_out = true;
            }
            (DeviceEvent::Quiet, Suspect) if now.since(self.troubled) >= SUSPICION => {
                *self = Self { since: now, ..Self::default() };
            }
            (DeviceEvent::Quiet, Returned) if now.since(self.since) >= PROBATION => {
                *self = Self { since: now, ..Self::default() };
            }
            (DeviceEvent::Empty, Drained) => (self.state, self.since) = (Quarantined, now),
            (DeviceEvent::Reset, Quarantined)
                if !(self.again || self.taken_out) && self.boot != boot =>
            {
                self.give_back(now);
            }
            (DeviceEvent::GivenBack, Suspect | Quarantined) => self.give_back(now),
            (DeviceEvent::GivenBack, Drained) => return Err(DeviceRefusal::Held),
            _ => return Err(DeviceRefusal::Stale),
        }
        Ok(())
    }

    fn trouble(&mut self, state: DeviceState, what: &str, now: Timestamp) {
        if state != self.state {
            self.since = now;
        }
        (self.state, self.troubled, self.reason) = (state, now, what.into());
    }

    fn give_back(&mut self, now: Timestamp) {
        (self.state, self.since, self.slight) = (DeviceState::Returned, now, 0);
        self.taken_out = false;
    }
}

impl DeviceState {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeviceState::Ok => "ok",
            DeviceState::Suspect => "suspect",
            DeviceState::Drained => "drained",
            DeviceState::Quarantined => "quarantined",
            DeviceState::Returned => "returned",
        }
    }
}
