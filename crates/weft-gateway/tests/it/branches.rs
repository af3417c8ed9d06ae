//! Branches: against a model of three folders, and what keeps them whole.

use crate::datasets::{NOW, Place, nothing};
use crate::{fast_dir, key, noise};
use std::collections::BTreeMap;
use weft_gateway::{AlsoMerged, DataError, Merged, Notes};
use weft_store::{At, DatasetRow, Expected, Listing, NewDataset, StoreError};
use weft_types::{DatasetName, Tier, Timestamp};

type Folder = BTreeMap<String, Vec<u8>>;

const DAY: u64 = 24 * 3_600_000;

fn at(day: u64) -> Timestamp {
    Timestamp(NOW.0 + day * DAY)
}

/// A branch of the newest version of the place's dataset.
async fn branch(place: &Place, name: &str) -> Result<DatasetRow, DataError> {
    let source = place.dataset.clone();
    let name = DatasetName::new(name).unwrap();
    let new = NewDataset { name, ..source.is.clone() };
    let id = source.id;
    let also = Box::new(move |w: &mut weft_store::Write<'_>, row: &DatasetRow| {
        let version = w.newest_version(id)?.unwrap();
        w.make_branch(row.id, (id, version.number), ("ann", "branch"), NOW)
    });
    place.data.make_branch(new, &source, also).await
}

async fn put(place: &Place, into: &DatasetRow, path: &str, body: &[u8], now: Timestamp) {
    let staged = place.data.stage(into, body).await.unwrap();
    let (any, notes) = (Expected::Anything, Notes::new());
    place.data.commit(into, path, staged, notes, any, nothing(), now).await.unwrap().unwrap();
}

async fn delete(place: &Place, of: &DatasetRow, path: &str, now: Timestamp) {
    place.data.delete(of, path, Expected::Anything, nothing(), now).await.unwrap();
}

async fn version(place: &Place, of: &DatasetRow, now: Timestamp) -> u64 {
    let id = of.id;
    place.store.write(move |w| w.make_version(id, "ann", "", now)).await.unwrap().changes
}

async fn merge(place: &Place, of: &DatasetRow, now: Timestamp) -> Result<Merged, DataError> {
    let also: AlsoMerged = Box::new(|_, _| Ok(()));
    place.data.merge(of.id, ("ann".to_owned(), "merged".to_owned()), also, now).await
}

/// All of a dataset, read by pages and whole.
async fn folder(place: &Place, of: &DatasetRow, at: At) -> Folder {
    let (mut all, mut after) = (Folder::new(), String::new());
    loop {
        let listing = Listing { limit: 3, after, ..Listing::default() };
        let page = place.data.list(of, at, listing, true).await.unwrap();
        for listed in page.entries {
            let path = listed.entry.path;
            let object = place.data.object(of, &path, at).await.unwrap().unwrap();
            let (mut body, end) = (Vec::new(), object.entry.bytes.0);
            while (body.len() as u64) < end {
                body.extend(object.read(body.len() as u64..end, 0).await.unwrap());
            }
            object.verify().await.unwrap();
            assert!(all.insert(path, body).is_none());
        }
        match page.next {
            Some(next) => after = next,
            None => return all,
        }
    }
}

/// What a merge makes of the source, by the definition; none where both have changed a path.
fn merged(base: &Folder, branch: &Folder, source: &Folder) -> Option<Folder> {
    let mut is = source.clone();
    for path in base.keys().chain(branch.keys()) {
        let (was, wants, there) = (base.get(path), branch.get(path), source.get(path));
        if was == wants || there == wants {
            continue;
        }
        if there != was {
            return None;
        }
        match wants {
            Some(body) => is.insert(path.clone(), body.clone()),
            None => is.remove(path),
        };
    }
    Some(is)
}

/// A dataset, a branch of it, and the folders that they should be.
struct Both {
    place: Place,
    source: DatasetRow,
    branch: DatasetRow,
    begun: Folder,
    base: Folder,
    is_source: Folder,
    is_branch: Folder,
    /// Merges that were done, and refused.
    merges: (u32, u32),
}

impl Both {
    async fn make(dir: &std::path::Path, bodies: &[Vec<u8>]) -> Self {
        let place = Place::open(dir, &key()).await;
        let (source, mut begun) = (place.dataset.clone(), Folder::new());
        for (n, body) in bodies.iter().cycle().take(8).enumerate() {
            put(&place, &source, &format!("f/{n}"), body, NOW).await;
            begun.insert(format!("f/{n}"), body.clone());
        }
        version(&place, &source, NOW).await;
        let branch = branch(&place, "mended").await.unwrap();
        let (base, is_source, is_branch) = (begun.clone(), begun.clone(), begun.clone());
        Self { place, source, branch, begun, base, is_source, is_branch, merges: (0, 0) }
    }

