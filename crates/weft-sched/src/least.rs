//! Placing a gang where it counts least against its queue's share.
//!
//! A request by memory is a larger part of a small device than of a large one, and an instance
//! counts by its device's slices. Packing prefers the least valuable kind that serves; only where
//! the queue's share has no room for what that counts are the kinds tried in the order of what they
//! count. Called by `start.rs`, so that what is promised and what starts later agree, and by all
//! that ask whether it would.

use crate::board::{Class, Gpu, Kinds, Piece, Pool, Span, View};
use crate::pass::Pass;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

impl Pass<'_> {
    /// Take capacity for the whole gang on the devices that count least; none where it counts the
    /// same wherever it lies, or does not fit.
    pub(crate) fn place_least(&mut self, at: usize, view: View, span: Span) -> Option<Vec<Piece>> {
        let board = &mut self.board;
        let (class, gang) = (board.waiting[at].class as usize, board.waiting[at].gang);
        let number = board.classes.len() as u32;
        place_least(
            (&mut board.pool, &board.kinds, number),
            (&board.classes[class], gang),
            view,
            span,
        )
    }
}

/// Take capacity for a gang on the devices of a pool that count least, kind by kind; with the
/// number of a class that is in nobody's use.
pub(crate) fn place_least(
    (pool, kinds, number): (&mut Pool, &Kinds, u32),
    (class, gang): (&Class, u32),
    view: View,
    span: Span,
) -> Option<Vec<Piece>> {
    let counts = counts(class, kinds);
    if counts.len() < 2 {
        return None;
    }
    let mark = pool.mark();
    let mut pieces = Vec::new();
    for most in counts {
        let some = Class { number, ..no_more(class, kinds, most) };
        pool.forget_scores(number);
        let left = gang - pieces.len() as u32;
        pieces.extend(pool.place_some(&some, left, view, span));
    }
    pool.forget_scores(number);
    if (pieces.len() as u64) < u64::from(gang) {
        pool.rollback(mark);
        return None;
    }
    Some(pieces)
}

/// What a member's device may count, in thousandths, least first.
fn counts(class: &Class, kinds: &Kinds) -> BTreeSet<u64> {
    match &class.gpu {
        Gpu::Memory(_) => class.on_kind.iter().flatten().map(|(milli, _)| *milli).collect(),
        Gpu::Mig(profile, _) => {
            let serving = kinds.geometries.iter().zip(&class.on_geometry);
            let serving = serving.filter(|(_, places)| !places.is_empty());
            serving.map(|(geometry, _)| geometry.milli(profile.slices)).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// The class on those devices only that count no more than this.
fn no_more(class: &Class, kinds: &Kinds, most: u64) -> Class {
    let mut some = class.clone();
    match &class.gpu {
        Gpu::Mig(profile, _) => {
            let each = kinds.geometries.iter().zip(&mut some.on_geometry);
            let more = each.filter(|(geometry, _)| geometry.milli(profile.slices) > most);
            more.for_each(|(_, places)| places.clear());
        }
        _ => {
            let each = some.on_kind.iter_mut();
            let more = each.filter(|on| on.is_some_and(|(milli, _)| milli > most));
            more.for_each(|on| *on = None);
        }
    }
    some
}
