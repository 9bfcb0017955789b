//! Tidiness: sizes, module headers, leftovers, paths of somebody's machine.
//!
//! In:    the text files of the checkout; xtask/tidy-allow.toml, whose entries each give a reason.
//! Out:   a finding for each breach that no entry allows, and for each entry that allows nothing.
//! Never: what rustfmt or clippy check.

use crate::lex::{self, Lexed};
use crate::outline::Outline;
use crate::report::{Fault, Finding};
use crate::workspace::{File, Workspace};
use serde::Deserialize;

const ALLOW: &str = "xtask/tidy-allow.toml";

/// Lines at which a function is too long.
const FUNCTION_LINES: usize = 70;
/// Lines at which a file is too long.
const FILE_LINES: usize = 800;

/// Words that say that something is not done.
const WORDS: [&str; 3] = ["TODO", "FIXME", "XXX"];
/// Code that says so, or that makes a test depend on luck.
const CODE: [&str; 4] = ["#[ignore", "thread::sleep", "todo!", "unimplemented!"];
/// Top folders that only one machine has. In an array so that this file does not hold such a path.
const MACHINE_FOLDERS: [&str; 3] = ["work", "root", "home"];

/// What a breach is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    FunctionLength,
    FileLength,
    ModuleHeader,
    Leftover,
    MachinePath,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowance {
    rule: Rule,
    file: String,
    /// The function, as `Type::name`; absent for the whole file.
    item: Option<String>,
    reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct AllowFile {
    allow: Vec<Allowance>,
}

struct Breach {
    rule: Rule,
    item: Option<String>,
    finding: Finding,
}

/// Checks every text file of the checkout.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Finding>, Fault> {
    let text = workspace.read_or_empty(ALLOW)?;
    let allowed: AllowFile =
        toml::from_str(&text).map_err(|e| Fault::Form { path: ALLOW.to_owned(), message: e.to_string() })?;
    let files = workspace.files(is_text)?;
    let breaches = files.iter().flat_map(breaches).collect();
    Ok(judge(breaches, &allowed.allow))
}

fn is_text(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((_, extension)) = name.rsplit_once('.') else { return true };
    matches!(
        extension,
        "rs" | "toml" | "md" | "sh" | "py" | "yml" | "yaml" | "json" | "txt" | "conf" | "service"
    )
}

fn breaches(file: &File) -> Vec<Breach> {
    let mut found = machine_paths(file);
    if file.path.ends_with(".rs") {
        let lexed = lex::lex(&file.text);
        found.extend(sizes(file, &lexed));
        found.extend(header(file));
        found.extend(leftovers(file, &lexed));
    }
    found
}

fn judge(breaches: Vec<Breach>, allowed: &[Allowance]) -> Vec<Finding> {
    let covers = |allowance: &Allowance, breach: &Breach| {
        let item = allowance.item.is_none() || allowance.item == breach.item;
        allowance.rule == breach.rule && allowance.file == breach.finding.file && item
    };
    let mut findings = Vec::new();
    for allowance in allowed {
        if allowance.reason.trim().is_empty() {
            findings.push(Finding::new(ALLOW, 0, format!("{}: no reason", allowance.file)));
        }
        if !breaches.iter().any(|breach| covers(allowance, breach)) {
            let message = format!("{}: {:?} has nothing to allow", allowance.file, allowance.rule);
            findings.push(Finding::new(ALLOW, 0, message));
        }
    }
    let left = breaches.into_iter().filter(|breach| !allowed.iter().any(|entry| covers(entry, breach)));
    findings.extend(left.map(|breach| breach.finding));
    findings.sort();
    findings
}

fn breach(rule: Rule, file: &File, line: usize, message: String) -> Breach {
    Breach { rule, item: None, finding: Finding::new(&file.path, line, message) }
}

fn sizes(file: &File, lexed: &Lexed) -> Vec<Breach> {
    let mut found = Vec::new();
    let lines = file.text.lines().count();
    if lines >= FILE_LINES {
        let message = format!("{lines} lines; a file has fewer than {FILE_LINES}");
        found.push(breach(Rule::FileLength, file, 0, message));
    }
    let outline = Outline::new(&file.text, lexed);
    for (number, function) in outline.functions() {
        let lines = function.end - function.line + 1;
        if lines >= FUNCTION_LINES {
            let label = outline.label(number);
            let message = format!("`{label}` has {lines} lines; a function has fewer than {FUNCTION_LINES}");
            let finding = Finding::new(&file.path, function.line, message);
            found.push(Breach { rule: Rule::FunctionLength, item: Some(label), finding });
        }
    }
    found
}

/// Files of crates/ begin by saying what they take, give and never do.
fn header(file: &File) -> Option<Breach> {
    let first = file.text.lines().find(|line| !line.trim().is_empty())?;
    let wanted = file.path.starts_with("crates/") && !first.starts_with("//!");
    wanted.then(|| breach(Rule::ModuleHeader, file, 1, "no module header `//!`".to_owned()))
}