    async fn step(&mut self, byte: usize, bodies: &[Vec<u8>], now: Timestamp) {
        let (path, body) = (format!("f/{}", byte % 11), &bodies[byte / 11 % 4]);
        let (place, source, branch) = (&self.place, &self.source, &self.branch);
        match byte / 44 {
            0 | 1 => {
                put(place, branch, &path, body, now).await;
                self.is_branch.insert(path, body.clone());
            }
            2 => {
                delete(place, branch, &path, now).await;
                self.is_branch.remove(&path);
            }
            3 if byte.is_multiple_of(2) => {
                put(place, source, &path, body, now).await;
                self.is_source.insert(path, body.clone());
            }
            3 => {
                delete(place, source, &path, now).await;
                self.is_source.remove(&path);
            }
            4 => self.merge(now).await,
            _ => self.restore_and_forget(now).await,
        }
    }

    async fn merge(&mut self, now: Timestamp) {
        let wanted = merged(&self.base, &self.is_branch, &self.is_source);
        match (merge(&self.place, &self.branch, now).await, wanted) {
            (Ok(_), Some(is)) => {
                (self.is_source, self.base) = (is, self.is_branch.clone());
                self.merges.0 += 1;
            }
            (Err(DataError::Conflict { .. }), None) => self.merges.1 += 1,
            (is, wanted) => panic!("{is:?} in the place of {wanted:?}"),
        }
    }

    /// The branch is what it began as again, and what ended long ago is forgotten in both.
    async fn restore_and_forget(&mut self, now: Timestamp) {
        let id = self.branch.id;
        let first = self.place.store.read(move |r| r.dataset_version(id, 1)).await.unwrap();
        let changes = first.unwrap().changes;
        self.place.data.restore(&self.branch, changes, nothing(), now).await.unwrap();
        self.is_branch.clone_from(&self.begun);
        for id in [self.source.id, id] {
            let forget = move |w: &mut weft_store::Write<'_>| w.forget_objects(id, now, 1_000, now);
            self.place.store.write(forget).await.unwrap();
        }
    }

    async fn agree(&self) {
        let (place, branch) = (&self.place, &self.branch);
        assert_eq!(folder(place, &self.source, At::Now).await, self.is_source);
        assert_eq!(folder(place, branch, At::Changes(8)).await, self.begun);
        assert_eq!(place.store.read(|r| r.check_chunks(9)).await.unwrap(), Vec::<String>::new());
        let id = branch.id;
        let sums = move |r: &weft_store::Read<'_>| {
            Ok::<_, StoreError>((r.sum_objects(id)?, r.dataset_size(id)?))
        };
        let (sum, (objects, size, _)) = place.store.read(sums).await.unwrap();
        let bytes: usize = self.is_branch.values().map(Vec::len).sum();
        let wanted = (self.is_branch.len() as u64, bytes as u64);
        assert_eq!((sum.objects, sum.bytes.0), wanted);
        assert_eq!((objects, size.0), wanted);
    }
}

/// Random puts, deletions, versions, restores, merges, days that pass and what is forgotten then:
/// both are at all times what a folder of each would be.
#[tokio::test]
async fn a_branch_and_its_source_are_as_two_folders() {
    let (mut merges, mut conflicts) = (0, 0);
    for seed in 0..6 {
        let dir = fast_dir();
        let bodies: Vec<Vec<u8>> = (0..4).map(|n| noise(n, 700 * n as usize)).collect();
        let mut both = Both::make(dir.path(), &bodies).await;
        for (step, byte) in noise(1_000 + seed, 90).into_iter().enumerate() {
            both.step(byte.into(), &bodies, at(step as u64 / 4)).await;
            let is = folder(&both.place, &both.branch, At::Now).await;
            assert_eq!(is, both.is_branch, "seed {seed}, step {step}");
        }
        both.agree().await;
        (merges, conflicts) = (merges + both.merges.0, conflicts + both.merges.1);
    }
    assert!(merges > 5 && conflicts > 5, "{merges} merges and {conflicts} conflicts say little");
}

