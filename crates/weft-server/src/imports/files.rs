//! What comes as files: of the web one, of an object store all below a prefix. What has not changed
//! since it came last does not come again.

use super::job::{Failed, Job, Origin, origin};
use super::room::Going;
use super::source::Settings;
use crate::api::data::objects::OBJECT_BYTES_MAX;
use crate::api::data::refused;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_source::{Auth, Fetched, Known, Outbound, Store, Web};
use weft_store::{At, Came, Listing};

/// Objects that are looked up at once: a page of a list.
const PAGE: u32 = 1_000;

/// One address of the web.
pub(super) async fn web(job: &Job, going: &Arc<Going>) -> Result<Came, Failed> {
    let web = match &job.source {
        Some(source) => source.settings.web()?,
        None => Web { out: Outbound::default(), auth: Auth::None, origin: None },
    };
    let url = web.below(&job.what)?;
    let path = named(&job.to, &name_of(&url))?;
    let before = job.before(&path).await?.unwrap_or_default();
    let known = Known { etag: before.etag, modified: before.modified };
    let Fetched::New(body) = web.get(&url, &known).await? else { return Ok(Came::default()) };
    let known = body.known.clone();
    let sent = job
        .put(&path, going, |mut pipe| async move { body.send(&mut pipe, OBJECT_BYTES_MAX).await });
    let (bytes, arrived) = sent.await?;
    let snapshot = known.modified.clone().unwrap_or_default();
    let origin = Origin {
        from: job.from.clone(),
        etag: known.etag,
        modified: known.modified,
        ..Origin::default()
    };
    job.keep(arrived, &origin, going).await?;
    Ok(Came { files: 1, bytes, snapshot })
}

/// The last part of an address's path.
fn name_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    path.split_once('/').map_or("", |(_, path)| path.rsplit('/').next().unwrap_or("")).to_owned()
}

/// Where a file is put: as it was said, or below there by its own name.
pub(super) fn named(to: &str, name: &str) -> Result<String, Failed> {
    match (to.is_empty() || to.ends_with('/'), name) {
        (false, _) => Ok(to.to_owned()),
        (true, "") => Err(Failed(
            "it has no name of its own: say where it is to be, as DATASET:name.csv".to_owned(),
        )),
        (true, name) => Ok(format!("{to}{name}")),
    }
}

/// All below a prefix of a bucket.
pub(super) async fn store(
    job: &Job,
    source: &Settings,
    going: &Arc<Going>,
) -> Result<Came, Failed> {
    let endpoint = source.at.address.trim_end_matches('/').to_owned();
    let bucket = source.at.bucket.clone().unwrap_or_default();
    let store = Store { web: source.web()?, endpoint, bucket };
    let there = store.list(&job.what).await?;
    if there.is_empty() {
        return Err(Failed(format!("nothing there begins with `{}`", job.what)));
    }
    let folder = match job.to.is_empty() || job.to.ends_with('/') {
        true => job.to.clone(),
        false => format!("{}/", job.to),
    };
    let known = known(job, &folder).await?;
    let above = job.what.rfind('/').map_or(0, |slash| slash + 1);
    let mut came = Came::default();
    for entry in there {
        // A folder's own mark is no file.
        let Some(name) = entry.key.get(above..).filter(|name| !name.ends_with('/')) else {
            continue;
        };
        let (path, from) = (format!("{folder}{name}"), format!("{}{}", job.from, name));
        let etag = Some(format!("{} {}", entry.bytes, entry.etag));
        let origin = Origin { from, etag, ..Origin::default() };
        if known.get(&path) == Some(&origin) {
            continue;
        }
        let body = store.get(&entry.key).await?;
        let most = entry.bytes;
        let sent =
            job.put(&path, going, |mut pipe| async move { body.send(&mut pipe, most).await });
        let (bytes, arrived) = sent.await?;
        if bytes != entry.bytes {
            return Err(Failed(format!("`{}` has changed meanwhile: import again", entry.key)));
        }
        job.keep(arrived, &origin, going).await?;
        came.files += 1;
        came.bytes += bytes;
    }
    Ok(came)
}

/// What came from a source before, by path.
pub(super) async fn known(job: &Job, folder: &str) -> Result<BTreeMap<String, Origin>, Failed> {
    let all = there(job, folder).await?.into_iter();
    Ok(all.filter_map(|(path, origin)| Some((path, origin?))).collect())
}

/// All that is below a folder, and where it came from if an import brought it.
pub(super) async fn there(
    job: &Job,
    folder: &str,
) -> Result<BTreeMap<String, Option<Origin>>, Failed> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    loop {
        let prefix = folder.to_owned();
        let listing = Listing { prefix, after, limit: PAGE, ..Listing::default() };
        let page = job.app.data.list(&job.row, At::Now, listing, true).await.map_err(refused)?;
        for listed in page.entries {
            let origin = listed.notes.as_ref().and_then(origin);
            all.insert(listed.entry.path, origin);
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(all),
        }
    }
}
