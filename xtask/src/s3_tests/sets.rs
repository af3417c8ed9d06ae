//! Which of the tests are the core, and by which rule each other one is left out.

use std::collections::BTreeMap;

/// A test function: `test_s3.py::test_bucket_list_empty`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) marks: Vec<String>,
}

/// What leaves a function out.
enum By {
    /// A mark that begins so.
    Mark(&'static str),
    /// A name that has this in it.
    Name(&'static str),
}

/// Each rule with its name; the first that fits counts. What Weft will not have, or has by other
/// means: see `docs/guide/s3.md`.
const LEFT_OUT: &[(&str, &[By])] = &[
    ("logging of buckets", &[By::Mark("bucket_logging"), By::Name("_logging")]),
    ("lifecycles", &[By::Mark("lifecycle")]),
    ("tiers in clouds", &[By::Mark("cloud_")]),
    ("forms of browsers", &[By::Name("_post_object")]),
    ("CORS", &[By::Name("_cors")]),
    ("object lock", &[By::Name("_object_lock")]),
    ("access lists", &[By::Name("_acl"), By::Name("_access_bucket_")]),
    ("websites", &[By::Mark("s3website")]),
    ("signatures of version 2", &[By::Mark("auth_aws2")]),
    ("tenants of Ceph", &[By::Name("_tenant")]),
];

/// Reads what the plugin has written: a function and its marks on each line, once for each case.
pub(super) fn parse(told: &str) -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    for (name, marks) in told.lines().filter_map(|line| line.split_once('\t')) {
        if functions.iter().all(|known| known.name != name) {
            let marks = marks.split(',').map(str::to_owned).collect();
            functions.push(Function { name: name.to_owned(), marks });
        }
    }
    functions
}

/// The core, and what is left out by each rule.
pub(super) fn divide(
    functions: Vec<Function>,
) -> (Vec<Function>, BTreeMap<&'static str, Vec<String>>) {
    let (mut core, mut left) = (Vec::new(), BTreeMap::<_, Vec<String>>::new());
    for function in functions {
        let fits = |by: &By| match by {
            By::Mark(begins) => function.marks.iter().any(|mark| mark.starts_with(begins)),
            By::Name(part) => function.name.contains(part),
        };
        match LEFT_OUT.iter().find(|(_, rules)| rules.iter().any(fits)) {
            Some((rule, _)) => left.entry(*rule).or_default().push(function.name),
            None => core.push(function),
        }
    }
    (core, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_the_core_and_what_is_left_out() {
        let told = "test_s3.py::test_a\t\ntest_s3.py::test_a\t\n\
                    test_s3.py::test_lifecycle_get\tlifecycle_expiration,fails_on_aws\n\
                    test_s3.py::test_cors_origin_wildcard\t\ntest_headers.py::test_b\tauth_aws2\n";
        let (core, left) = divide(parse(told));
        assert_eq!(core.len(), 1, "cases of one function are one");
        assert_eq!(left["lifecycles"], ["test_s3.py::test_lifecycle_get"]);
        assert_eq!(left["CORS"].len() + left["signatures of version 2"].len(), 2);
    }
}
