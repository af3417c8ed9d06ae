//! One of each: what is written reads back, what fails leaves nothing.

use weft_store::{Store, StoreError};
use weft_types::{Generation, QueueName};

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

#[tokio::test]
async fn writes_are_kept_and_failures_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write(|w| w.put_queue(&queue("lab"), &Default::default(), None)).await.unwrap();
    let failed = store
        .write(|w| {
            w.put_queue(&queue("other"), &Default::default(), None)?;
            w.put_queue(&queue("none/below"), &Default::default(), None)
        })
        .await;
    assert!(matches!(failed, Err(StoreError::NotFound { .. })), "{failed:?}");
    let panicked = store.write(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
    assert_eq!(panicked, Err(StoreError::Panicked("on purpose".into())));
    let snapshot = store.read(|r| r.snapshot()).await.unwrap();
    assert_eq!(snapshot.generation, Generation(1));
    assert_eq!(snapshot.queues.keys().cloned().collect::<Vec<_>>(), [queue("lab")]);
}
