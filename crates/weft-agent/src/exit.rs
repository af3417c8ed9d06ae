//! How a run ended, in the lifecycle's words and in a sentence for people.

use weft_lifecycle::{End, Exit};
use weft_runtime::ExitRecord;
use weft_types::{Bytes, Timestamp};

/// What a member was given, as far as its end may be explained by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    /// Its memory limit.
    pub memory: Bytes,
    /// Its scratch disk limit.
    pub disk: Bytes,
}

/// The exit of a record the supervisor left.
pub(crate) fn of_record(record: &ExitRecord, given: Given) -> Exit {
    let end = match record.end {
        weft_runtime::End::Exited(code) => End::Exited(code),
        weft_runtime::End::Signalled(signal) => End::Signalled(signal),
        weft_runtime::End::OutOfMemory => End::OutOfMemory,
        weft_runtime::End::OutOfDisk => End::OutOfDisk,
        weft_runtime::End::NotStarted => End::NotStarted,
        weft_runtime::End::Lost => End::Lost,
        weft_runtime::End::Stopped => End::Stopped,
    };
    // What the supervisor ended itself it has also explained, and it knows which bound it was.
    let explained = matches!(end, End::OutOfMemory | End::OutOfDisk) && !record.detail.is_empty();
    let detail = match (sentence(end, given), record.detail.is_empty()) {
        (said, true) => said,
        (said, false) if said.is_empty() || explained => record.detail.clone(),
        (said, false) => format!("{said} ({})", record.detail),
    };
    Exit { end, at: record.at, detail }
}

/// The exit of a member that never ran because its surroundings could not be made.
pub(crate) fn not_started(at: Timestamp, why: &dyn std::fmt::Display) -> Exit {
    Exit { end: End::NotStarted, at, detail: why.to_string() }
}

/// The exit of a member that was told to end before it ran.
pub(crate) fn stopped(at: Timestamp) -> Exit {
    Exit { end: End::Stopped, at, detail: "ended before its command began".to_owned() }
}

/// The exit of a member that the store knows to have run, and of which nothing is left.
pub(crate) fn lost(at: Timestamp) -> Exit {
    let detail = sentence(End::Lost, Given { memory: Bytes::ZERO, disk: Bytes::ZERO });
    Exit { end: End::Lost, at, detail }
}

/// What happened and what to do, where there is something to say.
fn sentence(end: End, given: Given) -> String {
    match end {
        End::Exited(126) => "exited with 126: its program could not be executed".to_owned(),
        End::Exited(127) => "exited with 127: a program was not found; is it in the image, in \
                             `requirements` or made by `setup`?"
            .to_owned(),
        End::Exited(code) if code != 0 => format!("exited with {code}"),
        End::Signalled(signal) => format!("ended by signal {signal}{}", signal_name(signal)),
        End::OutOfMemory => format!(
            "killed: used more than its {} of memory; ask for more with `resources.memory`",
            given.memory
        ),
        End::OutOfDisk => format!(
            "ended: filled its {} of scratch disk; ask for more with `resources.disk`",
            given.disk
        ),
        End::Lost => "its supervisor or the machine went away; how it ended is not known; \
                      `retry: {on: [lost]}` starts such a workload again"
            .to_owned(),
        End::Exited(_) | End::NotStarted | End::Stopped => String::new(),
    }
}

/// The names people search for; others have their number.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL: an instruction this processor lacks)",
        6 => " (SIGABRT: it aborted itself)",
        7 => " (SIGBUS)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV: it crashed)",
        15 => " (SIGTERM)",
        31 => " (SIGSYS: a system call the sandbox refuses)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_runtime::{End as Ended, Usage};

    fn said(end: Ended, detail: &str) -> String {
        let (at, usage) = (Timestamp(1), Usage::default());
        let record = ExitRecord { end, at, detail: detail.to_owned(), usage };
        let given = Given { memory: Bytes(2_000_000_000), disk: Bytes(10_000_000_000) };
        of_record(&record, given).detail
    }

    #[test]
    fn an_end_says_what_to_do() {
        assert_eq!(
            said(Ended::OutOfMemory, ""),
            "killed: used more than its 2 GB of memory; ask for more with `resources.memory`"
        );
        assert_eq!(said(Ended::Signalled(11), ""), "ended by signal 11 (SIGSEGV: it crashed)");
        assert_eq!(said(Ended::Exited(0), ""), "");
    }

    #[test]
    fn the_supervisor_s_detail_is_kept() {
        assert_eq!(said(Ended::NotStarted, "no such image"), "no such image");
        assert_eq!(said(Ended::Exited(3), "setup line 2"), "exited with 3 (setup line 2)");
        // Once, in the words of who ended it.
        let full = "the machine's disk is nearly full, and this run was filling it";
        assert_eq!(said(Ended::OutOfDisk, full), full);
        assert_eq!(said(Ended::OutOfMemory, "killed: over 64 MB"), "killed: over 64 MB");
    }
}
