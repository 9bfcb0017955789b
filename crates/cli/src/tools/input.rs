//! Where payloads come from: the command line, a file, standard input as a whole or by lines.

use std::fs;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use clap::Args;
use dunlin_client::Bytes;
use tokio::sync::mpsc;

use super::ToolError;

/// Longest line taken, in bytes: the longest payload there is.
const LINE_MAX: u64 = 268_435_455;
/// Lines read ahead.
const AHEAD: usize = 64;

/// One of these says what to publish.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Input {
    /// The payload
    #[arg(short = 'm', long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// The contents of a file
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A message for each line of standard input
    #[arg(short = 'l', long)]
    pub(crate) stdin_line: bool,
    /// All of standard input
    #[arg(short = 's', long)]
    pub(crate) stdin_file: bool,
    /// An empty payload
    #[arg(short = 'n', long)]
    pub(crate) null_message: bool,
}

impl Input {
    /// The payload, unless there is one for each line.
    pub(crate) fn whole(&self) -> Result<Option<Bytes>, ToolError> {
        if let Some(text) = &self.message {
            return Ok(Some(Bytes::copy_from_slice(text.as_bytes())));
        }
        if let Some(path) = &self.file {
            let bytes = fs::read(path)
                .map_err(|source| ToolError::Io { what: path.display().to_string(), source })?;
            return Ok(Some(bytes.into()));
        }
        if self.stdin_file {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(stdin)?;
            return Ok(Some(bytes.into()));
        }
        Ok(self.null_message.then(Bytes::new))
    }
}

fn stdin(source: io::Error) -> ToolError {
    ToolError::Io { what: "standard input".to_owned(), source }
}

/// The lines of standard input as they come, without their ends.
pub(crate) fn lines() -> mpsc::Receiver<Result<Bytes, ToolError>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(LINE_MAX).read_until(b'\n', &mut line).map_err(stdin);
            let line = match read {
                Ok(0) => return,
                Ok(_) => {
                    let ends = usize::from(line.ends_with(b"\n")) + usize::from(line.ends_with(b"\r\n"));
                    line.truncate(line.len() - ends);
                    Ok(Bytes::from(line))
                }
                Err(error) => Err(error),
            };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
