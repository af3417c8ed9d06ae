//! Parquet as pyarrow and polars write it (`parquet/make.py`), and as nobody would.

use super::{left_out, try_view, view};
use proptest::prelude::*;
use std::collections::BTreeSet;
use weft_view::{Bytes, Cell, Describes, Fault, Parquet};

const CSV: &str = include_str!("parquet/people.csv");
/// The same table in each form that writers choose by themselves or are told to.
const PEOPLE: [&[u8]; 6] = [
    include_bytes!("parquet/snappy.parquet"),
    include_bytes!("parquet/bare.parquet"),
    include_bytes!("parquet/gzip.parquet"),
    include_bytes!("parquet/lz4.parquet"),
    include_bytes!("parquet/delta.parquet"),
    include_bytes!("parquet/polars.parquet"),
];
const TYPES: &[u8] = include_bytes!("parquet/types.parquet");
const NESTED: &[u8] = include_bytes!("parquet/nested.parquet");

type Row = Vec<Option<String>>;

/// Names and rows of a file, as texts.
fn rows(file: &[u8]) -> Vec<Row> {
    let input = Bytes(file);
    let mut file = Parquet::open(&input).unwrap_or_else(|fault| panic!("{fault}"));
    let names: Vec<_> = file.columns().map(|(name, _)| name.to_owned()).collect();
    let mut rows = vec![vec![]; file.rows() as usize];
    for (column, name) in names.iter().enumerate() {
        let mut at = 0;
        let told = file.values(column, u64::MAX, &mut |cell: Cell<'_>| {
            rows[at].push(cell.text().map(|text| text.into_owned()));
            at += 1;
        });
        told.unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
    rows.insert(0, names.into_iter().map(Some).collect());
    rows
}

/// The same of text, where what is in quotes is there even if it is empty.
fn rows_of_text(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let (mut row, mut value, mut quoted, mut open) = (vec![], String::new(), false, false);
        let mut letters = line.chars().chain([',']).peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if open && letters.peek() == Some(&'"') => value.extend(letters.next()),
                '"' => (quoted, open) = (true, !open),
                ',' if !open => {
                    let value = std::mem::take(&mut value);
                    row.push((std::mem::take(&mut quoted) || !value.is_empty()).then_some(value));
                }
                letter => value.push(letter),
            }
        }
        row
    };
    text.lines().map(row).collect()
}

