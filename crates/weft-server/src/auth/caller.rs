//! From a connection and a header to a principal.

use super::run::Declared;
use super::throttle::Throttle;
use super::{bootstrap::ADMIN, token};
use axum::http::{HeaderMap, header};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;
use weft_api::problem::{Code, Problem};
use weft_policy::{Principal, Role, Scope, Source};
use weft_runtime::MemberKey;
use weft_store::{Read, Store, StoreError, TokenRow, UserRow};
use weft_types::{Millis, Tier, Timestamp, UserName};

/// The other end of a connection; the server puts it into each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// On the Unix socket, with the user id the kernel vouches for; none where it did not.
    Socket {
        /// The peer's effective user id.
        uid: Option<u32>,
        /// The process that connected.
        pid: Option<i32>,
    },
    /// On TCP, with or without TLS.
    Tcp(SocketAddr),
    /// A program of a run, on a connection that the run's supervisor carries (`run.rs`).
    Run {
        /// Which run.
        key: MemberKey,
        /// Its supervisor, who connected.
        pid: i32,
    },
}

/// A recognised caller.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who it is to the policy.
    pub(crate) principal: Principal,
    /// Public part of the token it came with, or which run it is.
    pub(crate) token: Option<String>,
    /// Of a run's supervisor: what its workload declared.
    pub(crate) run: Option<Arc<Declared>>,
}

/// How exact `last used` is: one write per token and minute at most.
const USED_STEP: Millis = Millis::from_secs(60);

/// Why somebody is not recognised. One text for every token that is not good: what is wrong
/// with a stolen token is not the thief's business. The reason goes to the audit log.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// Why, for the audit log, and whose token it was, where it was one.
    Refused {
        /// For the audit log.
        why: &'static str,
        /// Public part of the token, where there was one.
        token: Option<String>,
    },
    /// The store could not be asked.
    Store(StoreError),
}

impl From<StoreError> for Unknown {
    fn from(error: StoreError) -> Self {
        Unknown::Store(error)
    }
}

/// Who is calling.
pub(crate) async fn caller(
    store: &Store,
    peer: Peer,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Caller, Unknown> {
    match (bearer(headers)?, peer) {
        (_, Peer::Run { .. }) => Err(refused("a run's way to its datasets", None)),
        // A token says more than a socket: it may be another user's, or of scope read.
        (Some(text), _) => of_token(store, text, now).await,
        (None, Peer::Socket { uid: Some(uid), .. }) if is_ours(uid) => Ok(built_in_admin()),
        (None, Peer::Socket { .. }) => Err(refused("another user's process on the socket", None)),
        (None, Peer::Tcp(_)) => Err(refused("no token", None)),
    }
}

/// What a refused caller is told; too many refusals are told so, without further ado.
pub(crate) fn problem(throttle: &Throttle, peer: Peer) -> Problem {
    match may_fail(throttle, peer) {
        true => Problem::new(Code::Unauthenticated, "no token, or one that is not good")
            .hint("send `Authorization: Bearer <token>`; make one with `weft admin token create`"),
        false => Problem::new(Code::TooMany, "too many failed authentications from this address")
            .hint("wait a minute; a good token is let in at any time"),
    }
}

/// Counts a refusal; whether there were not too many of this peer.
pub(crate) fn may_fail(throttle: &Throttle, peer: Peer) -> bool {
    // Socket peers are processes of this machine; they share one count.
    let ip = match peer {
        Peer::Tcp(address) => site(address.ip()),
        Peer::Socket { .. } => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        // Below the prefix of addresses that stand for nothing (RFC 6666): nobody else's count.
        Peer::Run { key, .. } => IpAddr::V6((0x0100 << 112 | u128::from(key.workload.0)).into()),
    };
    throttle.may_fail(ip, Instant::now())
}

/// An IPv6 peer by its network: one machine has 2^64 addresses to fail from.
fn site(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        ip => ip,
    }
}

