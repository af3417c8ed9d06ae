//! What a recipe makes of a table.

use super::{left_out, try_view, view};

#[test]
fn columns_masks_and_rows_of_separated_text() {
    let file = "\u{feff}id,email,age,born,\"note\"\r\n\
                1,ana@uni.example,44,1982-03-05,\"says \"\"hi\"\",\r\nand goes\"\r\n\
                2,bo@uni.example,17,2009-01-01,\r\n\
                3,,61,,\"\"\r\n";
    let recipe = r#"{"columns":["note","id","email","age","born"],"rows":"age >= 18",
        "masks":{"email":"email","age":"round:10","born":"year"}}"#;
    let wanted = "id,email,age,born,\"note\"\n\
                  1,****@uni.example,40,1982,\"says \"\"hi\"\",\r\nand goes\"\n\
                  3,,60,,\"\"\n";
    assert_eq!(view(recipe, "a.CSV", file), wanted);
    // A filter may speak of what is not shown.
    assert_eq!(view(r#"{"columns":["id"],"rows":"note is null"}"#, "a.csv", file), "id\n2\n");
    // One column that is NULL is a row, not an empty line.
    let notes = "note\n\"says \"\"hi\"\",\r\nand goes\"\n\"\"\n\"\"\n";
    assert_eq!(view(r#"{"columns":["note"]}"#, "a.csv", file).replace("\"note\"", "note"), notes);
    assert_eq!(view(r#"{"columns":["b"]}"#, "a.tsv", "a\tb\n1\t2,3\n"), "b\n2,3\n");
}

#[test]
fn columns_masks_and_rows_of_json_lines() {
    let file = "{\"id\":12345678901234567890,\"who\":{\"name\":\"ana\"},\"em\\u0061il\":\"a@b.example\"}\n\
                \n{\"id\":2.50,\"who\":null,\"age\":17}\r\n{\"id\":3,\"age\":44}";
    let recipe = r#"{"columns":["id","who","email","age"],"masks":{"who":"null","email":"email"}}"#;
    let wanted = "{\"id\":12345678901234567890,\"who\":null,\"email\":\"****@b.example\"}\n\
                  {\"id\":2.50,\"who\":null,\"age\":17}\n{\"id\":3,\"age\":44}\n";
    assert_eq!(view(recipe, "a.jsonl", file), wanted);
    assert_eq!(view(r#"{"columns":["id"],"rows":"age >= 18"}"#, "a.ndjson", file), "{\"id\":3}\n");
}

#[test]
fn a_hash_joins_files_of_a_view() {
    let a = view(r#"{"masks":{"id":"hash"}}"#, "a.csv", "id,x\n42,1\n");
    let b = view(r#"{"masks":{"patient":"hash"}}"#, "b.jsonl", "{\"patient\":42}\n");
    let hash = a.lines().nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(hash.len(), 32, "{a}");
    assert!(b.contains(hash), "{a}{b}");
}

#[test]
fn a_column_that_is_not_there_leaves_the_file_out() {
    let cases = [
        (
            r#"{"masks":{"email":"hash"}}"#,
            "a.csv",
            "id,Email\n1,a@b.example\n",
            "no column `email`",
        ),
        (r#"{"masks":{"email":"hash"}}"#, "a.csv", "id;email\n1;a@b.example\n", "no column"),
        (r#"{"masks":{"email":"hash"}}"#, "a.csv", "email, email \na,b\n", "more than one column"),
        (r#"{"rows":"x = 1"}"#, "a.csv", "y\n1\n", "no column `x`"),
        (r#"{"sample":"1%","by":"x"}"#, "a.csv", "y\n1\n", "no column `x`"),
        (r#"{"masks":{"email":"hash"}}"#, "a.jsonl", "{\"a\":1}\n", "no column `email`"),
        (r#"{"masks":{"a":"hash"}}"#, "a.jsonl", "{\"a\":1,\"\\u0061\":2}\n", "more than one"),
        (r#"{"masks":{"a":"hash"}}"#, "a.bin", "a\n", "no table"),
        (r#"{"sample":"50%","by":"x"}"#, "a.bin", "a\n", "no table"),
        (r#"{"columns":["a"]}"#, "a.csv.gz", "a\n", "no table"),
    ];
    for (recipe, path, file, wanted) in cases {
        let reason = left_out(recipe, path, file.as_bytes());
        assert!(reason.contains(wanted), "{recipe} of {file}: {reason}");
        assert!(!reason.contains("b.example"), "a reason tells nothing of the file: {reason}");
    }
    // What is twice and not named is nobody's matter, and an empty file has an empty view.
    assert_eq!(view(r#"{"columns":["a"]}"#, "a.csv", "a,b,b\n1,2,3\n"), "a\n1\n");
    assert_eq!(view(r#"{"columns":["a"]}"#, "a.csv", ""), "");
    assert_eq!(view(r#"{"columns":["a"]}"#, "a.jsonl", "\n"), "");
}

#[test]
fn rows_whose_values_are_not_under_their_names_are_left_out() {
    let file = "id,email\n1,a@b.example\n2,x,c@d.example\n3\n\n4,e@f.example";
    let (view, counts) =
        try_view(r#"{"masks":{"email":"null"}}"#, "a.csv", file.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(view).unwrap(), "id,email\n1,\n4,\n");
    assert_eq!((counts.rows, counts.shown, counts.ragged), (4, 2, 2));
}
