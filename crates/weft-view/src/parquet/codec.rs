//! How pages are pressed together, and opened again: never to more bytes than are allowed.

use crate::reason::Reason;
use std::io::Read;

const BROKEN: Reason = Reason::Malformed("has a page that cannot be unpacked");

/// Opens a page that is to have `size` bytes; the caller has looked at that number.
pub(super) fn open(codec: i64, packed: &[u8], size: usize) -> Result<Vec<u8>, Reason> {
    let page = match codec {
        0 => packed.to_vec(),
        1 => {
            if snap::raw::decompress_len(packed).ok() != Some(size) {
                return Err(BROKEN);
            }
            snap::raw::Decoder::new().decompress_vec(packed).map_err(|_| BROKEN)?
        }
        2 => read(flate2::read::MultiGzDecoder::new(packed), size)?,
        6 => zstd(packed, size)?,
        7 => {
            let mut page = vec![0; size];
            let count = lz4_flex::block::decompress_into(packed, &mut page);
            page.truncate(count.map_err(|_| BROKEN)?);
            page
        }
        _ => {
            return Err(Reason::Malformed(
                "is packed in a way that views do not read: write it with Snappy, Zstandard, \
                 gzip, raw LZ4 or without compression",
            ));
        }
    };
    if page.len() == size { Ok(page) } else { Err(BROKEN) }
}

fn read(from: impl Read, size: usize) -> Result<Vec<u8>, Reason> {
    let mut page = Vec::with_capacity(size);
    // One byte more than it says is as wrong as one byte less.
    from.take(size as u64 + 1).read_to_end(&mut page).map_err(|_| BROKEN)?;
    Ok(page)
}

/// One frame behind the other.
fn zstd(mut packed: &[u8], size: usize) -> Result<Vec<u8>, Reason> {
    let mut page = Vec::with_capacity(size);
    while !packed.is_empty() && page.len() <= size {
        let left = (size - page.len()) as u64 + 1;
        let frame = ruzstd::decoding::StreamingDecoder::new(&mut packed).map_err(|_| BROKEN)?;
        frame.take(left).read_to_end(&mut page).map_err(|_| BROKEN)?;
    }
    Ok(page)
}

/// Presses a page that is written.
pub(super) fn press(page: &[u8]) -> Vec<u8> {
    // It fails where a page has 4 GiB; ours have some megabytes.
    snap::raw::Encoder::new().compress_vec(page).expect("a page is short")
}

/// What [`press`] makes, by its number in the format.
pub(super) const PRESSED: i32 = 1;
