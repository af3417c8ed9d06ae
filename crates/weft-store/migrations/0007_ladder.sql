-- What was found to keep neighbours on a device apart: a JSON array of rungs. What is there already
-- is looked at again at the next start; until then it is shared as it was.
ALTER TABLE devices ADD COLUMN rungs TEXT NOT NULL
    DEFAULT '[{"isolation":"shared","offered":true,"why":"not looked at yet"}]';
-- What keeps a workload apart from its neighbours at least, by a word of the ladder.
ALTER TABLE workloads ADD COLUMN isolation TEXT NOT NULL DEFAULT 'shared';
-- The health of a device: a JSON record of its state machine. `fault` says it for the planner.
ALTER TABLE devices ADD COLUMN health TEXT NOT NULL DEFAULT '{}';
