//! Files that were made to break a reader, or to carry a value past a mask.

use super::{left_out, try_view, view};
use proptest::prelude::*;

const MASKED: &str = r#"{"columns":["id","email"],"masks":{"email":"hash"}}"#;

#[test]
fn what_programs_read_in_different_ways_is_left_out() {
    let cases: [(&[u8], &str); 10] = [
        (b"id,email\n1,\"a", "line 2: a quote has no end"),
        (b"id,email\n1,\"a\"b\n", "line 2: text follows the quotes"),
        (b"id,email\n1,a\rb,c\n", "line 2: a carriage return"),
        (b"id,email\n1,a\r", "line 2: a carriage return"),
        (b"id,email\n1,\xff\n", "line 2: it is not UTF-8"),
        // A letter that two values share.
        (b"id,email\n\xc3,\xa9\n", "line 2: it is not UTF-8"),
        (b"\xff\xfei\0d\0", "line 1: it is not UTF-8"),
        (b"\"id\n\nemail", "line 1: a quote has no end"),
        // As programs write that escape quotes: what is masked would stand in what is shown.
        (b"id,email\n\"x \\\",\",SECRET\n\"2,\",b\n", "line 2: a backslash stands before a quote"),
        (b"id,email\n5\" wide,b\n", "line 2: a quote stands within a value"),
    ];
    for (file, wanted) in cases {
        let reason = left_out(MASKED, "a.csv", file);
        assert!(reason.starts_with(wanted), "{}: {reason}", String::from_utf8_lossy(file));
    }
    // And as programs write that know no quotes.
    for file in ["id\temail\n\"5 and\tSECRET\n6\"\tb\n", "id\temail\n\"5\tSECRET\"\tb\n"] {
        let reason = left_out(MASKED, "a.tsv", file.as_bytes());
        assert!(reason.contains("line 2: a tab or an end of a line"), "{file}: {reason}");
    }
    for file in
        ["[1]\n", "{\"id\":1,\n\"email\":2}\n", "{\"id\":1}{\"email\":2}\n", "{\"id\":nan}\n"]
    {
        let reason = left_out(MASKED, "a.jsonl", file.as_bytes());
        assert!(reason.contains("no JSON object on a line"), "{file}: {reason}");
    }
}

#[test]
fn rows_without_an_end_are_bounded() {
    let mut file = b"id,email\n1,\"".to_vec();
    file.resize(18 << 20, b'x');
    assert!(left_out(MASKED, "a.csv", &file).contains("longer than 16 MiB"));
    file.fill(b',');
    assert!(left_out(MASKED, "a.csv", &file).contains("100,000 values"));
    file.fill(b'[');
    assert!(left_out(MASKED, "a.jsonl", &file).contains("longer than 16 MiB"));
    let deep = format!("{{\"id\":{}1{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    // Nested deeper than readers go: a reason or the value as it stood, and no crash.
    drop(try_view(r#"{"columns":["id"]}"#, "a.jsonl", deep.as_bytes()));
}

#[test]
fn quotes_and_separators_do_not_carry_a_value_out() {
    // The masked value holds what ends a value and a row.
    let file = "id,email\n\"1\n2,\"\"x\",\"SECRET,\n\"\"SECRET\"\n";
    let shown = view(MASKED, "a.csv", file);
    assert!(!shown.contains("SECRET"), "{shown}");
    assert!(shown.starts_with("id,email\n\"1\n2,\"\"x\","), "{shown}");
    let file = "{\"id\":\"\\u0022,\\u0022x\",\"email\":[\"SECRET\"],\"email2\":\"SECRET\"}\n";
    let shown = view(MASKED, "a.jsonl", file);
    assert!(!shown.contains("SECRET"), "{shown}");
}

#[test]
fn a_file_that_ends_early_has_no_view() {
    struct Cut;
    impl weft_view::Ranges for Cut {
        fn len(&self) -> u64 {
            1000
        }
        fn read_at(&self, at: u64, into: &mut [u8]) -> std::io::Result<usize> {
            weft_view::Bytes(b"id,email\n1,a\n").read_at(at, into)
        }
    }
    let recipe = weft_view::Recipe::parse(MASKED).unwrap();
    let fault = weft_view::apply(&recipe, &super::KEY, "a.csv", &Cut, &mut Vec::new());
    assert!(matches!(fault, Err(weft_view::Fault::Input(_))), "{fault:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_bytes_are_a_view_or_a_reason(
        file in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b'{'), any::<u8>()],
            0..200,
        ),
        path in prop_oneof![Just("a.csv"), Just("a.tsv"), Just("a.jsonl"), Just("a")],
    ) {
        let recipe = r#"{"masks":{"id":"keep-last:2"},"rows":"id != 3","sample":"50%"}"#;
        drop(try_view(recipe, path, &file));
        drop(try_view(r#"{"sample":"50%"}"#, path, &file));
        let csv = [b"id,email\n", &file[..]].concat();
        drop(try_view(MASKED, "a.csv", &csv));
    }
}
