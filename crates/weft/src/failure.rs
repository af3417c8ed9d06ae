//! How a command fails: an exit code, a sentence, and what to do. Programs that asked for JSON
//! get the same as one object on a line: `{"error":{"code":…,"detail":…,"hint":…}}`.

use crate::exit::Code;
use crate::show::{Style, err_line, paint_err};
use std::io;
use std::path::Path;
use weft_api::problem;
use weft_client::{ClientError, ClientFileError};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    /// The server's name for it, where it was the server that refused.
    problem: Option<problem::Code>,
    message: String,
    hint: Option<String>,
}

/// What a command gives: the process's exit code.
pub(crate) type Outcome = Result<u8, Failure>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, problem: None, message: message.into(), hint: None }
    }

    /// A slip on the command line or in a file.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Something of this machine that does not work: a file, a process.
    pub(crate) fn local(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::new(Code::Failed, format!("{what}: {}", without_number(&error.to_string())))
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it; gives the exit code.
    pub(crate) fn report(&self, json: bool) -> u8 {
        if json {
            err_line(&self.as_json().to_string());
            return self.code.number();
        }
        if self.message.starts_with("error: ") {
            // Already rendered, with the source it is about.
            err_line(self.message.trim_end());
        } else {
            err_line(&format!("{}: {}", paint_err("error", Style::Bad), self.message));
        }
        if let Some(hint) = &self.hint {
            err_line(&format!("{}: {hint}", paint_err("hint", Style::Hint)));
        }
        self.code.number()
    }
}

/// What a file could not be used for, for people: the system's words without its number.
pub(crate) fn sentence(error: &io::Error, path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file or folder {path}"),
        io::ErrorKind::PermissionDenied => format!("you may not read {path}"),
        io::ErrorKind::IsADirectory => format!("{path} is a folder"),
        io::ErrorKind::NotADirectory => format!("what should be a folder in {path} is a file"),
        io::ErrorKind::InvalidData => format!("{path} is not text in UTF-8"),
        _ => format!("{path}: {}", without_number(&error.to_string())),
    }
}

/// `File too large (os error 27)` without what stands in brackets.
fn without_number(text: &str) -> &str {
    text.rsplit_once(" (os error ").map_or(text, |(words, _)| words)
}

impl Failure {
    /// The code is the server's where it named one, else this program's.
    fn as_json(&self) -> serde_json::Value {
        let code = self.problem.map_or(self.code.word(), problem::Code::as_str);
        let detail = self.message.strip_prefix("error: ").unwrap_or(&self.message).trim_end();
        serde_json::json!({"error": {"code": code, "detail": detail, "hint": self.hint}})
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Unreachable { .. } | ClientError::Tls { .. } => Code::Unreachable,
            ClientError::Problem(problem) => of_problem(problem.code),
            ClientError::File(_) => Code::Denied,
            ClientError::Protocol { .. } | ClientError::Local { .. } => Code::Failed,
        };
        let hint = error.hint();
        let problem = error.problem().map(|problem| problem.code);
        Self { code, problem, message: error.to_string(), hint }
    }
}

impl From<ClientFileError> for Failure {
    fn from(error: ClientFileError) -> Self {
        ClientError::from(error).into()
    }
}

fn of_problem(code: problem::Code) -> Code {
    use problem::Code as P;
    match code {
        P::BadRequest | P::InvalidSpec | P::TooLarge => Code::Usage,
        P::Impossible => Code::Impossible,
        P::Unauthenticated | P::Forbidden => Code::Denied,
        P::NotFound => Code::NotFound,
        P::Conflict | P::AlreadyExists | P::PreconditionFailed => Code::Conflict,
        _ => Code::Failed,
    }
}
