-- Datasets, objects and versions anew: 0008's tables never held data, since nothing of the product
-- called them before this. New are notes, tags' parts, uploads, names of versions, and keys that can
-- be rotated; small columns stand before blobs, so that lists do not walk overflow pages.
DROP TABLE dataset_versions;
DROP TABLE objects;
DROP TABLE datasets;

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
) STRICT;
CREATE UNIQUE INDEX datasets_named ON datasets (name) WHERE ended_at IS NULL;

-- An object from one change of its dataset to another. What is now has no end. A version of the
-- dataset is a number of changes, so it costs nothing, and nothing of it can change.
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
    removed_at INTEGER,                         -- since then only who brings it back finds it
    PRIMARY KEY (dataset, number)
) STRICT, WITHOUT ROWID;

-- A name for a version. It is moved by those who say so, never by itself.
CREATE TABLE dataset_tags (
    dataset INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (dataset, name),
    FOREIGN KEY (dataset, number) REFERENCES dataset_versions (dataset, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX dataset_tags_of ON dataset_tags (dataset, number);

-- An object that is put in parts and not finished.
CREATE TABLE uploads (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset    INTEGER NOT NULL REFERENCES datasets (id),
    path       TEXT    NOT NULL CHECK (length(CAST(path AS BLOB)) BETWEEN 1 AND 1024),
    begun_at   INTEGER NOT NULL,
    key_number INTEGER NOT NULL,
    key        BLOB    NOT NULL,                -- of its notes, wrapped by the dataset's
    notes      BLOB    NOT NULL
) STRICT;
CREATE INDEX uploads_of ON uploads (dataset, path, id);
CREATE INDEX uploads_begun ON uploads (begun_at);

-- A part of one. Its chunks are needed as an object's are.
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
