//! Golden texts: what was reviewed, against what is said now.

use std::path::Path;

/// Compares a text with the reviewed one in a file; `WEFT_BLESS=1` takes it over.
///
/// # Panics
/// When they differ.
pub fn golden(file: &Path, fresh: &str) {
    if std::env::var_os("WEFT_BLESS").is_some() {
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).expect("a place for golden files");
        }
        std::fs::write(file, fresh).expect("a golden file is written");
        return;
    }
    let reviewed = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        reviewed == fresh,
        "{} is not what was reviewed; WEFT_BLESS=1 takes it over\n--- reviewed\n{reviewed}\n\
         --- now\n{fresh}",
        file.display()
    );
}
