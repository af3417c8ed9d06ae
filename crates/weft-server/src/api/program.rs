//! What a workload runs, in a word, by which runs of the same program are known again.
//!
//! The file that is run where one is named (`train.py`, whatever its options), the module after
//! `-m`; else the whole command line, because `sleep 5` and `sleep 500` are not the same.

use sha2::{Digest, Sha256};

/// Longest word kept; a longer command line ends in its hash.
const PROGRAM_MAX: usize = 80;

/// Endings of files that are programs.
const PROGRAMS: [&str; 9] = ["py", "sh", "R", "jl", "ipynb", "pl", "rb", "js", "lua"];

/// The word for a command.
pub(crate) fn of(command: &[String]) -> String {
    // What the shell is told is one text of several words.
    let words: Vec<&str> = command.iter().flat_map(|part| part.split_whitespace()).collect();
    let bare = |word: &&str| word.trim_matches(['"', '\'', ';', '&', '(', ')']).to_owned();
    let file = words.iter().map(bare).find(|word| is_program(word));
    let module = || {
        let at = words.iter().position(|word| *word == "-m")?;
        words.get(at + 1).map(bare)
    };
    short(&file.or_else(module).unwrap_or_else(|| words.join(" ")))
}

fn is_program(word: &str) -> bool {
    let Some((stem, ending)) = word.rsplit_once('.') else { return false };
    !stem.is_empty() && !word.starts_with('-') && PROGRAMS.contains(&ending)
}

fn short(text: &str) -> String {
    if text.len() <= PROGRAM_MAX {
        return text.to_owned();
    }
    let hash = hex::encode(&Sha256::digest(text.as_bytes())[..4]);
    let mut end = PROGRAM_MAX - hash.len() - 1;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{hash}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(command: &[&str]) -> String {
        of(&command.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_program_is_known_by_its_file_whatever_its_options() {
        assert_eq!(word(&["python", "train.py", "--lr", "0.1"]), "train.py");
        assert_eq!(word(&["sh", "-euc", "cd src\npython 'src/train.py' --lr 0.2"]), "src/train.py");
        assert_eq!(word(&["torchrun", "--nproc", "8", "train.py"]), "train.py");
        assert_eq!(word(&["python", "-m", "mine.train", "--x"]), "mine.train");
    }

    #[test]
    fn without_a_file_the_whole_line_counts() {
        assert_eq!(word(&["sleep", "5"]), "sleep 5");
        assert_ne!(word(&["sleep", "5"]), word(&["sleep", "500"]));
        assert_eq!(word(&["tool", ".py", "--x=a.py"]), "tool .py --x=a.py");
        let long = |n: u32| word(&["sh", "-c", &format!("{} {n}", "é".repeat(100))]);
        assert!(long(1).len() <= PROGRAM_MAX && long(1) != long(2), "{}", long(1));
    }
}
