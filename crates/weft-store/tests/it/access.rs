//! Queues, users, tokens, repeated requests, pages: the rules that stand in the store.

use crate::given::{event, fast_dir, new_workload, pool, queue, report, user};
use weft_sched::Queue;
use weft_store::{
    Asks, EVENT_DETAIL_MAX, EventFilter, GrantRow, Holding, KEEP_RESPONSES, NewDataset, NewEvent,
    NewRequest, NewWorkload, PAGE_MAX, RequestKey, Role, Scope, Seen, Store, StoreError,
    StoredResponse, TokenRow, UserRow, Whose, WorkloadFilter, Write,
};
use weft_types::{DatasetName, Tier, Timestamp, UserName, WorkloadId};

fn ann() -> UserRow {
    UserRow {
        name: user(),
        role: Role::Lead,
        queue: Some(queue("lab")),
        created_at: Timestamp(5),
        disabled: false,
    }
}

fn token(id: &str) -> TokenRow {
    TokenRow {
        id: id.into(),
        user: user(),
        scope: Scope::Write,
        hash: [7; 32],
        created_at: Timestamp(5),
        expires_at: Timestamp(50),
        used_at: None,
        revoked: false,
        parent: None,
    }
}

async fn generation(store: &Store) -> u64 {
    store.read(|r| r.heads()).await.unwrap().generation.0
}

#[tokio::test]
async fn queues_have_versions_and_are_kept_while_used() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let put = |name: &'static str, expected| {
        let store = store.clone();
        let put = move |w: &mut Write<'_>| w.put_queue(&queue(name), &Queue::default(), expected);
        async move { store.write(put).await }
    };
    assert_eq!(put("lab/vision", Some(0)).await, Ok(1));
    assert_eq!(put("lab/vision", Some(1)).await, Ok(2));
    let conflict = put("lab/vision", Some(1)).await;
    assert!(matches!(conflict, Err(StoreError::Conflict { expected: 1, found: 2, .. })));
    assert!(matches!(put("none/x", None).await, Err(StoreError::NotFound { .. })));
    let used = store.write(|w| w.delete_queue(&queue("lab"))).await;
    assert!(matches!(used, Err(StoreError::InUse { .. })), "it has a queue below it");
    store.write(|w| w.delete_queue(&queue("lab/vision"))).await.unwrap();
    store.write(|w| w.create_user(&ann())).await.unwrap();
    let used = store.write(|w| w.delete_queue(&queue("lab"))).await;
    assert!(matches!(used, Err(StoreError::InUse { .. })), "it has a user");
    store.write(|w| w.delete_user(&user())).await.unwrap();
    store.write(|w| w.submit_workload(new_workload("a", 1))).await.unwrap();
    let used = store.write(|w| w.delete_queue(&queue("lab"))).await;
    assert!(matches!(used, Err(StoreError::InUse { .. })), "it has a workload");
}

#[tokio::test]
async fn only_what_the_planner_can_see_counts_as_a_change() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let before = generation(&store).await;
    store.write(|w| w.create_user(&ann())).await.unwrap();
    store.write(|w| w.create_token(&token("t1"))).await.unwrap();
    store.write(|w| w.report_node(&report(Timestamp(9_000)))).await.unwrap();
    store.write(|w| w.put_queue(&queue("new"), &Queue::default(), None)).await.unwrap();
    assert_eq!(generation(&store).await, before + 1, "the queue alone");
    store.write(|w| w.drain_node(&crate::given::node(), true, None)).await.unwrap();
    assert_eq!(generation(&store).await, before + 2);
    let snapshot = store.read(|r| r.snapshot()).await.unwrap();
    assert!(!snapshot.nodes[&crate::given::node()].schedulable);
}

