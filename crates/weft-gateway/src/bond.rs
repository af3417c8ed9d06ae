//! What wrapped keys are bound to: each to one thing of one kind, so that none opens in another's
//! place.

use weft_store::{DatasetId, ObjectEntry, UploadId};
use weft_types::QueueName;

/// Of a team: its key under the master key.
pub(crate) fn of_team(queue: &QueueName) -> Vec<u8> {
    bond("team", &[queue.as_str().as_bytes()])
}

/// Of a dataset: the key that wraps its objects' keys.
pub(crate) fn of_dataset(id: DatasetId) -> Vec<u8> {
    bond("dataset", &[&id.0.to_le_bytes()])
}

/// Of a dataset: the key by which equal bytes are found.
pub(crate) fn of_content(id: DatasetId) -> Vec<u8> {
    bond("content", &[&id.0.to_le_bytes()])
}

/// Of an object as it was put by one change.
pub(crate) fn of_object(dataset: DatasetId, entry: &ObjectEntry) -> Vec<u8> {
    let parts = entry.parts.map_or(0, u64::from).to_le_bytes();
    let (id, since) = (dataset.0.to_le_bytes(), entry.since.to_le_bytes());
    let bytes = entry.bytes.0.to_le_bytes();
    bond("object", &[&id, entry.path.as_bytes(), &since, &bytes, &entry.tag, &parts])
}

/// Of an upload: the key of its notes.
pub(crate) fn of_upload(dataset: DatasetId, id: UploadId, path: &str) -> Vec<u8> {
    bond("upload", &[&dataset.0.to_le_bytes(), &id.0.to_le_bytes(), path.as_bytes()])
}

/// Of a part of an upload.
pub(crate) fn of_part(upload: UploadId, number: u32, bytes: u64, tag: &[u8]) -> Vec<u8> {
    let (upload, number) = (upload.0.to_le_bytes(), number.to_le_bytes());
    bond("part", &[&upload, &number, &bytes.to_le_bytes(), tag])
}

/// Of a source: the key of its secret.
pub(crate) fn of_source(queue: &QueueName, name: &str) -> Vec<u8> {
    bond("source", &[queue.as_str().as_bytes(), name.as_bytes()])
}

/// Each with its length before it, so that none can be taken for a part of another.
fn bond(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [&[kind.as_bytes()], parts].concat() {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
