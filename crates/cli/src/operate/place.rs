//! Which broker a command is about, and who asks.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dunlin_admin::{AskError, Asker, Place};
use dunlin_client::Tls;

use crate::data::Data;
use crate::failure::Failure;

/// The variable that holds a token.
const TOKEN: &str = "DUNLIN_TOKEN";

/// Where the broker is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    #[command(flatten)]
    data: Data,
    /// API of a broker elsewhere: http://HOST:PORT of this machine, or https://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    api: Option<String>,
    /// The token to show is the first line of this file; without it, DUNLIN_TOKEN holds one
    #[arg(long, value_name = "FILE", requires = "api")]
    token_file: Option<PathBuf>,
    /// Instead of a token, a user of the broker
    #[arg(
        long,
        value_name = "NAME",
        requires = "api",
        requires = "password_file",
        conflicts_with = "token_file"
    )]
    user: Option<String>,
    /// Its password is the first line of this file
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Trust the authorities in this file (PEM), not the system's
    #[arg(long, value_name = "FILE", requires = "api")]
    cafile: Option<PathBuf>,
}

impl Where {
    /// Somebody to ask.
    ///
    /// # Errors
    /// Where the URL is none, or a file cannot be read.
    pub(crate) fn asker(&self) -> Result<Asker, Failure> {
        let place = match &self.api {
            None => Place::Directory(self.data.directory()?),
            Some(url) => self.place(url)?,
        };
        let asker = Asker::new(place)?;
        if self.api.is_none() {
            return Ok(asker);
        }
        Ok(match (&self.user, &self.password_file, &self.token_file) {
            (Some(user), Some(file), _) => asker.with_password(user, &first_line(file)?),
            (_, _, Some(file)) => asker.with_token(&first_line(file)?),
            _ => match std::env::var(TOKEN) {
                Ok(token) => asker.with_token(&token),
                Err(_) => asker,
            },
        })
    }

    fn place(&self, url: &str) -> Result<Place, Failure> {
        let wrong = || Failure::Ask(format!("--api {url:?} is not http://HOST:PORT or https://HOST:PORT"));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let is_host = !host.is_empty() && !host.contains(['/', '@']);
        match scheme {
            "http" if is_host => Ok(Place::Plain { host: host.to_owned(), port }),
            "https" if is_host => {
                let tls = Tls { authorities: self.cafile.iter().cloned().collect(), ..Tls::default() };
                let config = tls.load().map_err(|error| Failure::Ask(error.to_string()))?;
                Ok(Place::Tls { host: host.to_owned(), port, config })
            }
            _ => Err(wrong()),
        }
    }
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::read(path, error))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err(Failure::EmptyPassword { path: path.to_owned() }) } else { Ok(line.to_owned()) }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::Ask(error.to_string())
    }
}
