//! Properties of decisions, and examples of the ones that matter most.

use crate::reference;
use proptest::prelude::*;
use proptest::sample::select;
use std::time::Instant;
use weft_policy::{Kind, Policy, Principal, Request, Resource, Role, Scope, Source, Verb};
use weft_types::{QueueName, Tier, UserName};

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
        carries: Tier::Public,
    }
}

fn dataset(owner: &str, team: &str, tier: Tier) -> Resource {
    let (owner, queue) = (user(owner), queue(team));
    Resource::Dataset { owner, queue, tier, granted: [].into(), view: false }
}

fn workload(owner: &str, team: &str) -> Resource {
    Resource::Workload { owner: user(owner), queue: queue(team), carries: Tier::Public }
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
        select(vec![Source::Socket, Source::Token, Source::Run]),
        proptest::bool::weighted(0.1),
        select(Tier::ALL.to_vec()),
    )
        .prop_map(|(user, role, queue, scope, by, disabled, carries)| Principal {
            user,
            role,
            queue,
            scope,
            by,
            disabled,
            carries,
        })
}

fn any_resource(kind: Kind) -> impl Strategy<Value = Resource> {
    let parts = (
        any_user(),
        any_queue(),
        select(Tier::ALL.to_vec()),
        proptest::collection::vec(any_user(), 0..2),
        any_user(),
        any::<bool>(),
        any::<bool>(),
    );
    parts.prop_map(move |(owner, queue, tier, granted, asker, ends, other)| match kind {
        Kind::Workload => Resource::Workload { owner, queue, carries: tier },
        Kind::Queue => Resource::Queue(queue),
        Kind::User => Resource::User(owner),
        Kind::Token => Resource::Token(owner),
        Kind::Dataset => {
            Resource::Dataset { owner, queue, tier, granted: granted.into(), view: ends }
        }
        Kind::Experiment => Resource::Experiment { owner, queue, tier },
        Kind::Request => {
            // Never both.
            let lowers = other && !ends;
            Resource::Request { owner, queue, asker, ends, lowers }
        }
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

/// Nobody reads what must not leave, from outside a run: no role, no owner, no team.
#[test]
fn sensitive_data_leaves_for_nobody() {
    let policy = Policy::embedded();
    let mut inside = 0;
    for role in Role::ALL {
        for (owner, team) in [("ana", "lab"), ("bo", "lab"), ("bo", "other")] {
            for tier in [Tier::Confidential, Tier::Restricted] {
                for by in [Source::Socket, Source::Token, Source::Run] {
                    let carries = if by == Source::Run { tier } else { Tier::Public };
                    let principal = Principal { by, carries, ..who(role, "ana", Some("lab")) };
                    let resource = dataset(owner, team, tier);
                    let verb = Verb::DataRead;
                    let decision = policy.decide(&Request { principal, verb, resource });
                    assert!(by == Source::Run || !decision.allow, "{role} {owner} {tier} {by}");
                    inside += u32::from(decision.allow);
                    let stays = decision.policies.contains(&"data-stays-inside".to_owned());
                    assert_eq!(stays, by != Source::Run, "{role} {owner} {tier} {by}");
                }
            }
        }
    }
    // Inside: administrators their own two; leads and members those and the team's confidential.
    assert_eq!(inside, 2 + 3 + 3, "reads that are let through inside runs");
}

#[test]
fn a_refusal_says_how_data_is_used_instead() {
    let policy = Policy::embedded();
    let owner = who(Role::Lead, "ana", Some("lab"));
    let ask = |principal, verb, tier| {
        policy.decide(&Request { principal, verb, resource: dataset("ana", "lab", tier) })
    };
    let read = ask(owner.clone(), Verb::DataRead, Tier::Restricted);
    assert_eq!(&*read.policies, &["data-stays-inside".to_owned()][..]);
    assert!(read.rule.contains("under `data:`"), "{}", read.rule);

    let run = |carries| Principal { by: Source::Run, carries, ..owner.clone() };
    let undeclared = ask(run(Tier::Internal), Verb::DataRead, Tier::Confidential);
    assert_eq!(&*undeclared.policies, &["runs-read-what-they-declared".to_owned()][..]);
    let down = ask(run(Tier::Confidential), Verb::DataWrite, Tier::Internal);
    assert_eq!(&*down.policies, &["nothing-flows-down".to_owned()][..]);
    assert!(ask(run(Tier::Confidential), Verb::DataWrite, Tier::Restricted).allow);
    let more = ask(run(Tier::Confidential), Verb::DataRemove, Tier::Confidential);
    assert_eq!(&*more.policies, &["runs-touch-data-alone".to_owned()][..]);

    let key = Resource::Token(user("bo"));
    let (principal, verb) = (who(Role::Admin, "admin", None), Verb::DataCredential);
    let others = policy.decide(&Request { principal, verb, resource: key });
    assert_eq!(&*others.policies, &["keys-are-made-by-whom-they-are-for".to_owned()][..]);
}

#[test]
fn what_a_run_writes_of_restricted_data_is_its_owners_alone() {
    let policy = Policy::embedded();
    let ask = |principal: Principal, verb, carries| {
        let (owner, queue) = (user("ana"), queue("lab/vision"));
        policy.decide(&Request {
            principal,
            verb,
            resource: Resource::Workload { owner, queue, carries },
        })
    };
    let owner = who(Role::Member, "ana", Some("lab/vision"));
    let lead = who(Role::Lead, "lea", Some("lab"));
    for verb in [Verb::WorkloadExec, Verb::WorkloadLogs] {
        assert!(ask(owner.clone(), verb, Tier::Restricted).allow, "{verb}");
        assert!(ask(lead.clone(), verb, Tier::Confidential).allow, "{verb}: it is the team's");
        let denied = ask(lead.clone(), verb, Tier::Restricted);
        assert_eq!(&*denied.policies, &["restricted-is-its-owners".to_owned()][..], "{verb}");
    }
    // As files it leaves for nobody.
    for carries in [Tier::Confidential, Tier::Restricted] {
        let denied = ask(owner.clone(), Verb::WorkloadOutputs, carries);
        assert!(denied.policies.contains(&"outputs-stay-inside".to_owned()), "{carries}");
    }
    assert!(ask(lead.clone(), Verb::WorkloadOutputs, Tier::Internal).allow);
    for verb in [Verb::WorkloadRead, Verb::WorkloadStop, Verb::WorkloadRemove] {
        assert!(ask(lead.clone(), verb, Tier::Restricted).allow, "{verb}");
    }
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
