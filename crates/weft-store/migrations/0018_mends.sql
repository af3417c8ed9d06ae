-- Indexes and places that long work goes on from.

-- Access is taken from who leaves: by user, not through all of it.
CREATE INDEX data_grants_by ON data_grants (user);

-- An output is looked at once its workload has ended, not at each commit before.
ALTER TABLE publications ADD COLUMN due INTEGER NOT NULL DEFAULT 0;
UPDATE publications SET due = 1 WHERE NOT EXISTS (
    SELECT 1 FROM workloads w WHERE w.id = publications.workload
    AND w.state NOT IN ('succeeded', 'failed', 'stopped'));
DROP INDEX publications_open;
CREATE INDEX publications_open ON publications (workload, entry)
    WHERE due = 1 AND (state = 'waiting' OR files = 1);

-- How far a look for damage has come: behind this object, having found so many damaged.
ALTER TABLE datasets ADD COLUMN scrub_path TEXT NOT NULL DEFAULT '';
ALTER TABLE datasets ADD COLUMN scrub_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE datasets ADD COLUMN scrub_damaged INTEGER NOT NULL DEFAULT 0;

-- Versions named a source to more than may know it: what came from where stands with its origin.
UPDATE dataset_versions SET note = 'imported' || substr(note, 6 + (
        SELECT max(length(o.what)) FROM origins o
        WHERE o.dataset = dataset_versions.dataset AND o.number = dataset_versions.number
        AND o.kind = 'import' AND substr(note, 1, 5 + length(o.what)) = 'from ' || o.what))
WHERE EXISTS (SELECT 1 FROM origins o
    WHERE o.dataset = dataset_versions.dataset AND o.number = dataset_versions.number
    AND o.kind = 'import' AND substr(note, 1, 5 + length(o.what)) = 'from ' || o.what);
