//! The policies, parsed once, and the decision: Cedar's, remembered while it is asked again.

use crate::{Decision, Kind, Principal, Request, Resource, Verb};
use cedar_policy::{
    Authorizer, Context, Effect as CedarEffect, Entities, Entity, EntityId, EntityTypeName,
    EntityUid, PolicyId, PolicySet, RestrictedExpression, Schema, ValidationMode, Validator,
};
use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use weft_types::{QueueName, Tier};

const SCHEMA: &str = include_str!("../policies/weft.cedarschema");
const SOURCES: [&str; 2] =
    [include_str!("../policies/roles.cedar"), include_str!("../policies/forbids.cedar")];

/// Decisions remembered at most, about 300 bytes each: some thousand users and what they list.
/// Past it all are forgotten, which costs one evaluation each.
const REMEMBERED_MAX: usize = 16_384;

/// What is said when no policy permits something.
const NOTHING_PERMITS: &str = "no policy permits it; ask a team lead or an administrator";

/// Policies that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("policies: {0}")]
pub struct PolicyError(String);

/// The policies and what was decided by them.
pub struct Policy {
    policies: PolicySet,
    schema: Schema,
    rules: HashMap<PolicyId, String>,
    actions: HashMap<Verb, EntityUid>,
    action_entities: Entities,
    types: HashMap<Kind, EntityTypeName>,
    authorizer: Authorizer,
    remembered: Mutex<HashMap<Request, Decision>>,
}

impl Policy {
    /// The policies of this build.
    ///
    /// # Panics
    /// If they do not parse: they are part of the binary, and a test parses them.
    #[expect(clippy::expect_used, reason = "embedded text, checked by a test")]
    pub fn embedded() -> Self {
        Self::parse(&SOURCES, SCHEMA).expect("the embedded policies parse")
    }

    /// Parses policies and checks them strictly against the schema.
    pub fn parse(sources: &[&str], schema: &str) -> Result<Self, PolicyError> {
        let error = |e: &dyn std::fmt::Display| PolicyError(e.to_string());
        let (schema, _) = Schema::from_cedarschema_str(schema).map_err(|e| error(&e))?;
        let mut policies = PolicySet::new();
        let mut rules = HashMap::new();
        for source in sources {
            for policy in PolicySet::from_str(source).map_err(|e| error(&e))?.policies() {
                let id = policy.annotation("id").ok_or_else(|| error(&"a policy without @id"))?;
                let id = PolicyId::new(id);
                if policy.effect() == CedarEffect::Forbid {
                    let rule = policy.annotation("rule");
                    let rule = rule.ok_or_else(|| error(&format!("forbid {id} without @rule")))?;
                    rules.insert(id.clone(), rule.to_owned());
                }
                policies.add(policy.new_id(id)).map_err(|e| error(&e))?;
            }
        }
        let result = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if let Some(finding) = result.validation_errors().next() {
            return Err(error(finding));
        }
        let uid = |verb: &Verb| (*verb, action(verb.as_str()));
        let action_entities = schema.action_entities().map_err(|e| error(&e))?;
        Ok(Self {
            action_entities,
            policies,
            schema,
            rules,
            actions: Verb::ALL.iter().map(uid).collect(),
            types: KINDS.into_iter().map(|(kind, text)| (kind, name(text))).collect(),
            authorizer: Authorizer::new(),
            remembered: Mutex::default(),
        })
    }

