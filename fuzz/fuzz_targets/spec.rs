//! Any bytes as a workload file: no panic, errors can be shown, what is legal prints and reads
//! back as the same workload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_api::spec::{decode, parse, to_file};

fuzz_target!(|bytes: &[u8]| {
    let text = match decode(bytes) {
        Ok(text) => text,
        Err(error) => {
            error.render("x.weft.yaml", &String::from_utf8_lossy(bytes));
            return;
        }
    };
    match parse(text) {
        Err(errors) => errors.iter().for_each(|error| drop(error.render("x.weft.yaml", text))),
        Ok(file) => {
            let printed = to_file(&file);
            match parse(&printed) {
                Ok(again) => assert_eq!(again.spec, file.spec, "{printed}"),
                Err(errors) => panic!("{printed}: {errors:?}"),
            }
        }
    }
});
