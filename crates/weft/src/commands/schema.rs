//! `weft schema`: the JSON schema of workload files, for editors.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::show;
use clap::Args;

/// Print the JSON schema of workload files
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft schema > weft.schema.json\n\n\
    An editor that knows YAML reads it from a first line as\n  \
    # yaml-language-server: $schema=weft.schema.json")]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(self) -> Outcome {
        show::json(&weft_api::spec::schema());
        Ok(Code::Done.number())
    }
}
