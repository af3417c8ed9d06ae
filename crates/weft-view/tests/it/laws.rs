//! What holds of any recipe and any table.

use super::{try_view, view};
use proptest::prelude::*;
use weft_view::{Filter, Recipe};

/// Values that are awkward to write.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,3}", "[0-9]{1,3}", "[\"',\n ]{1,3}", Just("2026-03-05".to_owned())]
}

fn row() -> impl Strategy<Value = (String, String, String)> {
    (value(), value(), value())
}

fn recipe() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(r#"{"columns":["a","c"]}"#),
        Just(r#"{"masks":{"a":"hash","c":"keep-last:1"},"rows":"b > 10 or c is null"}"#),
        Just(r#"{"sample":"30%"}"#),
        Just(r#"{"columns":["b"],"sample":"50%","by":"a"}"#),
    ]
}

fn written((a, b, c): &(String, String, String)) -> String {
    let quote = |text: &str| match text {
        "" => String::new(),
        text => format!("\"{}\"", text.replace('"', "\"\"")),
    };
    format!("{},{},{}\n", quote(a), quote(b), quote(c))
}

fn body(view: &str) -> &str {
    view.split_once('\n').expect("a line of names").1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_view_of_files_put_together_is_their_views_put_together(
        one in proptest::collection::vec(row(), 0..12),
        two in proptest::collection::vec(row(), 0..12),
        recipe in recipe(),
    ) {
        let [one, two] = [one, two].map(|rows| rows.iter().map(written).collect::<String>());
        let shown = |rows: &str| view(recipe, "a.csv", &format!("a,b,c\n{rows}"));
        let apart = format!("{}{}", shown(&one), body(&shown(&two)));
        prop_assert_eq!(shown(&format!("{one}{two}")), apart);
    }

    #[test]
    fn a_view_of_all_columns_of_a_view_is_the_view(
        rows in proptest::collection::vec(row(), 0..12),
    ) {
        let file: String = rows.iter().map(written).collect();
        let all = r#"{"columns":["a","b","c"]}"#;
        let once = view(all, "a.csv", &format!("a,b,c\n{file}"));
        prop_assert_eq!(view(all, "a.csv", &once), once);
    }

    #[test]
    fn any_text_is_a_filter_or_an_error_and_prints_what_reads_back(
        text in "([ab]|[0-9.-]{1,3}|[<>=!]{1,2}|'[a-z']{0,2}'|[(),]| (and|or|not|in|is|null) |\\PC){0,14}",
    ) {
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
        }
        let json = serde_json::json!({"rows": text});
        if let Ok(recipe) = Recipe::from_value(&json) {
            let printed = serde_json::to_string(&recipe).unwrap();
            prop_assert_eq!(Recipe::parse(&printed), Ok(recipe));
        }
    }
}

#[test]
fn rows_of_a_sample_are_in_each_larger_one_and_in_longer_files() {
    let rows = |count: u32| -> String { (0..count).map(|n| format!("{n},{}\n", n % 40)).collect() };
    let sample = |recipe: &str, count| {
        let view = view(recipe, "a.csv", &format!("id,patient\n{}", rows(count)));
        body(&view).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let one = sample(r#"{"sample":"1%"}"#, 4000);
    let ten = sample(r#"{"sample":"10%"}"#, 4000);
    let longer = sample(r#"{"sample":"1%"}"#, 6000);
    assert!((15..=70).contains(&one.len()) && (300..=500).contains(&ten.len()), "{}", one.len());
    assert!(one.iter().all(|row| ten.contains(row) && longer.contains(row)));

    let by = sample(r#"{"sample":"25%","by":"patient"}"#, 4000);
    let patient = |row: &String| row.split(',').nth(1).unwrap().to_owned();
    let patients: std::collections::BTreeSet<_> = by.iter().map(patient).collect();
    assert!((2..=20).contains(&patients.len()), "{patients:?}");
    assert_eq!(by.len(), patients.len() * 100, "all rows of each");
    // The same ones where the column is written in another way.
    let lines: String = (0..4000).map(|n| format!("{{\"patient\":{}}}\n", n % 40)).collect();
    let lines = view(r#"{"sample":"25%","by":"patient"}"#, "a.jsonl", &lines);
    assert_eq!(lines.lines().count(), by.len());
}

#[test]
fn files_that_are_no_tables_are_in_a_sample_by_their_paths() {
    let taken = |recipe: &str| -> Vec<u32> {
        let taken = |n: &u32| try_view(recipe, &format!("img/{n}.png"), b"\x89PNG").is_ok();
        (0..1000).filter(taken).collect()
    };
    let (one, ten) = (taken(r#"{"sample":"1%"}"#), taken(r#"{"sample":"10%"}"#));
    assert!(one.iter().all(|n| ten.contains(n)) && (60..=140).contains(&ten.len()));
    let (whole, _) = try_view(r#"{"sample":"100%"}"#, "a.png", b"\x89PNG").unwrap();
    assert_eq!(whole, b"\x89PNG");
}
