//! Conformance: every statement of the specifications has a line that obeys it and a test that proves it.
//!
//! In:    the statements (docs/spec/mqtt5.toml, mqtt311.toml), what may lack either and why
//!        (docs/spec/exceptions.toml), the citations in crates/ and tests/.
//! Out:   docs/conformance.md, or a finding for each thing about it that is not so.
//! Never: a judgement whether a line that cites a statement does obey it.

use crate::citation::{self, Id, Version};
use crate::conformance;
use crate::lex;
use crate::outline::Outline;
use crate::report::{Fault, Finding};
use crate::workspace::{File, Workspace};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

const REPORT: &str = "docs/conformance.md";
const EXCEPTIONS: &str = "docs/spec/exceptions.toml";
const STATEMENTS: [(Version, &str); 2] =
    [(Version::V5, "docs/spec/mqtt5.toml"), (Version::V311, "docs/spec/mqtt311.toml")];

/// Longest paraphrase, in characters: a row of the report stays readable.
const TEXT_MAX: usize = 110;

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Binds {
    Server,
    Client,
    Both,
    Wire,
}

/// One normative statement, in our words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    pub(crate) binds: Binds,
    pub(crate) text: String,
}

/// Where a statement is cited.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// The item around it, or the file's own name.
    pub(crate) label: String,
}

/// What the sources say of one statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) obeyed: BTreeSet<Place>,
    pub(crate) proven: BTreeSet<Place>,
}

/// What a statement may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lacks {
    Line,
    Test,
    Both,
}

/// A statement that lacks something, and why that is right.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    id: String,
    pub(crate) lacks: Lacks,
    pub(crate) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatementFile {
    statements: BTreeMap<String, Statement>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ExceptionFile {
    exception: Vec<Exception>,
}

/// The whole picture.
#[derive(Default)]
pub(crate) struct Conformance {
    pub(crate) statements: BTreeMap<Id, Statement>,
    pub(crate) coverage: BTreeMap<Id, Coverage>,
    pub(crate) exceptions: BTreeMap<Id, Exception>,
    findings: Vec<Finding>,
}

/// Writes the report; citations of unknown ids are findings.
pub(crate) fn write(workspace: &Workspace) -> Result<Vec<Finding>, Fault> {
    let conformance = Conformance::read(workspace)?;
    workspace.write(REPORT, &conformance::render(&conformance))?;
    Ok(conformance.findings)
}

/// Compares the report with the sources, and the sources with the statements.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>, Fault> {
    let mut conformance = Conformance::read(workspace)?;
    if workspace.read_or_empty(REPORT)? != conformance::render(&conformance) {
        conformance.findings.push(Finding::new(REPORT, 0, "stale: run `cargo xtask spec`"));
    }
    conformance.check_exceptions();
    conformance.check_gaps();
    Ok(conformance.findings)
}

impl Coverage {
    /// What is missing, if anything.
    pub(crate) fn lacks(&self) -> Option<Lacks> {
        match (self.obeyed.is_empty(), self.proven.is_empty()) {
            (true, true) => Some(Lacks::Both),
            (true, false) => Some(Lacks::Line),
            (false, true) => Some(Lacks::Test),
            (false, false) => None,
        }
    }
}

impl Lacks {
    /// Whether something that lacks this may lack `missing`.
    pub(crate) fn covers(self, missing: Self) -> bool {
        self == Self::Both || self == missing
    }
}

impl Conformance {
    fn read(workspace: &Workspace) -> Result<Self, Fault> {
        let mut conformance = Self::default();
        for (version, path) in STATEMENTS {
            conformance.add_statements(version, path, &workspace.read(path)?)?;
        }
        conformance.add_exceptions(&workspace.read_or_empty(EXCEPTIONS)?)?;
        for file in workspace.files(is_scanned)? {
            conformance.add_citations(&file);
        }
        Ok(conformance)
    }

