//! Secrets of sources: each under a key of its own, wrapped by its team's, bound to its name.
//!
//! Whoever moves a row to another name or team has nothing that opens.

use crate::bond::of_source;
use crate::data::{Data, DataError};
use crate::key::{Key, cipher, number, wrapped};
use ring::aead::Aad;
use weft_store::{Read, SourceRow, StoreError, Write};
use weft_types::QueueName;
use zeroize::Zeroizing;

/// The key seals one secret, once.
const NONCE: [u8; 12] = [0; 12];

impl Data {
    /// Seals a secret for a team's source of this name: its wrapped key, and what is sealed.
    ///
    /// # Errors
    /// The team's key does not open, or the system gives no random numbers.
    pub fn seal_secret(
        &self,
        w: &mut Write<'_>,
        (queue, name): (&QueueName, &str),
        secret: &str,
    ) -> Result<(Vec<u8>, Vec<u8>), DataError> {
        let (team, _) = self.master().team(w, queue)?;
        let (key, about) = (Key::fresh()?, of_source(queue, name));
        let mut body = Zeroizing::new(secret.as_bytes().to_vec());
        let tag = cipher(&key)
            .seal_in_place_separate_tag(number(NONCE), Aad::from(&about), &mut body)
            .expect("a secret is shorter than AES-GCM's 2^36 bytes");
        let sealed = [&body[..], tag.as_ref()].concat();
        Ok((team.wrap(&key, &about)?.to_vec(), sealed))
    }

    /// The secret of a source.
    ///
    /// # Errors
    /// It does not open: it was changed, or is of another name, team or master key.
    pub fn open_secret(
        &self,
        r: &Read<'_>,
        row: &SourceRow,
    ) -> Result<Zeroizing<String>, DataError> {
        let team = r.team_key(&row.queue)?;
        let team = team.ok_or_else(|| StoreError::Damaged("a team's key is gone".into()))?;
        let about = of_source(&row.queue, &row.name);
        let team = self.master().open_team(&row.queue, &team)?;
        let key = team.unwrap(&wrapped(&row.key)?, &about)?;
        let mut body = Zeroizing::new(row.secret.clone());
        let opened = cipher(&key).open_in_place(number(NONCE), Aad::from(&about), &mut body);
        let opened = opened.map_err(|_| crate::KeyError::DoesNotOpen)?;
        let text = std::str::from_utf8(opened).map_err(|_| crate::KeyError::DoesNotOpen)?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// The sources of a team, with their keys wrapped by another of the team's.
pub(crate) fn rewrapped(
    w: &Write<'_>,
    queue: &QueueName,
    (team, fresh): (&Key, &Key),
) -> Result<Vec<SourceRow>, DataError> {
    let of_team = w.sources()?.into_iter().filter(|row| row.queue == *queue);
    let rewrap = |row: SourceRow| {
        let about = of_source(&row.queue, &row.name);
        let key = team.unwrap(&wrapped(&row.key)?, &about)?;
        Ok(SourceRow { key: fresh.wrap(&key, &about)?.to_vec(), ..row })
    };
    of_team.map(rewrap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PACK_BYTES, Packs, master};
    use weft_store::{SourceKind, Store};
    use weft_types::Timestamp;

    #[tokio::test]
    async fn a_secret_opens_under_its_name_alone_and_after_every_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let key = master(&dir.path().join("master.key"), true).unwrap();
        let packs = Packs::open(&dir.path().join("packs"), PACK_BYTES).unwrap();
        let data = Data::new(store.clone(), packs, key);
        let lab: QueueName = "lab".parse().unwrap();
        let (of, queue) = (data.clone(), lab.clone());
        let put = move |w: &mut Write<'_>| {
            let (key, secret) = of.seal_secret(w, (&queue, "crm"), "hush")?;
            let (name, settings, by) = ("crm".to_owned(), "{}".to_owned(), "ana".to_owned());
            let (kind, at) = (SourceKind::Postgres, Timestamp(1));
            w.put_source(&SourceRow { name, queue, kind, settings, by, at, key, secret })?;
            Ok::<_, DataError>(())
        };
        store.write(put).await.unwrap();
        let row = async || store.read(|r| r.source("crm")).await.unwrap().unwrap();
        let open = async |row: SourceRow| {
            let of = data.clone();
            store.read(move |r| of.open_secret(r, &row)).await.map(|text| text.to_string())
        };
        assert!(!row().await.secret.windows(4).any(|part| part == b"hush"));
        assert_eq!(open(row().await).await.unwrap(), "hush");
        data.rotate_team(&lab, Box::new(|_, _| Ok(()))).await.unwrap();
        data.rotate_master(Box::new(|_, ()| Ok(()))).await.unwrap();
        assert_eq!(open(row().await).await.unwrap(), "hush");
        let moved = SourceRow { name: "other".to_owned(), ..row().await };
        assert!(open(moved).await.is_err(), "it opens under another name");
        let mut changed = row().await;
        changed.secret[0] ^= 1;
        assert!(open(changed).await.is_err(), "it was changed, and opens");
    }
}