/// A branch of a thousand files takes no space, and what it changes as much as that is.
#[tokio::test]
async fn a_branch_copies_nothing() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let body = noise(1, 50_000);
    for n in 0..200 {
        place.put(&format!("f/{n:03}"), &noise(n, 3_000)).await;
    }
    place.put("large", &body).await;
    version(&place, &place.dataset, NOW).await;
    let queue = place.dataset.is.queue.clone();
    let held = || {
        let queue = queue.clone();
        place.store.read(move |r| r.data_held(&queue))
    };
    let before = held().await.unwrap();
    let branch = branch(&place, "mended").await.unwrap();
    assert_eq!(held().await.unwrap(), before);
    // What the source has is found there, too.
    put(&place, &branch, "again", &body, NOW).await;
    let after = held().await.unwrap();
    assert_eq!((after.bytes, after.objects), (before.bytes, before.objects + 1));
    // Forgotten in the one, it is there in the other, and is counted until both have.
    delete(&place, &place.dataset, "large", NOW).await;
    assert_eq!(folder(&place, &branch, At::Now).await["large"], body);
    assert!(!folder(&place, &place.dataset, At::Now).await.contains_key("large"));
    let merged = merge(&place, &branch, NOW).await.unwrap();
    assert_eq!((merged.put, merged.deleted), (1, 0));
    assert_eq!(folder(&place, &place.dataset, At::Now).await["again"], body);
}

/// The version that a branch is of does not go before it does, nor the dataset; and what is sealed
/// for the one does not open for another.
#[tokio::test]
async fn what_a_branch_is_of_stays() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    place.put("a", b"one").await;
    version(&place, &place.dataset, NOW).await;
    let of = branch(&place, "mended").await.unwrap();
    place.put("a", b"two").await;
    version(&place, &place.dataset, NOW).await;
    let (source, id) = (place.dataset.id, of.id);
    let write = |what: fn(&mut weft_store::Write<'_>, _, _) -> Result<(), StoreError>| {
        place.store.write(move |w| what(w, source, id))
    };
    let in_use = |done: Result<(), StoreError>| {
        assert!(matches!(done, Err(StoreError::InUse { .. })), "{done:?}");
    };
    in_use(write(|w, source, _| w.remove_version(source, 1, NOW)).await);
    in_use(write(|w, source, _| w.end_dataset(source, NOW)).await);
    // A branch of a branch, and of a view, there is not.
    let branch_of = branch(&place, "again").await.unwrap();
    let nested = place.store.write(move |w| w.make_branch(branch_of.id, (id, 1), ("ann", ""), NOW));
    in_use(nested.await);

    // Days later, all that ended is forgotten, but what the branch is of.
    let later = at(30);
    let forget = move |w: &mut weft_store::Write<'_>| w.forget_objects(source, later, 100, later);
    place.store.write(forget).await.unwrap();
    assert_eq!(folder(&place, &of, At::Now).await["a"], b"one");
    assert_eq!(of.is.tier, Tier::Internal);

    // It is raised with its source.
    place.store.write(move |w| w.raise_views(source, Tier::Restricted)).await.unwrap();
    let raised = place.store.read(move |r| r.dataset_by_id(id)).await.unwrap().unwrap();
    assert_eq!(raised.is.tier, Tier::Restricted);

    // Once it is ended its source may be, but not come back without it the other way round.
    write(|w, _, id| w.end_dataset(id, NOW)).await.unwrap();
    in_use(write(|w, source, _| w.remove_version(source, 1, NOW)).await);
    in_use(write(|w, source, _| w.end_dataset(source, NOW)).await);
    let other = branch_of.id;
    place.store.write(move |w| w.end_dataset(other, NOW)).await.unwrap();
    write(|w, source, _| w.end_dataset(source, NOW)).await.unwrap();
    in_use(write(|w, _, id| w.revive_dataset(id, None)).await);
    write(|w, source, _| w.revive_dataset(source, None)).await.unwrap();
    write(|w, _, id| w.revive_dataset(id, None)).await.unwrap();
    assert_eq!(folder(&place, &of, At::Now).await["a"], b"one");

    // All of both is forgotten: nothing is held, in whichever order.
    write(|w, _, id| w.end_dataset(id, NOW)).await.unwrap();
    write(|w, source, _| w.end_dataset(source, NOW)).await.unwrap();
    for id in [source, id, other] {
        place.store.write(move |w| w.forget_dataset(id, None, later)).await.unwrap();
        while place.store.write(move |w| w.forget_rows(id, 100, later)).await.unwrap() {}
    }
    let queue = place.dataset.is.queue.clone();
    let held = place.store.read(move |r| r.data_held(&queue)).await.unwrap();
    assert_eq!((held.bytes.0, held.objects), (0, 0));
    assert_eq!(place.store.read(|r| r.check_chunks(9)).await.unwrap(), Vec::<String>::new());
}
