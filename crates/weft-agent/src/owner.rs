//! Whose a process is, by the cgroup it is in: for figures the driver gives per process.

use weft_runtime::MemberKey;

/// The member that a process of this machine belongs to; none where it is none of ours, or gone.
pub fn owner_of(pid: u32) -> Option<MemberKey> {
    find(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// A run's cgroup is named after its key, in every hierarchy (cgroups(7), `/proc/<pid>/cgroup`).
fn find(text: &str) -> Option<MemberKey> {
    text.lines().flat_map(|line| line.split('/')).find_map(|part| part.trim_end().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_names_its_run() {
        let text = "4:memory:/weft/w42-1-0\n0::/weft/w42-1-0/inner\n";
        assert_eq!(find(text), "w42-1-0".parse().ok());
        assert_eq!(find("0::/user.slice/session-1.scope\n"), None);
    }
}
