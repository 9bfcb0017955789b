//! The catalogue against the structs and against the sources.

use super::*;
use crate::config::Config;
use crate::config::print::{defaults, defaults_of, table_at};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every key whose place in the structs has a default, by its path.
fn serialized(prefix: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => serialized(&path, inner, into),
            toml::Value::Array(_) => {}
            _ => assert!(into.insert(path)),
        }
    }
}

#[test]
fn every_field_of_the_structs_is_in_the_catalogue_and_nothing_else() {
    let mut fields = BTreeSet::new();
    let defaults = defaults();
    serialized("", &defaults, &mut fields);
    for section in SECTIONS.iter().filter(|section| section.form == Form::OptionalBlocks) {
        serialized(section.name, &defaults_of(&defaults, section), &mut fields);
    }
    let keys = SECTIONS.iter().flat_map(|section| {
        let with_default = section.keys.iter().filter(|key| key.example.is_none());
        with_default.map(|key| section.path(key.name))
    });
    assert_eq!(keys.collect::<BTreeSet<_>>(), fields);
}

#[test]
fn every_section_but_the_repeated_ones_is_a_table_of_the_structs() {
    let defaults = defaults();
    for section in SECTIONS.iter().filter(|section| !section.is_repeated()) {
        assert!(table_at(&defaults, section.name).is_some(), "[{}]", section.name);
    }
}

/// Nothing but this value.
fn file_with(section: &Section, key: &Key, value: &str) -> String {
    match section.form {
        Form::OptionalBlocks => format!("[[{}]]\n{} = {value}", section.name, key.name),
        Form::Table | Form::Blocks => format!("{} = {value}", section.path(key.name)),
    }
}

/// The catalogue lets nothing pass that the structs refuse: each bound and each choice reaches them.
#[test]
fn the_bounds_and_choices_of_the_catalogue_are_taken_by_the_structs() {
    for section in SECTIONS.iter().filter(|section| section.form != Form::Blocks) {
        for key in section.keys {
            let texts = match key.kind {
                Kind::Integer { least, most, .. } => vec![least.to_string(), most.to_string()],
                Kind::Choice(choices) => choices.iter().map(|choice| format!("\"{choice}\"")).collect(),
                Kind::Switch => vec!["true".to_owned(), "false".to_owned()],
                Kind::Text { most } => vec!["\"\"".to_owned(), format!("\"{}\"", "x".repeat(most))],
                // Only listeners have the others.
                _ => vec![],
            };
            for text in texts {
                let file = file_with(section, key, &text);
                assert!(toml::from_str::<Config>(&file).is_ok(), "{file}");
            }
        }
    }
}

/// The structs take nothing that the catalogue does not offer.
#[test]
fn what_is_beside_the_choices_is_refused_by_the_structs() {
    for section in SECTIONS.iter().filter(|section| section.form != Form::Blocks) {
        for key in section.keys.iter().filter(|key| matches!(key.kind, Kind::Choice(_))) {
            let file = file_with(section, key, "\"another\"");
            let error = toml::from_str::<Config>(&file).unwrap_err();
            let Kind::Choice(choices) = key.kind else { unreachable!() };
            // serde names every variant that it knows.
            assert_eq!(error.message().matches('`').count(), 2 * (choices.len() + 1), "{error}");
        }
    }
}

#[test]
fn every_area_of_the_structs_is_in_the_catalogue() {
    let error = toml::from_str::<Config>("log.areas.another = \"info\"").unwrap_err();
    let known = error.message().matches('`').count() / 2 - 1;
    assert_eq!(section("log.areas").unwrap().keys.len(), known, "{error}");
}

/// The areas that log lines of the sources name as their targets.
fn areas_in(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            areas_in(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let targets = text.split("target: \"dunlin::").skip(1);
            into.extend(targets.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn every_area_that_is_logged_has_a_level_and_every_level_an_area() {
    let mut logged = BTreeSet::new();
    areas_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut logged);
    let known = section("log.areas").unwrap().keys.iter().map(|key| key.name.to_owned());
    assert_eq!(logged, known.collect());
}
