//! Everything that can be asked of the platform: the closed list of verbs.
//!
//! A route names exactly one; the Cedar schema declares the same list (a test compares them).

/// What kind of thing a verb is about; an entity type of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A workload: has an owner and a queue.
    Workload,
    /// A team's queue.
    Queue,
    /// A user: owned by itself.
    User,
    /// A token: owned by its user.
    Token,
    /// A dataset: has an owner, a queue and a tier.
    Dataset,
    /// What somebody asked about a dataset: has its owner and queue, and who asked.
    Request,
    /// An experiment or a run that was tracked in it: has an owner, a queue and a tier.
    Experiment,
    /// What belongs to nobody: machines, images, the server, the audit log.
    Pool,
}

/// What a verb does, which says which forbids and which audit rule hold for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Reads what the platform knows.
    Read,
    /// Reads what only administration is for; each read is audited.
    Guarded,
    /// Reads what a user's workload wrote, or a dataset's bytes; audited unless it is the reader's
    /// own.
    Data,
    /// Changes something; audited.
    Write,
    /// Acts inside a user's workload, or lets data flow elsewhere: [`Effect::Data`] and
    /// [`Effect::Write`] at once.
    Enter,
}

impl Effect {
    /// Whether it changes something: what a token of scope `read` may not.
    pub const fn mutates(self) -> bool {
        matches!(self, Effect::Write | Effect::Enter)
    }

    /// Whether it shows what users and their workloads wrote: what operators and administrators
    /// may not.
    pub const fn reads_data(self) -> bool {
        matches!(self, Effect::Data | Effect::Enter)
    }
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, $effect:ident;)*) => {
        /// Something that can be asked of the platform.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $($(#[$doc])* $name,)*
        }

        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Verb] = &[$(Verb::$name),*];

            /// The name in policies, refusals and the audit log.
            pub const fn as_str(self) -> &'static str {
                match self { $(Verb::$name => $text,)* }
            }

            /// What kind of thing it is about.
            pub const fn kind(self) -> Kind {
                match self { $(Verb::$name => Kind::$kind,)* }
            }

            /// What it does.
            pub const fn effect(self) -> Effect {
                match self { $(Verb::$name => Effect::$effect,)* }
            }
        }
    };
}

