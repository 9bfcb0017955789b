//! The authority itself: a self-signed certificate, its key, and the directory that they lie in.
//!
//! In:    a data directory, orders, the time.
//! Out:   `DATA/pki/` with everything that a TLS listener needs, from the first moment on.
//! Never: half an authority: it is made beside its place and moved there when it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::files::{self, PUBLIC, SECRET, fault, lock, make_directory, sync_directory, write_file};
use super::issue::{called, serial};
use super::secret::fill;
use super::{
    AuthorityError, Certificate, DAYS_OF_SERVER, DeviceName, Issued, Machine, Moment, Order, Reason,
    Revocations, ServerName, register,
};

/// The authority's certificate lasts for this many days, ten years: whoever trusts it must be visited when it ends.
pub const DAYS_OF_AUTHORITY: u32 = 3650;

/// The files of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The data directory.
    pub data: PathBuf,
    /// `DATA/pki`, which only its owner enters.
    pub directory: PathBuf,
    /// What clients trust.
    pub authority: PathBuf,
    /// What must never leave the machine.
    pub authority_key: PathBuf,
    /// What the server shows.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// The list of what was taken back.
    pub revoked: PathBuf,
    /// Names of the server that somebody added, one on a line.
    pub names: PathBuf,
    /// A copy of each certificate.
    pub issued: PathBuf,
}

/// A certificate authority that can sign.
pub struct Authority {
    pub(super) files: Files,
    pub(super) certificate: Certificate,
    pub(super) pem: String,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Files {
    /// Those of a data directory, whether there are any or not.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self::at(data, data.join("pki"))
    }

    fn at(data: &Path, directory: PathBuf) -> Self {
        Self {
            data: data.to_owned(),
            authority: directory.join("authority.crt"),
            authority_key: directory.join("authority.key"),
            server: directory.join("server.crt"),
            server_key: directory.join("server.key"),
            revoked: directory.join("revoked.crl"),
            names: directory.join("server.names"),
            issued: directory.join("issued"),
            directory,
        }
    }

    /// Is there an authority?
    #[must_use]
    pub fn exist(&self) -> bool {
        self.directory.exists()
    }
}

impl Authority {
    /// Makes an authority and a server certificate for the machine.
    ///
    /// # Errors
    /// Where there is one already, and where the directory cannot be written. Then nothing was made.
    pub fn create(
        data: &Path,
        machine: &Machine,
        extra: &[ServerName],
        now: Moment,
    ) -> Result<Self, AuthorityError> {
        make_directory(data)?;
        let _lock = lock(data)?;
        let files = Files::of(data);
        if files.exist() {
            return Err(AuthorityError::Exists { directory: data.to_owned() });
        }
        // One that was interrupted is of no use to anybody.
        let beside = Files::at(data, data.join(".pki.new"));
        if beside.directory.exists() {
            fs::remove_dir_all(&beside.directory).map_err(fault("remove", &beside.directory))?;
        }
        make_directory(&beside.issued)?;
        self_signed(&beside, machine, now)?;
        let authority = Self::read(beside.clone())?;
        authority.write_revocations(&mut Revocations::new(now), now)?;
        authority.write_names(extra)?;
        authority.issue_server(machine, now)?;
        let moved = fs::rename(&beside.directory, &files.directory).and_then(|()| sync_directory(data));
        moved.map_err(fault("make", &files.directory))?;
        Ok(Self { files, ..authority })
    }

    /// The authority of a data directory.
    ///
    /// # Errors
    /// Where there is none, or its files cannot be used.
    pub fn open(data: &Path) -> Result<Self, AuthorityError> {
        let files = Files::of(data);
        if !files.exist() {
            return Err(AuthorityError::Missing { directory: data.to_owned() });
        }
        Self::read(files)
    }

    fn read(files: Files) -> Result<Self, AuthorityError> {
        let pem = files::read(&files.authority)?;
        let certificate = Certificate::from_pem(pem.as_bytes())
            .map_err(|error| unusable(&files.authority, &error, "the certificate of the authority"))?;
        let expected = "the authority's private key (PEM, not encrypted)";
        let key = KeyPair::from_pem(&files::read(&files.authority_key)?)
            .map_err(|error| unusable(&files.authority_key, &error, expected))?;
        let issuer = Issuer::from_ca_cert_der(&certificate.der().into(), key)
            .map_err(|error| unusable(&files.authority, &error, "the certificate of the authority"))?;
        Ok(Self { files, certificate, pem, issuer })
    }

