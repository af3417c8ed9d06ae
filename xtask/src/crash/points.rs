//! Every failpoint there is, read off the sources, so that a new one is struck without being
//! listed anywhere.

use crate::workspace;

/// Points no run of the harness passes; the store's own tests strike there.
const ELSEWHERE: [&str; 2] = ["store.backup.", "store.restore."];

/// Names of all failpoints, in order.
pub(super) fn all() -> Vec<String> {
    let mut names: Vec<String> = workspace::files()
        .iter()
        .filter(|file| file.is_rust() && file.path.starts_with("crates/"))
        .flat_map(|file| names_in(&file.text))
        .collect();
    names.retain(|name| !ELSEWHERE.iter().any(|front| name.starts_with(front)));
    names.sort();
    names.dedup();
    names
}

/// `hit("store.begin")` names one; a name has a point in it.
fn names_in(text: &str) -> Vec<String> {
    let quoted = text.split("hit(\"").skip(1).filter_map(|rest| rest.split('"').next());
    quoted.filter(|name| name.contains('.')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_found() {
        let text = "failpoint::hit(\"store.begin\")?; hit(\"x\"); let _ = hit(\"agent.start\");";
        assert_eq!(super::names_in(text), ["store.begin", "agent.start"]);
        assert!(!super::all().is_empty());
    }
}
