//! Every key of a workload file: its aliases, and advice for keys of other tools.
//!
//! A new key is added here, read in the file of its noun and described in `schema.rs`; a test
//! holds this table and the schema together.

/// A key: its own name first, then the names that users of other tools write.
pub(super) type Names = &'static [&'static str];

/// Keys of the file itself.
pub(super) const FILE: &[Names] = &[
    &["type"],
    &["name"],
    &["phase"],
    &["queue"],
    &["priority"],
    &["image"],
    &["python"],
    &["requirements"],
    &["setup"],
    &["run"],
    &["commands"],
    &["env", "envs"],
    &["files"],
    &["workdir"],
    &["bundle"],
    &["outputs"],
    &["data"],
    &["resources"],
    &["replicas", "nodes", "num_nodes"],
    &["max_duration"],
    &["retry"],
    &["ports"],
    &["network"],
    &["stop_grace", "stop_duration"],
    &["suspend"],
    &["expected_duration"],
];

/// Keys below `resources`.
pub(super) const RESOURCES: &[Names] = &[
    &["cpu", "cpus"],
    &["memory"],
    &["disk", "disk_size"],
    &["gpu", "accelerators"],
    &["isolation"],
];

/// Keys below `resources.gpu` in its map form.
pub(super) const GPU: &[Names] = &[&["name"], &["memory"], &["count"], &["vendor"]];

/// Keys below `retry`.
pub(super) const RETRY: &[Names] = &[&["on", "on_events"], &["max"]];

/// Keys below `suspend` in its map form.
pub(super) const SUSPEND: &[Names] = &[&["by"], &["cost"]];

/// Keys of an entry of `data` in its map form.
pub(super) const DATA: &[Names] = &[&["from"], &["to"], &["mode"], &["sample"]];

/// Keys of an entry of `outputs` in its map form.
pub(super) const OUTPUT: &[Names] = &[&["from"], &["to"]];

/// Advice for keys that other tools know and this file does not.
const ADVICE: &[(&str, &str)] = &[
    ("accelerators", "write it under `resources:`"),
    ("cpu", "write it under `resources:`"),
    ("cpus", "write it under `resources:`"),
    ("gpu", "write it under `resources:`"),
    ("isolation", "write it under `resources:`"),
    ("gpus", "write `gpu:` under `resources:`"),
    ("memory", "write it under `resources:`"),
    ("disk", "write it under `resources:`"),
    ("shm_size", "shared memory is part of `memory`; remove the line"),
    ("repos", "name the files to take along under `files:`"),
    ("file_mounts", "name the files to take along under `files:`"),
    ("file_mount", "name the files to take along under `files:`"),
    ("datasets", "write `data:`, as in `data: claims@v7`"),
    ("dataset", "write `data:`, as in `data: claims@v7`"),
    ("sample", "this version mounts whole datasets"),
    ("volumes", "keep results with `outputs:`, take files along with `files:`"),
    ("secrets", "secrets are not read from a file that is shared"),
    ("command", "write `run:`, as text for the shell or as a list of program and arguments"),
    ("cmd", "write `run:`, as text for the shell or as a list of program and arguments"),
    ("script", "write `run:`"),
    ("entrypoint", "write `run:`"),
    ("image_id", "write `image:` at the top of the file"),
    ("docker", "write `image:`; no Docker is needed"),
    ("infra", "Weft finds the place; remove the line"),
    ("cloud", "Weft finds the place; remove the line"),
    ("region", "Weft finds the place; remove the line"),
    ("regions", "Weft finds the place; remove the line"),
    ("backends", "Weft finds the place; remove the line"),
    ("fleets", "the pool is one; remove the line, or name a `queue:`"),
    ("use_spot", "what is lent is taken back and given again by itself; remove the line"),
    ("spot_policy", "what is lent is taken back and given again by itself; remove the line"),
    ("any_of", "write the kinds that will do as one: `gpu: H100,A100`"),
    ("ordered", "write the kinds that will do as one: `gpu: H100,A100`"),
    ("timeout", "write `max_duration:`"),
    ("time_limit", "write `max_duration:`"),
    ("team", "write `queue:`"),
    ("project", "write `queue:`"),
    ("environment", "write `env:`"),
    ("duration", "write `max_duration:`; below `retry:` write `max:`, how often it starts again"),
    ("max_retries", "write `max:`"),
    ("checkpoint", "write `suspend: checkpoint`"),
    ("resumable", "write `suspend: checkpoint`"),
    ("estimate", "write `expected_duration:`"),
];

/// How alike two keys have to be for one to be a slip of the other (Jaro–Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// What to say about a key that is not known.
pub(super) fn advice(key: &str, known: &[Names]) -> String {
    let lower = key.to_ascii_lowercase().replace('-', "_");
    if let Some((_, advice)) = ADVICE.iter().find(|(name, _)| *name == lower) {
        return (*advice).to_owned();
    }
    match nearest(&lower, known.iter().flat_map(|names| names.iter().copied())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let names: Vec<_> = known.iter().map(|names| names[0]).collect();
            format!("known here: {}", names.join(", "))
        }
    }
}

/// The known word a slip was meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Two letters swapped are one slip, however short the word.
    let swapped = |name: &str| if strsim::osa_distance(word, name) == 1 { 1.0 } else { 0.0 };
    known
        .map(|name| (strsim::jaro_winkler(word, name).max(swapped(name)), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_key() {
        let slips = [
            ("comands", "commands"),
            ("Name", "name"),
            ("max-duration", "max_duration"),
            ("output", "outputs"),
            ("replica", "replicas"),
            ("resource", "resources"),
        ];
        for (slip, key) in slips {
            assert_eq!(advice(slip, FILE), format!("did you mean `{key}`?"));
        }
        assert!(advice("zzz", RETRY).contains("known here: on, max"));
        assert!(advice("gpu", FILE).contains("under `resources:`"));
    }
}
