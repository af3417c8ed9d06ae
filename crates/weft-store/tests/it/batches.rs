//! What goes through many objects in one transaction ends it after so many chunks, not objects.

use crate::objects::{make, object, sealed};
use weft_store::{
    At, ChunkPlace, Difference, Expected, NewObject, NewPart, ObjectEntry, Sealed, Store,
    StoreError, Write,
};
use weft_types::{Bytes, Timestamp};

/// Chunks of an object: with two of them, a transaction has enough.
const MANY: u32 = 6_000;
const NOW: Timestamp = Timestamp(1);
/// After the days that anything is kept.
const LATE: Timestamp = Timestamp(400 * 24 * 3_600_000);

fn chunks() -> Vec<([u8; 32], Option<ChunkPlace>)> {
    let chunk = |number: u32| {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        (id, Some(ChunkPlace { pack: 1, offset: u64::from(number), length: 1 }))
    };
    (0..MANY).map(chunk).collect()
}

fn large(path: &str) -> NewObject {
    NewObject { chunks: chunks(), ..object(path, 9) }
}

fn rewrap(_: &Write<'_>, _: &ObjectEntry, _: u64, sealed: Sealed) -> Result<Sealed, StoreError> {
    Ok(sealed)
}

#[tokio::test]
async fn a_transaction_ends_after_so_many_chunks() {
    let dir = crate::given::fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let put = |w: &mut Write<'_>| {
        let id = make(w)?;
        w.set_keep_days(id, 0, NOW)?;
        for path in ["a", "b", "c"] {
            w.put_object(id, &large(path), &Expected::Absent, NOW)?;
        }
        let then = w.next_change(id)? - 1;
        for path in ["a", "b", "c"] {
            w.delete_object(id, path, &Expected::Present, NOW)?;
        }
        Ok::<_, StoreError>((id, then))
    };
    let (id, then) = store.write(put).await.unwrap();

    let both = (At::Now, At::Changes(then));
    let found = store.read(move |r| r.differences(id, both, "", 10)).await.unwrap();
    let restore = async |found: Vec<Difference>| {
        let some = move |w: &mut Write<'_>| w.restore_objects(id, then, &found, NOW, rewrap);
        store.write(some).await.unwrap()
    };
    let some = restore(found.clone()).await;
    assert_eq!((some.put, some.next.as_deref()), (2, Some("b")));
    let rest = restore(found[2..].to_vec()).await;
    assert_eq!((rest.put, rest.next), (1, None));

    let ended = store.read(move |r| r.forgettable(id, LATE, 10, LATE)).await.unwrap();
    assert_eq!(ended.len(), 3);
    let some = ended.clone();
    let some = store.write(move |w| w.forget_these(id, &some, LATE)).await.unwrap();
    assert_eq!(some, (2, 2));
    let rest = store.write(move |w| w.forget_these(id, &ended[2..], LATE)).await.unwrap();
    assert_eq!(rest, (1, 1));

    let begin = move |w: &mut Write<'_>| {
        for path in ["a", "b", "c"] {
            let upload = w.begin_upload(id, path, NOW)?;
            let (tag, sealed) = (vec![1], sealed(1));
            let part = NewPart { number: 1, bytes: Bytes(1), tag, sealed, chunks: chunks() };
            w.keep_part(upload, &part, NOW)?;
        }
        Ok::<_, StoreError>(())
    };
    store.write(begin).await.unwrap();
    for given_up in [2, 1, 0] {
        let some = store.write(|w| w.give_up_uploads(LATE, 10, LATE)).await.unwrap();
        assert_eq!(some, given_up);
    }

    store.write(move |w| w.end_dataset(id, NOW)).await.unwrap();
    store.write(move |w| w.forget_dataset(id, None, LATE)).await.unwrap();
    for left in [1, 0] {
        assert!(store.write(move |w| w.forget_rows(id, 10, LATE)).await.unwrap());
        let objects = store.read(move |r| r.sum_objects(id)).await.unwrap().objects;
        assert_eq!(objects, left);
    }
    assert!(!store.write(move |w| w.forget_rows(id, 10, LATE)).await.unwrap());
}