    /// Its files.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Its own certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its own certificate as PEM, for those who are to trust it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Everything that it issued.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn issued(&self) -> Result<Vec<Issued>, AuthorityError> {
        register::list(&self.files.issued, &self.revocations()?)
    }

    /// The valid certificates of a device.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn valid_of(&self, name: &DeviceName, now: Moment) -> Result<Vec<Issued>, AuthorityError> {
        let mut issued = self.issued()?;
        issued.retain(|issued| {
            let certificate = &issued.certificate;
            certificate.for_clients && certificate.subject == name.as_str() && issued.is_valid(now)
        });
        Ok(issued)
    }

    /// The certificates that were taken back.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn revocations(&self) -> Result<Revocations, AuthorityError> {
        let path = &self.files.revoked;
        Revocations::from_pem(files::read(path)?.as_bytes())
            .map_err(|error| unusable(path, &error, "the authority's list of revoked certificates"))
    }

    /// Takes certificates back; how many had not been before. The list is replaced before this returns.
    ///
    /// # Errors
    /// Where it cannot be: then all are as valid as before.
    pub fn revoke<'a>(
        &self,
        serials: impl IntoIterator<Item = &'a super::Serial>,
        reason: Reason,
        now: Moment,
    ) -> Result<usize, AuthorityError> {
        let _lock = lock(&self.files.data)?;
        let mut list = self.revocations()?;
        let added = serials.into_iter().filter(|serial| list.add(serial, reason, now)).count();
        if added > 0 {
            self.write_revocations(&mut list, now)?;
        }
        Ok(added)
    }

    pub(super) fn write_revocations(
        &self,
        list: &mut Revocations,
        now: Moment,
    ) -> Result<(), AuthorityError> {
        let pem = list.sign(&self.issuer, now)?;
        write_file(&self.files.revoked, pem.as_bytes(), PUBLIC)
    }

    /// Makes another certificate for the server.
    pub(super) fn issue_server(&self, machine: &Machine, now: Moment) -> Result<Certificate, AuthorityError> {
        let order = Order::Server(machine.host.clone(), self.server_names(machine)?);
        let signed = order.sign(&self.issuer, self.certificate.ends, DAYS_OF_SERVER, now)?;
        register::add(&self.files.issued, &signed)?;
        // Whoever finds the new key with the old certificate waits for the other: the certificate comes last.
        let key = signed.key_pem.as_deref().unwrap_or_default();
        write_file(&self.files.server_key, key.as_bytes(), SECRET)?;
        write_file(&self.files.server, signed.certificate_pem.as_bytes(), PUBLIC)?;
        Ok(signed.certificate)
    }
}

fn self_signed(files: &Files, machine: &Machine, now: Moment) -> Result<(), AuthorityError> {
    let mut tag = [0; 3];
    fill(&mut tag)?;
    let [a, b, c] = tag;
    // Two authorities of one machine must not have the same name: clients would take one for the other.
    let host: String = machine.host.chars().take(32).collect();
    let key = KeyPair::generate()?;
    let until = now.plus_days(DAYS_OF_AUTHORITY.into());
    let name = format!("Dunlin {host} {a:02x}{b:02x}{c:02x}");
    let certificate = authority_params(&name, until, now)?.self_signed(&key)?;
    write_file(&files.authority_key, key.serialize_pem().as_bytes(), SECRET)?;
    write_file(&files.authority, certificate.pem().as_bytes(), PUBLIC)
}

pub(super) fn authority_params(
    name: &str,
    until: Moment,
    now: Moment,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    params.serial_number = Some(serial()?);
    params.not_before = now.an_hour_before().date_time();
    params.not_after = until.date_time();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

pub(super) fn unusable(
    path: &Path,
    problem: &dyn std::fmt::Display,
    expected: &'static str,
) -> AuthorityError {
    AuthorityError::Unusable { path: path.to_owned(), problem: problem.to_string(), expected }
}
