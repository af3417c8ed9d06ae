//! The rules once more, as plain code: what the policies are compared with.
//!
//! Written from the table in the crate's documentation, not from the policies.

use weft_policy::{Principal, Resource, Role, Scope, Verb};
use weft_types::QueueName;

/// Whether it may be done.
pub(crate) fn allowed(who: &Principal, verb: Verb, what: &Resource) -> bool {
    if who.disabled || what.kind() != verb.kind() {
        return false;
    }
    if verb.effect().mutates() && who.scope == Scope::Read {
        return false;
    }
    if verb == Verb::ServerInfo {
        return true;
    }
    let own = what.owner() == Some(&who.user);
    match who.role {
        Role::Auditor => matches!(verb, Verb::AuditRead | Verb::AuditVerify),
        Role::Admin => own || !verb.effect().reads_data(),
        Role::Operator => sees_the_pool(verb) || operates(verb) || own_token(verb, own),
        Role::Lead => {
            let team = in_team(who, what);
            sees_the_pool(verb)
                || own_token(verb, own)
                || works(verb, own, team)
                || verb == Verb::ImageImport
                || (team && acts_on_workload(verb))
        }
        Role::Member => {
            sees_the_pool(verb) || own_token(verb, own) || works(verb, own, in_team(who, what))
        }
    }
}

fn sees_the_pool(verb: Verb) -> bool {
    use Verb::*;
    matches!(verb, WorkloadList | DeviceList | NodeList | ImageList | QueueList)
}

fn own_token(verb: Verb, own: bool) -> bool {
    own && matches!(verb, Verb::TokenList | Verb::TokenCreate | Verb::TokenRevoke)
}

fn operates(verb: Verb) -> bool {
    use Verb::*;
    matches!(
        verb,
        ServerMetrics
            | ServerBackup
            | ServerShutdown
            | NodeUpdate
            | ImageImport
            | LedgerCheck
            | CostReadAll
            | PoolEvents
            | CostRead
            | QueueOffers
            | QueueWrite
            | QueueRemove
            | WorkloadRead
            | WorkloadStop
    )
}

/// What everyone in a team may.
fn works(verb: Verb, own: bool, team: bool) -> bool {
    match verb {
        Verb::BundlePut => true,
        Verb::WorkloadSubmit => own && team,
        Verb::WorkloadRead => own || team,
        Verb::CostRead | Verb::QueueOffers => team,
        _ => own && acts_on_workload(verb),
    }
}

fn acts_on_workload(verb: Verb) -> bool {
    use Verb::*;
    matches!(verb, WorkloadLogs | WorkloadOutputs | WorkloadExec | WorkloadStop | WorkloadRemove)
}

/// Whether the thing lies in the caller's queue or below it.
fn in_team(who: &Principal, what: &Resource) -> bool {
    let (Some(team), Resource::Workload { queue, .. } | Resource::Queue(queue)) =
        (&who.queue, what)
    else {
        return false;
    };
    let below = |queue: &QueueName| queue.as_str().starts_with(&format!("{team}/"));
    queue == team || below(queue)
}
