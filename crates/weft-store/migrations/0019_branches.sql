-- Branches: datasets that begin as a version of another one, of which they copy nothing.

CREATE TABLE data_branches (
    dataset INTEGER PRIMARY KEY REFERENCES datasets (id),
    source  INTEGER NOT NULL,               -- the dataset that it is a branch of
    number  INTEGER NOT NULL,               -- the version of it: it stays as long as this row
    changes INTEGER NOT NULL,               -- of that version; the branch counts on from there
    merged  INTEGER NOT NULL                -- changes of the branch that the source was given
) STRICT;
CREATE INDEX data_branches_of ON data_branches (source, number);

-- Paths of the version that the branch has changed, and by which of its changes first: what the
-- version has there ended for the branch.
CREATE TABLE data_branch_paths (
    dataset  INTEGER NOT NULL REFERENCES data_branches (dataset),
    path     TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (dataset, path)
) STRICT, WITHOUT ROWID;

-- The objects of a branch: its own, and the version's until it has changed them.
CREATE VIEW branch_objects AS
SELECT dataset, path, since, until, bytes, tag, parts, put_at, ended_at,
       key_number, key, notes, manifest, chunks
FROM objects
UNION ALL
SELECT b.dataset, o.path, o.since, p.since, o.bytes, o.tag, o.parts, o.put_at, p.ended_at,
       o.key_number, o.key, o.notes, o.manifest, o.chunks
FROM data_branches b CROSS JOIN objects o
     LEFT JOIN data_branch_paths p ON p.dataset = b.dataset AND p.path = o.path
WHERE o.dataset = b.source AND o.since <= b.changes AND (o.until IS NULL OR o.until > b.changes);

-- Origins know a kind more.
CREATE TABLE origins_19 (
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
CREATE TABLE origin_inputs_19 (
    origin  INTEGER NOT NULL REFERENCES origins_19 (id),
    dataset INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    name    TEXT    NOT NULL,               -- of the dataset, should it be gone one day
    PRIMARY KEY (origin, dataset, number, name)
) STRICT, WITHOUT ROWID;
INSERT INTO origins_19 SELECT * FROM origins;
INSERT INTO origin_inputs_19 SELECT * FROM origin_inputs;
DROP TABLE origin_inputs;
DROP TABLE origins;
ALTER TABLE origins_19 RENAME TO origins;
ALTER TABLE origin_inputs_19 RENAME TO origin_inputs;
CREATE INDEX origins_of ON origins (dataset, number);
CREATE INDEX origin_inputs_of ON origin_inputs (dataset, number);
