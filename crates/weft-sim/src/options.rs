//! Options of the experiments' programs: `--name value`, in any order, and what is said of a wrong
//! one.
//!
//! Called by the binaries of this crate; `weft simulate` has the options of the command line.
#![expect(clippy::print_stdout, reason = "help that was asked for is a program's output")]
#![expect(clippy::print_stderr, reason = "errors go beside it")]

use std::ops::RangeInclusive;
use std::process::ExitCode;

/// An option and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// With its dashes, `--seed`.
    pub name: String,
    /// What follows it.
    pub value: String,
}

/// Runs a program with what it was given. Help is shown where it is asked for, and where nothing
/// is given to a program that `needs` something; what is wrong is said, and the exit code tells.
pub fn program(
    help: &str,
    needs: &[&str],
    run: impl FnOnce(Vec<Given>) -> Result<(), String>,
) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = words.iter().any(|word| word == "--help" || word == "-h");
    if asked || (words.is_empty() && !needs.is_empty()) {
        println!("{help}");
        return ExitCode::SUCCESS;
    }
    match given(words, needs).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}\nhint: --help lists the options");
            ExitCode::FAILURE
        }
    }
}

/// Words as options; all that are needed must be among them.
fn given(words: Vec<String>, needs: &[&str]) -> Result<Vec<Given>, String> {
    let mut words = words.into_iter();
    let mut all: Vec<Given> = Vec::new();
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        all.push(Given { name, value });
    }
    match needs.iter().find(|name| !all.iter().any(|given| given.name == **name)) {
        Some(missing) => Err(format!("`{missing}` is needed")),
        None => Ok(all),
    }
}

impl Given {
    /// That there is no such option.
    #[must_use]
    pub fn unknown(&self) -> String {
        format!("`{}` is not known", self.name)
    }

    /// That its value breaks a rule.
    #[must_use]
    pub fn wrong(&self, rule: &str) -> String {
        format!("`{} {}`: {rule}", self.name, self.value)
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn number<T: TryFrom<u64>>(&self, within: RangeInclusive<u64>) -> Result<T, String> {
        let number = self.value.parse().ok().filter(|number| within.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| {
            let (least, most) = (within.start(), within.end());
            self.wrong(&format!("a whole number from {least} to {most}"))
        })
    }

    /// Its parts, between commas.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.value.split(',')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, needs: &[&str]) -> Result<Vec<Given>, String> {
        given(line.split_whitespace().map(str::to_owned).collect(), needs)
    }

    #[test]
    fn names_have_values() {
        let all = of("--seed 7 --lists a,b", &["--lists"]).expect("options");
        assert_eq!((all[0].number::<u32>(1..=9), all[1].parts().count()), (Ok(7), 2));
        let wrong = "`--seed 7`: a whole number from 8 to 9".to_owned();
        assert_eq!(all[0].number::<u32>(8..=9), Err(wrong));
        assert!(all[1].number::<u8>(0..=9).is_err());
        assert_eq!(of("--seed", &[]), Err("`--seed` needs a value".to_owned()));
        assert_eq!(of("--seed 1", &["--lists"]), Err("`--lists` is needed".to_owned()));
        assert_eq!(all[0].unknown(), "`--seed` is not known");
    }
}
