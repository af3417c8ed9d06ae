//! Words of other tools: what a Slurm, Kubernetes, SkyPilot or dstack user meant.

/// What to type instead of a command that Weft does not have.
pub(crate) fn meant(word: &str) -> Option<&'static str> {
    let pairs: &[(&[&str], &str)] = &[
        (&["squeue", "list", "ls", "queue", "top", "jobs"], "weft ps"),
        (&["sbatch", "srun", "salloc", "submit", "launch", "qsub", "bsub"], "weft run"),
        (&["scancel", "cancel", "kill", "terminate", "qdel"], "weft stop"),
        (&["sinfo", "offer", "show-gpus", "nvidia-smi", "gpu", "devices"], "weft gpus"),
        (&["sacct", "cost-report", "sreport", "billing", "usage"], "weft cost"),
        (&["scontrol", "describe", "explain", "status"], "weft why"),
        (&["create", "deploy"], "weft apply -f FILE"),
        (&["delete", "remove"], "weft rm"),
        (&["ssh", "shell", "sh"], "weft exec -t NAME -- bash"),
        (&["log", "tail"], "weft logs -f"),
        (&["stats"], "weft metrics"),
        (&["get", "inspect"], "weft ps --json"),
        (&["server", "start", "serve", "daemon"], "weft up"),
        (&["check", "probe"], "weft doctor"),
        (&["shutdown"], "weft down"),
        (&["download", "cp", "artifacts"], "weft outputs NAME --to DIR"),
        (&["cordon", "drain"], "weft admin node drain"),
        (&["backup"], "weft admin backup"),
        (&["event"], "weft events"),
        (&["images", "pull"], "weft image list"),
        (&["token", "login"], "weft admin token create"),
        (&["user"], "weft admin user list"),
    ];
    pairs.iter().find(|(words, _)| words.contains(&word)).map(|(_, meant)| *meant)
}
