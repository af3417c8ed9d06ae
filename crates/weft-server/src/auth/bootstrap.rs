//! The first start: the built-in administrator and a token of it, shown once.

use super::caller::admin_name;
use super::token::{self, Minted};
use weft_store::{Decision, NewAudit, Role, Scope, Store, StoreError, TokenRow, UserRow, Write};
use weft_types::{Millis, Timestamp};

/// The built-in administrator: who the server's own user is on the socket.
pub const ADMIN: &str = "admin";

/// Longest life of a token; a quarter of a year, so that each is renewed by somebody.
pub(crate) const TOKEN_LIFE_MAX: Millis = Millis(90 * 86_400_000);

/// Makes the administrator and its first token where there is none yet, and gives the token:
/// the only time it is seen. None on every later start.
pub async fn bootstrap(store: &Store, now: Timestamp) -> Result<Option<String>, StoreError> {
    let minted = token::mint().map_err(|e| StoreError::Sqlite(format!("no randomness: {e}")))?;
    let text = minted.text.clone();
    let made = store.write(move |w| make(w, minted, now)).await?;
    Ok(made.then_some(text))
}

fn make(w: &mut Write<'_>, minted: Minted, now: Timestamp) -> Result<bool, StoreError> {
    let name = admin_name();
    if w.user(&name)?.is_some() {
        return Ok(false);
    }
    w.create_user(&UserRow {
        name: name.clone(),
        role: Role::Admin,
        queue: None,
        created_at: now,
        disabled: false,
    })?;
    w.create_token(&TokenRow {
        id: minted.id.clone(),
        user: name,
        scope: Scope::Write,
        hash: minted.digest,
        created_at: now,
        expires_at: now.after(TOKEN_LIFE_MAX),
        used_at: None,
        revoked: false,
        parent: None,
    })?;
    w.append_audit(NewAudit {
        at: now,
        actor: "weft".to_owned(),
        verb: "token-create".to_owned(),
        resource: format!("token {}", minted.id),
        decision: Decision::Allowed,
        policies: vec!["first-start".to_owned()],
        detail: "{}".to_owned(),
    })?;
    Ok(true)
}
