//! Prints the configuration with its defaults: as a commented file and as the tables of docs/configuration.md.

use std::fmt::Write;

use super::catalogue::{Form, Key, SECTIONS, Section};
use super::{Config, Jwt};

const HEADER: &str = "\
# Configuration of Dunlin. Every key stands here with its default.
#
# `dunlin config check FILE` checks a file. A running server reads its file again on SIGHUP; a file with a
# fault changes nothing. The command line beats the file.
";

/// Columns of a comment, `# ` included.
const WIDTH: usize = 110;

/// A file that says what would hold without it.
pub(crate) fn default_file() -> String {
    let defaults = defaults();
    let mut out = HEADER.to_owned();
    for section in &SECTIONS {
        out.push('\n');
        comment(&mut out, section.about);
        // The keys of a repeated section are examples: the block is commented out with them.
        if section.is_repeated() {
            let _ = writeln!(out, "# [[{}]]", section.name);
        } else if !section.name.is_empty() {
            let _ = writeln!(out, "[{}]", section.name);
        }
        keys(&mut out, section, &defaults_of(&defaults, section));
    }
    out
}

fn keys(out: &mut String, section: &Section, defaults: &toml::Table) {
    let lead = if section.is_repeated() { "# " } else { "" };
    for (index, key) in section.keys.iter().enumerate() {
        if index > 0 || !section.name.is_empty() {
            out.push('\n');
        }
        comment(out, key.about);
        comment(out, &format!("Allowed: {}.{}", key.kind.allowed(), restart(key)));
        match defaults.get(key.name) {
            Some(value) => writeln!(out, "{lead}{} = {}", key.name, literal(value)),
            None => writeln!(out, "# {} = {}", key.name, key.example.unwrap_or_default()),
        }
        .unwrap_or_else(|_| unreachable!("a String takes everything"));
    }
}

fn restart(key: &Key) -> &'static str {
    if key.reloads { "" } else { " A change needs a restart." }
}

fn comment(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.chars().count() > WIDTH {
            out.push('\n');
            width = 0;
        }
        let lead = if width == 0 { "# " } else { " " };
        out.push_str(lead);
        out.push_str(word);
        width += lead.len() + word.chars().count();
    }
    if width > 0 {
        out.push('\n');
    }
}

/// The defaults of the structs as TOML.
pub(super) fn defaults() -> toml::Table {
    toml::Table::try_from(Config::default())
        .unwrap_or_else(|error| unreachable!("the defaults are plain values: {error}"))
}

/// Those of a section; empty where a block has none.
pub(super) fn defaults_of(root: &toml::Table, section: &Section) -> toml::Table {
    match section.form {
        Form::Table => table_at(root, section.name).cloned().unwrap_or_default(),
        Form::Blocks => toml::Table::new(),
        // The one there is.
        Form::OptionalBlocks => toml::Table::try_from(Jwt::default())
            .unwrap_or_else(|error| unreachable!("the defaults are plain values: {error}")),
    }
}

/// The table at a dotted name.
pub(super) fn table_at<'a>(root: &'a toml::Table, name: &str) -> Option<&'a toml::Table> {
    name.split('.').filter(|part| !part.is_empty()).try_fold(root, |table, part| table.get(part)?.as_table())
}

/// A value as it is written, long integers in groups of three.
fn literal(value: &toml::Value) -> String {
    match value {
        toml::Value::Integer(number) => grouped(*number),
        toml::Value::Boolean(switch) => switch.to_string(),
        toml::Value::String(text) => format!("\"{text}\""),
        toml::Value::Array(list) => {
            format!("[{}]", list.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        other => unreachable!("no key takes {}", other.type_str()),
    }
}

fn grouped(number: i64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
