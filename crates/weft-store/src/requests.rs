//! What is asked about datasets and decided by another, and the access that was granted.
//!
//! ```text
//! asked ─► approved ─► due ─► done         access: at once; fewer days: after as many as before;
//!   │ └──► denied        └─► denied        an end: after a day, in which anybody may still deny it
//!   └────► expired
//! ```
//!
//! That who approves is another than who asked is a rule of the table, too. Absent on purpose: who
//! may decide, which is the policy's.

use crate::column::{first, int, parsed, rows, uint, uint_opt};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::{DatasetName, Tier, Timestamp, UserName};

/// Requests of one person that wait for a decision, at most: more are a script's.
pub const REQUESTS_OPEN_MAX: u64 = 50;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// To read it, for so many days.
    Access(u32),
    /// To keep what ended so many days, fewer than now.
    Keep(u32),
    /// To end it now, or one version of it, though its days are not over.
    End(Option<u32>),
    /// Of a view: that it is less sensitive than it is.
    Lower(Tier),
}

impl Asks {
    /// The word in rows and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Asks::Access(_) => "access",
            Asks::Keep(_) => "keep",
            Asks::End(_) => "end",
            Asks::Lower(_) => "lower",
        }
    }
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// About this dataset; none where there is none of that name.
    pub dataset: Option<DatasetId>,
    /// As it was asked for.
    pub name: DatasetName,
    /// What for.
    pub asks: Asks,
    /// Who.
    pub asker: UserName,
    /// Why, for who decides.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Until when it may be decided on.
    pub expires_at: Timestamp,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Its number.
    pub id: u64,
    /// What was asked.
    pub new: NewRequest,
    /// What was said to it.
    pub decided: Option<Decided>,
    /// When what was approved was done.
    pub done_at: Option<Timestamp>,
}

/// What was said to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Yes or no.
    pub approved: bool,
    /// By whom.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
    /// Of a yes: when it is done.
    pub due_at: Option<Timestamp>,
}

/// Access that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// To whom.
    pub user: UserName,
    /// By whom.
    pub by: UserName,
    /// When.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Read<'_> {
    /// One request.
    pub fn data_request(&self, id: u64) -> Result<Option<RequestRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM data_requests WHERE id = ?1")?;
        first(query.query([int(id)])?, request)
    }

    /// Every request that is kept, the newest first.
    pub fn data_requests(&self) -> Result<Vec<RequestRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM data_requests ORDER BY id DESC")?;
        rows(query.query([])?, request)
    }

    /// The request that is as this one and that nobody has decided on. To ask for access is to ask
    /// for a name, whatever has it: so nobody learns by asking again whether something has it now.
    pub fn same_request(
        &self,
        new: &NewRequest,
        now: Timestamp,
    ) -> Result<Option<RequestRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM data_requests
             WHERE asker = ?1 AND name = ?2 AND asks = ?3 AND approved IS NULL AND expires_at > ?4
               AND (asks = 'access' OR dataset IS ?5) AND (asks <> 'end' OR version IS ?6)
               AND tier IS ?7
             ORDER BY id DESC LIMIT 1",
        )?;
        let version = if let Asks::End(version) = new.asks { version } else { None };
        let tier = if let Asks::Lower(tier) = new.asks { Some(tier.as_str()) } else { None };
        let dataset = new.dataset.map(|id| int(id.0));
        let (asker, name, asks) = (new.asker.as_str(), new.name.as_str(), new.asks.as_str());
        first(query.query(params![asker, name, asks, int(now.0), dataset, version, tier])?, request)
    }

    /// What was asked about a dataset, the newest first.
    pub fn data_requests_of(&self, id: DatasetId) -> Result<Vec<RequestRow>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT * FROM data_requests WHERE dataset = ?1 ORDER BY id DESC")?;
        rows(query.query([int(id.0)])?, request)
    }

    /// The access to a dataset that was granted and is not over, by name.
    pub fn data_grants(&self, id: DatasetId, now: Timestamp) -> Result<Vec<GrantRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM data_grants WHERE dataset = ?1 AND until_at > ?2 ORDER BY user",
        )?;
        rows(query.query(params![int(id.0), int(now.0)])?, |row| {
            Ok(GrantRow {
                user: parsed(row, "user")?,
                by: parsed(row, "granted_by")?,
                at: Timestamp(uint(row, "granted_at")?),
                until: Timestamp(uint(row, "until_at")?),
            })
        })
    }

    /// The request by which all of a dataset may be ended now, before its days are over.
    pub fn early_end(&self, id: DatasetId, now: Timestamp) -> Result<Option<u64>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT r.id FROM data_requests r JOIN datasets d ON d.id = r.dataset
             WHERE r.dataset = ?1 AND asks = 'end' AND version IS NULL AND approved = 1
             AND due_at <= ?2 AND asked_at >= d.ended_at",
        )?;
        first(query.query(params![int(id.0), int(now.0)])?, |row| uint(row, "id"))
    }
}

