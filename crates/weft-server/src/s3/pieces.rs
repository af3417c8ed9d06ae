//! The parts that an object was put in: how large each was, and its checksum, kept as a note, so
//! that they can be asked for one by one.
//!
//! ```text
//! 3*5242880 1048576            four parts
//! 5242880:qz0H…= 17:Ab3…=      two, with their checksums
//! ```

use super::sums::Way;
use s3s::dto::Checksum;
use s3s::{S3Result, s3_error};
use std::ops::Range;
use weft_gateway::Notes;
use weft_store::ObjectEntry;

/// The note's name.
pub(super) const PIECES: &str = "x-weft-parts";
/// Longest such note, in bytes: a third of what may be said of an object. Ten thousand equal parts
/// are a dozen bytes; where checksums do not fit they are left out, then all of it.
const NOTE_MAX: usize = 5 << 10;

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: u64,
    /// Base64 of its checksum, of the object's algorithm.
    pub(super) sum: Option<String>,
}

/// The parts as a note; none where that would be too long.
pub(super) fn written(pieces: &[Piece]) -> Option<String> {
    let with_sums = line(pieces.iter().map(|piece| match &piece.sum {
        Some(sum) => format!("{}:{sum}", piece.bytes),
        None => piece.bytes.to_string(),
    }));
    with_sums.or_else(|| line(pieces.iter().map(|piece| piece.bytes.to_string())))
}

/// Words, with how many equal ones follow each other.
fn line(words: impl Iterator<Item = String>) -> Option<String> {
    let mut runs: Vec<(usize, String)> = Vec::new();
    for word in words {
        match runs.last_mut() {
            Some((times, last)) if *last == word => *times += 1,
            _ => runs.push((1, word)),
        }
    }
    let show = |(times, word): (usize, String)| match times {
        1 => word,
        _ => format!("{times}*{word}"),
    };
    let line = runs.into_iter().map(show).collect::<Vec<_>>().join(" ");
    Some(line).filter(|line| line.len() <= NOTE_MAX)
}

/// The parts that a note tells of; none where there is none, or it is not of an object this long.
pub(super) fn of(notes: &Notes, all: u64) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for word in notes.get(PIECES)?.split(' ') {
        let (times, word) = word.split_once('*').unwrap_or(("1", word));
        let (bytes, sum) = word.split_once(':').map_or((word, None), |(b, s)| (b, Some(s)));
        let piece = Piece { bytes: bytes.parse().ok()?, sum: sum.map(str::to_owned) };
        let times =
            times.parse().ok().filter(|times| *times <= weft_gateway::PARTS_MAX as usize)?;
        pieces.extend(std::iter::repeat_n(piece, times));
    }
    let sum = pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.bytes));
    (sum == Some(all)).then_some(pieces)
}

/// Where a part lies in its object, and how many there are; of one that was put at once, all.
pub(super) fn place(
    notes: &Notes,
    all: u64,
    parts: Option<u32>,
    number: i32,
) -> S3Result<(Range<u64>, u32)> {
    let none = || s3_error!(InvalidPart, "the object has no part {number}");
    let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let at = at.ok_or_else(none)?;
    let pieces = match parts {
        None => vec![Piece { bytes: all, sum: None }],
        Some(_) => of(notes, all).ok_or_else(|| {
            s3_error!(
                NotImplemented,
                "it is not known any more what its parts were; ask for a range"
            )
        })?,
    };
    let bytes = pieces.get(at).ok_or_else(none)?.bytes;
    let begin = pieces.iter().take(at).map(|piece| piece.bytes).sum::<u64>();
    Ok((begin..begin + bytes, u32::try_from(pieces.len()).unwrap_or(u32::MAX)))
}

/// The checksum of a part, as S3 shows it; none where it has none.
pub(super) fn sums(notes: &Notes, entry: &ObjectEntry, number: i32) -> Option<Checksum> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    let piece = of(notes, entry.bytes.0)?.into_iter().nth(at)?;
    let mut sums = piece.sums(notes)?;
    sums.checksum_type = Way::of(notes).map(Way::kind);
    Some(sums)
}

impl Piece {
    /// Its checksum, of the algorithm of its object.
    pub(super) fn sums(&self, notes: &Notes) -> Option<Checksum> {
        let sum = [(Way::of(notes)?.header(), self.sum.clone()?)].into_iter().collect();
        Some(super::notes::sums(&sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(pieces: &[Piece]) -> Notes {
        let note = written(pieces).map(|text| (PIECES.to_owned(), text));
        note.into_iter().collect()
    }

    #[test]
    fn parts_come_back_as_they_were() {
        let piece = |bytes, sum: Option<&str>| Piece { bytes, sum: sum.map(str::to_owned) };
        let mixed = [piece(5, None), piece(5, None), piece(7, Some("ab+/==")), piece(0, None)];
        assert_eq!(of(&noted(&mixed), 17).as_deref(), Some(&mixed[..]));
        assert_eq!(of(&noted(&mixed), 18), None, "of another object");
        let many = vec![piece(5 << 20, None); 10_000];
        assert_eq!(noted(&many)[PIECES], "10000*5242880");
        // What does not fit is left out: first the checksums, then all.
        let summed: Vec<_> = (0..200).map(|n| piece(5, Some(&format!("{n:044}")))).collect();
        assert!(of(&noted(&summed), 1_000).unwrap().iter().all(|piece| piece.sum.is_none()));
        let uneven: Vec<_> = (0..10_000).map(|n| piece(n + (5 << 20), None)).collect();
        assert_eq!(written(&uneven), None);
    }

    #[test]
    fn a_part_is_found_by_its_number() {
        let notes = [(PIECES.to_owned(), "2*10 3".to_owned())].into_iter().collect();
        assert_eq!(place(&notes, 23, Some(3), 3).unwrap(), (20..23, 3));
        for none in [0, -1, 4] {
            assert!(place(&notes, 23, Some(3), none).is_err(), "{none}");
        }
        assert_eq!(place(&Notes::new(), 9, None, 1).unwrap(), (0..9, 1));
        assert!(place(&Notes::new(), 9, None, 2).is_err());
        let huge = [(PIECES.to_owned(), "99999999999*1".to_owned())].into_iter().collect();
        assert_eq!(of(&huge, 99_999_999_999), None, "a note is no bomb");
    }
}
