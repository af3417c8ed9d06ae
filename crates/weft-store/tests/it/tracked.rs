//! Tracked runs in the store: what is the latest, what is kept once, what is given back.

use crate::given::fast_dir;
use proptest::prelude::*;
use weft_store::{
    ExperimentRow, NewExperiment, NewModel, NewTracked, Store, StoreError, TrackedRow, Write,
};
use weft_tracking::ModelStatus;
use weft_tracking::check::{Kept, Point};
use weft_types::{QueueName, Tier, Timestamp, UserName};

fn new_experiment(name: &str) -> NewExperiment {
    NewExperiment {
        queue: QueueName::new("lab").unwrap(),
        name: name.to_owned(),
        owner: UserName::new("ana").unwrap(),
        tier: Tier::Internal,
        at: Timestamp(1_000),
    }
}

fn run_in(w: &mut Write<'_>, of: &ExperimentRow, uuid: &str) -> Result<TrackedRow, StoreError> {
    w.track(&NewTracked {
        uuid: uuid.to_owned(),
        experiment: of.id,
        name: uuid.to_owned(),
        owner: of.is.owner.clone(),
        started_at: 5,
        tier: Tier::Internal,
        workload: None,
    })
}

fn any_point() -> impl Strategy<Value = Point> {
    let key = prop::sample::select(vec!["a", "b"]);
    let value =
        prop::sample::select(vec![0.0, -1.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
    (key, value, 0..4i64, -2..2i64).prop_map(|(key, value, timestamp, step)| Point {
        key: key.to_owned(),
        value,
        timestamp,
        step,
    })
}

/// Points in the order in which they are told, each once.
fn told(points: &[Point], key: &str) -> Vec<(i64, i64, String)> {
    let of = points.iter().filter(|point| point.key == key);
    let mut all: Vec<_> = of.map(|point| (point.timestamp, point.step, point.value)).collect();
    all.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let mut told: Vec<_> =
        all.into_iter().map(|(at, step, value)| (at, step, format!("{value:?}"))).collect();
    told.dedup();
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever batches and order points come, what is told is the same.
    #[test]
    fn history_is_what_was_logged(
        batches in prop::collection::vec(prop::collection::vec(any_point(), 0..12), 0..6),
        page in 1..5usize,
    ) {
        let dir = fast_dir();
        let store = Store::open(dir.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let all: Vec<Point> = batches.concat();
            let (run, grown) = store.write(move |w| -> Result<_, StoreError> {
                let made = w.make_experiment(&new_experiment("x"))?;
                let run = run_in(w, &made, "r")?;
                let mut grown = 0;
                for batch in &batches {
                    grown += w.keep_points(run.id, batch)?;
                    // Twice is once.
                    assert_eq!(w.keep_points(run.id, batch)?, 0);
                }
                Ok((run, grown))
            }).await.unwrap();
            prop_assert_eq!(grown > 0, !all.is_empty());
            for key in ["a", "b"] {
                let wanted = told(&all, key);
                let (mut found, mut mark) = (Vec::new(), None);
                loop {
                    let points = store.glance(|r| r.metric_history((run.id, key), mark, page));
                    let points = points.await.unwrap();
                    let Some((_, last)) = points.last() else { break };
                    mark = Some(*last);
                    let told = |(point, _): &(Point, _)| {
                        (point.timestamp, point.step, format!("{:?}", point.value))
                    };
                    found.extend(points.iter().map(told));
                }
                prop_assert_eq!(&found, &wanted);
                let latest = store.glance(|r| r.tracked_metric(run.id, key)).await.unwrap();
                let last = wanted.iter().max_by_key(|(at, step, _)| (*step, *at));
                let step = last.map(|(at, step, _)| (*at, *step));
                let best = wanted.iter().rfind(|(at, s, _)| Some((*at, *s)) == step);
                prop_assert_eq!(latest.map(|v| format!("{v:?}")), best.map(|b| b.2.clone()));
            }
            Ok(())
        })?;
    }
}

/// What a team holds is what its runs hold, and all of it is given back.
#[tokio::test]
async fn what_is_forgotten_gives_its_room_back() {
    let dir = fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let queue = QueueName::new("lab").unwrap();
    let of = queue.clone();
    let made = store.write(move |w| -> Result<_, StoreError> {
        let made = w.make_experiment(&new_experiment("x"))?;
        w.tag_experiment(made.id, ("about", "digits"), Timestamp(1))?;
        for uuid in ["one", "two"] {
            let run = run_in(w, &made, uuid)?;
            let tag = |value: &str| Kept { key: "t".to_owned(), value: value.to_owned() };
            let mut grown = w.keep_tag(run.id, &tag("short"))?;
            grown += w.keep_tag(run.id, &tag("a longer one"))?;
            grown += w.keep_param(run.id, &tag("v"))?;
            let points = (0..50).map(|at| Point {
                key: "loss".to_owned(),
                value: 1.0,
                timestamp: at,
                step: at,
            });
            grown += w.keep_points(run.id, &points.collect::<Vec<_>>())?;
            w.tracked_grew((run.id, &of), grown, u64::MAX)?;
            assert!(w.take_tag(run.id, "none")?.is_none());
            let less = w.take_tag(run.id, "t")?.unwrap();
            assert!(less < 0);
            w.tracked_grew((run.id, &of), less, u64::MAX)?;
        }
        Ok(made)
    });
    let made = made.await.unwrap();
    let held = || store.read(|r| r.tracking_held(&QueueName::new("lab").unwrap()));
    let all = held().await.unwrap();
    assert!(all > 4_000, "{all}");
    let id = made.id;
    store
        .write(move |w| -> Result<_, StoreError> {
            let one = w.tracked("one")?.unwrap();
            w.delete_tracked(one.id, Some(Timestamp(10)))?;
            assert!(!w.forget_tracked(Timestamp(10))?, "it may still come back");
            assert!(w.forget_tracked(Timestamp(11))?);
            assert!(w.tracked("one")?.is_none());
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(held().await.unwrap() * 2, all);
    store
        .write(move |w| -> Result<_, StoreError> {
            w.delete_experiment(id, true, Timestamp(20))?;
            while w.forget_tracked(Timestamp(21))? {}
            assert!(w.experiment(id)?.is_none());
            // Its name is free again, its number is not.
            assert!(w.make_experiment(&new_experiment("x"))?.id > id);
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(held().await.unwrap(), 0);
    assert!(store.read(|r| r.check_integrity()).await.unwrap().is_empty());
}

/// A model keeps its latest point by moment, gives its room back, and its experiment waits for it.
#[tokio::test]
async fn a_model_is_kept_and_forgotten() {
    let dir = fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let queue = QueueName::new("lab").unwrap();
    let forgotten = store.write(move |w| -> Result<_, StoreError> {
        let made = w.make_experiment(&new_experiment("x"))?;
        let run = run_in(w, &made, "r")?;
        let new = NewModel {
            uuid: "m-1".to_owned(),
            experiment: made.id,
            name: "digits".to_owned(),
            owner: made.is.owner.clone(),
            tier: Tier::Internal,
            model_type: String::new(),
            run: "r".to_owned(),
            at: Timestamp(5),
        };
        let model = w.log_model(&new)?;
        assert!(matches!(w.log_model(&new), Err(StoreError::Exists { .. })));
        for (timestamp, value) in [(1, 0.1), (3, 0.3), (2, 0.2), (3, f64::NAN), (3, 0.2)] {
            let point = Point { key: "acc".to_owned(), value, timestamp, step: 0 };
            w.keep_model_point((model.id, run.id), &point)?;
        }
        let (latest, of) = w.model_metrics(model.id)?.remove(0);
        assert!(latest.value.is_nan() && latest.timestamp == 3 && of == "r");
        let tag = Kept { key: "t".to_owned(), value: "v".to_owned() };
        let grown = w.keep_model_tag(model.id, &tag)?;
        w.model_grew((model.id, &queue), grown, 1_000)?;
        assert!(matches!(
            w.model_grew((model.id, &queue), 1_000, 1_000),
            Err(StoreError::OverQuota { .. })
        ));
        w.change_model(model.id, Some(ModelStatus::Ready), true, Timestamp(10))?;
        assert!(w.logged_models(made.id)?.is_empty());
        w.delete_experiment(made.id, true, Timestamp(10))?;
        while w.forget_tracked(Timestamp(11))? {}
        assert!(w.experiment(made.id)?.is_some(), "a model of it is not forgotten");
        let gone = w.model_forgettable(Timestamp(11))?.unwrap();
        w.forget_model(gone.id)?;
        assert!(w.forget_tracked(Timestamp(11))?);
        assert!(w.experiment(made.id)?.is_none());
        w.tracking_held(&queue)
    });
    assert_eq!(forgotten.await.unwrap(), 0);
    assert!(store.read(|r| r.check_integrity()).await.unwrap().is_empty());
}
