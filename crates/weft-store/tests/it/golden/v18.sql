CREATE TABLE meta (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    instance    TEXT    NOT NULL,               -- names this state, never changes
    epoch       INTEGER NOT NULL,               -- grows with every server that takes over
    generation  INTEGER NOT NULL,               -- grows with every change the planner can see
    clean       INTEGER NOT NULL                -- 1 while closed in good order
) STRICT;
CREATE TABLE nodes (
    name        TEXT    PRIMARY KEY,
    ready       INTEGER NOT NULL,
    drained     INTEGER NOT NULL,
    cpu         INTEGER NOT NULL,
    memory      INTEGER NOT NULL,
    disk        INTEGER NOT NULL,
    warnings    TEXT    NOT NULL,               -- JSON array of sentences
    seen_at     INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE devices (
    node        TEXT    NOT NULL REFERENCES nodes (name) ON DELETE CASCADE,
    device      INTEGER NOT NULL,               -- index in the driver's order
    uuid        TEXT    NOT NULL,
    product     TEXT    NOT NULL,
    class       TEXT    NOT NULL,               -- JSON DeviceClass
    mode        TEXT    NOT NULL,               -- JSON DeviceMode
    memory      INTEGER NOT NULL,
    fault       TEXT,                           -- what is wrong; NULL: healthy
    simulated   INTEGER NOT NULL, rungs TEXT NOT NULL
    DEFAULT '[{"isolation":"shared","offered":true,"why":"not looked at yet"}]', health TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (node, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE queues (
    name        TEXT    PRIMARY KEY,
    queue       TEXT    NOT NULL,               -- JSON Queue
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE users (
    name        TEXT    PRIMARY KEY,
    role        TEXT    NOT NULL,
    queue       TEXT,
    created_at  INTEGER NOT NULL,
    disabled    INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (
    id          TEXT    PRIMARY KEY,            -- the public part
    user        TEXT    NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    scope       TEXT    NOT NULL,
    hash        BLOB    NOT NULL CHECK (length(hash) = 32), -- of the secret, which is not kept
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER,
    revoked     INTEGER NOT NULL
, parent TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE workloads (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused
    name        TEXT    NOT NULL,
    queue       TEXT    NOT NULL,
    user        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    phase       TEXT    NOT NULL,
    priority    INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    cpu         INTEGER NOT NULL,
    memory      INTEGER NOT NULL,
    disk        INTEGER NOT NULL,
    gpu         TEXT    NOT NULL,               -- JSON GpuRequest
    gang        INTEGER NOT NULL,
    preemptible INTEGER NOT NULL,
    reclaimable INTEGER NOT NULL,
    min_run     INTEGER NOT NULL,
    max_duration INTEGER,
    expected    INTEGER,
    state       TEXT    NOT NULL,               -- of the record, for indexes
    attempt     INTEGER NOT NULL,               -- of the record
    not_before  INTEGER NOT NULL,               -- of the record
    handover    INTEGER,                        -- of the record: for whom it is stopped
    placed_at   INTEGER,
    started_at  INTEGER,
    ended_at    INTEGER,
    cpu_us      INTEGER NOT NULL DEFAULT 0,     -- used, over all starts
    memory_peak INTEGER NOT NULL DEFAULT 0,
    gpu_active  INTEGER NOT NULL DEFAULT 0,     -- thousandths of a device times milliseconds
    removed     INTEGER NOT NULL DEFAULT 0,     -- 1: gone for users, kept for the ledger
    version     INTEGER NOT NULL,
    record      TEXT    NOT NULL                -- JSON lifecycle record: the truth
, suspend INTEGER, served INTEGER NOT NULL DEFAULT 0, released_at INTEGER, owed INTEGER, program TEXT NOT NULL DEFAULT '', learned_from INTEGER NOT NULL DEFAULT 0, gang_most INTEGER NOT NULL DEFAULT 1, members INTEGER NOT NULL DEFAULT 1, isolation TEXT NOT NULL DEFAULT 'shared') STRICT;
CREATE TABLE specs (
    workload    INTEGER PRIMARY KEY REFERENCES workloads (id),
    spec        TEXT    NOT NULL                -- JSON, as submitted
) STRICT;
CREATE TABLE placements (
    workload    INTEGER NOT NULL REFERENCES workloads (id),
    member      INTEGER NOT NULL,
    node        TEXT    NOT NULL REFERENCES nodes (name),
    cpu         INTEGER NOT NULL,
    memory      INTEGER NOT NULL,
    disk        INTEGER NOT NULL,
    PRIMARY KEY (workload, member)
) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
    workload    INTEGER NOT NULL,
    member      INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,               -- order within the placement
    node        TEXT    NOT NULL,
    device      INTEGER NOT NULL,
    sort        TEXT    NOT NULL CHECK (sort IN ('whole', 'share', 'mig')),
    milli       INTEGER NOT NULL CHECK (milli BETWEEN 1 AND 1000),
    memory      INTEGER NOT NULL CHECK (memory >= 0),
    profile     TEXT,                           -- MIG only, as are the next two
    start       INTEGER,
    size        INTEGER,
    PRIMARY KEY (workload, member, ordinal),
    FOREIGN KEY (workload, member) REFERENCES placements (workload, member) ON DELETE CASCADE,
    FOREIGN KEY (node, device) REFERENCES devices (node, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    queue       TEXT,                           -- whose business it is
    what        TEXT    NOT NULL,
    detail      TEXT    NOT NULL
) STRICT;
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY,            -- from 1 without a gap
    at          INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    verb        TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    decision    TEXT    NOT NULL CHECK (decision IN ('allowed', 'denied')),
    policies    TEXT    NOT NULL,               -- JSON array
    detail      TEXT    NOT NULL,               -- JSON
    hash        BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE idempotency (
    actor       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    route       TEXT    NOT NULL,               -- method and path
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of the body
    status      INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE holdings (
    id          INTEGER PRIMARY KEY,
    workload    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    member      INTEGER NOT NULL,
    node        TEXT    NOT NULL,
    device      INTEGER,                        -- NULL: the member's processor and memory
    milli       INTEGER NOT NULL,               -- of a device, or of a core
    memory      INTEGER NOT NULL,
    from_ms     INTEGER NOT NULL,
    until_ms    INTEGER                         -- NULL while held
) STRICT;
CREATE TABLE ledger_devices (
    node        TEXT    NOT NULL,
    device      INTEGER NOT NULL,
    simulated   INTEGER NOT NULL,               -- as its machine said at its first sample
    from_ms     INTEGER NOT NULL,
    settled_ms  INTEGER NOT NULL,
    wall_ms     INTEGER NOT NULL,               -- what was settled in all; a clock may go back
    PRIMARY KEY (node, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
    node        TEXT    NOT NULL,
    device      INTEGER NOT NULL,
    from_ms     INTEGER NOT NULL,               -- start of the minute, or of the hour once folded
    account     INTEGER NOT NULL,
    until_ms    INTEGER NOT NULL,
    allocated   INTEGER NOT NULL,               -- thousandths of the device times milliseconds
    active      INTEGER NOT NULL,               -- likewise
    memory      INTEGER NOT NULL,               -- bytes times milliseconds
    fine        INTEGER NOT NULL, measured INTEGER NOT NULL DEFAULT 0, sampled INTEGER NOT NULL DEFAULT 0,               -- 1 until it is folded
    PRIMARY KEY (node, device, from_ms, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (
    workload    INTEGER NOT NULL,
    member      INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    cpu_us      INTEGER NOT NULL,
    PRIMARY KEY (workload, member)
) STRICT, WITHOUT ROWID;
CREATE TABLE points (
    workload    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    span        INTEGER NOT NULL,               -- milliseconds it stands for
    cpu_us      INTEGER NOT NULL,               -- used in the span
    memory      INTEGER NOT NULL,               -- bytes, highest in the span
    gpu_active  INTEGER NOT NULL,               -- thousandths of a device times milliseconds
    gpu_memory  INTEGER NOT NULL,               -- bytes, highest in the span
    fine        INTEGER NOT NULL, gpu_known INTEGER NOT NULL DEFAULT 0,               -- 1 until it is folded
    PRIMARY KEY (workload, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE holders (
    user        TEXT    NOT NULL,
    sha256      TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    PRIMARY KEY (user, sha256)
) STRICT, WITHOUT ROWID;
CREATE TABLE recents (
    queue       TEXT    PRIMARY KEY,
    average     INTEGER NOT NULL,               -- thousandths of a device, 20 binary digits behind
    at_ms       INTEGER NOT NULL                -- up to when; the same in all rows
) STRICT, WITHOUT ROWID;
CREATE TABLE device_use (
    workload    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    member      INTEGER NOT NULL,
    node        TEXT    NOT NULL,
    device      INTEGER NOT NULL,
    source      TEXT    NOT NULL CHECK (source IN ('measured', 'sampled')),
    gpu_us      INTEGER,                        -- of the whole device, in microseconds
    settled_us  INTEGER NOT NULL,               -- of it, on the ledger
    launches    INTEGER,
    to_device   INTEGER,                        -- bytes
    from_device INTEGER,                        -- bytes
    memory      INTEGER NOT NULL,               -- bytes now
    memory_peak INTEGER NOT NULL,               -- bytes at most
    active_at   INTEGER,                        -- last seen to use it; NULL: never
    PRIMARY KEY (workload, attempt, member, node, device)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunks (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    pack     INTEGER NOT NULL,
    offset   INTEGER NOT NULL,
    length   INTEGER NOT NULL,                  -- bytes under seal
    uses     INTEGER NOT NULL CHECK (uses >= 0),
    freed_at INTEGER,                           -- since when nobody needs it; NULL: somebody does
    doomed   INTEGER NOT NULL DEFAULT 0,        -- no new writer finds it
    CHECK ((uses = 0) = (freed_at IS NOT NULL)),
    CHECK (doomed = 0 OR uses = 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE team_keys (
    queue TEXT NOT NULL PRIMARY KEY,
    key   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE datasets (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given again: keys are bound to it
    name        TEXT    NOT NULL,
    queue       TEXT    NOT NULL,                -- the team whose it is
    owner       TEXT    NOT NULL,                -- the person who answers for it
    tier        TEXT    NOT NULL CHECK (tier IN ('public', 'internal', 'confidential', 'restricted')),
    about       TEXT    NOT NULL,
    changes     INTEGER NOT NULL DEFAULT 0,      -- how often an object was put or deleted
    versions    INTEGER NOT NULL DEFAULT 0,      -- how many were made; no number is given again
    forgotten   INTEGER NOT NULL DEFAULT 0,      -- moments before this change are not whole, but versions
    keep_days   INTEGER NOT NULL DEFAULT 7,      -- what ended is kept at least so long
    long_days   INTEGER NOT NULL DEFAULT 0,      -- and so long, if that is longer, until then:
    long_until  INTEGER NOT NULL DEFAULT 0,      -- so that to keep less makes nothing go at once
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,                         -- found by nobody since, but by who brings it back
    content_key BLOB    NOT NULL,                -- equal bytes are found by it; wrapped by the team's
    key_number  INTEGER NOT NULL DEFAULT 1,      -- counts rotations
    key         BLOB    NOT NULL,                -- wraps objects' keys; wrapped by the team's
    old_key     BLOB                             -- the one before, while objects still have it
, held_bytes INTEGER NOT NULL DEFAULT 0, held_objects INTEGER NOT NULL DEFAULT 0, scrubbed_at INTEGER NOT NULL DEFAULT 0, damaged INTEGER NOT NULL DEFAULT 0, scrub_path TEXT NOT NULL DEFAULT '', scrub_since INTEGER NOT NULL DEFAULT 0, scrub_damaged INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE objects (
    dataset    INTEGER NOT NULL REFERENCES datasets (id),
    path       TEXT    NOT NULL CHECK (length(CAST(path AS BLOB)) BETWEEN 1 AND 1024),
    since      INTEGER NOT NULL,                -- the change that put it
    until      INTEGER,                         -- the change that put another, or deleted it
    bytes      INTEGER NOT NULL,
    tag        BLOB    NOT NULL,                -- says whether two are equal; of its content by a key
    parts      INTEGER,                         -- of how many it was put together; NULL: put at once
    put_at     INTEGER NOT NULL,
    ended_at   INTEGER,
    key_number INTEGER NOT NULL,                -- which of the dataset's keys wraps its key
    key        BLOB    NOT NULL,                -- of notes and manifest, wrapped by the dataset's
    notes      BLOB    NOT NULL,                -- what was said of it, under seal
    manifest   BLOB    NOT NULL,                -- under seal
    chunks     BLOB    NOT NULL,                -- their ids, 32 bytes each
    PRIMARY KEY (dataset, path, since),
    CHECK (until > since),
    CHECK ((until IS NULL) = (ended_at IS NULL)),
    CHECK (length(chunks) % 32 = 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE dataset_versions (
    dataset INTEGER NOT NULL REFERENCES datasets (id),
    number  INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    objects INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    digest  BLOB    NOT NULL,                   -- SHA-256 over its objects' paths, sizes and tags
    made_by TEXT    NOT NULL,
    note    TEXT    NOT NULL,
    made_at INTEGER NOT NULL,
    removed_at INTEGER,                         -- since then only who brings it back finds it
    PRIMARY KEY (dataset, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE dataset_tags (
    dataset INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (dataset, name),
    FOREIGN KEY (dataset, number) REFERENCES dataset_versions (dataset, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE uploads (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset    INTEGER NOT NULL REFERENCES datasets (id),
    path       TEXT    NOT NULL CHECK (length(CAST(path AS BLOB)) BETWEEN 1 AND 1024),
    begun_at   INTEGER NOT NULL,
    key_number INTEGER NOT NULL,
    key        BLOB    NOT NULL,                -- of its notes, wrapped by the dataset's
    notes      BLOB    NOT NULL
) STRICT;
CREATE TABLE upload_parts (
    upload     INTEGER NOT NULL REFERENCES uploads (id),
    number     INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    tag        BLOB    NOT NULL,
    put_at     INTEGER NOT NULL,
    key_number INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    notes      BLOB    NOT NULL,
    manifest   BLOB    NOT NULL,
    chunks     BLOB    NOT NULL CHECK (length(chunks) % 32 = 0),
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE publications (
    workload INTEGER NOT NULL,
    entry    INTEGER NOT NULL,              -- which of those that were declared
    path     TEXT    NOT NULL,              -- in the working directory
    dataset  TEXT    NOT NULL,              -- its name: it may not be there yet
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'made', 'refused', 'dropped')),
    version  INTEGER,                       -- that was made
    why      TEXT    NOT NULL,              -- it is not made, for people
    files    INTEGER NOT NULL DEFAULT 1, due INTEGER NOT NULL DEFAULT 0,    -- whether the run's copy may still lie beside it
    PRIMARY KEY (workload, entry)
) STRICT, WITHOUT ROWID;
CREATE TABLE sources (
    name     TEXT    PRIMARY KEY,
    queue    TEXT    NOT NULL,                 -- the team that may use it
    kind     TEXT    NOT NULL CHECK (kind IN ('http', 's3', 'postgres', 'mysql')),
    settings TEXT    NOT NULL,                 -- JSON: where it is and how far it may reach; no secret
    made_by  TEXT    NOT NULL,
    made_at  INTEGER NOT NULL,
    key      BLOB    NOT NULL,                 -- wrapped by the team's
    secret   BLOB    NOT NULL                  -- under seal
) STRICT, WITHOUT ROWID;
CREATE TABLE imports (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset  INTEGER NOT NULL REFERENCES datasets (id),
    source   TEXT,                             -- NULL: an address of the web that nobody declared
    what     TEXT    NOT NULL,                 -- a table, an address, a prefix
    query    TEXT    NOT NULL,                 -- '' where all of it was wanted
    made_by  TEXT    NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    state    TEXT    NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    files    INTEGER NOT NULL DEFAULT 0,
    bytes    INTEGER NOT NULL DEFAULT 0,
    snapshot TEXT    NOT NULL DEFAULT '',      -- the moment that the source says it is of
    version  INTEGER,                          -- of the dataset, that came of it
    why      TEXT    NOT NULL DEFAULT '',      -- it failed
    CHECK ((state = 'running') = (ended_at IS NULL))
) STRICT;
CREATE TABLE data_grants (
    dataset    INTEGER NOT NULL REFERENCES datasets (id),
    user       TEXT    NOT NULL,
    granted_by TEXT    NOT NULL,
    granted_at INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    PRIMARY KEY (dataset, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE data_quotas (
    queue   TEXT    NOT NULL PRIMARY KEY,
    bytes   INTEGER NOT NULL,
    objects INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE data_views (
    dataset INTEGER PRIMARY KEY REFERENCES datasets (id),
    source  INTEGER NOT NULL,               -- it stays when all of that is forgotten
    files   TEXT,                           -- a pattern of paths; NULL: all that are there
    recipe  TEXT    NOT NULL,               -- JSON: what of each file, as weft-view reads it
    made_by TEXT    NOT NULL,               -- whose rights are asked for each version
    sample  INTEGER NOT NULL                -- 1: of workloads that declared it; found by nobody else
) STRICT;
CREATE TABLE data_view_versions (
    dataset  INTEGER NOT NULL REFERENCES data_views (dataset),
    source   INTEGER NOT NULL,              -- the number of the source's version
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'made')),
    version  INTEGER,                       -- that was made; where nothing of it differs, one before
    why      TEXT    NOT NULL,              -- it waits, for people
    left_out TEXT    NOT NULL,              -- JSON: files that are not in it, and why
    PRIMARY KEY (dataset, source),
    CHECK ((state = 'made') = (version IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE "data_requests" (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset    INTEGER,
    name       TEXT    NOT NULL,                -- as it was asked for
    asks       TEXT    NOT NULL CHECK (asks IN ('access', 'keep', 'end', 'lower')),
    asker      TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    days       INTEGER NOT NULL,                -- of access; to keep what ended; 0 of others
    version    INTEGER,                         -- of an end: this version alone
    tier       TEXT,                            -- of a view: this one, in the place of the one it has
    asked_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,                -- nobody decides on it after this
    approved   INTEGER,                         -- NULL: nobody has decided
    decided_by TEXT,
    decided_at INTEGER,
    due_at     INTEGER,                         -- what was approved is done from then on, not before
    done_at    INTEGER,
    CHECK ((approved IS NULL) = (decided_by IS NULL)),
    CHECK (decided_by IS NULL OR approved = 0 OR decided_by <> asker),
    CHECK ((asks = 'lower') = (tier IS NOT NULL))
) STRICT;
CREATE TABLE packs_away (
    pack    INTEGER NOT NULL PRIMARY KEY,
    place   TEXT    NOT NULL,                   -- the store, as the configuration names it
    name    TEXT    NOT NULL UNIQUE,            -- what it is called there: random, it tells nothing
    bytes   INTEGER NOT NULL,
    there   INTEGER NOT NULL DEFAULT 0 CHECK (there IN (0, 1)), -- 0: named, perhaps on its way
    gone_at INTEGER                             -- when nobody needed it any more; it goes later
) STRICT;
CREATE TABLE data_branches (
    dataset INTEGER PRIMARY KEY REFERENCES datasets (id),
    source  INTEGER NOT NULL,               -- the dataset that it is a branch of
    number  INTEGER NOT NULL,               -- the version of it: it stays as long as this row
    changes INTEGER NOT NULL,               -- of that version; the branch counts on from there
    merged  INTEGER NOT NULL                -- changes of the branch that the source was given
) STRICT;
CREATE TABLE data_branch_paths (
    dataset  INTEGER NOT NULL REFERENCES data_branches (dataset),
    path     TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (dataset, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE "origins" (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind IN ('run', 'import', 'view', 'branch', 'merge')),
    what    TEXT    NOT NULL,               -- the workload, the source, the view or the branch
    actor   TEXT    NOT NULL,
    queue   TEXT    NOT NULL,               -- of whom
    bundle  TEXT,                           -- the files that a run was given: kept as long as this
    detail  TEXT    NOT NULL                -- JSON: all that it takes to do it again
) STRICT;
CREATE TABLE "origin_inputs" (
    origin  INTEGER NOT NULL REFERENCES "origins" (id),
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    name    TEXT    NOT NULL,               -- of the dataset, should it be gone one day
    PRIMARY KEY (origin, dataset, number, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE experiments (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    queue      TEXT    NOT NULL,            -- the team
    name       TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    tier       TEXT    NOT NULL,            -- of what its name and its tags may tell
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    UNIQUE (queue, name)
) STRICT;
CREATE TABLE experiment_tags (
    experiment INTEGER NOT NULL REFERENCES experiments (id),
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    PRIMARY KEY (experiment, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE tracked_runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       TEXT    NOT NULL UNIQUE,     -- as clients call it
    experiment INTEGER NOT NULL REFERENCES experiments (id),
    name       TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,            -- as the client says; ms since 1970
    ended_at   INTEGER,
    deleted_at INTEGER,
    tier       TEXT    NOT NULL,            -- the highest of what the workloads read that wrote it
    workload   INTEGER,                     -- that made it, if one did
    attempt    INTEGER,
    held       INTEGER NOT NULL DEFAULT 0   -- bytes of what was written to it
) STRICT;
CREATE TABLE run_params (
    run   INTEGER NOT NULL REFERENCES tracked_runs (id),
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_tags (
    run   INTEGER NOT NULL REFERENCES tracked_runs (id),
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_metrics (
    id    INTEGER PRIMARY KEY,
    run   INTEGER NOT NULL REFERENCES tracked_runs (id),
    key   TEXT    NOT NULL,
    step  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    value INTEGER NOT NULL,
    UNIQUE (run, key)
) STRICT;
CREATE TABLE metric_points (
    metric INTEGER NOT NULL REFERENCES run_metrics (id),
    at     INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    value  INTEGER NOT NULL,
    PRIMARY KEY (metric, at, step, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_inputs (
    run         INTEGER NOT NULL REFERENCES tracked_runs (id),
    name        TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    source_type TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    schema      TEXT,
    profile     TEXT,
    tags        TEXT    NOT NULL,           -- JSON: of this use, as `mlflow.data.context`
    PRIMARY KEY (run, name, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE tracking_held (
    queue TEXT    NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE artifact_places (
    experiment INTEGER NOT NULL REFERENCES experiments (id),
    owner      TEXT    NOT NULL,
    tier       TEXT    NOT NULL,
    dataset    INTEGER NOT NULL,
    PRIMARY KEY (experiment, owner, tier)
) STRICT, WITHOUT ROWID;
CREATE TABLE logged_models (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid       TEXT    NOT NULL UNIQUE,     -- as clients call it
    experiment INTEGER NOT NULL REFERENCES experiments (id),
    name       TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    tier       TEXT    NOT NULL,            -- the highest of what the workloads read that wrote it
    model_type TEXT    NOT NULL,            -- empty: nobody said
    status     TEXT    NOT NULL CHECK (status IN ('pending', 'ready', 'failed')),
    run        TEXT    NOT NULL,            -- of which run, as clients call it; empty: of none
    made_at    INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    held       INTEGER NOT NULL DEFAULT 0   -- bytes of what was written to it
) STRICT;
CREATE TABLE model_params (
    model INTEGER NOT NULL REFERENCES logged_models (id),
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_tags (
    model INTEGER NOT NULL REFERENCES logged_models (id),
    key   TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE model_metrics (
    model INTEGER NOT NULL REFERENCES logged_models (id),
    key   TEXT    NOT NULL,
    step  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    value INTEGER NOT NULL,                 -- as of metric_points
    run   INTEGER NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE run_models (
    run   INTEGER NOT NULL REFERENCES tracked_runs (id),
    kind  TEXT    NOT NULL CHECK (kind IN ('input', 'output')),
    model TEXT    NOT NULL,                 -- as clients call it
    step  INTEGER NOT NULL,
    PRIMARY KEY (run, kind, model)
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES (1, 'f7851e46ddeff4b14ba3d3fdc8fcefec', 1, 2, 1);
INSERT INTO nodes VALUES ('n1', 1, 0, 64000, 512000000000, 1000000000000, '[]', 1000, 1);
INSERT INTO devices VALUES ('n1', 0, 'GPU-0', 'Test 80GB', '{"name":"t80","memory":80000000000,"value":1}', '"Whole"', 80000000000, NULL, 1, '[]', '{"state":"ok","since":0,"troubled":0,"slight":0,"counted":0,"again":false,"taken_out":false,"reason":"","boot":""}');
INSERT INTO devices VALUES ('n1', 1, 'GPU-1', 'Test 80GB', '{"name":"t80","memory":80000000000,"value":1}', '"Whole"', 80000000000, NULL, 1, '[]', '{"state":"ok","since":0,"troubled":0,"slight":0,"counted":0,"again":false,"taken_out":false,"reason":"","boot":""}');
INSERT INTO devices VALUES ('n1', 2, 'GPU-2', 'Test 80GB', '{"name":"t80","memory":80000000000,"value":1}', '"Whole"', 80000000000, NULL, 1, '[]', '{"state":"ok","since":0,"troubled":0,"slight":0,"counted":0,"again":false,"taken_out":false,"reason":"","boot":""}');
INSERT INTO devices VALUES ('n1', 3, 'GPU-3', 'Test 80GB', '{"name":"t80","memory":80000000000,"value":1}', '{"Mig":{"geometry":[{"profile":"1g.10gb","start":0,"size":1,"memory":10000000000},{"profile":"1g.10gb","start":1,"size":1,"memory":10000000000},{"profile":"1g.10gb","start":2,"size":1,"memory":10000000000},{"profile":"1g.10gb","start":3,"size":1,"memory":10000000000},{"profile":"1g.10gb","start":4,"size":1,"memory":10000000000},{"profile":"1g.10gb","start":5,"size":1,"memory":10000000000},{"profile":"1g.10gb","start":6,"size":1,"memory":10000000000}],"compute_slices":7}}', 80000000000, NULL, 1, '[]', '{"state":"ok","since":0,"troubled":0,"slight":0,"counted":0,"again":false,"taken_out":false,"reason":"","boot":""}');
INSERT INTO queues VALUES ('lab', '{"cohort":null,"gpu":{"nominal":4000,"borrowing":0,"lending":0},"cpu":{"nominal":0,"borrowing":0,"lending":0},"memory":{"nominal":0,"borrowing":0,"lending":0},"recent":0,"order":"submission"}', 1);
INSERT INTO workloads VALUES (1, 'ended', 'lab', 'ann', 'job', 'training', 0, 2000, 1000, 1000000000, 0, '{"Whole":{"count":1,"filter":{"names":[],"memory":{"min":null,"max":null}}}}', 1, 1, 1, 60000, NULL, NULL, 'succeeded', 1, 0, NULL, 5000, NULL, 6000, 0, 0, 0, 0, 3, '{"state":"succeeded","attempt":1,"members":[],"stop":null,"retry":{"on_error":false,"on_lost":false,"max":0},"retries":0,"not_before":0,"exit":{"end":{"exited":0},"at":6000,"detail":""}}', NULL, 0, NULL, NULL, '', 0, 1, 1, 'shared');
INSERT INTO workloads VALUES (2, 'running', 'lab', 'ann', 'job', 'training', 0, 2000, 1000, 1000000000, 0, '{"Whole":{"count":1,"filter":{"names":[],"memory":{"min":null,"max":null}}}}', 1, 1, 1, 60000, NULL, NULL, 'starting', 1, 0, NULL, 5000, NULL, NULL, 0, 0, 0, 0, 2, '{"state":"starting","attempt":1,"members":["starting"],"stop":null,"retry":{"on_error":false,"on_lost":false,"max":0},"retries":0,"not_before":0,"exit":null}', NULL, 0, NULL, NULL, '', 0, 1, 1, 'shared');
INSERT INTO workloads VALUES (3, 'waiting', 'lab', 'ann', 'job', 'training', 0, 2000, 1000, 1000000000, 0, '{"Whole":{"count":1,"filter":{"names":[],"memory":{"min":null,"max":null}}}}', 1, 1, 1, 60000, NULL, NULL, 'queued', 0, 0, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 1, '{"state":"queued","attempt":0,"members":[],"stop":null,"retry":{"on_error":false,"on_lost":false,"max":0},"retries":0,"not_before":0,"exit":null}', NULL, 0, NULL, NULL, '', 0, 1, 1, 'shared');
INSERT INTO sqlite_sequence VALUES ('data_requests', 0);
INSERT INTO sqlite_sequence VALUES ('origins', 0);
INSERT INTO sqlite_sequence VALUES ('workloads', 3);
INSERT INTO sqlite_sequence VALUES ('events', 3);
INSERT INTO specs VALUES (1, '{}');
INSERT INTO specs VALUES (2, '{}');
INSERT INTO specs VALUES (3, '{}');
INSERT INTO placements VALUES (2, 0, 'n1', 1000, 1000000000, 0);
INSERT INTO grants VALUES (2, 0, 0, 'n1', 0, 'share', 500, 0, NULL, NULL, NULL);
INSERT INTO events VALUES (1, 3000, 'ann', 'workload', 'w1', 'lab', 'submitted', '');
INSERT INTO events VALUES (2, 3000, 'ann', 'workload', 'w2', 'lab', 'submitted', '');
INSERT INTO events VALUES (3, 3000, 'ann', 'workload', 'w3', 'lab', 'submitted', '');
INSERT INTO audit VALUES (1, 3000, 'ann', 'submit', 'w1', 'allowed', '["owner"]', '{}', X'7D4A77B802B02B01BA47613EDA1E52271D318D7829E19F169974662BE21F422D');
INSERT INTO audit VALUES (2, 3000, 'ann', 'submit', 'w2', 'allowed', '["owner"]', '{}', X'F6AA511CC8362A77C1FAE93F1BAEBEA7D12F02C3037663BEE9D7D9D3BA79F3DF');
INSERT INTO holdings VALUES (1, 1, 1, 0, 'n1', NULL, 1000, 1000000000, 5000, 6000);
INSERT INTO holdings VALUES (2, 1, 1, 0, 'n1', 0, 500, 0, 5000, 6000);
INSERT INTO holdings VALUES (3, 2, 1, 0, 'n1', NULL, 1000, 1000000000, 5000, NULL);
INSERT INTO holdings VALUES (4, 2, 1, 0, 'n1', 0, 500, 0, 5000, NULL);
CREATE INDEX tokens_user ON tokens (user);
CREATE UNIQUE INDEX workloads_name ON workloads (queue, name) WHERE removed = 0;
CREATE INDEX workloads_live ON workloads (id)
    WHERE state IN ('queued', 'starting', 'running', 'stopping');
CREATE INDEX workloads_state ON workloads (state, id) WHERE removed = 0;
CREATE INDEX placements_node ON placements (node);
CREATE INDEX grants_device ON grants (node, device);
CREATE TRIGGER grants_no_double BEFORE INSERT ON grants
BEGIN
    SELECT RAISE(ABORT, 'double allocation: a device is given whole and shared')
    WHERE EXISTS (SELECT 1 FROM grants g WHERE g.node = NEW.node AND g.device = NEW.device
                  AND (NEW.sort <> g.sort OR NEW.sort = 'whole'));
    SELECT RAISE(ABORT, 'double allocation: more than 1000 thousandths of a device')
    WHERE NEW.milli + (SELECT coalesce(sum(g.milli), 0) FROM grants g
                       WHERE g.node = NEW.node AND g.device = NEW.device) > 1000;
    SELECT RAISE(ABORT, 'double allocation: more memory than the device has')
    WHERE NEW.memory + (SELECT coalesce(sum(g.memory), 0) FROM grants g
                        WHERE g.node = NEW.node AND g.device = NEW.device)
        > (SELECT d.memory FROM devices d WHERE d.node = NEW.node AND d.device = NEW.device);
    SELECT RAISE(ABORT, 'double allocation: MIG instances overlap')
    WHERE NEW.sort = 'mig' AND EXISTS (
        SELECT 1 FROM grants g WHERE g.node = NEW.node AND g.device = NEW.device
        AND NEW.start < g.start + g.size AND g.start < NEW.start + NEW.size);
END;
CREATE INDEX events_subject ON events (kind, subject, seq);
CREATE TRIGGER events_append_only BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE INDEX holdings_workload ON holdings (workload);
CREATE INDEX holdings_device ON holdings (node, device, until_ms) WHERE device IS NOT NULL;
CREATE INDEX holdings_open ON holdings (workload) WHERE until_ms IS NULL;
CREATE INDEX ledger_since ON ledger (from_ms, account);
CREATE INDEX ledger_fine ON ledger (from_ms) WHERE fine = 1;
CREATE INDEX points_since ON points (at);
CREATE INDEX points_fine ON points (workload, at) WHERE fine = 1;
CREATE INDEX tokens_parent ON tokens (parent) WHERE parent IS NOT NULL;
CREATE INDEX holders_bundle ON holders (sha256);
CREATE INDEX workloads_live_user ON workloads (user)
    WHERE state IN ('queued', 'starting', 'running', 'stopping');
CREATE INDEX workloads_live_queue ON workloads (queue)
    WHERE state IN ('queued', 'starting', 'running', 'stopping');
CREATE INDEX workloads_namesakes ON workloads (name, id) WHERE removed = 0;
CREATE INDEX workloads_learned ON workloads (user, queue, program, id) WHERE state = 'succeeded';
CREATE INDEX holdings_ended ON holdings (until_ms) WHERE device IS NOT NULL;
CREATE INDEX device_use_due ON device_use (node, device) WHERE gpu_us > settled_us;
CREATE INDEX chunks_pack ON chunks (pack, length);
CREATE INDEX chunks_free ON chunks (freed_at) WHERE freed_at IS NOT NULL;
CREATE UNIQUE INDEX datasets_named ON datasets (name) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX objects_now ON objects (dataset, path) WHERE until IS NULL;
CREATE INDEX objects_ended ON objects (dataset, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX dataset_tags_of ON dataset_tags (dataset, number);
CREATE INDEX uploads_of ON uploads (dataset, path, id);
CREATE INDEX uploads_begun ON uploads (begun_at);
CREATE INDEX imports_of ON imports (dataset, id);
CREATE INDEX imports_running ON imports (state) WHERE state = 'running';
CREATE INDEX datasets_held ON datasets (queue, held_bytes, held_objects);
CREATE INDEX data_views_of ON data_views (source);
CREATE INDEX data_view_versions_open ON data_view_versions (dataset, source) WHERE state = 'waiting';
CREATE INDEX data_requests_of ON data_requests (dataset);
CREATE INDEX data_requests_by ON data_requests (asker);
CREATE INDEX data_grants_by ON data_grants (user);
CREATE INDEX publications_open ON publications (workload, entry)
    WHERE due = 1 AND (state = 'waiting' OR files = 1);
CREATE INDEX data_branches_of ON data_branches (source, number);
CREATE INDEX origins_of ON origins (dataset, number);
CREATE INDEX origin_inputs_of ON origin_inputs (dataset, number);
CREATE INDEX tracked_runs_of ON tracked_runs (experiment, started_at);
CREATE INDEX tracked_runs_deleted ON tracked_runs (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX tracked_runs_open ON tracked_runs (workload)
    WHERE workload IS NOT NULL AND ended_at IS NULL;
CREATE INDEX logged_models_of ON logged_models (experiment);
CREATE INDEX logged_models_deleted ON logged_models (deleted_at) WHERE deleted_at IS NOT NULL;
PRAGMA user_version = 18;