/// Who presents a token.
pub(crate) async fn of_token(store: &Store, text: &str, now: Timestamp) -> Result<Caller, Unknown> {
    let presented = token::read(text).ok_or_else(|| refused("not of the form of a token", None))?;
    let id = presented.id.clone();
    let found = store
        .read(move |r| -> Result<_, StoreError> {
            let Some(row) = r.token(&presented.id)? else { return Ok(None) };
            let user = r.user(&row.user)?;
            Ok(Some((token::same(&row.hash, &presented.digest), row, user)))
        })
        .await?;
    let Some((true, row, Some(user))) = found else {
        return Err(refused("unknown token", Some(id)));
    };
    if row.revoked {
        return Err(refused("revoked token", Some(id)));
    }
    if row.expires_at <= now {
        return Err(refused("expired token", Some(id)));
    }
    note_use(store, &row, now);
    Ok(Caller { principal: principal(&row, user)?, token: Some(id), run: None })
}

/// Whose a token is, as long as it is good.
pub(crate) async fn still(
    store: &Store,
    id: &str,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    let id = id.to_owned();
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let Some(row) = r.token(&id)? else { return Ok(None) };
        let user = r.user(&row.user)?;
        Ok(user.map(|user| (row, user)))
    };
    match store.glance(read).await? {
        Some((row, user)) if !row.revoked && row.expires_at > now => {
            principal(&row, user).map(Some)
        }
        _ => Ok(None),
    }
}

fn principal(row: &TokenRow, user: UserRow) -> Result<Principal, StoreError> {
    let damaged = |e: &dyn std::fmt::Display| StoreError::Damaged(e.to_string());
    Ok(Principal {
        user: user.name,
        role: Role::from_str(user.role.as_str()).map_err(|e| damaged(&e))?,
        queue: user.queue,
        scope: Scope::from_str(row.scope.as_str()).map_err(|e| damaged(&e))?,
        by: Source::Token,
        disabled: user.disabled,
        carries: Tier::Public,
    })
}

/// Notes the use beside the request: on a full disk reading goes on.
fn note_use(store: &Store, row: &TokenRow, now: Timestamp) {
    let minute = Timestamp(now.0 - now.0 % USED_STEP.0);
    if row.used_at.is_some_and(|used| used >= minute) {
        return;
    }
    let (store, id) = (store.clone(), row.id.clone());
    tokio::spawn(async move {
        let noted = store.write(move |w| w.token_used(&id, minute)).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "the use of a token was not noted");
        }
    });
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unknown> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        let none = headers.get(header::AUTHORIZATION).is_none();
        return if none { Ok(None) } else { Err(refused("two authorization headers", None)) };
    };
    let text = value.to_str().map_err(|_| refused("an authorization that is no text", None))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(refused("an authorization that is no bearer", None)),
    }
}

/// Processes of the server's own user could read its state anyway, and so could root's.
pub(super) fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn built_in_admin() -> Caller {
    let principal = Principal {
        user: admin_name(),
        role: Role::Admin,
        queue: None,
        scope: Scope::Write,
        by: Source::Socket,
        disabled: false,
        carries: Tier::Public,
    };
    Caller { principal, token: None, run: None }
}

/// Who asks for what anyone may have; the policy would deny it everything.
pub(crate) fn nobody() -> Caller {
    let mut caller = built_in_admin();
    caller.principal.role = Role::Auditor;
    caller.principal.scope = Scope::Read;
    caller.principal.disabled = true;
    caller
}

#[expect(clippy::expect_used, reason = "a constant that is a name")]
pub(super) fn admin_name() -> UserName {
    UserName::new(ADMIN).expect("`admin` is a name")
}

/// A request of a run's program that does not say whose it is.
pub(crate) fn not_said() -> Unknown {
    refused("a run's program that does not say so: MLFLOW_TRACKING_TOKEN is taken away", None)
}

pub(super) fn refused(why: &'static str, token: Option<String>) -> Unknown {
    Unknown::Refused { why, token }
}