#[tokio::test]
async fn users_and_tokens_read_back_and_go_together() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let orphan = store.write(|w| w.create_token(&token("t1"))).await;
    assert!(matches!(orphan, Err(StoreError::NotFound { what: "user", .. })));
    store.write(|w| w.create_user(&ann())).await.unwrap();
    let twice = store.write(|w| w.create_user(&ann())).await;
    assert!(matches!(twice, Err(StoreError::Exists { what: "user", .. })));
    store.write(|w| w.create_token(&token("t1"))).await.unwrap();
    store.write(|w| w.token_used("t1", Timestamp(30))).await.unwrap();
    store.write(|w| w.token_used("t1", Timestamp(20))).await.unwrap();
    assert_eq!(store.write(|w| w.revoke_token("t1")).await, Ok(Vec::new()));
    let stored = store.read(|r| r.token("t1")).await.unwrap().unwrap();
    let expected = TokenRow { used_at: Some(Timestamp(30)), revoked: true, ..token("t1") };
    assert_eq!(stored, expected);
    assert_eq!(store.read(|r| r.user(&user())).await.unwrap(), Some(ann()));
    store.write(|w| w.delete_user(&user())).await.unwrap();
    assert_eq!(store.read(|r| r.token("t1")).await.unwrap(), None);
}

#[tokio::test]
async fn who_gets_the_name_of_a_removed_user_gets_no_access_with_it() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let name: DatasetName = "digits".parse().unwrap();
    let dataset = NewDataset {
        name: name.clone(),
        queue: queue("lab"),
        owner: "bob".parse().unwrap(),
        tier: Tier::Internal,
        about: String::new(),
        at: Timestamp(1),
    };
    let granted = move |w: &mut Write<'_>| -> Result<_, StoreError> {
        w.create_user(&ann())?;
        let id = w.make_dataset(&dataset)?;
        let by: UserName = "bob".parse().unwrap();
        for to in [user(), "eve".parse().unwrap()] {
            let (at, until) = (Timestamp(2), Timestamp(90));
            w.grant(id, &GrantRow { user: to.clone(), by: by.clone(), at, until })?;
            w.ask(&NewRequest {
                dataset: Some(id),
                name: name.clone(),
                asks: Asks::Access(9),
                asker: to,
                why: String::new(),
                at,
                expires_at: until,
            })?;
        }
        w.delete_user(&user())?;
        w.create_user(&ann())?;
        Ok(id)
    };
    let id = store.write(granted).await.unwrap();
    let grants = store.read(move |r| r.data_grants(id, Timestamp(3))).await.unwrap();
    assert_eq!(grants.iter().map(|g| g.user.as_str()).collect::<Vec<_>>(), ["eve"]);
    let asked = store.read(|r| r.data_requests()).await.unwrap();
    let said = |who: &str| {
        let of = asked.iter().find(|row| row.new.asker.as_str() == who).unwrap();
        of.decided.as_ref().map(|decided| decided.approved)
    };
    assert_eq!((said(user().as_str()), said("eve")), (Some(false), None));
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_response_for_a_day() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let key = RequestKey {
        actor: "ann".into(),
        key: "k1".into(),
        route: "POST /api/v1/workloads".into(),
        fingerprint: [1; 32],
    };
    let response = StoredResponse { status: 201, body: b"{\"id\":\"w1\"}".to_vec() };
    let (now, seen) = (Timestamp(1_000_000), |key: RequestKey, at: u64| {
        let store = store.clone();
        async move { store.read(move |r| r.idempotent(&key, Timestamp(at))).await.unwrap() }
    });
    assert_eq!(seen(key.clone(), now.0).await, Seen::Never);
    let (k, r) = (key.clone(), response.clone());
    store.write(move |w| w.remember_response(&k, &r, now)).await.unwrap();
    assert_eq!(seen(key.clone(), now.0 + 5).await, Seen::Same(response));
    assert_eq!(seen(RequestKey { fingerprint: [2; 32], ..key.clone() }, now.0).await, Seen::Other);
    assert_eq!(
        seen(RequestKey { route: "DELETE /".into(), ..key.clone() }, now.0).await,
        Seen::Other
    );
    assert_eq!(seen(RequestKey { actor: "bob".into(), ..key.clone() }, now.0).await, Seen::Never);
    let later = now.after(KEEP_RESPONSES);
    assert_eq!(seen(key.clone(), later.0).await, Seen::Never);
    store.housekeep(later).await.unwrap();
    assert_eq!(seen(key, now.0).await, Seen::Never, "forgotten for good");
}

