//! This process as a client of MPS: whether it is one, and what it may have then.
//!
//! By `cuInit`, as with the driver: where the variable `CUDA_MPS_PIPE_DIRECTORY` names a folder in
//! which a daemon answers, the process is a client of it for as long as it lives; where none
//! answers, it goes on without. The stand-in for the daemon is `control/nvidia-cuda-mps-control`;
//! what is spoken between the two is their own. A client's own variables make its limits
//! narrower and never wider; a client whose server is gone is refused everything.
//!
//! Unlike the driver's, no folder is looked into that is not named.

use crate::driver::driver;
use crate::outcome::{MPS_CLIENT_TERMINATED, Outcome};
use rustix::net::{RecvFlags, recv};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;

/// Hundredths.
const WHOLE: f64 = 100.0;

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    /// The daemon's end is closed when the server is gone.
    daemon: UnixStream,
    /// Of the processors of each device, in hundredths.
    percentage: f64,
    /// Bytes of devices, by their places.
    memory: Vec<(usize, u64)>,
}

/// Decided by the first `cuInit`.
static CLIENT: OnceLock<Option<Client>> = OnceLock::new();

/// Becomes a client, where that is what the environment says. Waits while the daemon serves
/// another user.
pub(crate) fn begin() {
    CLIENT.get_or_init(|| {
        let pipes = std::env::var_os("CUDA_MPS_PIPE_DIRECTORY")?;
        let mut daemon = UnixStream::connect(Path::new(&pipes).join("control")).ok()?;
        writeln!(daemon, "client").ok()?;
        let mut said = String::new();
        BufReader::new(&daemon).read_line(&mut said).ok()?;
        let mut words = said.split_whitespace();
        let percentage: f64 = words.next()?.parse().ok()?;
        let devices = words.next()?.strip_prefix("devices=")?.to_owned();
        // A server that keeps no limits, as a test has it.
        if percentage == 0.0 {
            return Some(Client { daemon, percentage: WHOLE, memory: Vec::new() });
        }
        let own = |name: &str| std::env::var(name).unwrap_or_default();
        let narrower = own("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE").parse().unwrap_or(WHOLE);
        let narrow = own("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT");
        let all = words.next().unwrap_or("").split(',').chain(narrow.split(','));
        let memory = all.filter_map(|one| limit(one, &devices)).collect();
        Some(Client { daemon, percentage: percentage.min(narrower), memory })
    });
}

/// `0=10G`, `GPU-…=512MB`, `0=1024`: a device's place, and bytes. A place counts those that the
/// daemon sees.
fn limit(text: &str, visible: &str) -> Option<(usize, u64)> {
    let (device, amount) = text.split_once('=')?;
    let uuid = match device.parse::<usize>() {
        Ok(place) => visible.split(',').nth(place)?,
        Err(_) => device,
    };
    let digits = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
    let (number, unit) = amount.split_at(digits);
    let factor = match unit {
        "" => 0,
        "M" | "MB" => 20,
        "G" | "GB" => 30,
        _ => return None,
    };
    let place = crate::device::devices().iter().position(|device| device.uuid_text() == uuid)?;
    Some((place, number.parse::<u64>().ok()? << factor))
}

fn client() -> Option<&'static Client> {
    CLIENT.get()?.as_ref()
}

/// Whether this process is a client.
pub(crate) fn is_client() -> bool {
    client().is_some()
}

/// What of a device's processors this process may use, in hundredths.
pub(crate) fn percentage() -> f64 {
    client().map_or(WHOLE, |client| client.percentage)
}

/// Bytes of a device that may be taken in all, what others hold among them; an error where the
/// server is gone.
pub(crate) fn limit_of(device: usize) -> Outcome<u64> {
    let driver = driver()?;
    let all = driver.devices[device].memory();
    let Some(client) = client() else { return Ok(all) };
    let mut byte = [0];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    if matches!(recv(&client.daemon, &mut byte[..], flags), Ok((0, _))) {
        return Err(MPS_CLIENT_TERMINATED);
    }
    let own = client.memory.iter().filter(|(of, _)| *of == device).map(|(_, bytes)| *bytes).min();
    Ok(own.map_or(all, |own| all.min(own + driver.settings.neighbour)))
}
