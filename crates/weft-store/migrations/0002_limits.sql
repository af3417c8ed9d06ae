-- What keeps one user from taking all of a server: who holds which files, which token made
-- which, and indexes that count and find without a walk.

-- Which token made it; NULL: none, it was made at the machine itself.
ALTER TABLE tokens ADD COLUMN parent TEXT;
CREATE INDEX tokens_parent ON tokens (parent) WHERE parent IS NOT NULL;

-- Who sent the bytes of which bundle, as long as the bundle is kept.
CREATE TABLE holders (
    user        TEXT    NOT NULL,
    sha256      TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    PRIMARY KEY (user, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX holders_bundle ON holders (sha256);
-- Whoever named one before had sent it. How large they were was not written down.
INSERT OR IGNORE INTO holders
    SELECT w.user, json_extract(s.spec, '$.bundle'), 0, w.submitted_at
    FROM workloads w JOIN specs s ON s.workload = w.id
    WHERE w.removed = 0 AND CASE WHEN json_valid(s.spec)
          THEN json_type(s.spec, '$.bundle') = 'text' ELSE 0 END;

CREATE INDEX workloads_live_user ON workloads (user)
    WHERE state IN ('queued', 'starting', 'running', 'stopping');
CREATE INDEX workloads_live_queue ON workloads (queue)
    WHERE state IN ('queued', 'starting', 'running', 'stopping');
CREATE INDEX workloads_namesakes ON workloads (name, id) WHERE removed = 0;
