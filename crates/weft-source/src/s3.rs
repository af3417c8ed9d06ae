//! An object store that speaks S3: what is below a prefix, and each of it.

use crate::error::SourceError;
use crate::http::{Auth, Body, Fetched, Known, Web};
use crate::sign::escape;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::collections::BTreeSet;

/// Longest page of a listing: a thousand entries with the longest names.
const PAGE_MAX: u64 = 8 << 20;
/// Deepest element of a list: S3's own go three deep.
const DEPTH_MAX: usize = 8;
/// Longest key, as S3 has it, and longest ETag.
const NAME_MAX: usize = 1_024;
/// Longest name of where a list goes on: some stores put a key in it, encoded.
const TOKEN_MAX: usize = 4 << 10;
/// Most pages of a list: a store that gives little on each would hold the import.
const PAGES_MAX: usize = 10_000;
/// Most objects of one import: what one listing in memory is bounded by.
const OBJECTS_MAX: usize = 1_000_000;

/// A bucket.
pub struct Store {
    /// Who asks, and where.
    pub web: Web,
    /// The store's address, without a path.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
}

/// An object of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub key: String,
    /// How long it is.
    pub bytes: u64,
    /// Says whether two are equal.
    pub etag: String,
}

impl Store {
    /// All that is below a prefix, by name.
    ///
    /// # Errors
    /// The store cannot be asked, says no, or there is too much.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, SourceError> {
        let (mut all, mut token, mut seen) = (Vec::new(), None::<String>, BTreeSet::new());
        for _ in 0..PAGES_MAX {
            let from =
                token.as_ref().map(|token| format!("continuation-token={}&", escape(token, false)));
            // Canonical: by name.
            let query =
                format!("{}list-type=2&prefix={}", from.unwrap_or_default(), escape(prefix, false));
            let url = format!("{}/{}?{query}", self.endpoint, escape(&self.bucket, false));
            let page = self.body(&url, &Known::default()).await?.text(PAGE_MAX).await?;
            // Some megabytes of XML are work: not where other connections wait.
            let read = tokio::task::spawn_blocking(move || page_of(&page)).await;
            let read = read.map_err(|e| SourceError::Kept(std::io::Error::other(e)))?;
            let (entries, next) = read.map_err(|why| SourceError::protocol(&self.endpoint, why))?;
            all.extend(entries);
            if all.len() > OBJECTS_MAX {
                let what = format!("the listing of {}", self.bucket);
                return Err(SourceError::TooLong { what, most: OBJECTS_MAX as u64 });
            }
            match next {
                None => return Ok(all),
                // A store that goes round in circles would hold the import for ever.
                Some(next) if !seen.insert(next.clone()) => {
                    return Err(SourceError::protocol(&self.endpoint, "its list has no end"));
                }
                Some(next) => token = Some(next),
            }
        }
        let what = format!("the listing of {}, in pages,", self.bucket);
        Err(SourceError::TooLong { what, most: PAGES_MAX as u64 })
    }

    /// One object.
    ///
    /// # Errors
    /// The store cannot be asked, or says no.
    pub async fn get(&self, key: &str) -> Result<Body, SourceError> {
        // A URL would take `.` and `..` for steps: what is signed is not what is sent.
        if key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(SourceError::named(key, "has a step in its name and cannot be asked for"));
        }
        let (bucket, key) = (escape(&self.bucket, false), escape(key, true));
        self.body(&format!("{}/{bucket}/{key}", self.endpoint), &Known::default()).await
    }

    async fn body(&self, url: &str, known: &Known) -> Result<Body, SourceError> {
        debug_assert!(matches!(self.web.auth, Auth::S3(_)));
        match self.web.get(url, known).await? {
            Fetched::New(body) => Ok(body),
            Fetched::Same => Err(SourceError::protocol(&self.endpoint, "304 unasked")),
        }
    }
}

