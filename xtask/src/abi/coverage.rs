//! What is done of the driver: a page with every function, its class, and who has it.
//!
//! A hook of the library before the driver, and a function that the stand-in offers, are seen by
//! their declarations in those crates' sources.

use super::header::Revision;
use crate::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use weft_cuda_abi::{Class, class_of};

/// Where the page is kept.
pub(crate) const PAGE: &str = "docs/reference/cuda.md";

/// The classes in the order of the page.
const ORDER: [Class; 10] = [
    Class::Charge,
    Class::Refund,
    Class::Share,
    Class::Context,
    Class::Module,
    Class::View,
    Class::Launch,
    Class::Copy,
    Class::Resolve,
    Class::Pass,
];

const HEAD: &str = "\
# The CUDA driver's functions, and what is done of them

Written by `cargo xtask abi --write`, checked by `cargo xtask abi`. A name stands for all its
revisions. *Hooked*: the library before the driver does something around it; all others go straight
to the driver. *Stand-in*: the tests' driver offers it, in at least one revision; all others answer
that they are not supported.

";

/// The page.
///
/// # Errors
/// A source that cannot be read.
pub(crate) fn page(revisions: &[Revision]) -> Result<String, String> {
    let hooked = declared("crates/weft-cuda-shim/src", |line| {
        let names = line.trim().strip_prefix('[')?.split(']').next()?;
        Some(names.split(',').map(|name| name.trim().to_owned()).collect())
    })?;
    let offered = declared("crates/weft-fakecuda/src", |line| {
        let name = line.trim().strip_prefix("fn cu")?.split('(').next()?;
        Some(vec![format!("cu{name}")])
    })?;
    let mut classes = BTreeMap::<Class, BTreeMap<&str, [bool; 2]>>::new();
    for Revision { name, symbol, .. } in revisions {
        let class = class_of(name);
        let done = classes.entry(class).or_default().entry(name).or_default();
        // The launches' hook is in the jump itself.
        done[0] |= hooked.contains(symbol) || class == Class::Launch;
        done[1] |= offered.contains(symbol);
    }
    let mut page = String::from(HEAD);
    page.push_str("| class | functions | hooked | stand-in |\n|--|--|--|--|\n");
    for (class, names) in ordered(&classes) {
        let count = |which: usize| names.values().filter(|done| done[which]).count();
        let _ = writeln!(page, "| {class:?} | {} | {} | {} |", names.len(), count(0), count(1));
    }
    for (class, names) in ordered(&classes) {
        let _ = write!(page, "\n## {class:?}\n\n| function | hooked | stand-in |\n|--|--|--|\n");
        for (name, done) in names {
            let [hooked, offered] = done.map(|done| if done { "yes" } else { "" });
            let _ = writeln!(page, "| {name} | {hooked} | {offered} |");
        }
    }
    Ok(page)
}

type Classes<'a> = BTreeMap<Class, BTreeMap<&'a str, [bool; 2]>>;

fn ordered<'a>(
    classes: &'a Classes<'a>,
) -> impl Iterator<Item = (Class, &'a BTreeMap<&'a str, [bool; 2]>)> {
    ORDER.into_iter().filter_map(|class| Some((class, classes.get(&class)?)))
}

/// The names that the lines of a crate's files declare.
fn declared(
    folder: &str,
    of: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<BTreeSet<String>, String> {
    let path = workspace::root().join(folder);
    let said = |error| format!("{folder}: {error}");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&path).map_err(said)?.flatten() {
        let text = fs::read_to_string(entry.path()).map_err(said)?;
        names.extend(text.lines().filter_map(&of).flatten());
    }
    Ok(names)
}
