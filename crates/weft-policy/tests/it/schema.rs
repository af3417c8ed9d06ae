//! The schema names the verbs of the code, and the forbids cannot be left out.

use std::collections::HashSet;
use weft_policy::{Policy, Verb};

#[test]
fn the_schema_declares_exactly_the_verbs() {
    let policy = Policy::embedded();
    let code: HashSet<String> = Verb::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(policy.schema_verbs(), code);
}

#[test]
fn the_schema_groups_verbs_by_their_effect() {
    let policy = Policy::embedded();
    for verb in Verb::ALL.iter().copied() {
        assert_eq!(policy.in_group(verb, "mutate"), verb.effect().mutates(), "{verb}: mutate");
        assert_eq!(policy.in_group(verb, "data"), verb.effect().reads_data(), "{verb}: data");
    }
}

#[test]
fn policies_are_checked_against_the_schema() {
    let schema = include_str!("../../policies/weft.cedarschema");
    let bad = [
        ("no such action", r#"@id("x") permit (principal, action == Action::"fly", resource);"#),
        (
            "no such attribute",
            r#"@id("x") permit (principal, action, resource) when { principal.tall };"#,
        ),
        ("no id", "permit (principal, action, resource);"),
        ("a forbid that does not say why", r#"@id("x") forbid (principal, action, resource);"#),
        (
            "an optional attribute without has",
            r#"@id("x") permit (principal, action, resource) when { resource in principal.queue };"#,
        ),
    ];
    for (why, source) in bad {
        assert!(Policy::parse(&[source], schema).is_err(), "{why}");
    }
}