/// The entries of a page, and how it goes on.
fn page_of(xml: &str) -> Result<(Vec<Entry>, Option<String>), String> {
    let (mut reader, mut path) = (Reader::from_str(xml), Vec::<String>::new());
    let (mut entries, mut text) = (Vec::new(), String::new());
    let (mut entry, mut next, mut more) = (none(), None, false);
    loop {
        match reader.read_event().map_err(|e| format!("its list is no XML: {e}"))? {
            Event::Eof => break,
            Event::Start(start) => {
                if path.len() == DEPTH_MAX {
                    return Err(format!("its list is more than {DEPTH_MAX} elements deep"));
                }
                path.push(String::from_utf8_lossy(start.local_name().as_ref()).into_owned());
                text.clear();
            }
            Event::Text(part) => text.push_str(&part.decode().map_err(|e| e.to_string())?),
            Event::CData(part) => text.push_str(&part.decode().map_err(|e| e.to_string())?),
            Event::GeneralRef(part) => text.push_str(&reference(&part)?),
            Event::End(_) => {
                let path_of: Vec<&str> = path.iter().map(String::as_str).collect();
                match path_of[..] {
                    ["ListBucketResult", "IsTruncated"] => more = text == "true",
                    ["ListBucketResult", "NextContinuationToken"] => {
                        next = Some(short(&text, "NextContinuationToken", TOKEN_MAX)?);
                    }
                    ["ListBucketResult", "Contents", "Key"] => {
                        entry.key = short(&text, "Key", NAME_MAX)?;
                    }
                    ["ListBucketResult", "Contents", "ETag"] => {
                        entry.etag = short(&text, "ETag", NAME_MAX)?;
                    }
                    ["ListBucketResult", "Contents", "Size"] => {
                        entry.bytes = text.parse().map_err(|_| "a size is no number".to_owned())?;
                    }
                    ["ListBucketResult", "Contents"] => {
                        entries.push(std::mem::replace(&mut entry, none()));
                    }
                    _ => {}
                }
                path.pop();
                text.clear();
            }
            _ => {}
        }
    }
    match (more, next) {
        (true, None) => Err("its list goes on, and it does not say where".to_owned()),
        (true, _) if entries.is_empty() => {
            Err("a page of its list is empty, and says that it goes on".to_owned())
        }
        (true, next) => Ok((entries, next)),
        (false, _) => Ok((entries, None)),
    }
}

/// A text, if it is no longer than it may be.
fn short(text: &str, what: &str, most: usize) -> Result<String, String> {
    match text.len() <= most {
        true => Ok(text.to_owned()),
        false => Err(format!("a {what} of {} bytes: at most {most}", text.len())),
    }
}

fn none() -> Entry {
    Entry { key: String::new(), bytes: 0, etag: String::new() }
}

/// What `&amp;` and `&#10;` are; nothing that a document defines itself.
fn reference(part: &quick_xml::events::BytesRef<'_>) -> Result<String, String> {
    if let Some(char) = part.resolve_char_ref().map_err(|e| e.to_string())? {
        return Ok(char.to_string());
    }
    let name = part.decode().map_err(|e| e.to_string())?;
    let known = quick_xml::escape::resolve_predefined_entity(&name);
    known.map(str::to_owned).ok_or_else(|| "an entity that XML does not have".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_deep_long_or_empty_is_refused() {
        let of = |inner: &str| page_of(&format!("<ListBucketResult>{inner}</ListBucketResult>"));
        assert!(page_of(&"<a>".repeat(1 << 20)).unwrap_err().contains("deep"));
        for (name, most) in [("Key", NAME_MAX), ("ETag", NAME_MAX)] {
            let long =
                |count| format!("<Contents><{name}>{}</{name}></Contents>", "k".repeat(count));
            assert!(of(&long(most)).is_ok());
            assert!(of(&long(most + 1)).unwrap_err().contains(name));
        }
        let more = "<IsTruncated>true</IsTruncated>";
        let next = |count| {
            let token = "t".repeat(count);
            format!("{more}<NextContinuationToken>{token}</NextContinuationToken>")
        };
        let one = "<Contents><Key>a</Key><Size>1</Size></Contents>";
        assert!(of(&format!("{one}{}", next(TOKEN_MAX))).is_ok());
        assert!(of(&format!("{one}{}", next(TOKEN_MAX + 1))).unwrap_err().contains("Token"));
        assert!(of(&next(1)).unwrap_err().contains("empty"));
    }

    #[test]
    fn a_page_is_read_as_it_is_meant() {
        let page = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><IsTruncated>true\
            </IsTruncated><Contents><Key>a &amp; b&#x41;.csv</Key><ETag>&quot;e&quot;</ETag>\
            <Size>7</Size></Contents><NextContinuationToken>t=</NextContinuationToken>\
            </ListBucketResult>";
        let (entries, next) = page_of(page).unwrap();
        let wanted = Entry { key: "a & bA.csv".into(), bytes: 7, etag: "\"e\"".into() };
        assert_eq!((entries, next.as_deref()), (vec![wanted], Some("t=")));
        for junk in [
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>",
            "<a></b>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult><Contents><Key>&b;</Key>\
             </Contents></ListBucketResult>",
        ] {
            assert!(page_of(junk).is_err(), "{junk}");
        }
    }
}
