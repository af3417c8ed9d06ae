-- What runs used of devices, and where each figure comes from.

-- What each member of each start used of a device, in all: what its own ledger said last, else
-- what the driver said when it was asked. What is not known is NULL, and never zero.
CREATE TABLE device_use (
    workload    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    member      INTEGER NOT NULL,
    node        TEXT    NOT NULL,
    device      INTEGER NOT NULL,
    source      TEXT    NOT NULL CHECK (source IN ('measured', 'sampled')),
    gpu_us      INTEGER,                        -- of the whole device, in microseconds
    settled_us  INTEGER NOT NULL,               -- of it, on the ledger
    launches    INTEGER,
    to_device   INTEGER,                        -- bytes
    from_device INTEGER,                        -- bytes
    memory      INTEGER NOT NULL,               -- bytes now
    memory_peak INTEGER NOT NULL,               -- bytes at most
    active_at   INTEGER,                        -- last seen to use it; NULL: never
    PRIMARY KEY (workload, attempt, member, node, device)
) STRICT, WITHOUT ROWID;
-- What is to be put on the ledger yet.
CREATE INDEX device_use_due ON device_use (node, device) WHERE gpu_us > settled_us;

-- Of what an account held, that whose use was measured, and that whose use the driver was asked
-- for: thousandths of the device times milliseconds. Before this there were samples alone.
ALTER TABLE ledger ADD COLUMN measured INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger ADD COLUMN sampled INTEGER NOT NULL DEFAULT 0;
UPDATE ledger SET sampled = allocated WHERE account > 0;

-- Device time held in a point whose use is known, likewise.
ALTER TABLE points ADD COLUMN gpu_known INTEGER NOT NULL DEFAULT 0;
UPDATE points SET gpu_known = span * 1000 WHERE gpu_active > 0;
