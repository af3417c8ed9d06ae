//! What a source's settings mean: checked when it is declared, used when something is imported.

use weft_api::wire::SourceAt;
use weft_source::{Auth, Network, Outbound, Signer, SourceError, Web};
use weft_store::SourceKind;
use zeroize::Zeroizing;

/// Where stores are that do not say where: what Amazon's clients take.
const REGION: &str = "us-east-1";
/// Longest of the fields, in bytes; of certificates.
const FIELD_MAX: usize = 1_000;
const CERTIFICATES_MAX: usize = 64 << 10;
/// Networks of one source: a handful of subnets.
const ALLOWED_MAX: usize = 32;

/// A source's settings and its secret.
pub(crate) struct Settings {
    pub(crate) kind: SourceKind,
    pub(crate) at: SourceAt,
    pub(crate) secret: Zeroizing<String>,
}

/// What is wrong with what was sent: the field and the rule.
pub(crate) type Wrong = (&'static str, String);

/// What kind it is, if all of it can be meant.
pub(crate) fn check(at: &SourceAt, secret: &str) -> Result<SourceKind, Wrong> {
    let kind = match at.kind.as_str() {
        "http" => SourceKind::Http,
        "s3" => SourceKind::S3,
        "postgres" => SourceKind::Postgres,
        "mysql" => SourceKind::Mysql,
        _ => return Err(("at.kind", "must be http, s3, postgres or mysql".to_owned())),
    };
    let texts = [&at.database, &at.bucket, &at.region, &at.user];
    let mut texts = texts.into_iter().flatten().chain([&at.address]);
    if texts.any(|text| text.len() > FIELD_MAX || text.chars().any(char::is_control)) {
        return Err((
            "at",
            format!("has a field of more than {FIELD_MAX} bytes, or with controls"),
        ));
    }
    if secret.len() > FIELD_MAX || secret.chars().any(char::is_control) {
        let rule = format!("is more than {FIELD_MAX} bytes, or has a line break in it");
        return Err(("secret", rule));
    }
    if at.allow.len() > ALLOWED_MAX {
        return Err(("at.allow", format!("has more than {ALLOWED_MAX} networks")));
    }
    let certificates = at.certificates.as_deref();
    if certificates.is_some_and(|pem| pem.len() > CERTIFICATES_MAX) {
        return Err(("at.certificates", format!("are more than {CERTIFICATES_MAX} bytes")));
    }
    let needs = |field: &'static str, there: bool, rule: &str| match there {
        true => Ok(()),
        false => Err((field, rule.to_owned())),
    };
    match kind {
        SourceKind::Http => {}
        SourceKind::S3 => {
            needs("at.bucket", at.bucket.is_some(), "is missing: name the bucket")?;
            needs("at.user", at.user.is_some(), "is missing: the public part of the key")?;
        }
        SourceKind::Postgres | SourceKind::Mysql => {
            needs("at.database", at.database.is_some(), "is missing: name the database")?;
            needs("at.user", at.user.is_some(), "is missing: who asks")?;
        }
    }
    let settings = Settings { kind, at: at.clone(), secret: Zeroizing::default() };
    settings.outbound().map_err(|wrong| wrong_of(&wrong))?;
    match kind {
        SourceKind::Http | SourceKind::S3 => settings.web().map(drop),
        SourceKind::Postgres | SourceKind::Mysql => settings.host().map(drop),
    }
    .map_err(|error| ("at.address", error.to_string()))?;
    Ok(kind)
}

fn wrong_of(error: &SourceError) -> Wrong {
    ("at", error.to_string())
}

impl Settings {
    /// How far it may reach.
    pub(crate) fn outbound(&self) -> Result<Outbound, SourceError> {
        let named = |what: &String, rule| SourceError::Named { what: what.clone(), rule };
        let network = |text: &String| text.parse::<Network>().map_err(|rule| named(text, rule));
        let allowed = self.at.allow.iter().map(network).collect::<Result<_, _>>()?;
        Outbound::new(allowed, self.at.certificates.as_deref())
    }

    /// As an address of the web.
    pub(crate) fn web(&self) -> Result<Web, SourceError> {
        let secret = || self.secret.clone();
        let auth = match (self.kind, &self.at.user) {
            (SourceKind::S3, user) => Auth::S3(Signer {
                access: user.clone().unwrap_or_default(),
                secret: secret(),
                region: self.at.region.clone().unwrap_or_else(|| REGION.to_owned()),
            }),
            (_, Some(user)) => Auth::Basic(user.clone(), secret()),
            (_, None) if self.secret.is_empty() => Auth::None,
            (_, None) => Auth::Bearer(secret()),
        };
        Web::declared(&self.at.address, self.outbound()?, auth, self.at.plain)
    }

    /// Host and port of a database.
    pub(crate) fn host(&self) -> Result<(String, u16), SourceError> {
        let usual = if self.kind == SourceKind::Postgres { 5432 } else { 3306 };
        weft_source::host(&self.at.address, usual)
    }
}
