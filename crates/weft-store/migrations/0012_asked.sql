-- What is asked about datasets, what was granted, and how much a team's datasets may be.

-- A request. `dataset` is NULL where no dataset had that name: who asks is told the same, so that
-- asking tells nothing.
CREATE TABLE data_requests (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset    INTEGER,
    name       TEXT    NOT NULL,                -- as it was asked for
    asks       TEXT    NOT NULL CHECK (asks IN ('access', 'keep', 'end')),
    asker      TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    days       INTEGER NOT NULL,                -- of access; to keep what ended; 0 of an end
    version    INTEGER,                         -- of an end: this version alone
    asked_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,                -- nobody decides on it after this
    approved   INTEGER,                         -- NULL: nobody has decided
    decided_by TEXT,
    decided_at INTEGER,
    due_at     INTEGER,                         -- what was approved is done from then on, not before
    done_at    INTEGER,
    CHECK ((approved IS NULL) = (decided_by IS NULL)),
    CHECK (decided_by IS NULL OR approved = 0 OR decided_by <> asker)
) STRICT;
CREATE INDEX data_requests_of ON data_requests (dataset);
CREATE INDEX data_requests_by ON data_requests (asker);

-- Access that a dataset's owner gave somebody, until a day.
CREATE TABLE data_grants (
    dataset    INTEGER NOT NULL REFERENCES datasets (id),
    user       TEXT    NOT NULL,
    granted_by TEXT    NOT NULL,
    granted_at INTEGER NOT NULL,
    until_at   INTEGER NOT NULL,
    PRIMARY KEY (dataset, user)
) STRICT, WITHOUT ROWID;

-- What a team's datasets may be together. A team that is not here may have nothing.
CREATE TABLE data_quotas (
    queue   TEXT    NOT NULL PRIMARY KEY,
    bytes   INTEGER NOT NULL,
    objects INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Teams from before: nobody has said what they may have, and what they have must go on.
INSERT INTO data_quotas SELECT name, 1 << 40, 10000000 FROM queues;

-- What a dataset holds on the disk, of all that was put and is not forgotten: chunks once each.
ALTER TABLE datasets ADD COLUMN held_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN held_objects INTEGER NOT NULL DEFAULT 0;
CREATE INDEX datasets_held ON datasets (queue, held_bytes, held_objects);

WITH RECURSIVE
    manifests (dataset, chunks) AS (
        SELECT dataset, chunks FROM objects
        UNION ALL
        SELECT u.dataset, p.chunks FROM upload_parts p JOIN uploads u ON u.id = p.upload),
    -- Halved until one is left: an object of 100,000 chunks is copied 17 times, not 100,000.
    ids (dataset, id) AS (
        SELECT dataset, chunks FROM manifests
        UNION ALL
        SELECT dataset, substr(id, 1, length(id) / 64 * 32) FROM ids WHERE length(id) >= 64
        UNION ALL
        SELECT dataset, substr(id, length(id) / 64 * 32 + 1) FROM ids WHERE length(id) >= 64),
    held (dataset, bytes) AS (
        SELECT dataset, sum(length)
        FROM (SELECT DISTINCT dataset, id FROM ids WHERE length(id) = 32) JOIN chunks USING (id)
        GROUP BY dataset)
UPDATE datasets SET
    held_bytes = ifnull((SELECT bytes FROM held WHERE held.dataset = datasets.id), 0),
    held_objects = (SELECT count(*) FROM objects WHERE objects.dataset = datasets.id);

-- When all of a dataset was last read for damage, and how many objects were damaged.
ALTER TABLE datasets ADD COLUMN scrubbed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