#[tokio::test]
async fn pages_and_details_are_bounded() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    store
        .write(|w| -> Result<(), StoreError> {
            for n in 0..PAGE_MAX + 50 {
                let detail = "ä".repeat(EVENT_DETAIL_MAX);
                w.append_event(NewEvent { detail, ..event(&format!("w{}", n % 2), "tried") })?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let all = store.read(|r| r.events(&EventFilter::default(), 0, u32::MAX)).await.unwrap();
    assert_eq!(all.len(), PAGE_MAX as usize);
    assert_eq!(all[0].event.detail.len(), EVENT_DETAIL_MAX);
    let rest = store.read(move |r| r.events(&EventFilter::default(), all[999].seq, 1000)).await;
    assert_eq!(rest.unwrap().len(), 50);
    let one = EventFilter { subject: Some("w1".into()), ..EventFilter::default() };
    let of_one = store.read(move |r| r.events(&one, 0, 1000)).await.unwrap();
    assert_eq!(of_one.len(), 525);
    let other = EventFilter { queue: Some(queue("x")), ..EventFilter::default() };
    assert!(store.read(move |r| r.events(&other, 0, 1000)).await.unwrap().is_empty());
}

#[tokio::test]
async fn workloads_are_listed_newest_first_and_names_are_free_again_once_removed() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    for name in ["a", "b", "c"] {
        store.write(move |w| w.submit_workload(new_workload(name, 1))).await.unwrap();
    }
    let taken = store.write(|w| w.submit_workload(new_workload("a", 1))).await;
    assert!(matches!(taken, Err(StoreError::Exists { .. })));
    let free = store.read(|r| r.free_name(&queue("lab"), "a")).await.unwrap();
    assert_eq!(free, "a-2");
    let list = |before| {
        let store = store.clone();
        async move {
            let rows =
                store.read(move |r| r.workloads(&WorkloadFilter::default(), before, 2)).await;
            rows.unwrap().iter().map(|row| row.id.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(None).await, [3, 2]);
    assert_eq!(list(Some(WorkloadId(2))).await, [1]);
    let busy = store.write(|w| w.remove_workload(WorkloadId(1))).await;
    assert!(matches!(busy, Err(StoreError::InUse { .. })));
    store
        .write(|w| {
            let mut row = w.workload(WorkloadId(1))?.unwrap();
            row.record.apply(weft_lifecycle::Event::StopRequested, Timestamp(9)).unwrap();
            w.save_workload(&row, Timestamp(9))?;
            w.remove_workload(row.id)
        })
        .await
        .unwrap();
    assert_eq!(store.read(|r| r.workload(WorkloadId(1))).await.unwrap(), None);
    let again = store.write(|w| w.submit_workload(new_workload("a", 1))).await.unwrap();
    assert_eq!(again.id, WorkloadId(4), "ids are never reused");
}

#[tokio::test]
async fn free_names_count_on_however_many_are_taken() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let seen = store.write(|w| -> Result<_, StoreError> {
        let mut seen = Vec::new();
        for _ in 1..=70 {
            let name = w.free_name(&queue("lab"), "a")?;
            w.submit_workload(new_workload(&name, 1))?;
            seen.push(name);
        }
        Ok(seen)
    });
    let seen = seen.await.unwrap();
    let expected: Vec<_> = (2..=70).map(|n| format!("a-{n}")).collect();
    assert_eq!((seen[0].as_str(), &seen[1..]), ("a", &expected[..]));
}

/// A team's member sees the team's, what is below it, and her own; nobody else's.
#[tokio::test]
async fn a_team_is_its_queue_those_below_it_and_oneself() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let bob: weft_types::UserName = "bob".parse().unwrap();
    let other = bob.clone();
    store
        .write(move |w| -> Result<(), StoreError> {
            for name in ["lab/vision", "lab/vision/x", "lab-two", "other"] {
                if let Some((parent, _)) = name.rsplit_once('/') {
                    w.queue(&queue(parent))?.expect("made before");
                }
                w.put_queue(&queue(name), &Queue::default(), None)?;
            }
            let places = ["lab", "lab/vision", "lab/vision/x", "lab-two", "other"];
            for place in places {
                let new = new_workload("train", 1);
                w.submit_workload(NewWorkload { queue: queue(place), user: other.clone(), ..new })?;
            }
            let new = new_workload("mine", 1);
            w.submit_workload(NewWorkload { queue: queue("other"), ..new })?;
            Ok(())
        })
        .await
        .unwrap();
    let seen = |team: &str, user: weft_types::UserName| {
        let (store, team) = (store.clone(), Some((queue(team), user)));
        async move {
            let filter = WorkloadFilter { team, ..WorkloadFilter::default() };
            let rows = store.read(move |r| r.workloads(&filter, None, 100)).await.unwrap();
            rows.iter().rev().map(|row| row.id.0).collect::<Vec<_>>()
        }
    };
    assert_eq!(seen("lab", user()).await, [1, 2, 3, 6], "not lab-two, not other's");
    assert_eq!(seen("lab/vision", user()).await, [2, 3, 6], "not what is above");
    assert_eq!(seen("other", user()).await, [5, 6]);
    assert_eq!(seen("lab-two", bob).await, [1, 2, 3, 4, 5], "one's own, wherever they are");
}

#[tokio::test]
async fn namesakes_are_chosen_among_however_many_there_are() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    const TEAMS: u64 = 1_100;
    store
        .write(|w| -> Result<(), StoreError> {
            w.submit_workload(new_workload("train", 1))?;
            let bob: weft_types::UserName = "bob".parse().unwrap();
            for n in 0..TEAMS {
                let team = queue(&format!("t{n}"));
                w.put_queue(&team, &Queue::default(), None)?;
                let new = new_workload("train", 1);
                w.submit_workload(NewWorkload { queue: team, user: bob.clone(), ..new })?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let of = |whose: Whose, before| {
        let store = store.clone();
        async move { store.read(move |r| r.namesakes("train", &whose, before)).await.unwrap() }
    };
    let mine = of(Whose::Users(user()), None).await;
    assert_eq!(mine.iter().map(|n| n.id.0).collect::<Vec<_>>(), [1], "the oldest of all");
    let team = of(Whose::Teams(queue("t7"), user()), None).await;
    assert_eq!(team.iter().map(|n| n.id.0).collect::<Vec<_>>(), [9, 1]);
    let all = of(Whose::Anybodys, None).await;
    assert_eq!(all.len(), PAGE_MAX as usize);
    let rest = of(Whose::Anybodys, all.last().map(|n| n.id)).await;
    assert_eq!(all.len() + rest.len(), 1 + TEAMS as usize);
}

#[tokio::test]
async fn what_has_not_ended_is_counted_by_user_and_queue() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let counts = || {
        let store = store.clone();
        async move {
            let read = |r: &weft_store::Read<'_>| -> Result<_, StoreError> {
                Ok((r.live_of_user(&user())?, r.live_of_queue(&queue("lab"))?))
            };
            store.read(read).await.unwrap()
        }
    };
    assert_eq!(counts().await, (0, 0));
    for name in ["a", "b", "c"] {
        store.write(move |w| w.submit_workload(new_workload(name, 1))).await.unwrap();
    }
    assert_eq!(counts().await, (3, 3));
    store
        .write(|w| {
            let mut row = w.workload(WorkloadId(1))?.unwrap();
            row.record.apply(weft_lifecycle::Event::StopRequested, Timestamp(9)).unwrap();
            w.save_workload(&row, Timestamp(9))
        })
        .await
        .unwrap();
    assert_eq!(counts().await, (2, 2), "one has ended");
}

#[tokio::test]
async fn what_was_made_with_a_token_is_never_more_and_goes_with_it() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    store.write(|w| w.create_user(&ann())).await.unwrap();
    let make = |id: &str, parent: Option<&str>, scope, until| {
        let store = store.clone();
        let row = TokenRow {
            parent: parent.map(str::to_owned),
            scope,
            expires_at: Timestamp(until),
            ..token(id)
        };
        async move { store.write(move |w| w.create_token(&row)).await }
    };
    make("root", None, Scope::Write, 50).await.unwrap();
    make("other", None, Scope::Write, 50).await.unwrap();
    make("child", Some("root"), Scope::Write, 50).await.unwrap();
    make("narrow", Some("child"), Scope::Read, 40).await.unwrap();
    let good = |at| {
        let store = store.clone();
        async move { store.read(move |r| r.good_tokens(&user(), Timestamp(at))).await.unwrap() }
    };
    assert_eq!((good(39).await, good(40).await, good(50).await), (4, 3, 0));
    let longer = make("x", Some("narrow"), Scope::Read, 41).await;
    assert!(matches!(longer, Err(StoreError::TooLarge { .. })), "{longer:?}");
    let wider = make("x", Some("narrow"), Scope::Write, 40).await;
    assert!(matches!(wider, Err(StoreError::TooLarge { .. })), "{wider:?}");
    let gone = store.write(|w| w.revoke_token("root")).await.unwrap();
    assert_eq!(gone.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["child", "narrow"]);
    assert_eq!(store.write(|w| w.revoke_token("root")).await, Ok(Vec::new()), "once is enough");
    let rows = store.read(|r| r.tokens(None)).await.unwrap();
    assert_eq!(good(39).await, 1);
    let good: Vec<_> = rows.iter().filter(|t| !t.revoked).map(|t| t.id.as_str()).collect();
    assert_eq!(good, ["other"]);
    let late = make("late", Some("child"), Scope::Read, 40).await;
    assert!(matches!(late, Err(StoreError::NotFound { .. })), "{late:?}");
}

