//! The rules once more, as plain code: what the policies are compared with.
//!
//! Written from the table in the crate's documentation, not from the policies.

use weft_policy::{Principal, Resource, Role, Scope, Source, Verb};
use weft_types::{QueueName, Tier};

/// Whether it may be done.
pub(crate) fn allowed(who: &Principal, verb: Verb, what: &Resource) -> bool {
    if who.disabled || what.kind() != verb.kind() {
        return false;
    }
    let only_reads = who.scope == Scope::Read && !(who.by == Source::Run && tracks(verb));
    if verb.effect().mutates() && only_reads {
        return false;
    }
    if who.by == Source::Run && !asked_by_runs(verb) {
        return false;
    }
    if verb == Verb::ServerInfo {
        return true;
    }
    if let Resource::Dataset { tier, granted, .. } = what
        && let Some(answer) = on_dataset(who, verb, what, *tier, granted.contains(&who.user))
    {
        return answer;
    }
    if let Resource::Experiment { tier, .. } = what {
        return on_experiment(who, verb, what, *tier);
    }
    if let Resource::Request { asker, ends, lowers, .. } = what {
        let owners = what.owner() == Some(&who.user) || what.owner() == Some(asker);
        if *lowers && verb == Verb::RequestApprove && !owners {
            return false;
        }
        return on_request(who, verb, what, *asker == who.user, (*ends, *lowers));
    }
    if verb == Verb::DataAsk {
        return matches!(who.role, Role::Admin | Role::Lead | Role::Member);
    }
    if let Resource::Workload { carries: Tier::Confidential | Tier::Restricted, .. } = what
        && verb == Verb::WorkloadOutputs
    {
        return false;
    }
    if let Resource::Workload { owner, carries: Tier::Restricted, .. } = what
        && matches!(verb, Verb::WorkloadExec | Verb::WorkloadLogs)
        && *owner != who.user
    {
        return false;
    }
    if verb == Verb::DataCredential {
        return who.role != Role::Auditor && what.owner() == Some(&who.user);
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
                || (team && verb == Verb::SourceWrite)
                || uses_source(who, verb, team, what)
                || (team && acts_on_workload(verb))
        }
        Role::Member => {
            let team = in_team(who, what);
            sees_the_pool(verb)
                || own_token(verb, own)
                || works(verb, own, team)
                || uses_source(who, verb, team, what)
        }
    }
}

fn sees_the_pool(verb: Verb) -> bool {
    use Verb::*;
    matches!(
        verb,
        WorkloadList
            | DeviceList
            | NodeList
            | ImageList
            | QueueList
            | DataList
            | SourceList
            | ExperimentList
    )
}

