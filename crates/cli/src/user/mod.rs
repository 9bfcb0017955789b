//! `dunlin user`: who has a password.
//!
//! In:    names, passwords from a terminal, a file or made up.
//! Out:   the file of users that the running server has, or that of the data directory; the server has read it again.
//! Never: a password on the command line, where every process of the machine sees it.

mod prompt;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use dunlin_security::authority::{make_directory, secret, settle_owner};
use dunlin_security::identity::{Secret, password};
use serde_json::json;

use crate::data::Data;
use crate::failure::Failure;
use crate::{identity, say};

/// `dunlin user`
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user with a password
    Add {
        /// User name
        #[arg(value_name = "NAME")]
        name: String,
        /// A group that the user belongs to; may be repeated
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        #[command(flatten)]
        password: Source,
        #[command(flatten)]
        data: Data,
    },
    /// Give a user another password
    Passwd {
        /// User name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        password: Source,
        #[command(flatten)]
        data: Data,
    },
    /// Remove a user
    Remove {
        /// User name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// List users and their groups
    List {
        #[command(flatten)]
        data: Data,
        /// One JSON object on a line for each user
        #[arg(long)]
        json: bool,
    },
}

/// Where a password comes from.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The password is the first line of this file; - is standard input. Without it, the terminal asks
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Make a password up and show it once
    #[arg(long, conflicts_with = "password_file")]
    generate: bool,
}

/// The file of users of a data directory.
pub(crate) fn file(data: &Path) -> PathBuf {
    data.join("users")
}

/// Adds a user with a password that is made up; the password.
///
/// # Errors
/// Where there is one of that name, or the file cannot be written.
pub(crate) fn generate(data: &Path, name: &str, groups: &[String]) -> Result<String, Failure> {
    let made_up = secret()?;
    add(data, name, &Secret::new(made_up.as_bytes()), groups)?;
    Ok(made_up)
}

/// Adds a user.
///
/// # Errors
/// Where there is one of that name, or the file cannot be written.
pub(crate) fn add(data: &Path, name: &str, password: &Secret, groups: &[String]) -> Result<(), Failure> {
    make_directory(data)?;
    let file = identity::users(data);
    password::add(&file, name, password, true)?;
    let groups: Vec<_> = groups.iter().map(String::as_str).collect();
    if !groups.is_empty()
        && let Err(error) = password::set_groups(&file, name, &groups)
    {
        password::remove(&file, name)?;
        return Err(error.into());
    }
    settle(&file)?;
    identity::tell(data);
    Ok(())
}

/// What root wrote is the service's, which reads it.
fn settle(file: &Path) -> Result<(), Failure> {
    settle_owner(file)?;
    let lock = file.with_extension("lock");
    if lock.exists() {
        settle_owner(&lock)?;
    }
    Ok(())
}

/// Removes a user; false where there is none of that name.
///
/// # Errors
/// Where the file cannot be written.
pub(crate) fn remove_if_there(data: &Path, name: &str) -> Result<bool, Failure> {
    let file = identity::users(data);
    let is_there = password::list(&file)?.get(name).is_some();
    if is_there {
        password::remove(&file, name)?;
        settle(&file)?;
        identity::tell(data);
    }
    Ok(is_there)
}

impl User {
    /// Does it.
    ///
    /// # Errors
    /// Where the file of users cannot be changed so.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Add { name, groups, password, data } => {
                let password = password.get(name)?;
                add(&data.directory()?, name, &password.secret, groups)?;
                password.show(name);
            }
            Self::Passwd { name, password, data } => {
                let password = password.get(name)?;
                let directory = data.directory()?;
                let file = identity::users(&directory);
                password::set_password(&file, name, &password.secret, true)?;
                settle(&file)?;
                identity::tell(&directory);
                password.show(name);
            }
            Self::Remove { name, data } => {
                let directory = data.directory()?;
                let file = identity::users(&directory);
                password::remove(&file, name)?;
                settle(&file)?;
                identity::tell(&directory);
                say::line(&format!("dunlin: {name} removed\n"));
            }
            Self::List { data, json } => list(&identity::users(&data.directory()?), *json)?,
        }
        Ok(())
    }
}

fn list(file: &Path, is_json: bool) -> Result<(), Failure> {
    let mut text = String::new();
    for (name, user) in password::list(file)?.iter() {
        text.push_str(&if is_json {
            let groups: Vec<_> = user.groups.iter().map(|group| &**group).collect();
            format!("{}\n", json!({ "name": name, "groups": groups }))
        } else if user.groups.is_empty() {
            format!("{name}\n")
        } else {
            format!("{name}  ({})\n", user.groups.join(", "))
        });
    }
    say::line(&text);
    Ok(())
}

/// A password, and whether its owner knows it.
struct Given {
    secret: Secret,
    made_up: Option<String>,
}

impl Source {
    fn get(&self, name: &str) -> Result<Given, Failure> {
        if self.generate {
            let made_up = secret()?;
            return Ok(Given { secret: Secret::new(made_up.as_bytes()), made_up: Some(made_up) });
        }
        let line = match &self.password_file {
            Some(path) if path.as_os_str() == "-" => first_line(path, &mut io::stdin().lock())?,
            Some(path) => {
                let mut file = std::fs::File::open(path).map_err(|error| Failure::read(path, error))?;
                first_line(path, &mut file)?
            }
            None => prompt::twice(&format!("password of {name}"))?,
        };
        Ok(Given { secret: Secret::new(line.into_bytes()), made_up: None })
    }
}

impl Given {
    fn show(&self, name: &str) {
        say::line(&match &self.made_up {
            Some(password) => format!("dunlin: the password of {name}, shown once: {password}\n"),
            None => format!("dunlin: {name} has the password that was given\n"),
        });
    }
}

/// Longest password that is read, in bytes; MQTT would allow 65,535.
const LONGEST: u64 = 4096;

fn first_line(path: &Path, from: &mut dyn Read) -> Result<String, Failure> {
    let mut text = String::new();
    from.take(LONGEST).read_to_string(&mut text).map_err(|error| Failure::read(path, error))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Failure::EmptyPassword { path: path.to_owned() }),
    }
}
