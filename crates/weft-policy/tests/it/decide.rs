//! Properties of decisions, and examples of the ones that matter most.

use crate::reference;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Instant;
use weft_policy::{Kind, Policy, Principal, Request, Resource, Role, Scope, Source, Verb};
use weft_types::{QueueName, UserName};

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn who(role: Role, name: &str, team: Option<&str>) -> Principal {
    Principal {
        user: user(name),
        role,
        queue: team.map(queue),
        scope: Scope::Write,
        by: Source::Token,
        disabled: false,
    }
}

fn workload(owner: &str, team: &str) -> Resource {
    Resource::Workload { owner: user(owner), queue: queue(team) }
}

fn any_user() -> impl Strategy<Value = UserName> {
    select(vec!["ana", "bo", "admin"]).prop_map(user)
}

/// Few queues, so that relations of every sort come up: above, below, beside, a name's prefix.
fn any_queue() -> impl Strategy<Value = QueueName> {
    select(vec!["lab", "lab/vision", "lab/vision/x", "lab/text", "la", "other"]).prop_map(queue)
}

fn any_principal() -> impl Strategy<Value = Principal> {
    (
        any_user(),
        select(Role::ALL.to_vec()),
        proptest::option::weighted(0.8, any_queue()),
        select(vec![Scope::Read, Scope::Write]),
        select(vec![Source::Socket, Source::Token]),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(user, role, queue, scope, by, disabled)| Principal {
            user,
            role,
            queue,
            scope,
            by,
            disabled,
        })
}

fn any_resource(kind: Kind) -> impl Strategy<Value = Resource> {
    (any_user(), any_queue()).prop_map(move |(owner, queue)| match kind {
        Kind::Workload => Resource::Workload { owner, queue },
        Kind::Queue => Resource::Queue(queue),
        Kind::User => Resource::User(owner),
        Kind::Token => Resource::Token(owner),
        Kind::Pool => Resource::Pool,
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    let verbs = select(Verb::ALL.to_vec());
    verbs.prop_flat_map(|verb| {
        (any_principal(), any_resource(verb.kind()))
            .prop_map(move |(principal, resource)| Request { principal, verb, resource })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_policies_are_the_reference(request in any_request()) {
        // One for all cases: decisions remembered from other questions must not leak into this.
        static POLICY: std::sync::LazyLock<Policy> = std::sync::LazyLock::new(Policy::embedded);
        let decision = POLICY.decide(&request);
        let expected = reference::allowed(&request.principal, request.verb, &request.resource);
        prop_assert_eq!(decision.allow, expected, "{:?}: {:?}", request, decision);
        prop_assert!(!decision.allow || !decision.policies.is_empty());
        prop_assert!(decision.allow || !decision.rule.is_empty());
    }
}

#[test]
fn forbids_name_their_rule() {
    let policy = Policy::embedded();
    let ask = |principal, verb, resource| policy.decide(&Request { principal, verb, resource });
    let admin = || who(Role::Admin, "admin", None);

    let own = ask(admin(), Verb::WorkloadLogs, workload("admin", "lab"));
    assert!(own.allow, "an administrator of one machine uses it himself: {own:?}");

    let others = ask(admin(), Verb::WorkloadLogs, workload("ana", "lab"));
    assert_eq!(
        (others.allow, &*others.policies),
        (false, &["no-operator-reads-data".to_owned()][..])
    );
    assert!(others.rule.contains("do not read"), "{}", others.rule);

    let reader = Principal { scope: Scope::Read, ..admin() };
    let stop = ask(reader, Verb::WorkloadStop, workload("admin", "lab"));
    assert_eq!(&*stop.policies, &["read-tokens-change-nothing".to_owned()][..]);

    let member = ask(who(Role::Member, "bo", Some("lab")), Verb::UserList, Resource::Pool);
    assert_eq!((member.allow, member.policies.len()), (false, 0));
    assert!(member.rule.contains("no policy permits"), "{}", member.rule);
}

#[test]
fn a_resource_of_another_kind_is_denied() {
    let policy = Policy::embedded();
    for verb in Verb::ALL.iter().copied().filter(|verb| verb.kind() != Kind::Queue) {
        let principal = who(Role::Admin, "admin", None);
        let resource = Resource::Queue(queue("lab"));
        assert!(!policy.decide(&Request { principal, verb, resource }).allow, "{verb}");
    }
}

/// A remembered decision costs about 1 µs, and one of a kind about 50 µs in a release build;
/// the bounds are ten times that, for a debug build on a busy machine.
#[test]
fn decisions_are_quick() {
    let policy = Policy::embedded();
    let request = |n: usize| Request {
        principal: who(Role::Member, "bo", Some("lab/vision")),
        verb: Verb::WorkloadRead,
        resource: workload(&format!("u{n}"), "lab/vision/x"),
    };
    let timed = |round: &dyn Fn(usize)| {
        let mut times: Vec<_> = (0..200)
            .map(|n| {
                let begin = Instant::now();
                round(n);
                begin.elapsed().as_micros()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let first = timed(&|n| assert!(policy.decide(&request(n)).allow));
    let again = timed(&|n| assert!(policy.decide(&request(n)).allow));
    assert!(again <= 50, "a remembered decision took {again} µs (the first {first} µs)");
    assert!(first <= 5_000, "a first decision took {first} µs");
}
