//! `dunlin completion` and `dunlin man`: what shells and `man` know of the command line, made from it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Arguments;
use crate::failure::Failure;

/// Writes the completion script of a shell to standard output.
pub(crate) fn completion(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "dunlin", &mut script);
    match io::stdout().lock().write_all(&script) {
        // Whoever read it has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Output),
    }
}

/// Writes a page for the program and for each command to that directory, which is made.
pub(crate) fn pages(directory: &Path) -> Result<(), Failure> {
    let fault = |source| Failure::write(directory, source);
    fs::create_dir_all(directory).map_err(fault)?;
    let mut command = Arguments::command();
    command.build();
    page(&command, directory).map_err(fault)
}

fn page(command: &Command, directory: &Path) -> io::Result<()> {
    // Of a command of a command, the names of both; `build` has made it.
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("dunlin ", env!("CARGO_PKG_VERSION")))
        .manual("Dunlin")
        .render(&mut text)?;
    fs::write(directory.join(format!("{name}.1")), text)?;
    command.get_subcommands().try_for_each(|sub| page(sub, directory))
}