impl Write<'_> {
    /// Keeps a request; its number.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]: who asks has as many that nobody has decided on.
    pub fn ask(&mut self, new: &NewRequest) -> Result<u64, StoreError> {
        let mut open = self.conn.prepare_cached(
            "SELECT count(*) AS open FROM data_requests
             WHERE asker = ?1 AND approved IS NULL AND expires_at > ?2",
        )?;
        let open = open.query(params![new.asker.as_str(), int(new.at.0)])?;
        let value = first(open, |row| uint(row, "open"))?.unwrap_or_default() + 1;
        if value > REQUESTS_OPEN_MAX {
            let what = "requests of one person that nobody has decided on";
            return Err(StoreError::TooLarge { what, value, limit: REQUESTS_OPEN_MAX });
        }
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO data_requests
               (dataset, name, asks, asker, why, days, version, asked_at, expires_at, tier)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let (days, version, tier) = match new.asks {
            Asks::Access(days) | Asks::Keep(days) => (days, None, None),
            Asks::End(version) => (0, version, None),
            Asks::Lower(tier) => (0, None, Some(tier.as_str())),
        };
        insert.execute(params![
            new.dataset.map(|id| int(id.0)),
            new.name.as_str(),
            new.asks.as_str(),
            new.asker.as_str(),
            new.why,
            days,
            version,
            int(new.at.0),
            int(new.expires_at.0),
            tier,
        ])?;
        Ok(self.conn.last_insert_rowid().unsigned_abs())
    }

    /// A request is about another dataset, or about none: what has its name has changed.
    pub fn request_is_about(
        &mut self,
        id: u64,
        dataset: Option<DatasetId>,
    ) -> Result<(), StoreError> {
        let mut put =
            self.conn.prepare_cached("UPDATE data_requests SET dataset = ?2 WHERE id = ?1")?;
        put.execute(params![int(id), dataset.map(|id| int(id.0))])?;
        Ok(())
    }

    /// Keeps what was said to a request. A yes may become a no until it is done; a no stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]: there is none that can be decided on: it is done, denied, expired
    /// or, for a yes, approved.
    pub fn decide_request(&mut self, id: u64, decided: &Decided) -> Result<(), StoreError> {
        let mut decide = self.conn.prepare_cached(
            "UPDATE data_requests SET approved = ?2, decided_by = ?3, decided_at = ?4, due_at = ?5
             WHERE id = ?1 AND done_at IS NULL AND (
               approved IS NULL AND expires_at > ?4 OR approved = 1 AND ?2 = 0)",
        )?;
        let (by, due) = (decided.by.as_str(), decided.due_at.map(|due| int(due.0)));
        let key = params![int(id), decided.approved, by, int(decided.at.0), due];
        match decide.execute(key)? {
            0 => Err(StoreError::NotFound { what: "open request", id: id.to_string() }),
            _ => Ok(()),
        }
    }

    /// What was approved is done.
    pub fn request_done(&mut self, id: u64, now: Timestamp) -> Result<(), StoreError> {
        let mut done =
            self.conn.prepare_cached("UPDATE data_requests SET done_at = ?2 WHERE id = ?1")?;
        done.execute(params![int(id), int(now.0)])?;
        Ok(())
    }

    /// Forgets requests that were over before a moment; their rows of the audit log stay.
    pub fn forget_requests(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM data_requests WHERE expires_at < ?1 AND ifnull(decided_at, 0) < ?1
             AND ifnull(due_at, 0) < ?1",
        )?;
        forget.execute([int(before.0)])?;
        Ok(())
    }

    /// Gives access, in the place of what was given before.
    pub fn grant(&mut self, id: DatasetId, grant: &GrantRow) -> Result<(), StoreError> {
        let mut put = self
            .conn
            .prepare_cached("INSERT OR REPLACE INTO data_grants VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let GrantRow { user, by, at, until } = grant;
        put.execute(params![int(id.0), user.as_str(), by.as_str(), int(at.0), int(until.0)])?;
        Ok(())
    }

    /// Takes access back; whether there was some.
    pub fn revoke_grant(&mut self, id: DatasetId, user: &UserName) -> Result<bool, StoreError> {
        let mut revoke =
            self.conn.prepare_cached("DELETE FROM data_grants WHERE dataset = ?1 AND user = ?2")?;
        Ok(revoke.execute(params![int(id.0), user.as_str()])? == 1)
    }

    /// Takes all access back that a user was given, and denies what the user asked for and nobody
    /// has decided on, as if the user had taken it back.
    pub(crate) fn forget_access(&mut self, user: &UserName) -> Result<(), StoreError> {
        self.conn.execute("DELETE FROM data_grants WHERE user = ?1", [user.as_str()])?;
        self.conn.execute(
            "UPDATE data_requests SET approved = 0, decided_by = asker, decided_at = asked_at
             WHERE asker = ?1 AND approved IS NULL",
            [user.as_str()],
        )?;
        Ok(())
    }
}

fn request(row: &Row<'_>) -> Result<RequestRow, StoreError> {
    let (word, days) = (row.get::<_, String>("asks")?, row.get("days")?);
    let asks = match word.as_str() {
        "access" => Asks::Access(days),
        "keep" => Asks::Keep(days),
        "lower" => Asks::Lower(parsed(row, "tier")?),
        _ => Asks::End(row.get("version")?),
    };
    let new = NewRequest {
        dataset: uint_opt(row, "dataset")?.map(DatasetId),
        name: parsed(row, "name")?,
        asks,
        asker: parsed(row, "asker")?,
        why: row.get("why")?,
        at: Timestamp(uint(row, "asked_at")?),
        expires_at: Timestamp(uint(row, "expires_at")?),
    };
    let approved: Option<bool> = row.get("approved")?;
    let decided = match approved {
        None => None,
        Some(approved) => Some(Decided {
            approved,
            by: parsed(row, "decided_by")?,
            at: Timestamp(uint(row, "decided_at")?),
            due_at: uint_opt(row, "due_at")?.map(Timestamp),
        }),
    };
    let done_at = uint_opt(row, "done_at")?.map(Timestamp);
    Ok(RequestRow { id: uint(row, "id")?, new, decided, done_at })
}
