//! What must hold of the stored state at every moment, checked by other code than writes it.

use crate::{Read, StoreError};

/// A rule as a query that finds what breaks it, one sentence a row.
const RULES: [&str; 10] = [
    // No device unit is given twice.
    "SELECT 'device ' || node || '/' || device || ' is whole and ' || (count(*) - 1) || ' more'
     FROM grants GROUP BY node, device HAVING count(*) > 1 AND max(sort = 'whole')",
    "SELECT 'device ' || node || '/' || device || ' is given both as shares and as MIG instances'
     FROM grants GROUP BY node, device HAVING count(DISTINCT sort) > 1",
    "SELECT 'device ' || node || '/' || device || ' gives ' || sum(milli) || ' of 1000 thousandths'
     FROM grants GROUP BY node, device HAVING sum(milli) > 1000",
    "SELECT 'device ' || node || '/' || device || ' gives ' || sum(g.memory) || ' bytes of '
     || coalesce(d.memory, 0)
     FROM grants g LEFT JOIN devices d USING (node, device)
     GROUP BY node, device HAVING sum(g.memory) > coalesce(d.memory, 0)",
    "SELECT 'MIG instances of w' || a.workload || ' and w' || b.workload || ' overlap on '
     || a.node || '/' || a.device
     FROM grants a JOIN grants b USING (node, device)
     WHERE (a.workload, a.member, a.ordinal) < (b.workload, b.member, b.ordinal)
     AND a.start < b.start + b.size AND b.start < a.start + a.size",
    // Capacity is held exactly while the state says so, by every member.
    "SELECT 'w' || w.id || ' is ' || w.state || ' with ' || count(p.member) || ' placements, '
     || w.members || ' members of ' || w.gang || ' to ' || w.gang_most
     FROM workloads w LEFT JOIN placements p ON p.workload = w.id GROUP BY w.id
     HAVING count(p.member) <> CASE WHEN w.state IN ('starting', 'running', 'stopping')
                               THEN w.members ELSE 0 END
     OR w.members NOT BETWEEN w.gang AND w.gang_most",
    // The columns that are indexed say what the record says.
    "SELECT 'w' || id || ' is ' || state || ', its record says ' || (record ->> '$.state')
     FROM workloads WHERE state <> record ->> '$.state' OR attempt <> record ->> '$.attempt'
     OR not_before <> record ->> '$.not_before'",
    // The history of placements is open exactly for what is held.
    "SELECT 'w' || workload || ' member ' || member || ' holds ' || count(*) || ' of the history, '
     || 'and not as placed'
     FROM holdings h WHERE until_ms IS NULL GROUP BY workload, member
     HAVING count(*) <> 1 + (SELECT count(*) FROM grants g
                             WHERE g.workload = h.workload AND g.member = h.member)
     OR NOT EXISTS (SELECT 1 FROM placements p
                    WHERE p.workload = h.workload AND p.member = h.member)",
    "SELECT 'w' || p.workload || ' member ' || p.member || ' is not in the history'
     FROM placements p WHERE NOT EXISTS (SELECT 1 FROM holdings h
     WHERE h.workload = p.workload AND h.member = p.member AND h.until_ms IS NULL)",
    // What is settled of a device's use is on the ledger, and no more where all of it was measured:
    // what was sampled may be older than the totals.
    "SELECT 'w' || workload || ' used ' || sum(settled_us) || ' microseconds of ' || node || '/'
     || device || ', the ledger says ' || coalesce(active, 0)
     FROM device_use LEFT JOIN (SELECT node, device, account AS workload, sum(active) AS active
                                FROM ledger WHERE account > 0 GROUP BY node, device, account)
     USING (node, device, workload) GROUP BY workload, node, device
     HAVING sum(settled_us) > coalesce(active, 0) OR max(settled_us > gpu_us)
     OR (max(source) = 'measured' AND sum(settled_us) <> coalesce(active, 0))",
];

impl Read<'_> {
    /// Every broken invariant, as a sentence; empty where all is well. Called by the crash
    /// harness, by a restore and by the server's checks. Reads every workload.
    pub fn check_invariants(&self) -> Result<Vec<String>, StoreError> {
        let mut broken = Vec::new();
        for rule in RULES {
            let mut query = self.conn.prepare_cached(rule)?;
            let mut found = query.query([])?;
            while let Some(row) = found.next()? {
                broken.push(row.get(0)?);
            }
        }
        for device in self.ledger_check()? {
            let ppm = device.balance.error_ppm();
            if ppm != 0 {
                broken.push(format!("the ledger of {} is off by {ppm} ppm", device.device));
            }
        }
        let check = self.verify_audit()?;
        if let Some(row) = check.broken_at {
            broken.push(format!("the audit chain breaks at row {row}"));
        }
        Ok(broken)
    }

    /// SQLite's own check of the whole file, foreign keys included.
    pub fn check_integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut query = self.conn.prepare("PRAGMA integrity_check(20)")?;
        let mut broken: Vec<String> =
            query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        broken.retain(|line| line != "ok");
        let mut query = self.conn.prepare(
            "SELECT 'row ' || rowid || ' of ' || \"table\" || ' refers to nothing in ' || parent
             FROM pragma_foreign_key_check",
        )?;
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            broken.push(row.get::<_, Option<String>>(0)?.unwrap_or_else(|| "foreign key".into()));
        }
        Ok(broken)
    }
}