    /// Whether the principal may do it, and which policies say so.
    ///
    /// A resource of another kind than the verb's is denied: such a question is a bug of ours.
    pub fn decide(&self, request: &Request) -> Decision {
        // The map holds finished decisions only, so that one of a thread that panicked is fine.
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decision) = remembered().get(request) {
            return decision.clone();
        }
        let decision = self.evaluate(request).unwrap_or_else(|_| deny(Vec::new(), None));
        let mut all = remembered();
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(request.clone(), decision.clone());
        decision
    }

    /// Names of every verb the schema declares, without its groups; for the test that compares.
    pub fn schema_verbs(&self) -> HashSet<String> {
        let actions = self.schema.actions().map(|uid| uid.id().unescaped().to_owned());
        let groups: HashSet<String> =
            self.schema.action_groups().map(|uid| uid.id().unescaped().to_owned()).collect();
        actions.filter(|action| !groups.contains(action)).collect()
    }

    /// Whether the schema puts the verb in that group.
    pub fn in_group(&self, verb: Verb, group: &str) -> bool {
        self.action_entities.is_ancestor_of(&action(group), &self.actions[&verb])
    }

    fn evaluate(&self, request: &Request) -> Result<Decision, PolicyError> {
        if request.resource.kind() != request.verb.kind() {
            return Err(PolicyError(format!("{} of {:?}", request.verb, request.resource)));
        }
        let error = |e: &dyn std::fmt::Display| PolicyError(e.to_string());
        let principal = self.uid(Kind::User, request.principal.user.as_str());
        let resource = self.resource_uid(&request.resource);
        let context = [
            ("scope".to_owned(), text(request.principal.scope.as_str())),
            ("by".to_owned(), text(request.principal.by.as_str())),
        ];
        let context = Context::from_pairs(context).map_err(|e| error(&e))?;
        let action = self.actions[&request.verb].clone();
        let entities =
            self.entities(&request.principal, &request.resource).map_err(|e| error(&e))?;
        let question = cedar_policy::Request::new(principal, action, resource, context, None)
            .map_err(|e| error(&e))?;
        let answer = self.authorizer.is_authorized(&question, &self.policies, &entities);
        if let Some(fault) = answer.diagnostics().errors().next() {
            return Err(error(fault));
        }
        let mut policies: Vec<PolicyId> = answer.diagnostics().reason().cloned().collect();
        policies.sort();
        Ok(match answer.decision() {
            cedar_policy::Decision::Allow => Decision {
                allow: true,
                policies: policies.iter().map(ToString::to_string).collect(),
                rule: Arc::from(""),
            },
            cedar_policy::Decision::Deny => {
                let rule = policies.first().and_then(|id| self.rules.get(id));
                deny(policies.iter().map(ToString::to_string).collect(), rule)
            }
        })
    }

    /// The caller, the resource, and the queues either lies in; actions come with the schema.
    fn entities(&self, who: &Principal, what: &Resource) -> Result<Entities, PolicyError> {
        let error = |e: &dyn std::fmt::Display| PolicyError(e.to_string());
        let mut all: HashMap<EntityUid, Entity> = HashMap::new();
        let mut put = |entity: Entity| all.insert(entity.uid(), entity);
        match what {
            Resource::Pool => None,
            Resource::Workload { owner, queue, carries } => {
                let attrs = HashMap::from([
                    ("owner".to_owned(), self.reference(Kind::User, owner.as_str())),
                    ("carries".to_owned(), rank(*carries)),
                ]);
                let parents = HashSet::from([self.uid(Kind::Queue, queue.as_str())]);
                put(Entity::new(self.resource_uid(what), attrs, parents).map_err(|e| error(&e))?)
            }
            Resource::Token(owner) => {
                let owner = ("owner".to_owned(), self.reference(Kind::User, owner.as_str()));
                let attrs = HashMap::from([owner]);
                put(Entity::new(self.resource_uid(what), attrs, HashSet::new())
                    .map_err(|e| error(&e))?)
            }
            Resource::Dataset { owner, queue, tier, granted, view } => {
                let granted = granted.iter().map(|to| self.reference(Kind::User, to.as_str()));
                let attrs = HashMap::from([
                    ("owner".to_owned(), self.reference(Kind::User, owner.as_str())),
                    ("tier".to_owned(), rank(*tier)),
                    ("granted".to_owned(), RestrictedExpression::new_set(granted)),
                    ("view".to_owned(), RestrictedExpression::new_bool(*view)),
                ]);
                let parents = HashSet::from([self.uid(Kind::Queue, queue.as_str())]);
                put(Entity::new(self.resource_uid(what), attrs, parents).map_err(|e| error(&e))?)
            }
            Resource::Experiment { owner, queue, tier } => {
                let attrs = HashMap::from([
                    ("owner".to_owned(), self.reference(Kind::User, owner.as_str())),
                    ("tier".to_owned(), rank(*tier)),
                ]);
                let parents = HashSet::from([self.uid(Kind::Queue, queue.as_str())]);
                put(Entity::new(self.resource_uid(what), attrs, parents).map_err(|e| error(&e))?)
            }
            Resource::Request { owner, queue, asker, ends, lowers } => {
                let attrs = HashMap::from([
                    ("owner".to_owned(), self.reference(Kind::User, owner.as_str())),
                    ("asker".to_owned(), self.reference(Kind::User, asker.as_str())),
                    ("ends".to_owned(), RestrictedExpression::new_bool(*ends)),
                    ("lowers".to_owned(), RestrictedExpression::new_bool(*lowers)),
                ]);
                let parents = HashSet::from([self.uid(Kind::Queue, queue.as_str())]);
                put(Entity::new(self.resource_uid(what), attrs, parents).map_err(|e| error(&e))?)
            }
            Resource::User(_) | Resource::Queue(_) => None,
        };
        for queue in [who.queue.as_ref(), what_queue(what)].into_iter().flatten() {
            for (queue, parent) in lineage(queue) {
                let parents = parent.iter().map(|p| self.uid(Kind::Queue, p.as_str())).collect();
                put(Entity::new_no_attrs(self.uid(Kind::Queue, queue.as_str()), parents));
            }
        }
        let mut attrs = HashMap::from([
            ("role".to_owned(), text(who.role.as_str())),
            ("disabled".to_owned(), RestrictedExpression::new_bool(who.disabled)),
            ("carries".to_owned(), rank(who.carries)),
        ]);
        if let Some(queue) = &who.queue {
            attrs.insert("queue".to_owned(), self.reference(Kind::Queue, queue.as_str()));
        }
        let user = self.uid(Kind::User, who.user.as_str());
        put(Entity::new(user, attrs, HashSet::new()).map_err(|e| error(&e))?);
        self.action_entities.clone().add_entities(all.into_values(), None).map_err(|e| error(&e))
    }

    fn resource_uid(&self, resource: &Resource) -> EntityUid {
        match resource {
            Resource::Pool => self.uid(Kind::Pool, "pool"),
            // No rule looks at which workload, token or dataset it is, only at whose and where.
            Resource::Workload { .. } => self.uid(Kind::Workload, "this"),
            Resource::Token(_) => self.uid(Kind::Token, "this"),
            Resource::Dataset { .. } => self.uid(Kind::Dataset, "this"),
            Resource::Experiment { .. } => self.uid(Kind::Experiment, "this"),
            Resource::Request { .. } => self.uid(Kind::Request, "this"),
            Resource::Queue(queue) => self.uid(Kind::Queue, queue.as_str()),
            Resource::User(user) => self.uid(Kind::User, user.as_str()),
        }
    }

    fn uid(&self, kind: Kind, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.types[&kind].clone(), EntityId::new(id))
    }

    fn reference(&self, kind: Kind, id: &str) -> RestrictedExpression {
        RestrictedExpression::new_entity_uid(self.uid(kind, id))
    }
}