    fn add_statements(&mut self, version: Version, path: &str, text: &str) -> Result<(), Fault> {
        let file: StatementFile = from_toml(path, text)?;
        for (key, statement) in file.statements {
            let id = Id::parse(&key).filter(|id| id.version == version);
            let Some(id) = id else {
                self.findings.push(Finding::new(path, 0, format!("`{key}` is no id of {version}")));
                continue;
            };
            let length = statement.text.chars().count();
            if length > TEXT_MAX {
                let message = format!("{id}: {length} characters, more than {TEXT_MAX}");
                self.findings.push(Finding::new(path, 0, message));
            }
            self.statements.insert(id, statement);
        }
        Ok(())
    }

    fn add_exceptions(&mut self, text: &str) -> Result<(), Fault> {
        let file: ExceptionFile = from_toml(EXCEPTIONS, text)?;
        for exception in file.exception {
            match Id::parse(&exception.id).filter(|id| self.statements.contains_key(id)) {
                Some(id) if exception.reason.trim().is_empty() => {
                    self.findings.push(Finding::new(EXCEPTIONS, 0, format!("{id}: no reason")));
                }
                Some(id) => {
                    if self.exceptions.insert(id, exception).is_some() {
                        self.findings.push(Finding::new(EXCEPTIONS, 0, format!("{id}: twice")));
                    }
                }
                None => {
                    let message = format!("`{}` is no statement", exception.id);
                    self.findings.push(Finding::new(EXCEPTIONS, 0, message));
                }
            }
        }
        Ok(())
    }

    fn add_citations(&mut self, file: &File) {
        let citations = citation::find(&file.text);
        if citations.is_empty() {
            return;
        }
        let places = Places::new(file);
        for citation in citations {
            let id = match citation.id {
                Ok(id) if self.statements.contains_key(&id) => id,
                Ok(id) => {
                    let message = format!("{id} is no statement of {}", id.version);
                    self.findings.push(Finding::new(&file.path, citation.line, message));
                    continue;
                }
                Err(text) => {
                    let message = format!("`{text}` is not of the form of an id");
                    self.findings.push(Finding::new(&file.path, citation.line, message));
                    continue;
                }
            };
            let coverage = self.coverage.entry(id).or_default();
            match places.of(citation.line) {
                Some(Use::Obeys(label)) => {
                    coverage.obeyed.insert(Place { file: file.path.clone(), label });
                }
                Some(Use::Proves(label)) => {
                    coverage.proven.insert(Place { file: file.path.clone(), label });
                }
                None => {}
            }
        }
    }

    /// What a statement that binds the Server lacks without an exception that says so.
    pub(crate) fn gap(&self, id: &Id) -> Option<Lacks> {
        let statement = self.statements.get(id)?;
        if statement.binds == Binds::Client {
            return None;
        }
        let missing = self.coverage.get(id).map_or(Some(Lacks::Both), Coverage::lacks)?;
        let excused = self.exceptions.get(id).is_some_and(|exception| exception.lacks.covers(missing));
        (!excused).then_some(missing)
    }

    fn check_exceptions(&mut self) {
        for (id, exception) in &self.exceptions {
            let missing = self.coverage.get(id).map_or(Some(Lacks::Both), Coverage::lacks);
            if missing != Some(exception.lacks) {
                let message = format!("{id}: no longer lacks what is written; mend or remove the entry");
                self.findings.push(Finding::new(EXCEPTIONS, 0, message));
            }
        }
    }

    fn check_gaps(&mut self) {
        let gaps: Vec<(Id, Lacks)> =
            self.statements.keys().filter_map(|id| Some((*id, self.gap(id)?))).collect();
        for (id, lacks) in gaps {
            let lacks = match lacks {
                Lacks::Line => "no line obeys it",
                Lacks::Test => "no test proves it",
                Lacks::Both => "neither a line nor a test",
            };
            self.findings.push(Finding::new(REPORT, 0, format!("{id}: {lacks}")));
        }
    }
}

fn from_toml<T: DeserializeOwned>(path: &str, text: &str) -> Result<T, Fault> {
    toml::from_str(text).map_err(|e| Fault::Form { path: path.to_owned(), message: e.to_string() })
}

