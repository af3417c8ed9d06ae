-- What a queue needs to share its time, and what durations are learned from.

-- What suspending it costs, in milliseconds; NULL: it cannot be suspended.
ALTER TABLE workloads ADD COLUMN suspend INTEGER;
-- How long it held capacity in earlier starts whose work was kept; once it has succeeded, in all.
ALTER TABLE workloads ADD COLUMN served INTEGER NOT NULL DEFAULT 0;
-- When its last start gave its capacity back; NULL: it was never started, or not since this.
ALTER TABLE workloads ADD COLUMN released_at INTEGER;
-- Since when something has been stopped for it, until it starts; NULL: nothing has.
ALTER TABLE workloads ADD COLUMN owed INTEGER;
-- What it runs, in a word: equal programs of one user and queue are expected to take equally long.
ALTER TABLE workloads ADD COLUMN program TEXT NOT NULL DEFAULT '';
-- How many ended runs `expected` was learned from; 0: it was stated.
ALTER TABLE workloads ADD COLUMN learned_from INTEGER NOT NULL DEFAULT 0;
CREATE INDEX workloads_learned ON workloads (user, queue, program, id) WHERE state = 'succeeded';
