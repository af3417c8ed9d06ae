-- Packs that lie in an object store, or are to lie there.

CREATE TABLE packs_away (
    pack    INTEGER NOT NULL PRIMARY KEY,
    place   TEXT    NOT NULL,                   -- the store, as the configuration names it
    name    TEXT    NOT NULL UNIQUE,            -- what it is called there: random, it tells nothing
    bytes   INTEGER NOT NULL,
    there   INTEGER NOT NULL DEFAULT 0 CHECK (there IN (0, 1)), -- 0: named, perhaps on its way
    gone_at INTEGER                             -- when nobody needed it any more; it goes later
) STRICT;