verbs! {
    /// Learn what this server is, and who one is to it.
    ServerInfo = "server-info", Pool, Read;
    /// Read the server's own counters.
    ServerMetrics = "server-metrics", Pool, Read;
    /// Write a copy of the state to a file of the server's machine.
    ServerBackup = "server-backup", Pool, Write;
    /// End the server.
    ServerShutdown = "server-shutdown", Pool, Write;

    /// Submit a workload to a queue, as oneself. The resource is the workload to be.
    WorkloadSubmit = "workload-submit", Workload, Write;
    /// See a workload: state, stage, why it waits, its use and its events.
    WorkloadRead = "workload-read", Workload, Read;
    /// Read a workload's log.
    WorkloadLogs = "workload-logs", Workload, Data;
    /// Read the files a workload left.
    WorkloadOutputs = "workload-outputs", Workload, Data;
    /// Run a command inside a workload.
    WorkloadExec = "workload-exec", Workload, Enter;
    /// End a workload.
    WorkloadStop = "workload-stop", Workload, Write;
    /// Forget an ended workload, its log and its outputs.
    WorkloadRemove = "workload-remove", Workload, Write;

    /// Ask for the listing of workloads or events; each item is then decided on its own.
    WorkloadList = "workload-list", Pool, Read;
    /// See events that are no team's: machines, users, tokens, images.
    PoolEvents = "pool-events", Pool, Read;
    /// Upload the files of a workload to be.
    BundlePut = "bundle-put", Pool, Write;
    /// See the accelerators and how much of them is free.
    DeviceList = "device-list", Pool, Read;
    /// See the machines.
    NodeList = "node-list", Pool, Read;
    /// Keep new work off a machine, or let it come.
    NodeUpdate = "node-update", Pool, Write;
    /// See the images of the machine.
    ImageList = "image-list", Pool, Read;
    /// Import an image.
    ImageImport = "image-import", Pool, Write;
    /// Compare the ledger's sums.
    LedgerCheck = "ledger-check", Pool, Read;

    /// See the queues and their use.
    QueueList = "queue-list", Pool, Read;
    /// Make or change a queue.
    QueueWrite = "queue-write", Queue, Write;
    /// Remove a queue.
    QueueRemove = "queue-remove", Queue, Write;
    /// See what a new workload of a queue could have now.
    QueueOffers = "queue-offers", Queue, Read;
    /// See what a queue held and used.
    CostRead = "cost-read", Queue, Read;
    /// See what every queue held and used.
    CostReadAll = "cost-read-all", Pool, Read;

    /// See the users.
    UserList = "user-list", Pool, Guarded;
    /// Make a user.
    UserCreate = "user-create", User, Write;
    /// Shut a user out and revoke its tokens.
    UserRemove = "user-remove", User, Write;
    /// See a user's tokens, without their secrets. The resource is the user.
    TokenList = "token-list", User, Read;
    /// See everybody's tokens, without their secrets.
    TokenListAll = "token-list-all", Pool, Guarded;
    /// Make a token. The resource is the token to be, owned by whom it is for.
    TokenCreate = "token-create", Token, Write;
    /// Revoke a token.
    TokenRevoke = "token-revoke", Token, Write;

    /// Ask for the listing of datasets; each is then decided on its own.
    DataList = "data-list", Pool, Read;
    /// Make a dataset, as oneself. The resource is the dataset to be.
    DataMake = "data-make", Dataset, Write;
    /// See what a dataset is: sizes, versions, names of its objects, schema.
    DataInfo = "data-info", Dataset, Read;
    /// Read a dataset's bytes.
    DataRead = "data-read", Dataset, Data;
    /// Put and delete objects, make and name versions.
    DataWrite = "data-write", Dataset, Write;
    /// Say what a dataset is about, and raise its tier.
    DataUpdate = "data-update", Dataset, Write;
    /// Make a view of a dataset: what is in it goes into another one.
    DataView = "data-view", Dataset, Enter;
    /// Remove versions or all of a dataset, beyond recovery.
    DataRemove = "data-remove", Dataset, Write;
    /// Make a key for S3 clients. The resource is the token to be, owned by whom it is for.
    DataCredential = "data-credential", Token, Write;
    /// Check that all of a dataset can be read; shows none of it.
    DataVerify = "data-verify", Dataset, Read;
    /// Free the space of what nothing needs any more.
    DataCollect = "data-collect", Pool, Write;
    /// Put other keys in the place of those of teams and datasets.
    DataRotate = "data-rotate", Pool, Write;
    /// Put another key in the place of the one above all keys.
    MasterRotate = "master-rotate", Pool, Write;
    /// Ask for access to a dataset, whether there is one or not.
    DataAsk = "data-ask", Pool, Write;
    /// See what was asked about a dataset.
    RequestRead = "request-read", Request, Read;
    /// Say yes to it.
    RequestApprove = "request-approve", Request, Write;
    /// Say no to it, or take it back.
    RequestDeny = "request-deny", Request, Write;

    /// Ask for the listing of sources; each is then decided on its own.
    SourceList = "source-list", Pool, Read;
    /// See a source, without its secret. The resource is the queue of the team that may use it.
    SourceInfo = "source-info", Queue, Read;
    /// Declare, change or remove a team's source.
    SourceWrite = "source-write", Queue, Write;
    /// Let a source reach what is not public: networks of one's own.
    SourceReach = "source-reach", Pool, Write;
    /// Import from a team's source, by its credentials.
    SourceUse = "source-use", Queue, Write;
    /// Import from a public address of the web that nobody declared.
    DataFetch = "data-fetch", Pool, Write;

    /// Ask for the listing of experiments; each is then decided on its own.
    ExperimentList = "experiment-list", Pool, Read;
    /// Make an experiment, as oneself. The resource is the experiment to be.
    ExperimentMake = "experiment-make", Experiment, Write;
    /// See an experiment and its tags.
    ExperimentRead = "experiment-read", Experiment, Data;
    /// Say something of an experiment: its tags.
    ExperimentWrite = "experiment-write", Experiment, Write;
    /// Call an experiment otherwise, delete it, bring it back.
    ExperimentManage = "experiment-manage", Experiment, Write;
    /// Track a run, as oneself. The resource is the run to be.
    RunMake = "run-make", Experiment, Write;
    /// See a tracked run: its parameters, tags and metrics.
    RunRead = "run-read", Experiment, Data;
    /// Read the files that a run kept.
    RunArtifacts = "run-artifacts", Experiment, Data;
    /// Track more of a run, end it, delete it, bring it back.
    RunWrite = "run-write", Experiment, Write;

    /// Read the audit log.
    AuditRead = "audit-read", Pool, Guarded;
    /// Check the audit log's chain.
    AuditVerify = "audit-verify", Pool, Guarded;
}
