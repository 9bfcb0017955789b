//! What ends and must not: the server's certificate, the list of revoked ones, the authority itself.
//!
//! In:    the time, the names of the machine.
//! Out:   new files, before the old ones are of no use.
//! Never: a device's certificate: somebody has to carry that to the device.

use std::collections::BTreeSet;

use rcgen::KeyPair;

use super::files::{self, PUBLIC, lock, write_file};
use super::revocation::DAYS as DAYS_OF_LIST;
use super::root::{authority_params, unusable};
use super::{
    Authority, AuthorityError, Certificate, DAYS_OF_AUTHORITY, DAYS_OF_SERVER, Machine, Moment, ServerName,
    register,
};

/// How long the record of an expired certificate is kept, in days: somebody may ask why a device stopped.
const DAYS_OF_MEMORY: i64 = 90;

/// What was renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// The server's certificate: it was about to end, lacked a name of the machine, or could not be used.
    pub server: bool,
    /// The list of revoked certificates.
    pub list: bool,
}

impl Authority {
    /// Renews what has lived for two thirds of its time, and the server's certificate where the machine has other names.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn renew(&self, machine: &Machine, now: Moment) -> Result<Renewed, AuthorityError> {
        let _lock = lock(&self.files.data)?;
        let mut renewed = Renewed::default();
        if self.server_is_due(machine, now)? {
            self.issue_server(machine, now)?;
            renewed.server = true;
        }
        let mut list = self.revocations()?;
        if now.days_until(list.next) < DAYS_OF_LIST / 2 {
            let expired = self.forget_expired(now)?;
            list.forget(|serial| expired.contains(serial));
            self.write_revocations(&mut list, now)?;
            renewed.list = true;
        }
        Ok(renewed)
    }

    /// Gives the authority's own certificate another ten years. Name and key stay, so what it issued stays valid, and
    /// clients that trust the old certificate go on until that one ends.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn renew_authority(&self, now: Moment) -> Result<Certificate, AuthorityError> {
        let _lock = lock(&self.files.data)?;
        let until = now.plus_days(DAYS_OF_AUTHORITY.into());
        let params = authority_params(&self.certificate.subject, until, now)?;
        let certificate = params.self_signed(self.issuer.key())?;
        write_file(&self.files.authority, certificate.pem().as_bytes(), PUBLIC)?;
        Ok(Certificate::from_der(certificate.der())?)
    }

    /// The names of the server: those of the machine and those that were added.
    ///
    /// # Errors
    /// Where the file of names cannot be read.
    pub fn server_names(&self, machine: &Machine) -> Result<Vec<ServerName>, AuthorityError> {
        let mut names = machine.names.clone();
        for name in self.added_names()? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The names that were added.
    ///
    /// # Errors
    /// Where the file of names cannot be read.
    pub fn added_names(&self) -> Result<Vec<ServerName>, AuthorityError> {
        let path = &self.files.names;
        let text = files::read(path)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parse = |line: &str| {
            line.parse().map_err(|error| unusable(path, &error, "a name or an address on a line"))
        };
        lines.map(parse).collect()
    }

    /// Adds names to the server's certificate and takes others off it. Those of the machine stay.
    ///
    /// # Errors
    /// Where the certificate cannot be written.
    pub fn rename_server(
        &self,
        add: &[ServerName],
        forget: &[ServerName],
        machine: &Machine,
        now: Moment,
    ) -> Result<Certificate, AuthorityError> {
        let _lock = lock(&self.files.data)?;
        let mut names = self.added_names()?;
        names.retain(|name| !forget.contains(name));
        for name in add {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        self.write_names(&names)?;
        self.issue_server(machine, now)
    }

    pub(super) fn write_names(&self, names: &[ServerName]) -> Result<(), AuthorityError> {
        let mut text = String::from(
            "# Names and addresses of this server beside those of the machine, one on a line.\n",
        );
        names.iter().for_each(|name| text.push_str(&format!("{name}\n")));
        write_file(&self.files.names, text.as_bytes(), PUBLIC)
    }

    /// The server's certificate; `None` where the file has none that can be read.
    #[must_use]
    pub fn server(&self) -> Option<Certificate> {
        Certificate::from_pem(&std::fs::read(&self.files.server).ok()?).ok()
    }

    fn server_is_due(&self, machine: &Machine, now: Moment) -> Result<bool, AuthorityError> {
        let Some(server) = self.server() else { return Ok(true) };
        let has: BTreeSet<_> = server.names.iter().cloned().collect();
        let lacks_one = self.server_names(machine)?.iter().any(|name| !has.contains(&name.to_string()));
        // What ends with the authority gains nothing from being made again.
        let is_old = now.days_until(server.ends) < i64::from(DAYS_OF_SERVER) / 3;
        Ok(lacks_one || is_old && server.ends < self.certificate.ends || !self.server_key_fits(&server))
    }

    /// Key and certificate are written one after the other: whoever was interrupted in between left two that do not fit.
    fn server_key_fits(&self, server: &Certificate) -> bool {
        let Ok(pem) = files::read(&self.files.server_key) else { return false };
        KeyPair::from_pem(&pem).is_ok_and(|key| server.is_of_key(key.public_key_raw()))
    }

    /// Removes the records of what expired long ago; their serial numbers.
    fn forget_expired(&self, now: Moment) -> Result<BTreeSet<super::Serial>, AuthorityError> {
        let mut expired = BTreeSet::new();
        for issued in self.issued()? {
            if issued.certificate.ends.plus_days(DAYS_OF_MEMORY) < now {
                register::remove(&self.files.issued, &issued.certificate.serial)?;
                expired.insert(issued.certificate.serial);
            }
        }
        Ok(expired)
    }
}