#[test]
fn a_table_has_the_same_view_as_text_and_as_parquet() {
    let recipes = [
        r#"{"columns":["id","age","email","born","city","score","ok"]}"#,
        r#"{"columns":["city","id"],"rows":"age >= 18 and city is not null"}"#,
        r#"{"rows":"not (age > 40) or ok = true","masks":{"id":"hash","email":"email"}}"#,
        r#"{"rows":"born < '1950-01-01'","masks":{"born":"year","city":"keep-first:2"}}"#,
        r#"{"rows":"score between 0 and 5","masks":{"born":"month","id":"round:100"}}"#,
        r#"{"rows":"city like '%a%'","masks":{"age":"null","city":"keep-last:3"}}"#,
        r#"{"rows":"ok != false and email is null"}"#,
        r#"{"masks":{"born":"hash","score":"hash","ok":"hash","city":"hash"}}"#,
        r#"{"masks":{"score":"round:0.5","age":"round:10"}}"#,
        r#"{"sample":"50%"}"#,
        r#"{"columns":["id"],"sample":"20%","by":"city"}"#,
        r#"{"columns":["id"],"rows":"age > 90"}"#,
    ];
    for recipe in recipes {
        let wanted = rows_of_text(&view(recipe, "people.csv", CSV));
        for file in PEOPLE {
            let (view, counts) = try_view(recipe, "people.parquet", file).unwrap();
            let mut shown = rows(&view);
            if recipe.contains("round:0.5") {
                // Text has as many decimals as the step, numbers have those that they need.
                let cut = |value: &Option<String>| value.as_ref().map(|v| v.replace(".0", ""));
                let cut = |rows: &[Row]| -> Vec<Row> {
                    rows.iter().map(|row| row.iter().map(cut).collect()).collect()
                };
                shown = cut(&shown);
                assert_eq!(shown, cut(&wanted), "{recipe}");
            } else {
                assert_eq!(shown, wanted, "{recipe}");
            }
            assert_eq!((counts.rows, counts.shown), (60, wanted.len() as u64 - 1));
            // The same file again, and a view of the view.
            assert_eq!(try_view(recipe, "b.PARQUET", file).unwrap().0, view);
            assert_eq!(try_view(r#"{"sample":"100%"}"#, "b.pq", &view).unwrap().0, view);
        }
    }
}

#[test]
fn values_of_each_type_are_told_and_shown_as_they_are() {
    let hidden_bytes = r#"{"masks":{"bytes":"null","fixed":"null"}}"#;
    let (view, _) = try_view(hidden_bytes, "a.parquet", TYPES).unwrap();
    let known = |file: &[u8]| -> Vec<String> {
        let input = Bytes(file);
        let mut file = Parquet::open(&input).unwrap();
        let told = |of| matches!(of, Describes::Values | Describes::Numbers);
        let names: Vec<_> = file.columns().map(|(name, of)| (name.to_owned(), told(of))).collect();
        let mut told = Vec::new();
        for (column, (name, _)) in names.iter().enumerate().filter(|(_, (_, told))| *told) {
            let mut cells = Vec::new();
            file.values(column, 9, &mut |cell| cells.extend(cell.text().map(|t| t.to_string())))
                .unwrap();
            told.push(format!("{name} {}", cells.join(" ")));
        }
        told
    };
    let wanted = [
        "i8 -8",
        "u8 200",
        "i16 -1600",
        "u16 60000",
        "u32 4000000000",
        "u64 18000000000000000000",
        "half 1.5",
        "float 0.1",
        "small -1.05",
        "large 12345678901234567890.5",
        "ms 2026-03-05T10:00:00.25",
        "us 2026-03-05T10:00:00.25Z",
        "ns 2026-03-05T10:00:00.25",
        "time 10:00:00.25",
        "none ",
        "kind a",
    ];
    assert_eq!(known(TYPES), wanted);
    assert_eq!(known(&view), wanted);
    assert_eq!(known(include_bytes!("parquet/int96.parquet")), ["at 2026-03-05T10:00:00.25"]);
    let odd = left_out(r#"{"masks":{"bytes":"keep-last:2"}}"#, "a.parquet", TYPES);
    assert!(odd.contains("column `bytes` is nested, binary or not known"), "{odd}");
    let odd = left_out(r#"{"columns":["i8"],"rows":"fixed is null"}"#, "a.parquet", TYPES);
    assert!(odd.contains("column `fixed` is of no type that rows are chosen by"), "{odd}");
}

#[test]
fn nothing_of_what_is_hidden_is_in_the_view() {
    let needles: [&[u8]; 6] = [b"email", b"uni.example", b"ARROW", b"arrow", b"Graz", b"born"];
    let has = |file: &[u8], needle: &[u8]| file.windows(needle.len()).any(|part| part == needle);
    for file in PEOPLE {
        assert!(has(file, b"email") && has(file, b"born"), "the file has what is looked for");
        let (view, _) = try_view(r#"{"columns":["id","age"]}"#, "a.parquet", file).unwrap();
        assert!(needles.iter().all(|needle| !has(&view, needle)));
        let recipe = r#"{"columns":["id","email","city"],"masks":{"email":"hash","city":"null"}}"#;
        let (view, _) = try_view(recipe, "a.parquet", file).unwrap();
        assert!([&b"uni.example"[..], b"Graz", b"born", b"1001"].iter().all(|n| !has(&view, n)));
    }
}

#[test]
fn what_is_nested_or_unreadable_is_left_out() {
    let whole = r#"{"masks":{"id":"hash"}}"#;
    let mut encrypted = PEOPLE[0].to_vec();
    encrypted[..4].copy_from_slice(b"PARE");
    let end = encrypted.len() - 4;
    encrypted[end..].copy_from_slice(b"PARE");
    let brotli = include_bytes!("parquet/brotli.parquet");
    let page = include_bytes!("parquet/page.parquet");
    let cases: [(&str, &[u8], &str); 12] = [
        (whole, NESTED, "it has a column that is nested"),
        (r#"{"columns":["id","who"]}"#, NESTED, "column `who` is nested"),
        (r#"{"masks":{"tags":"hash"},"columns":["tags"]}"#, NESTED, "column `tags` is nested"),
        (r#"{"columns":["id"],"rows":"who is null"}"#, NESTED, "column `who` is of no type"),
        (r#"{"columns":["id"],"rows":"name = 'SECRET'"}"#, NESTED, "no column `name`"),
        (r#"{"columns":["id"]}"#, brotli, "packed in a way that views do not read"),
        (r#"{"columns":["id"]}"#, page, "pages that are too large"),
        (whole, &encrypted, "it is encrypted"),
        (whole, b"PAR1PAR1", "no Parquet file"),
        (whole, CSV.as_bytes(), "no Parquet file"),
        (whole, &PEOPLE[1][..PEOPLE[1].len() - 9], "no Parquet file"),
        (r#"{"rows":"ID = 1"}"#, PEOPLE[0], "no column `ID`"),
    ];
    for (recipe, file, wanted) in cases {
        let reason = left_out(recipe, "a.parquet", file);
        assert!(reason.contains(wanted), "{recipe}: {reason}");
        assert!(!reason.contains("SECRET"), "{reason}");
    }
    // Beside what is nested, columns that are not are shown.
    let recipe = r#"{"columns":["id","n","who"],"masks":{"who":"null"},"rows":"n > 3"}"#;
    let (view, _) = try_view(recipe, "a.parquet", NESTED).unwrap();
    let shown = rows(&view);
    assert_eq!(shown[1], [Some("2".to_owned()), None, Some("4".to_owned())]);
    // A sample that hides nothing takes such a file as a whole, or not.
    let (all, _) = try_view(r#"{"sample":"100%"}"#, "a.parquet", NESTED).unwrap();
    assert_eq!(all, NESTED);
}

#[test]
fn few_bytes_that_say_they_are_many_end_in_a_reason() {
    let input = Bytes(include_bytes!("parquet/again.parquet"));
    let mut file = Parquet::open(&input).unwrap();
    let mut seen = 0;
    let read = file.values(0, u64::MAX, &mut |_| seen += 1);
    assert!(matches!(&read, Err(Fault::LeftOut(why)) if why.to_string().contains("far more")));
    assert!((4_000..5_000).contains(&seen), "{seen} of 40,000");
}

/// A file in which some bytes are others.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let file = prop::sample::select([&PEOPLE[..], &[TYPES, NESTED]].concat());
    (file, changes, prop::bool::weighted(0.2), any::<prop::sample::Index>()).prop_map(
        |(file, changes, is_cut, at)| {
            let mut file = file.to_vec();
            changes.into_iter().for_each(|(at, byte)| *at.get_mut(&mut file) = byte);
            if is_cut {
                // Bytes that are missing in the middle: all that follows is elsewhere.
                let at = at.index(file.len());
                file.drain(at..(at + 5).min(file.len()));
            }
            file
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_bytes_are_a_view_or_a_reason(file in broken()) {
        let recipes = [
            r#"{"masks":{"id":"keep-last:2"},"rows":"id != 3 and age > 1","sample":"50%"}"#,
            r#"{"columns":["id","city","score","ok"]}"#,
            r#"{"sample":"99%"}"#,
        ];
        for recipe in recipes {
            if let Ok((view, _)) = try_view(recipe, "a.parquet", &file) {
                prop_assert!(view.len() < 1 << 20);
            }
        }
    }

    #[test]
    fn any_footer_is_a_view_or_a_reason(footer in proptest::collection::vec(any::<u8>(), 0..80)) {
        let length = (footer.len() as u32).to_le_bytes();
        let file = [b"PAR1", &footer[..], &length, b"PAR1"].concat();
        let shown: BTreeSet<_> = try_view(r#"{"sample":"50%"}"#, "a.parquet", &file)
            .into_iter().map(|(view, _)| view.len()).collect();
        prop_assert!(shown.iter().all(|length| *length <= file.len()));
    }
}
