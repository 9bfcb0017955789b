//! How the process ends: the exit codes, as `--help` and docs/running.md name them.

use std::process::ExitCode;

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Clean,
    /// A failure while running.
    Failed,
    /// The command line cannot be understood.
    Usage,
    /// The configuration file cannot be read or is invalid.
    Configuration,
    /// A listener's address cannot be resolved or bound.
    Bind,
    /// What was asked for is not available in this version, or not safe.
    Refused,
    /// `dunlin doctor` found something.
    Exposed,
}

/// The exit codes for `--help`; docs/running.md has the same list.
pub(crate) const HELP: &str = "\
Exit codes:
  0        ended as asked (SIGTERM, SIGINT), or nothing wrong was found
  1        failed while running
  2        the command line cannot be understood
  3        the configuration, the data directory or a certificate cannot be used
  4        a listener's address cannot be resolved or bound
  5        refused: not available in this version, or not safe
  6        `dunlin doctor` found an exposure
  130,143  ended at once by a second SIGINT or SIGTERM";

impl Exit {
    /// The number that the parent process sees.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::Bind => 4,
            Self::Refused => 5,
            Self::Exposed => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_the_manual_name_every_exit_code() {
        let manual = include_str!("../../../docs/running.md");
        for exit in [
            Exit::Clean,
            Exit::Failed,
            Exit::Usage,
            Exit::Configuration,
            Exit::Bind,
            Exit::Refused,
            Exit::Exposed,
        ] {
            let number = exit.number();
            assert!(HELP.contains(&format!("\n  {number}  ")), "--help lacks {number}");
            assert!(manual.contains(&format!("| {number} |")), "docs/running.md lacks {number}");
        }
    }
}