#[tokio::test]
async fn holders_are_kept_as_long_as_their_bundles() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    for (sha256, since) in [(a.clone(), 10), (b.clone(), 20)] {
        let held =
            Holding { user: user(), sha256, bytes: weft_types::Bytes(7), since: Timestamp(since) };
        store.write(move |w| w.hold_bundle(&held)).await.unwrap();
    }
    let held = |user: weft_types::UserName, sha256: &str| {
        let (store, sha256) = (store.clone(), sha256.to_owned());
        async move { store.read(move |r| r.holds(&user, &sha256)).await.unwrap() }
    };
    assert!(held(user(), &a).await && !held("bob".parse().unwrap(), &a).await);
    let bytes = |store: &Store| {
        let store = store.clone();
        async move { store.read(|r| r.held_bytes(&user())).await.unwrap().0 }
    };
    assert_eq!(bytes(&store).await, 14);
    let gone = store.write(|w| w.forget_bundles(&[].into(), Timestamp(20))).await.unwrap();
    assert_eq!(gone, 1, "the younger may be on its way to its name");
    assert!(!held(user(), &a).await && held(user(), &b).await);
    let here = [b.clone()].into();
    store.write(move |w| w.forget_bundles(&here, Timestamp(99))).await.unwrap();
    assert_eq!(bytes(&store).await, 7);
}
