-- Gangs that start with as many members as have room.

-- Most members it takes; `gang` is the fewest.
ALTER TABLE workloads ADD COLUMN gang_most INTEGER NOT NULL DEFAULT 1;
-- Members of its current start, else of its last; of none yet: the fewest.
ALTER TABLE workloads ADD COLUMN members INTEGER NOT NULL DEFAULT 1;
UPDATE workloads SET gang_most = gang, members = gang;
