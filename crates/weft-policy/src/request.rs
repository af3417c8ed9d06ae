//! What is decided on, and the decision.

use crate::{Kind, Verb};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use weft_types::{QueueName, Tier, UserName};

/// What somebody may do, by and large; the policies say it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything but others' data.
    Admin,
    /// Machines and queues.
    Operator,
    /// A team's workloads.
    Lead,
    /// One's own workloads.
    Member,
    /// The audit log.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] =
        [Role::Admin, Role::Operator, Role::Lead, Role::Member, Role::Auditor];

    /// The word in policies and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Lead => "lead",
            Role::Member => "member",
            Role::Auditor => "auditor",
        }
    }
}

/// A word that is no role or scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not {1}")]
pub struct UnknownWord(String, &'static str);

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "a role: admin, operator, lead, member or auditor";
        let role = Role::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| UnknownWord(text.to_owned(), wanted))
    }
}

/// What a token was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Reading only.
    Read,
    /// Everything its user may.
    Write,
}

impl Scope {
    /// The word in policies and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "read" => Ok(Scope::Read),
            "write" => Ok(Scope::Write),
            _ => Err(UnknownWord(text.to_owned(), "a scope: read or write")),
        }
    }
}

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// By the peer credentials of the Unix socket.
    Socket,
    /// By a bearer token.
    Token,
    /// By the credential of a running workload, that was given to it and ends with it.
    Run,
}

impl Source {
    /// The word in policies and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Socket => "socket",
            Source::Token => "token",
            Source::Run => "run",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Name.
    pub user: UserName,
    /// Role.
    pub role: Role,
    /// Team's queue, where there is a team.
    pub queue: Option<QueueName>,
    /// What the token allows; a socket allows everything its user may.
    pub scope: Scope,
    /// How it was recognised.
    pub by: Source,
    /// Whether the user was shut out.
    pub disabled: bool,
    /// Of [`Source::Run`]: the highest tier of the datasets that its workload declared, at which
    /// it reads at most and writes at least. [`Tier::Public`] of everybody else, which says
    /// nothing: people are not followed.
    pub carries: Tier,
}

/// What it is asked of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Resource {
    /// What belongs to nobody.
    Pool,
    /// A workload, or one to be.
    Workload {
        /// Who submitted it.
        owner: UserName,
        /// Whose share it uses.
        queue: QueueName,
        /// The highest tier of the datasets that it declared: what it writes may be of them.
        carries: Tier,
    },
    /// A team's queue.
    Queue(QueueName),
    /// A user.
    User(UserName),
    /// A token of this user.
    Token(UserName),
    /// A dataset, or one to be.
    Dataset {
        /// Who made it.
        owner: UserName,
        /// Whose share its space is counted to.
        queue: QueueName,
        /// How sensitive it is.
        tier: Tier,
        /// To whom its owner gave access, now.
        granted: Arc<[UserName]>,
        /// Whether the server makes it of another one.
        view: bool,
    },
    /// An experiment, a run that was tracked in one, or one of them to be.
    Experiment {
        /// Who made it.
        owner: UserName,
        /// Whose team's it is.
        queue: QueueName,
        /// The highest tier of what was read by who wrote it: its texts may be of that.
        tier: Tier,
    },
    /// What somebody asked about a dataset.
    Request {
        /// Whose dataset it is.
        owner: UserName,
        /// The dataset's team.
        queue: QueueName,
        /// Who asked.
        asker: UserName,
        /// Whether it ends data before its days; else it is about access, or
        ends: bool,
        /// that a view becomes less sensitive than it is.
        lowers: bool,
    },
}

impl Resource {
    /// Its entity type.
    pub const fn kind(&self) -> Kind {
        match self {
            Resource::Pool => Kind::Pool,
            Resource::Workload { .. } => Kind::Workload,
            Resource::Queue(_) => Kind::Queue,
            Resource::User(_) => Kind::User,
            Resource::Token(_) => Kind::Token,
            Resource::Dataset { .. } => Kind::Dataset,
            Resource::Experiment { .. } => Kind::Experiment,
            Resource::Request { .. } => Kind::Request,
        }
    }

    /// Whose it is, where it is somebody's.
    pub const fn owner(&self) -> Option<&UserName> {
        match self {
            Resource::Workload { owner, .. }
            | Resource::Dataset { owner, .. }
            | Resource::Experiment { owner, .. }
            | Resource::Request { owner, .. }
            | Resource::User(owner)
            | Resource::Token(owner) => Some(owner),
            Resource::Pool | Resource::Queue(_) => None,
        }
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// Who asks.
    pub principal: Principal,
    /// For what.
    pub verb: Verb,
    /// Of what; its kind is the verb's.
    pub resource: Resource,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allow: bool,
    /// The policies that decided: the permits, or the forbids; none where nothing permits.
    pub policies: Arc<[String]>,
    /// Of a denial: the rule in words, for the person refused.
    pub rule: Arc<str>,
}

macro_rules! display_word {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

display_word!(Role, Scope, Source, Verb);
