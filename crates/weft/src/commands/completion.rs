//! `weft completion`: completion for shells.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::show;
use clap::Args;
use clap_complete::Shell;

/// Print completion for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft completion bash > \
     ~/.local/share/bash-completion/completions/weft")]
pub(crate) struct Completion {
    /// Which shell
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::command(), "weft", &mut script);
        show::out(&String::from_utf8_lossy(&script));
        Ok(Code::Done.number())
    }
}
