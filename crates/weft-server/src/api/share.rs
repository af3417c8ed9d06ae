//! Shares: how many of something each user, or each team, has at this moment.
//!
//! Beside the bounds on all callers together: without it one user's clients could hold every
//! place. In memory only: what is counted ends with the server.

use super::fault::Fault;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use weft_api::problem::{Code, Problem};
use weft_types::{QueueName, UserName};

/// How many of something each user or team has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    held: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Shares,
    whose: String,
}

impl Shares {
    /// One more for this user, or why not: `what` names them, in the plural.
    pub(crate) fn take(&self, user: &UserName, most: u64, what: &str) -> Result<Share, Fault> {
        let share = self.one_more(user.as_str(), most);
        Ok(share.ok_or_else(|| {
            let detail = format!("{user} has {most} {what} open, which is the most for one user");
            let hint = "close one of them, or ask the operator for a higher --limit";
            Problem::new(Code::LimitReached, detail).hint(hint)
        })?)
    }

    /// One more for this team, likewise.
    pub(crate) fn take_of_team(
        &self,
        team: &QueueName,
        most: u64,
        what: &str,
    ) -> Result<Share, Fault> {
        let share = self.one_more(team.as_str(), most);
        Ok(share.ok_or_else(|| {
            let detail = format!("{team} has {most} {what} open, which is the most for one team");
            Problem::new(Code::LimitReached, detail).hint("wait for one of them to end")
        })?)
    }

    fn one_more(&self, whose: &str, most: u64) -> Option<Share> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = held.get(whose).copied().unwrap_or_default();
        if mine >= most {
            return None;
        }
        held.insert(whose.to_owned(), mine + 1);
        Some(Share { of: self.clone(), whose: whose.to_owned() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mine) = held.get_mut(&self.whose) {
            *mine -= 1;
            if *mine == 0 {
                held.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_share_and_nothing_is_left_of_it() {
        let shares = Shares::default();
        let [ana, bob]: [UserName; 2] = ["ana", "bob"].map(|name| name.parse().unwrap());
        let first = shares.take(&ana, 2, "streams").unwrap();
        let _second = shares.take(&ana, 2, "streams").unwrap();
        let third = shares.take(&ana, 2, "streams");
        assert!(matches!(third, Err(Fault::Problem(p)) if p.code == Code::LimitReached));
        let _his = shares.take(&bob, 2, "streams").unwrap();
        drop(first);
        let _again = shares.take(&ana, 2, "streams").unwrap();
        assert!(shares.take(&"eve".parse().unwrap(), 0, "streams").is_err());
        drop((_second, _again, _his));
        assert!(shares.held.lock().unwrap().is_empty());
    }
}
