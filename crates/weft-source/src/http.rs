//! What an address of the web has: fetched once, or not at all where it has not changed.
//!
//! Each redirect is judged anew, as if it had been named. What proves who asks goes to the host it
//! was made for, and to none that this one names.

use crate::dial::{IDLE, Line, Outbound};
use crate::error::SourceError;
use crate::sign::{EMPTY, Signed, Signer};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Least that comes of a body while `SPAN` lasts, but at its end: a byte now and then is no file on
/// its way, and would hold an import's place for hours.
const LEAST: u64 = 1_000_000;
/// See [`LEAST`].
const SPAN: Duration = Duration::from_secs(300);
/// Longest address: what servers and clients of the web agree on.
const URL_MAX: usize = 8 << 10;

/// How who asks is known.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// By a name and a password.
    Basic(String, Zeroizing<String>),
    /// By a token.
    Bearer(Zeroizing<String>),
    /// By a signature of S3's.
    S3(Signer),
}

/// What is asked, and how far it may lead.
pub struct Web {
    /// How far.
    pub out: Outbound,
    /// By whom.
    pub auth: Auth,
    /// Where a source was declared to be: what it was allowed, its credentials and its port are for
    /// this origin alone. None: nobody declared it, and HTTPS at its usual port is all there is.
    pub origin: Option<Url>,
}

/// What was said of a file when it came last: it comes again only when that is not so any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub modified: Option<String>,
}

/// What came.
#[derive(Debug)]
pub enum Fetched {
    /// It is as it was.
    Same,
    /// It is another.
    New(Body),
}

/// A file on its way.
#[derive(Debug)]
pub struct Body {
    /// What is said of it.
    pub known: Known,
    /// Its length, where that is said.
    pub length: Option<u64>,
    host: String,
    incoming: Incoming,
}

impl Body {
    /// Sends it on, to its end; how many bytes it was.
    ///
    /// # Errors
    /// It breaks off, is silent for too long, or is longer than `most`.
    pub async fn send(
        mut self,
        to: &mut (impl AsyncWrite + Unpin),
        most: u64,
    ) -> Result<u64, SourceError> {
        let (mut sent, mut due) = (0, (Instant::now() + SPAN, LEAST));
        loop {
            let next = tokio::time::timeout_at(due.0, self.next()).await;
            let slow = |_| SourceError::Slow { host: self.host.clone(), least: LEAST, after: SPAN };
            let Some(data) = next.map_err(slow)?? else { return Ok(sent) };
            sent += data.len() as u64;
            if sent >= due.1 {
                due = (Instant::now() + SPAN, sent + LEAST);
            }
            if sent > most {
                return Err(SourceError::TooLong { what: self.host, most });
            }
            let began = Instant::now();
            to.write_all(&data).await.map_err(SourceError::Kept)?;
            // How long our own disk took is not the source's.
            due.0 += began.elapsed();
        }
    }

    /// All of it, where that is little.
    pub(crate) async fn text(self, most: u64) -> Result<String, SourceError> {
        let (host, mut all) = (self.host.clone(), Vec::new());
        self.send(&mut all, most).await?;
        String::from_utf8(all).map_err(|_| SourceError::protocol(&host, "no UTF-8"))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        loop {
            let frame = tokio::time::timeout(IDLE, self.incoming.frame()).await;
            let silent = |_| SourceError::Silent { host: self.host.clone(), after: IDLE };
            let Some(frame) = frame.map_err(silent)? else { return Ok(None) };
            let frame = frame.map_err(|e| broken(&self.host, e))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

fn broken(host: &str, error: hyper::Error) -> SourceError {
    SourceError::broken(host, std::io::Error::other(error))
}

/// An address as somebody wrote it.
///
/// # Errors
/// It is none that may be asked; the text of an address with a password is not repeated.
pub(crate) fn parse(text: &str) -> Result<Url, SourceError> {
    if text.len() > URL_MAX {
        return Err(SourceError::named("the address", "is longer than 8 KiB: shorten it"));
    }
    let url = Url::parse(text);
    let url = url.map_err(|e| SourceError::named("the address", &format!("is none: {e}")))?;
    check(&url)?;
    Ok(url)
}

/// An address as it may be kept and told: what stands behind its `?` is a few letters of its hash,
/// by which one can be told from another.
///
/// # Errors
/// It is none that may be asked.
pub fn told_address(text: &str) -> Result<String, SourceError> {
    let url = parse(text)?;
    let query = url.query().map(|query| {
        let hash = ring::digest::digest(&ring::digest::SHA256, query.as_bytes());
        format!("?{}", hex::encode(&hash.as_ref()[..4]))
    });
    Ok(shown(&url) + &query.unwrap_or_default())
}

fn check(url: &Url) -> Result<(), SourceError> {
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = format!("{}:", url.scheme());
        return Err(SourceError::named(&scheme, "is not asked: write https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let rule = "must not have a name or a password in it: declare it with `weft source add`, \
                    and give the password there";
        return Err(SourceError::named("the address", rule));
    }
    match url.host_str() {
        Some(_) => Ok(()),
        None => Err(SourceError::named(&shown(url), "names no host")),
    }
}

/// An address as errors show it: what stands behind `?` may be a secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

impl Web {
    /// What is declared to be at an address: it goes for all that is below it.
    ///
    /// # Errors
    /// It may not be asked, or is not HTTPS and nobody said that this is meant.
    pub fn declared(
        text: &str,
        out: Outbound,
        auth: Auth,
        plain: bool,
    ) -> Result<Self, SourceError> {
        let url = parse(text)?;
        if url.scheme() == "http" && !plain {
            let rule = "is not HTTPS: passwords and data would go over the line as they are; write \
                        https://, or --plain where that is meant";
            return Err(SourceError::named(&shown(&url), rule));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SourceError::named(&shown(&url), "must end with its path"));
        }
        Ok(Self { out, auth, origin: Some(url) })
    }

    /// The address of what is below the declared one.
    ///
    /// # Errors
    /// It is not below.
    pub fn below(&self, path: &str) -> Result<String, SourceError> {
        let Some(home) = &self.origin else { return Ok(path.to_owned()) };
        let mut base = home.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let below = base
            .join(path)
            .ok()
            .filter(|url| url.origin() == base.origin() && url.path().starts_with(base.path()));
        let rule = "leads out of what the source was declared for";
        below.map(String::from).ok_or_else(|| SourceError::named(path, rule))
    }

    /// Fetches what is at an address, unless it is what is known of it.
    ///
    /// # Errors
    /// It may not be asked, nobody is there, or there is no success.
    pub async fn get(&self, text: &str, known: &Known) -> Result<Fetched, SourceError> {
        let first = parse(text)?;
        let mut url = first.clone();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&url, known).await?;
            match response.status().as_u16() {
                200 => return Ok(Fetched::New(body(&url, response))),
                304 if *known != Known::default() => return Ok(Fetched::Same),
                301 | 302 | 303 | 307 | 308 => url = self.redirected(&url, response.headers())?,
                status => return Err(SourceError::Status { url: shown(&url), status }),
            }
        }
        Err(SourceError::Redirects { url: shown(&first), most: REDIRECTS })
    }

    /// Where it leads, if it may.
    fn redirected(&self, from: &Url, headers: &HeaderMap) -> Result<Url, SourceError> {
        let host = from.host_str().unwrap_or_default();
        let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| from.join(to).ok());
        let to = to.ok_or_else(|| SourceError::protocol(host, "it leads to no address"))?;
        check(&to)?;
        if from.scheme() == "https" && to.scheme() != "https" {
            return Err(SourceError::named(&shown(&to), "is not HTTPS, and HTTPS led there"));
        }
        Ok(to)
    }

