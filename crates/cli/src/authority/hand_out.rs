//! Certificates for others: the flags, the files, and the commands that use them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use dunlin_security::authority::{
    Authority, DeviceName, HandOut as Wanted, Handed, HandedFiles, Moment, Order, secret,
};

use crate::data::shell;
use crate::failure::Failure;
use crate::say;

/// Where a certificate goes, and in which form.
#[derive(Clone, Debug, Args)]
pub(super) struct Target {
    /// Directory for the files, made where it is not there; without it, one that is called NAME
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Also write NAME.p12 (PKCS#12) with certificate, key and authority, under a password that is shown
    #[arg(long)]
    pub(super) pkcs12: bool,
    /// The password of NAME.p12, in a file; without it, one is made up
    #[arg(long, value_name = "FILE", requires = "pkcs12")]
    pub(super) pkcs12_password_file: Option<PathBuf>,
}

impl Target {
    /// Issues and writes; says what was written.
    pub(super) fn hand_out(
        &self,
        authority: &Authority,
        name: &DeviceName,
        order: Order,
        days: u32,
        again: bool,
    ) -> Result<Handed, Failure> {
        let password = self.password()?;
        let usual = PathBuf::from(name.as_str());
        let directory = self.out.as_deref().unwrap_or(&usual);
        let wanted = Wanted { order, name, directory, days, pkcs12: password.as_deref(), again };
        let handed = authority.hand_out(&wanted, Moment::now())?;
        say::line(&written(
            name,
            &handed,
            password.as_deref().filter(|_| self.pkcs12_password_file.is_none()),
        ));
        Ok(handed)
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        match &self.pkcs12_password_file {
            Some(path) => read_secret(path).map(Some),
            None if self.pkcs12 => Ok(Some(secret()?)),
            None => Ok(None),
        }
    }
}

/// The first line of a file.
pub(super) fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::read(path, error))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::EmptyPassword { path: path.to_owned() });
    }
    Ok(line.to_owned())
}

fn written(name: &DeviceName, handed: &Handed, password: Option<&str>) -> String {
    let HandedFiles { certificate_file, key_file, authority_file, pkcs12_file } = &handed.files;
    let mut text = format!("dunlin: {name} has a certificate until {}\n", handed.certificate.ends);
    let rows = [
        ("certificate", Some(certificate_file)),
        ("key", key_file.as_ref()),
        ("authority", Some(authority_file)),
        ("PKCS#12", pkcs12_file.as_ref()),
    ];
    for (what, path) in rows {
        if let Some(path) = path {
            text.push_str(&format!("  {what:<12} {}\n", path.display()));
        }
    }
    if let Some(password) = password {
        text.push_str(&format!("  {:<12} {password}   (of the PKCS#12 file; shown once)\n", "password"));
    }
    text
}

/// The commands with which a device publishes for the first time.
pub(super) fn first_publish(name: &DeviceName, files: &HandedFiles) -> String {
    let Some(key) = &files.key_file else { return String::new() };
    let path = |path: &Path| shell(&path.display().to_string());
    let identity = format!(
        "--cafile {} --cert {} --key {}",
        path(&files.authority_file),
        path(&files.certificate_file),
        path(key)
    );
    publish_commands("localhost", 8883, &identity, name.as_str())
}

/// The same publish with mosquitto_pub and with `dunlin pub`.
pub(crate) fn publish_commands(host: &str, port: u16, identity: &str, device: &str) -> String {
    let port = if port == 8883 { String::new() } else { format!(" -p {port}") };
    let mosquitto = if port.is_empty() { " -p 8883".to_owned() } else { port.clone() };
    let message = format!("-i {device} -t devices/{device}/temperature -m 21.5 -q 1");
    format!(
        "  mosquitto_pub -h {host}{mosquitto} {identity} {message}\n  dunlin pub -h {host}{port} {identity} {message}\n"
    )
}
