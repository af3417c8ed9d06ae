//! Views of files as they come, and of files that were made to break them.

mod hostile;
mod laws;
mod parquet;
mod tables;

use weft_view::{Bytes, Counts, Fault, Key, Reason, Recipe, apply};

const KEY: Key = [7; 32];

fn try_view(recipe: &str, path: &str, file: &[u8]) -> Result<(Vec<u8>, Counts), Reason> {
    let recipe = Recipe::parse(recipe).unwrap_or_else(|e| panic!("{recipe}: {e}"));
    let mut view = Vec::new();
    match apply(&recipe, &KEY, path, &Bytes(file), &mut view) {
        Ok(counts) => Ok((view, counts)),
        Err(Fault::LeftOut(reason)) => Err(reason),
        Err(fault) => panic!("{fault}"),
    }
}

fn view(recipe: &str, path: &str, file: &str) -> String {
    let (view, _) = try_view(recipe, path, file.as_bytes()).unwrap();
    String::from_utf8(view).unwrap()
}

fn left_out(recipe: &str, path: &str, file: &[u8]) -> String {
    try_view(recipe, path, file).expect_err("a reason").to_string()
}