/// The entity type of each kind.
const KINDS: [(Kind, &str); 8] = [
    (Kind::Workload, "Workload"),
    (Kind::Queue, "Queue"),
    (Kind::User, "User"),
    (Kind::Token, "Token"),
    (Kind::Dataset, "Dataset"),
    (Kind::Experiment, "Experiment"),
    (Kind::Request, "Request"),
    (Kind::Pool, "Pool"),
];

fn what_queue(resource: &Resource) -> Option<&QueueName> {
    match resource {
        Resource::Workload { queue, .. }
        | Resource::Dataset { queue, .. }
        | Resource::Experiment { queue, .. }
        | Resource::Request { queue, .. }
        | Resource::Queue(queue) => Some(queue),
        Resource::Pool | Resource::User(_) | Resource::Token(_) => None,
    }
}

/// A queue and those above it, each with its parent.
fn lineage(queue: &QueueName) -> impl Iterator<Item = (QueueName, Option<QueueName>)> {
    let up = |queue: &QueueName| queue.parent();
    std::iter::successors(Some(queue.clone()), up).map(|queue| (queue.clone(), queue.parent()))
}

fn deny(policies: Vec<String>, rule: Option<&String>) -> Decision {
    let rule = rule.map_or(NOTHING_PERMITS, String::as_str);
    Decision { allow: false, policies: policies.into(), rule: Arc::from(rule) }
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// A tier as policies compare it: the more sensitive, the higher; public is 0.
fn rank(tier: Tier) -> RestrictedExpression {
    RestrictedExpression::new_long(match tier {
        Tier::Public => 0,
        Tier::Internal => 1,
        Tier::Confidential => 2,
        Tier::Restricted => 3,
    })
}

fn action(id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(name("Action"), EntityId::new(id))
}

/// A type name of ours: a single word, which always parses.
#[expect(clippy::expect_used, reason = "called with the constant words above only")]
fn name(text: &str) -> EntityTypeName {
    EntityTypeName::from_str(text).expect("a single word is a type name")
}
