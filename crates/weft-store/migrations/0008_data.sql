-- Data at rest: where chunks lie, and who needs them.

-- A chunk under seal, by its id. The bytes are in a pack (weft-gateway); what opens them is not here.
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
CREATE INDEX chunks_pack ON chunks (pack, length);
CREATE INDEX chunks_free ON chunks (freed_at) WHERE freed_at IS NOT NULL;

-- The key of each team's datasets, wrapped by the master key.
CREATE TABLE team_keys (
    queue TEXT NOT NULL PRIMARY KEY,
    key   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE datasets (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    queue      TEXT    NOT NULL,                -- the team whose it is
    owner      TEXT    NOT NULL,                -- the person who answers for it
    tier       TEXT    NOT NULL CHECK (tier IN ('public', 'internal', 'confidential', 'restricted')),
    about      TEXT    NOT NULL,
    key        BLOB    NOT NULL,                -- wrapped by the team's
    changes    INTEGER NOT NULL DEFAULT 0,      -- how often an object was put or deleted
    created_at INTEGER NOT NULL
) STRICT;

-- An object from one change of its dataset to another. What is now has no end. A version of the
-- dataset is a number of changes, so it costs nothing, and nothing of it can change.
CREATE TABLE objects (
    dataset    INTEGER NOT NULL REFERENCES datasets (id),
    path       TEXT    NOT NULL CHECK (length(CAST(path AS BLOB)) BETWEEN 1 AND 1024),
    since      INTEGER NOT NULL,                -- the change that put it
    until      INTEGER,                         -- the change that put another, or deleted it
    bytes      INTEGER NOT NULL,
    tag        BLOB    NOT NULL,                -- says whether two are equal; of its content by a key
    key        BLOB    NOT NULL,                -- of the manifest, wrapped by the dataset's
    manifest   BLOB    NOT NULL,                -- under seal
    chunks     BLOB    NOT NULL,                -- their ids, 32 bytes each
    put_at     INTEGER NOT NULL,
    ended_at   INTEGER,
    PRIMARY KEY (dataset, path, since),
    CHECK (until > since),
    CHECK ((until IS NULL) = (ended_at IS NULL)),
    CHECK (length(chunks) % 32 = 0)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX objects_now ON objects (dataset, path) WHERE until IS NULL;
CREATE INDEX objects_ended ON objects (dataset, ended_at) WHERE ended_at IS NOT NULL;

-- A version: the dataset as it was after so many changes.
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
    PRIMARY KEY (dataset, number)
) STRICT, WITHOUT ROWID;
