//! Tokens of the API: for dashboards and scripts.
//!
//! In:    the file `api.tokens` of the data directory: a line `NAME:ROLE:HASH` each, the SHA-256 of the token in hexadecimal.
//! Out:   whose a token is; changes of the file, which a running server reads again.
//! Never: a token that is kept, or shown twice. It has 100 random bits: no salt, no slow hash makes it harder to guess.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::{Subcommand, ValueEnum};
use dunlin_admin::{Caller, Role};
use dunlin_security::authority::{make_directory, secret, settle_owner, write_file};
use dunlin_security::identity::Watch;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tracing::{error, info};

use crate::data::Data;
use crate::failure::Failure;
use crate::say;

/// Longest name, in bytes.
const NAME_MAXIMUM: usize = 64;
/// What a token begins with, so that it is known for one wherever it turns up.
const PREFIX: &str = "dunlin-";

/// `dunlin token`
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token, and show it once
    Add {
        /// Its name, for the audit log
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// What it is good for
        #[arg(long, value_name = "ROLE", default_value = "viewer")]
        role: Wanted,
        #[command(flatten)]
        data: Data,
    },
    /// Take a token back
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// List tokens and their roles
    List {
        #[command(flatten)]
        data: Data,
        /// One JSON object on a line for each token
        #[arg(long)]
        json: bool,
    },
}

/// `--role`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Wanted {
    /// Look
    Viewer,
    /// Disconnect, end, publish, delete
    Operator,
    /// Everything
    Administrator,
}

impl From<Wanted> for Role {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Viewer => Self::Viewer,
            Wanted::Operator => Self::Operator,
            Wanted::Administrator => Self::Administrator,
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if (1..=NAME_MAXIMUM).contains(&text.len()) && text.bytes().all(is_name) {
        Ok(text.to_owned())
    } else {
        Err(format!("1 to {NAME_MAXIMUM} letters, digits, -, _, . and @"))
    }
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    role: Role,
    hash: String,
}

/// The tokens that a running server knows.
pub(crate) struct Tokens {
    file: PathBuf,
    known: Mutex<(Watch, BTreeMap<String, Caller>)>,
}

impl Tokens {
    /// Those of a data directory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn open(data: &Path) -> Result<Self, Failure> {
        let file = file(data);
        let watch = Watch::new(&file);
        let known = Mutex::new((watch, callers(read(&file)?)));
        Ok(Self { file, known })
    }

    /// Whose it is.
    pub(crate) fn find(&self, token: &str) -> Option<Caller> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0.is_due_and_changed() {
            match read(&self.file) {
                Ok(lines) => {
                    known.1 = callers(lines);
                    info!(target: "dunlin::access", tokens = known.1.len(), "tokens of the API read again");
                }
                Err(reason) => {
                    error!(target: "dunlin::access", %reason, "tokens of the API cannot be read, the old ones stay");
                }
            }
        }
        known.1.get(&hash(token)).cloned()
    }
}

fn callers(lines: Vec<Line>) -> BTreeMap<String, Caller> {
    let caller = |line: Line| (line.hash, Caller { name: format!("token:{}", line.name), role: line.role });
    lines.into_iter().map(caller).collect()
}

fn file(data: &Path) -> PathBuf {
    data.join("api.tokens")
}

fn hash(token: &str) -> String {
    digest(&SHA256, token.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(file: &Path) -> Result<Vec<Line>, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::read(file, error)),
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            let wrong =
                || Failure::Tokens(format!("{}: line {} is not NAME:ROLE:HASH", file.display(), at + 1));
            parse(line).ok_or_else(wrong)
        })
        .collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut parts = line.split(':');
    let (name, role, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let role = serde_json::from_value(role.into()).ok()?;
    let is_whole = parts.next().is_none() && hash.len() == 64;
    is_whole.then(|| Line { name: name.to_owned(), role, hash: hash.to_owned() })
}

fn write(file: &Path, lines: &[Line]) -> Result<(), Failure> {
    let mut text = "# NAME:ROLE:SHA-256 of the token\n".to_owned();
    for Line { name, role, hash } in lines {
        text.push_str(&format!("{name}:{role}:{hash}\n"));
    }
    write_file(file, text.as_bytes(), 0o600)?;
    settle_owner(file)?;
    Ok(())
}

impl Token {
    /// Does it.
    ///
    /// # Errors
    /// Where the file cannot be changed so.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Add { name, role, data } => add(name, (*role).into(), &data.directory()?),
            Self::Remove { name, data } => remove(name, &data.directory()?),
            Self::List { data, json } => list(&data.directory()?, *json),
        }
    }
}

fn add(name: &str, role: Role, data: &Path) -> Result<(), Failure> {
    make_directory(data)?;
    let file = file(data);
    let mut lines = read(&file)?;
    if lines.iter().any(|line| line.name == name) {
        return Err(Failure::Tokens(format!(
            "there is a token {name}; `dunlin token remove {name}` takes it back"
        )));
    }
    let token = format!("{PREFIX}{}", secret()?);
    lines.push(Line { name: name.to_owned(), role, hash: hash(&token) });
    write(&file, &lines)?;
    say::line(&format!("dunlin: token {name}, {role}, shown once: {token}\n"));
    Ok(())
}

fn remove(name: &str, data: &Path) -> Result<(), Failure> {
    let file = file(data);
    let mut lines = read(&file)?;
    let before = lines.len();
    lines.retain(|line| line.name != name);
    if lines.len() == before {
        return Err(Failure::Tokens(format!("there is no token {name}")));
    }
    write(&file, &lines)
}

fn list(data: &Path, is_json: bool) -> Result<(), Failure> {
    let lines = read(&file(data))?;
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).max(4);
    let mut text = String::new();
    if !is_json && !lines.is_empty() {
        text.push_str(&format!("{:<width$}  ROLE\n", "NAME"));
    }
    for Line { name, role, .. } in &lines {
        text.push_str(&if is_json {
            format!("{}\n", json!({ "name": name, "role": role }))
        } else {
            format!("{name:<width$}  {role}\n")
        });
    }
    say::line(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_until_it_is_taken_back_and_its_file_holds_no_token() {
        let data = std::env::temp_dir().join(format!("dunlin-tokens-{}", std::process::id()));
        add("grafana", Role::Viewer, &data).unwrap();
        assert!(add("grafana", Role::Operator, &data).is_err());
        let mut lines = read(&file(&data)).unwrap();
        assert_eq!((lines[0].name.as_str(), lines[0].role), ("grafana", Role::Viewer));
        lines[0].hash = hash("dunlin-right");
        write(&file(&data), &lines).unwrap();
        let tokens = Tokens::open(&data).unwrap();
        let caller = Caller { name: "token:grafana".to_owned(), role: Role::Viewer };
        assert_eq!(tokens.find("dunlin-right"), Some(caller));
        assert_eq!(tokens.find("dunlin-wrong"), None);
        remove("grafana", &data).unwrap();
        assert!(remove("grafana", &data).is_err());
        assert_eq!(Tokens::open(&data).unwrap().find("dunlin-right"), None);
        fs::write(file(&data), "nonsense\n").unwrap();
        assert!(Tokens::open(&data).is_err());
        fs::remove_dir_all(data).unwrap();
    }
}