/// Sources of one's team, of those above it, and of those below.
fn uses_source(who: &Principal, verb: Verb, team: bool, what: &Resource) -> bool {
    let Resource::Queue(queue) = what else { return verb == Verb::DataFetch };
    let above = who
        .queue
        .as_ref()
        .is_some_and(|own| own == queue || own.as_str().starts_with(&format!("{queue}/")));
    matches!(verb, Verb::SourceInfo | Verb::SourceUse) && (team || above)
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
            | DataCollect
            | SourceInfo
            | SourceWrite
            | SourceReach
            | DataRotate
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

fn asked_by_runs(verb: Verb) -> bool {
    use Verb::*;
    matches!(
        verb,
        ServerInfo
            | DataList
            | DataInfo
            | DataRead
            | DataMake
            | DataWrite
            | ExperimentList
            | ExperimentRead
            | RunRead
            | RunArtifacts
    ) || tracks(verb)
}

fn tracks(verb: Verb) -> bool {
    use Verb::*;
    matches!(verb, ExperimentMake | ExperimentWrite | RunMake | RunWrite)
}

/// What the crate's documentation says of experiments.
fn on_experiment(who: &Principal, verb: Verb, what: &Resource, tier: Tier) -> bool {
    let own = what.owner() == Some(&who.user);
    let team = in_team(who, what);
    let leads = who.role == Role::Lead && team;
    let reads = matches!(verb, Verb::ExperimentRead | Verb::RunRead | Verb::RunArtifacts);
    let inside = who.by == Source::Run;
    if verb == Verb::RunArtifacts && tier >= Tier::Confidential && !inside {
        return false;
    }
    if inside {
        if tracks(verb) && tier < who.carries {
            return false;
        }
        if reads && tier >= Tier::Confidential && tier > who.carries {
            return false;
        }
    }
    match who.role {
        Role::Auditor | Role::Operator => return false,
        Role::Admin => return own || !reads,
        Role::Lead | Role::Member => {}
    }
    match verb {
        Verb::ExperimentMake | Verb::RunMake => own && team,
        Verb::ExperimentRead | Verb::RunRead | Verb::RunArtifacts => {
            own || team && tier < Tier::Restricted
        }
        Verb::ExperimentWrite => own || team && tier < Tier::Restricted || leads,
        Verb::ExperimentManage | Verb::RunWrite => own || leads,
        _ => false,
    }
}

/// Line by line of the crate's second table; none where the administrator's "everything" decides.
fn on_dataset(
    who: &Principal,
    verb: Verb,
    what: &Resource,
    tier: Tier,
    granted: bool,
) -> Option<bool> {
    if let Resource::Dataset { view: true, .. } = what
        && matches!(verb, Verb::DataWrite | Verb::DataView)
    {
        return Some(false);
    }
    let inside = who.by == Source::Run;
    let own = what.owner() == Some(&who.user);
    let flows_down = inside && tier < who.carries;
    match verb {
        Verb::DataRead if tier >= Tier::Confidential && !inside => return Some(false),
        Verb::DataRead if inside && tier > who.carries => return Some(false),
        Verb::DataWrite | Verb::DataMake if flows_down => return Some(false),
        _ => {}
    }
    match who.role {
        Role::Admin => return None,
        Role::Operator => return Some(matches!(verb, Verb::DataInfo | Verb::DataVerify)),
        Role::Auditor => return Some(false),
        Role::Lead | Role::Member => {}
    }
    let team = in_team(who, what);
    let leads = who.role == Role::Lead && team;
    let reads = match tier {
        Tier::Public | Tier::Internal => true,
        Tier::Confidential => own || team,
        Tier::Restricted => own,
    } || granted;
    Some(match verb {
        Verb::DataMake => own && team,
        Verb::DataInfo => reads || leads,
        Verb::DataRead => reads,
        Verb::DataVerify => own || leads || (team && tier < Tier::Restricted),
        Verb::DataWrite => own || (team && tier < Tier::Restricted),
        Verb::DataUpdate | Verb::DataView | Verb::DataRemove => own || leads,
        _ => false,
    })
}

/// Line by line of the crate's third table.
fn on_request(
    who: &Principal,
    verb: Verb,
    what: &Resource,
    asked: bool,
    (ends, lowers): (bool, bool),
) -> bool {
    let own = what.owner() == Some(&who.user);
    let leads = who.role == Role::Lead && in_team(who, what);
    let works = matches!(who.role, Role::Lead | Role::Member);
    if who.role == Role::Auditor {
        return false;
    }
    match verb {
        Verb::RequestApprove if asked => false,
        Verb::RequestApprove if ends => !own && (leads || who.role == Role::Admin),
        Verb::RequestApprove if lowers => own && works || leads || who.role == Role::Admin,
        Verb::RequestApprove => own && (works || who.role == Role::Admin) || leads,
        _ => asked || who.role == Role::Admin || own && works || leads,
    }
}

/// Whether the thing lies in the caller's queue or below it.
fn in_team(who: &Principal, what: &Resource) -> bool {
    let queue = match what {
        Resource::Workload { queue, .. }
        | Resource::Dataset { queue, .. }
        | Resource::Experiment { queue, .. }
        | Resource::Request { queue, .. } => queue,
        Resource::Queue(queue) => queue,
        Resource::Pool | Resource::User(_) | Resource::Token(_) => return false,
    };
    let Some(team) = &who.queue else { return false };
    let below = |queue: &QueueName| queue.as_str().starts_with(&format!("{team}/"));
    queue == team || below(queue)
}