/// Rust sources, and conversations that are tests by being files under tests/.
fn is_scanned(path: &str) -> bool {
    let rust = path.ends_with(".rs");
    rust && path.starts_with("crates/")
        || path.starts_with("tests/") && !path.ends_with(".md") && !path.ends_with("/Cargo.toml")
}

/// What a citation says.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    Obeys(String),
    Proves(String),
}

/// Says of each line of one file what a citation there means.
struct Places<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    /// Absent for a file that is not Rust.
    outline: Option<Outline>,
}

impl<'a> Places<'a> {
    fn new(file: &'a File) -> Self {
        let rust = file.path.ends_with(".rs");
        let outline = rust.then(|| Outline::new(&file.text, &lex::lex(&file.text)));
        Self { path: &file.path, lines: file.text.lines().collect(), outline }
    }

    /// Nothing for a place that neither obeys nor proves: a module's header, or test code that belongs to
    /// no function.
    fn of(&self, line: usize) -> Option<Use> {
        let Some(outline) = &self.outline else { return Some(Use::Proves(file_name(self.path).to_owned())) };
        if self.lines.get(line - 1).is_some_and(|text| text.trim_start().starts_with("//!")) {
            return None;
        }
        let item = outline.enclosing(line);
        let test = is_test_path(self.path) || item.is_some_and(|item| outline.is_test(item));
        if test {
            let function = outline.test_function(item?)?;
            return Some(Use::Proves(outline.label(function)));
        }
        let label = item.map_or_else(|| file_name(self.path).to_owned(), |item| outline.label(item));
        Some(Use::Obeys(label))
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Test code by its place; the simulator is test equipment, and its checkers prove rather than obey.
fn is_test_path(path: &str) -> bool {
    path.starts_with("crates/sim/")
        || path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENTS_5: &str = r#"[statements]
        "MQTT-1.5.4-1" = { binds = "wire", text = "Strings are UTF-8." }
        "MQTT-3.1.0-2" = { binds = "server", text = "One CONNECT." }
        "MQTT-3.1.2-20" = { binds = "client", text = "Pings." }
    "#;

    fn conformance(exceptions: &str, files: &[(&str, &str)]) -> Conformance {
        let mut conformance = Conformance::default();
        conformance.add_statements(Version::V5, "mqtt5.toml", STATEMENTS_5).unwrap();
        conformance.add_exceptions(exceptions).unwrap();
        for (path, text) in files {
            conformance.add_citations(&File { path: (*path).to_owned(), text: (*text).to_owned() });
        }
        conformance
    }

    fn id(text: &str) -> Id {
        Id::parse(text).unwrap()
    }

    fn labels(places: &BTreeSet<Place>) -> Vec<&str> {
        places.iter().map(|place| place.label.as_str()).collect()
    }

    const CODEC: &str = "\
//! Never: more than [MQTT-3.1.0-2] says.
/// [MQTT-1.5.4-1]
fn decode() {}
#[cfg(test)]
mod tests {
    //! [MQTT-3.1.0-2]
    /// [MQTT-1.5.4-1]
    #[test]
    fn a_string_is_utf_8() {}
}
";

    #[test]
    fn a_citation_in_code_obeys_and_in_a_test_proves() {
        let conformance = conformance("", &[("crates/codec/src/string.rs", CODEC)]);

        let coverage = &conformance.coverage[&id("MQTT-1.5.4-1")];
        assert_eq!(labels(&coverage.obeyed), ["decode"]);
        assert_eq!(labels(&coverage.proven), ["a_string_is_utf_8"]);
        assert_eq!(conformance.gap(&id("MQTT-1.5.4-1")), None);
    }

    #[test]
    fn a_header_neither_obeys_nor_proves() {
        let conformance = conformance("", &[("crates/codec/src/string.rs", CODEC)]);

        assert_eq!(conformance.gap(&id("MQTT-3.1.0-2")), Some(Lacks::Both));
    }

    #[test]
    fn files_of_tests_prove_whatever_their_form() {
        let files = [
            ("crates/codec/tests/strings.rs", "// [MQTT-1.5.4-1]\nfn check() {}\n"),
            ("crates/sim/src/checker.rs", "fn invariant() { /* [MQTT-1.5.4-1] */ }\n"),
            ("tests/conversations/connect.txt", "# [MQTT-1.5.4-1]\n"),
        ];

        let conformance = conformance("", &files);

        let coverage = &conformance.coverage[&id("MQTT-1.5.4-1")];
        assert_eq!(labels(&coverage.proven), ["check", "invariant", "connect.txt"]);
        assert!(coverage.obeyed.is_empty());
    }

    #[test]
    fn an_unknown_id_is_found_where_it_stands() {
        let text = "//! x\n// [MQTT-9.9.9-9]\n// [MQTT-3.1.2.7]\n// [MQTT311-1.5.4-1]\n";
        let conformance = conformance("", &[("crates/codec/src/a.rs", text)]);

        let found: Vec<String> = conformance.findings.iter().map(Finding::to_string).collect();

        assert_eq!(
            found,
            [
                "crates/codec/src/a.rs:2: MQTT-9.9.9-9 is no statement of MQTT 5.0",
                "crates/codec/src/a.rs:3: `MQTT-3.1.2.7` is not of the form of an id",
                "crates/codec/src/a.rs:4: MQTT311-1.5.4-1 is no statement of MQTT 3.1.1",
            ]
        );
    }

    #[test]
    fn gaps_are_of_the_server_and_without_a_reason() {
        let mut conformance = conformance("", &[]);

        conformance.check_gaps();

        let found: Vec<String> = conformance.findings.iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/conformance.md: MQTT-1.5.4-1: neither a line nor a test",
                "docs/conformance.md: MQTT-3.1.0-2: neither a line nor a test",
            ]
        );
    }

