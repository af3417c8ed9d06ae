-- Files that runs and models keep, and the models that runs logged.

-- Where files lie: a dataset for each owner and tier of an experiment.
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
CREATE INDEX logged_models_of ON logged_models (experiment);
CREATE INDEX logged_models_deleted ON logged_models (deleted_at) WHERE deleted_at IS NOT NULL;
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

-- The latest point of each metric of a model, and in which run it was measured.
CREATE TABLE model_metrics (
    model INTEGER NOT NULL REFERENCES logged_models (id),
    key   TEXT    NOT NULL,
    step  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    value INTEGER NOT NULL,                 -- as of metric_points
    run   INTEGER NOT NULL,
    PRIMARY KEY (model, key)
) STRICT, WITHOUT ROWID;

-- The models that a run read, and those that it made.
CREATE TABLE run_models (
    run   INTEGER NOT NULL REFERENCES tracked_runs (id),
    kind  TEXT    NOT NULL CHECK (kind IN ('input', 'output')),
    model TEXT    NOT NULL,                 -- as clients call it
    step  INTEGER NOT NULL,
    PRIMARY KEY (run, kind, model)
) STRICT, WITHOUT ROWID;
