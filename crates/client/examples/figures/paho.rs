//! Paho C: a program of its own, compiled when the figures are taken.

use std::path::PathBuf;
use std::process::Command;

/// The program; `None` where it cannot be built.
pub(crate) fn build() -> Option<PathBuf> {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/figures/paho.c");
    let program = std::env::current_exe().ok()?.with_file_name("figures-paho");
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-o"]).arg(&program).arg(source);
    let built = command.args(["-lpaho-mqtt3a", "-lpthread"]).status();
    match built {
        Ok(status) if status.success() => Some(program),
        _ => {
            eprintln!("Paho C is left out: it needs cc and libpaho-mqtt-dev");
            None
        }
    }
}