    /// One request, to a host that may be asked.
    async fn ask(&self, url: &Url, known: &Known) -> Result<Response<Incoming>, SourceError> {
        let home = self.origin.as_ref().is_some_and(|home| home.origin() == url.origin());
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(0);
        if !home && (url.scheme(), port) != ("https", 443) {
            let rule = "is not asked, since no source is declared there: only https:// at its \
                        usual port is; `weft source add` declares one";
            return Err(SourceError::named(&shown(url), rule));
        }
        let out = if home { self.out.clone() } else { self.out.public() };
        let line = out.dial(&host, port).await?;
        let line: Box<dyn Line> = match url.scheme() {
            "https" => out.tls(&host, line).await?,
            _ => Box::new(line),
        };
        let auth = if home { &self.auth } else { &Auth::None };
        let request = request(url, known, auth)?;
        let exchange = async {
            let shaken = http1::handshake(TokioIo::new(line)).await;
            let (mut sender, connection) = shaken.map_err(|e| broken(&host, e))?;
            tokio::spawn(connection);
            sender.send_request(request).await.map_err(|e| broken(&host, e))
        };
        let answer = tokio::time::timeout(IDLE, exchange).await;
        answer.map_err(|_| SourceError::Silent { host: host.clone(), after: IDLE })?
    }
}

fn request(url: &Url, known: &Known, auth: &Auth) -> Result<Request<Empty<Bytes>>, SourceError> {
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: &str, secret: bool| -> Result<(), SourceError> {
        let value = HeaderValue::from_str(value);
        let mut value = value.map_err(|_| SourceError::named(name.as_str(), "is no header"))?;
        value.set_sensitive(secret);
        headers.insert(name, value);
        Ok(())
    };
    put(header::HOST, &authority, false)?;
    put(header::USER_AGENT, "weft", false)?;
    put(header::ACCEPT, "*/*", false)?;
    put(header::ACCEPT_ENCODING, "identity", false)?;
    if let Some(etag) = &known.etag {
        put(header::IF_NONE_MATCH, etag, false)?;
    } else if let Some(modified) = &known.modified {
        put(header::IF_MODIFIED_SINCE, modified, false)?;
    }
    match auth {
        Auth::None => {}
        Auth::Bearer(token) => {
            put(header::AUTHORIZATION, &Zeroizing::new(format!("Bearer {}", **token)), true)?;
        }
        Auth::Basic(user, password) => {
            use base64::Engine as _;
            let both = Zeroizing::new(format!("{user}:{}", **password));
            let both = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(&*both));
            put(header::AUTHORIZATION, &Zeroizing::new(format!("Basic {}", *both)), true)?;
        }
        Auth::S3(signer) => {
            let Signed { date, authorization } = signer.sign("GET", &authority, url, EMPTY);
            put(HeaderName::from_static("x-amz-date"), &date, false)?;
            put(HeaderName::from_static("x-amz-content-sha256"), EMPTY, false)?;
            put(header::AUTHORIZATION, &authorization, true)?;
        }
    }
    let mut request = Request::get(target).body(Empty::new());
    if let Ok(request) = &mut request {
        *request.headers_mut() = headers;
    }
    request.map_err(|e| SourceError::named(&shown(url), &format!("is no address: {e}")))
}

fn body(url: &Url, response: Response<Incoming>) -> Body {
    let said = |name| {
        let value =
            response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.map(str::to_owned)
    };
    let known = Known { etag: said(header::ETAG), modified: said(header::LAST_MODIFIED) };
    let length = said(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let host = url.host_str().unwrap_or_default().to_owned();
    Body { known, length, host, incoming: response.into_body() }
}
