//! The printed file, the packaged one and the manual.

use super::*;
use std::path::Path;
use std::{env, fs};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
const PACKAGED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/dunlin.toml");
const BEGIN: &str = "<!-- keys: printed by the tests of crates/cli -->\n";
const END: &str = "<!-- end of keys -->\n";

#[test]
fn the_default_file_says_what_holds_without_it() {
    assert_eq!(Config::parse(&default_file()), Ok(Config::default()));
}

#[test]
fn the_default_file_names_every_key_and_its_comments_are_not_too_wide() {
    let text = default_file();
    for section in &SECTIONS {
        for key in section.keys {
            let set = format!("\n{} = ", key.name);
            let example = format!("\n# {} = ", key.name);
            assert!(text.contains(&set) || text.contains(&example), "{}", section.path(key.name));
        }
    }
    assert!(text.lines().all(|line| line.len() <= WIDTH));
}

#[test]
fn examples_and_default_are_allowed() {
    let uncommented: String = default_file()
        .lines()
        .map(|line| {
            let code = line.strip_prefix("# ").filter(|rest| rest.starts_with("[[") || is_assignment(rest));
            // The other keys of a listener are not those of the listener of the example.
            let code = code.filter(|code| !is_of_another_listener(code));
            format!("{}\n", code.unwrap_or(line))
        })
        .collect();
    let config = Config::parse(&uncommented).unwrap();
    assert_eq!(config.listener.len(), 1);
    assert_eq!(config.log.areas.len(), 8);
}

#[test]
fn long_integers_are_grouped() {
    for (number, text) in [(0, "0"), (1024, "1024"), (65_535, "65_535"), (2_097_152, "2_097_152")] {
        assert_eq!(grouped(number), text);
    }
}

/// `BLESS=1 cargo test -p dunlin` prints them anew.
#[test]
fn the_packaged_file_is_the_default_one() {
    holds(Path::new(PACKAGED), &default_file());
}

/// `BLESS=1 cargo test -p dunlin` prints them anew.
#[test]
fn the_manual_has_every_key_with_its_default_and_what_is_allowed() {
    let manual = fs::read_to_string(MANUAL).unwrap();
    let (before, rest) = manual.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    holds(Path::new(MANUAL), &format!("{before}{BEGIN}{}\n{END}{after}", tables()));
}

fn holds(path: &Path, expected: &str) {
    if env::var_os("BLESS").is_some() {
        fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is out of date: BLESS=1 cargo test -p dunlin", path.display());
}

fn is_assignment(text: &str) -> bool {
    text.split_once(" = ")
        .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

fn is_of_another_listener(code: &str) -> bool {
    let listener = SECTIONS.iter().find(|section| section.is_repeated()).unwrap();
    code.split_once(" = ").is_some_and(|(name, _)| listener.keys[1..].iter().any(|key| key.name == name))
}

fn tables() -> String {
    let defaults = defaults();
    let mut out = String::new();
    for section in &SECTIONS {
        let heading = match (section.name, section.is_repeated()) {
            ("", _) => "Before the first table".to_owned(),
            (name, true) => format!("`[[{name}]]`"),
            (name, false) => format!("`[{name}]`"),
        };
        write!(out, "\n### {heading}\n\n").unwrap();
        if !section.about.is_empty() {
            write!(out, "{}\n\n", section.about).unwrap();
        }
        out.push_str("| key | default | allowed | what it is |\n|---|---|---|---|\n");
        let defaults = defaults_of(&defaults, section);
        for key in section.keys {
            let default = defaults.get(key.name);
            let default =
                default.map_or_else(|| "not set".to_owned(), |value| format!("`{}`", literal(value)));
            let (name, allowed, restart) = (key.name, key.kind.allowed(), restart(key));
            writeln!(out, "| `{name}` | {default} | {allowed} | {}{restart} |", key.about).unwrap();
        }
    }
    out
}
