//! `dunlin ca`: the authority itself.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use dunlin_security::authority::{
    Authority, AuthorityError, DAYS_OF_DEVICE, DAYS_OF_SERVER, DeviceName, Machine, Moment, Order, Reason,
    ServerName,
};

use super::hand_out::Target;
use super::{open, show};
use crate::data::Data;
use crate::failure::Failure;
use crate::{identity, say};

/// `dunlin ca`
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make an authority and a server certificate; `dunlin serve` does so by itself
    Init {
        /// Another name or address of this server; may be repeated
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<ServerName>,
        #[command(flatten)]
        data: Data,
    },
    /// Show the authority and what it issued
    Show {
        /// The authority's certificate instead, as PEM, for those who are to trust it
        #[arg(long)]
        pem: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Make another server certificate, with more names
    Server {
        /// A name or address to add; may be repeated
        #[arg(long = "name", value_name = "NAME")]
        names: Vec<ServerName>,
        /// One that was added and is to go; may be repeated
        #[arg(long, value_name = "NAME")]
        forget: Vec<ServerName>,
        #[command(flatten)]
        data: Data,
    },
    /// Issue a certificate: for a device that keeps its key, or for another server
    Issue(Issue),
    /// Take certificates back, by the name of a device or by serial number
    Revoke {
        /// Whose, or which
        #[arg(value_name = "NAME|SERIAL")]
        which: String,
        /// Why
        #[arg(long, value_enum, default_value_t = Why::Unspecified)]
        reason: Why,
        #[command(flatten)]
        data: Data,
    },
    /// Print the list of revoked certificates (CRL) as PEM
    Crl {
        #[command(flatten)]
        data: Data,
    },
    /// Renew what is about to end, or a device's certificate
    Renew(Renew),
}

/// `dunlin ca issue`
#[derive(Debug, Args)]
pub(crate) struct Issue {
    /// The Common Name, and what the files are called
    #[arg(value_name = "NAME")]
    name: DeviceName,
    /// A certificate signing request (PEM) of a device that keeps its key; only the key is taken from it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "pkcs12"])]
    csr: Option<PathBuf>,
    /// For a server
    #[arg(long)]
    server: bool,
    /// A name or address of that server; may be repeated
    #[arg(long = "name", value_name = "NAME", requires = "server")]
    names: Vec<ServerName>,
    /// How long it is valid; without it 730 for a device, 397 for a server
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    data: Data,
}

/// `dunlin ca renew`
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// A device: another certificate and key; those that it has stay valid until they end
    #[arg(value_name = "NAME")]
    name: Option<DeviceName>,
    /// The authority's own certificate: the same key for another ten years
    #[arg(long, conflicts_with = "name")]
    authority: bool,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    data: Data,
}

/// `--reason`
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Why {
    /// Not said
    Unspecified,
    /// Somebody else may have the key
    KeyCompromise,
    /// Another certificate takes its place
    Superseded,
    /// Out of service
    Ceased,
}

impl Ca {
    /// Does it.
    ///
    /// # Errors
    /// Where there is no authority, or a file cannot be written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let now = Moment::now();
        match self {
            Self::Init { names, data } => {
                let authority = Authority::create(&data.directory()?, &Machine::here(), names, now)?;
                say::line(&show::authority(&authority, now)?);
            }
            Self::Show { pem, data } => {
                let authority = open(&data.directory()?)?;
                say::line(&if *pem { authority.pem().to_owned() } else { show::authority(&authority, now)? });
            }
            Self::Server { names, forget, data } => {
                let authority = open(&data.directory()?)?;
                let made = authority.rename_server(names, forget, &Machine::here(), now)?;
                let names = made.names.join(", ");
                say::line(&format!("dunlin: server certificate until {} for {names}\n", made.ends));
            }
            Self::Issue(issue) => issue.run()?,
            Self::Revoke { which, reason, data } => revoke(&data.directory()?, which, *reason, now)?,
            Self::Crl { data } => {
                let path = open(&data.directory()?)?.files().revoked.clone();
                say::line(&fs::read_to_string(&path).map_err(|error| Failure::read(&path, error))?);
            }
            Self::Renew(renew) => renew.run(now)?,
        }
        Ok(())
    }
}

impl Issue {
    fn run(&self) -> Result<(), Failure> {
        let directory = self.data.directory()?;
        let authority = open(&directory)?;
        let name = self.name.clone();
        let order = match &self.csr {
            Some(path) => {
                let request = fs::read_to_string(path).map_err(|error| Failure::read(path, error))?;
                Order::Request(name, request)
            }
            None if self.server => Order::Server(name.to_string(), self.server_names()),
            None => Order::Device(name),
        };
        let days = self.days.unwrap_or(if self.server { DAYS_OF_SERVER } else { DAYS_OF_DEVICE });
        self.target.hand_out(&authority, &self.name, order, days, false)?;
        // Nobody else may have the client identifier of a device from now on.
        identity::tell(&directory);
        Ok(())
    }

    /// Without any, its own name is one.
    fn server_names(&self) -> Vec<ServerName> {
        if self.names.is_empty() {
            self.name.as_str().parse().into_iter().collect()
        } else {
            self.names.clone()
        }
    }
}

impl Renew {
    fn run(&self, now: Moment) -> Result<(), Failure> {
        let authority = open(&self.data.directory()?)?;
        if let Some(name) = &self.name {
            if authority.valid_of(name, now)?.is_empty() {
                return Err(AuthorityError::Unknown { name: name.to_string() }.into());
            }
            let order = Order::Device(name.clone());
            return self.target.hand_out(&authority, name, order, DAYS_OF_DEVICE, true).map(drop);
        }
        if self.authority {
            let renewed = authority.renew_authority(now)?;
            say::line(&format!(
                "dunlin: the authority is valid until {}; give clients the new file\n",
                renewed.ends
            ));
            return Ok(());
        }
        let renewed = authority.renew(&Machine::here(), now)?;
        let said = |is_new, what| {
            let done = if is_new { "renewed" } else { "still good" };
            say::line(&format!("dunlin: {what}: {done}\n"));
        };
        said(renewed.server, "server certificate");
        said(renewed.list, "list of revoked certificates");
        Ok(())
    }
}

fn revoke(directory: &Path, which: &str, why: Why, now: Moment) -> Result<(), Failure> {
    let authority = open(directory)?;
    let issued = authority.issued()?;
    let is_meant = |subject: &str, serial: String| subject == which || serial == which.to_ascii_lowercase();
    let meant: Vec<_> = issued
        .iter()
        .filter(|issued| issued.is_valid(now))
        .map(|issued| &issued.certificate)
        .filter(|certificate| is_meant(&certificate.subject, certificate.serial.to_string()))
        .collect();
    if meant.is_empty() {
        return Err(AuthorityError::Unknown { name: which.to_owned() }.into());
    }
    authority.revoke(meant.iter().map(|certificate| &certificate.serial), why.into(), now)?;
    identity::tell(directory);
    for certificate in meant {
        say::line(&format!("dunlin: taken back: {} (serial {})\n", certificate.subject, certificate.serial));
    }
    Ok(())
}

impl From<Why> for Reason {
    fn from(why: Why) -> Self {
        match why {
            Why::Unspecified => Self::Unspecified,
            Why::KeyCompromise => Self::KeyCompromise,
            Why::Superseded => Self::Superseded,
            Why::Ceased => Self::Ceased,
        }
    }
}
