-- Experiments and what was tracked in them: runs, their parameters, tags, metrics and inputs.

-- A name is a team's once, also that of an experiment that was deleted: it may come back.
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
CREATE INDEX tracked_runs_of ON tracked_runs (experiment, started_at);
CREATE INDEX tracked_runs_deleted ON tracked_runs (deleted_at) WHERE deleted_at IS NOT NULL;
-- Those that end with their workload, if they have not ended before.
CREATE INDEX tracked_runs_open ON tracked_runs (workload)
    WHERE workload IS NOT NULL AND ended_at IS NULL;
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

-- A metric of a run, and its latest point: the last by step, then moment, then value. A value is a
-- float's bits, turned so that they are ordered as the floats are, NaN last.
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

-- A dataset that a run said it read.
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

-- What a team's experiments hold on the disk.
CREATE TABLE tracking_held (
    queue TEXT    NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