fn leftovers(file: &File, lexed: &Lexed) -> Vec<Breach> {
    let mut found = Vec::new();
    for (number, (code, comments)) in lexed.code.lines().zip(lexed.comments.lines()).enumerate() {
        let words = WORDS.iter().filter(|word| has_word(code, word) || has_word(comments, word));
        let marks = CODE.iter().filter(|mark| has_code(code, mark));
        for leftover in words.chain(marks) {
            found.push(breach(Rule::Leftover, file, number + 1, format!("`{leftover}`")));
        }
    }
    found
}

fn machine_paths(file: &File) -> Vec<Breach> {
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            let path = format!("/{folder}/");
            let begins =
                |at: usize| !line[..at].ends_with(|c| lex::is_word(c) || matches!(c, '.' | '-' | '~' | '/'));
            if line.match_indices(&path).any(|(at, _)| begins(at)) {
                let message = format!("a path of one machine, `{path}`");
                found.push(breach(Rule::MachinePath, file, number + 1, message));
            }
        }
    }
    found
}

/// Whether `word` stands in `text` by itself.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].ends_with(lex::is_word);
        let after = text[at + word.len()..].starts_with(lex::is_word);
        !before && !after
    })
}

/// Whether `mark` stands in `code` and is not the tail of a longer name.
fn has_code(code: &str, mark: &str) -> bool {
    code.match_indices(mark).any(|(at, _)| !code[..at].ends_with(lex::is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str, allow: &str) -> Vec<String> {
        let allowed: AllowFile = toml::from_str(allow).unwrap();
        let file = File { path: path.to_owned(), text: text.to_owned() };
        judge(breaches(&file), &allowed.allow).iter().map(Finding::to_string).collect()
    }

    fn function(lines: usize) -> String {
        format!(
            "//! x\nstruct S;\nimpl S {{\n    fn f() {{\n{}    }}\n}}\n",
            "        g();\n".repeat(lines - 2)
        )
    }

    #[test]
    fn a_function_of_seventy_lines_is_too_long() {
        assert_eq!(found("xtask/a.rs", &function(69), ""), [""; 0]);
        assert_eq!(
            found("xtask/a.rs", &function(70), ""),
            ["xtask/a.rs:4: `S::f` has 70 lines; a function has fewer than 70"]
        );
    }

    #[test]
    fn a_file_of_eight_hundred_lines_is_too_long() {
        assert_eq!(found("xtask/a.rs", &"\n".repeat(799), ""), [""; 0]);
        assert_eq!(
            found("xtask/a.rs", &"\n".repeat(800), ""),
            ["xtask/a.rs: 800 lines; a file has fewer than 800"]
        );
    }

    #[test]
    fn files_of_crates_have_a_header() {
        assert_eq!(found("crates/a.rs", "//! x\n", ""), [""; 0]);
        assert_eq!(
            found("crates/a.rs", "\n// x\nfn f() {}\n", ""),
            ["crates/a.rs:1: no module header `//!`"]
        );
        assert_eq!(found("xtask/a.rs", "fn f() {}\n", ""), [""; 0]);
    }

    #[test]
    fn leftovers_are_found_in_code_and_comments_but_not_in_literals() {
        let text = "//! a\nfn f() {\n    todo!() // FIXME\n}\nconst A: &str = \"XXX todo!\";\nfn todo() {}\n";

        assert_eq!(found("crates/a.rs", text, ""), ["crates/a.rs:3: `FIXME`", "crates/a.rs:3: `todo!`"]);
    }

    #[test]
    fn paths_of_one_machine_are_found_in_any_text_file() {
        let path = ["", "home", "me"].join("/");
        let text = format!("see {path}/x\nhttps://example.org{path}/x\n~{path}/x\n");

        assert_eq!(
            found("docs/a.md", &text, ""),
            [format!("docs/a.md:1: a path of one machine, `/{}/`", MACHINE_FOLDERS[2])]
        );
    }

    const ALLOWED: &str = "[[allow]]\nrule = \"function-length\"\nfile = \"xtask/a.rs\"\nitem = \"S::f\"\n";

    #[test]
    fn an_entry_with_a_reason_allows_what_it_names() {
        let allow = format!("{ALLOWED}reason = \"A table.\"\n");

        assert_eq!(found("xtask/a.rs", &function(70), &allow), [""; 0]);
    }

    #[test]
    fn an_entry_without_a_reason_or_a_use_is_found() {
        let allow = format!("{ALLOWED}reason = \"\"\n");

        assert_eq!(
            found("xtask/a.rs", &function(69), &allow),
            [
                "xtask/tidy-allow.toml: xtask/a.rs: FunctionLength has nothing to allow",
                "xtask/tidy-allow.toml: xtask/a.rs: no reason",
            ]
        );
    }
}
