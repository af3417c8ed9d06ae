//! One large file in parts: those that are there already, as the server's sums say, are not sent.

use super::put::Turn;
use crate::failure::Failure;
use crate::show::err_line;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use tokio::task::JoinHandle;
use weft_api::wire::{
    BeginUpload, DataObject, FinishUpload, ObjectPut, SHA256, SHA256_PARTS, UploadedPart,
    part_bytes,
};
use weft_client::{Client, ClientError, Intent, Upload};
use weft_types::Bytes;

/// Bytes that are read at a time to know what a file is.
const READ: usize = 1 << 20;

/// What a put of one file came to.
pub(super) struct Sent {
    pub(super) put: ObjectPut,
    /// Bytes that were there from a put before.
    pub(super) resumed: u64,
}

/// Puts a file in parts. Interrupted, what has arrived waits for the next put of the same file.
pub(super) async fn put(
    client: &Client,
    dataset: &str,
    object: &str,
    file: &Upload,
    quiet: bool,
) -> Result<Sent, Failure> {
    let begin = BeginUpload {
        path: object.to_owned(),
        bytes: file.bytes,
        modified_ns: file.modified_ns.unwrap_or_default().to_string(),
    };
    let begun = client.begin_upload(dataset, &begin, &Intent::new()).await?;
    if begun.changed && !quiet {
        let object = object.escape_default();
        err_line(&format!("{object} has changed since its put was interrupted: it is sent anew"));
    }
    let part = |number: u32| {
        let from = u64::from(number - 1) * begun.part_bytes;
        let bytes = begun.part_bytes.min(file.bytes.saturating_sub(from));
        Upload { from, bytes, ..file.clone() }
    };
    let (mut sums, mut resumed, mut new_bytes) = (Sha256::new(), 0, 0);
    let mut next = sum(&part(1));
    for number in 1.. {
        let here = part(number);
        let sum_here = known(object, next).await?;
        // What comes next is looked at while this is sent.
        next = sum(&part(number + 1));
        let kept = begun.parts.iter().find(|kept| kept.number == number);
        match kept.filter(|kept| kept.sha256 == hex(&sum_here)) {
            Some(kept) => {
                resumed += kept.bytes;
                (file.sent)(kept.bytes);
            }
            None => {
                let sent = send(client, dataset, (begun.id, number), &here).await;
                new_bytes += sent?.new_bytes;
            }
        }
        sums.update(sum_here);
        if here.from + here.bytes >= file.bytes {
            break;
        }
    }
    if resumed > 0 && !quiet {
        let (resumed, all) = (Bytes(resumed), Bytes(file.bytes));
        let object = object.escape_default();
        err_line(&format!("{object} went on: {resumed} of {all} were there already"));
    }
    let finish = FinishUpload { sha256_parts: hex(&sums.finalize()) };
    let put = client.finish_upload(dataset, begun.id, &finish, &Intent::new()).await?;
    Ok(Sent { put: ObjectPut { new_bytes, ..put }, resumed })
}

/// Sends a part.
async fn send(
    client: &Client,
    dataset: &str,
    (upload, number): (u64, u32),
    part: &Upload,
) -> Result<UploadedPart, ClientError> {
    let mut turn = Turn::default();
    loop {
        let sent = client.put_part(dataset, upload, number, part).await;
        if !turn.waits(sent.as_ref().err()).await {
            return sent;
        }
    }
}

/// Begins to look at a part.
fn sum(part: &Upload) -> JoinHandle<io::Result<[u8; 32]>> {
    let (file, from, bytes) = (part.file.clone(), part.from, part.bytes);
    tokio::task::spawn_blocking(move || sum_of(&file, from, bytes))
}

async fn known(object: &str, sum: JoinHandle<io::Result<[u8; 32]>>) -> Result<[u8; 32], Failure> {
    let sum = sum.await.map_err(io::Error::other).and_then(|sum| sum);
    sum.map_err(|e| Failure::local(object, e))
}

/// The SHA-256 of a stretch of a file; of less where it is shorter by now.
fn sum_of(file: &File, from: u64, bytes: u64) -> io::Result<[u8; 32]> {
    let (mut hash, mut piece, mut at) = (Sha256::new(), vec![0; READ], 0);
    while at < bytes {
        let wanted = usize::try_from(bytes - at).unwrap_or(READ).min(READ);
        match file.read_at(&mut piece[..wanted], from + at)? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                at += read as u64;
            }
        }
    }
    Ok(hash.finalize().into())
}

/// Whether a file has what an object has, by the sum that is told of it; none where none is told.
pub(super) fn is_of(file: &File, object: &DataObject) -> io::Result<Option<bool>> {
    let bytes = file.metadata()?.len();
    if let Some(told) = object.notes.get(SHA256) {
        return Ok(Some(*told == hex(&sum_of(file, 0, bytes)?)));
    }
    let Some(told) = object.notes.get(SHA256_PARTS) else { return Ok(None) };
    Ok(Some(*told == sum_of_parts(file, bytes)?))
}

/// The sum of a file's parts' sums, as the note of an object that was put in parts has it.
fn sum_of_parts(file: &File, bytes: u64) -> io::Result<String> {
    let (part, mut hash, mut from) = (part_bytes(bytes), Sha256::new(), 0);
    while from < bytes {
        hash.update(sum_of(file, from, part.min(bytes - from))?);
        from += part;
    }
    Ok(hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