    #[test]
    fn a_reason_excuses_what_it_names_and_no_more() {
        let exceptions = |lacks| {
            let entry =
                |id| format!("[[exception]]\nid = \"{id}\"\nlacks = \"{lacks}\"\nreason = \"Why.\"\n");
            entry("MQTT-1.5.4-1")
        };
        let code = [("crates/codec/src/a.rs", "// [MQTT-1.5.4-1]\nfn decode() {}\n")];
        let statement = id("MQTT-1.5.4-1");

        assert_eq!(conformance("", &code).gap(&statement), Some(Lacks::Test));
        assert_eq!(conformance(&exceptions("line"), &code).gap(&statement), Some(Lacks::Test));
        assert_eq!(conformance(&exceptions("test"), &code).gap(&statement), None);
    }

    #[test]
    fn a_reason_that_time_has_overtaken_is_found() {
        let exceptions = "[[exception]]\nid = \"MQTT-1.5.4-1\"\nlacks = \"both\"\nreason = \"Why.\"\n";
        let mut conformance = conformance(exceptions, &[("crates/codec/src/string.rs", CODEC)]);

        conformance.check_exceptions();

        assert_eq!(conformance.findings.len(), 1, "{:?}", conformance.findings);
    }

    #[test]
    fn reasons_are_written_for_known_statements_once() {
        let entry = |id: &str, reason: &str| {
            format!("[[exception]]\nid = \"{id}\"\nlacks = \"both\"\nreason = \"{reason}\"\n")
        };
        let text = [
            entry("MQTT-1.5.4-1", " "),
            entry("MQTT-9.9.9-9", "Why."),
            entry("MQTT-3.1.0-2", "Why."),
            entry("MQTT-3.1.0-2", "Why."),
        ];

        let found = conformance(&text.concat(), &[]).findings;

        let found: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            found,
            ["MQTT-1.5.4-1: no reason", "`MQTT-9.9.9-9` is no statement", "MQTT-3.1.0-2: twice"]
        );
    }

    #[test]
    fn the_lists_of_statements_are_whole() {
        let conformance = Conformance::read(&Workspace::find().unwrap()).unwrap();

        let count = |version| conformance.statements.keys().filter(|id| id.version == version).count();
        assert_eq!(count(Version::V5), 251, "appendix B of MQTT 5.0");
        assert_eq!(count(Version::V311), 141, "appendix B of MQTT 3.1.1");
    }
}
