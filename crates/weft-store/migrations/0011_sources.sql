-- Where data comes from, and each time some came. A source's secret is under a key of its own, which
-- the team's wraps: it opens for its name and its team alone.
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
CREATE INDEX imports_of ON imports (dataset, id);
CREATE INDEX imports_running ON imports (state) WHERE state = 'running';
