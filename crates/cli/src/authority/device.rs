//! `dunlin device`: who has a certificate.

use clap::{Args, Subcommand};
use dunlin_security::authority::{AuthorityError, DAYS_OF_DEVICE, DeviceName, Issued, Moment, Order, Reason};
use serde_json::json;

use super::hand_out::{Target, first_publish};
use super::open;
use super::show::state;
use crate::data::Data;
use crate::failure::Failure;
use crate::{identity, say, user};

const ADD: &str = "\
Examples:
  dunlin device add pump-7
      pump-7/pump-7.crt, pump-7/pump-7.key and pump-7/authority.crt, which is what pump-7 needs.
  dunlin device add pump-7 --out /media/stick --pkcs12
      The same on a stick, and a PKCS#12 file whose password is shown.";

/// `dunlin device`
#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Issue a certificate and a key to a device
    #[command(after_help = ADD)]
    Add(Add),
    /// List devices and until when their certificates are valid
    List {
        #[command(flatten)]
        data: Data,
        /// One JSON object on a line for each certificate
        #[arg(long)]
        json: bool,
    },
    /// Take a device's certificates back
    Remove {
        /// Which
        #[arg(value_name = "NAME")]
        name: DeviceName,
        #[command(flatten)]
        data: Data,
    },
}

/// `dunlin device add`
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name: the Common Name of its certificate and the start of its topics, devices/NAME/
    #[arg(value_name = "NAME")]
    name: DeviceName,
    #[command(flatten)]
    target: Target,
    /// Instead of a certificate, a user NAME with a password that is made up and shown once
    #[arg(long, conflicts_with_all = ["out", "pkcs12", "pkcs12_password_file", "days"])]
    password: bool,
    /// How long the certificate is valid
    #[arg(long, value_name = "DAYS", default_value_t = DAYS_OF_DEVICE)]
    days: u32,
    #[command(flatten)]
    data: Data,
}

impl Device {
    /// Does it.
    ///
    /// # Errors
    /// Where there is no authority, or a file cannot be written.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(),
            Self::List { data, json } => list(data, *json),
            Self::Remove { name, data } => remove(name, data),
        }
    }
}

impl Add {
    fn run(&self) -> Result<(), Failure> {
        let directory = self.data.directory()?;
        if self.password {
            let password = user::generate(&directory, self.name.as_str(), &[])?;
            say::line(&format!("dunlin: {} has a password, shown once: {password}\n", self.name));
            return Ok(());
        }
        let authority = open(&directory)?;
        let order = Order::Device(self.name.clone());
        let handed = self.target.hand_out(&authority, &self.name, order, self.days, false)?;
        identity::tell(&directory);
        say::line(&format!("\nPublish from it:\n{}", first_publish(&self.name, &handed.files)));
        Ok(())
    }
}

fn list(data: &Data, is_json: bool) -> Result<(), Failure> {
    let now = Moment::now();
    let mut devices = open(&data.directory()?)?.issued()?;
    devices.retain(|issued| issued.certificate.for_clients);
    let width = devices.iter().map(|issued| issued.certificate.subject.len()).max().unwrap_or(0).max(4);
    let mut text = String::new();
    if !is_json && !devices.is_empty() {
        text.push_str(&format!("{:<width$}  {:<20}  {:<14}  SERIAL\n", "NAME", "VALID UNTIL", "STATE"));
    }
    for Issued { certificate, revoked } in &devices {
        let state = state(certificate, *revoked, now);
        text.push_str(&if is_json {
            let object = json!({
                "name": certificate.subject, "serial": certificate.serial.to_string(), "state": state,
                "valid_until": certificate.ends.unix(), "revoked": revoked.map(Moment::unix),
            });
            format!("{object}\n")
        } else {
            let (name, ends) = (&certificate.subject, certificate.ends.to_string());
            format!("{name:<width$}  {ends:<20}  {state:<14}  {}\n", certificate.serial)
        });
    }
    say::line(&text);
    Ok(())
}

fn remove(name: &DeviceName, data: &Data) -> Result<(), Failure> {
    let directory = data.directory()?;
    let authority = open(&directory)?;
    let now = Moment::now();
    let valid = authority.valid_of(name, now)?;
    let had_password = user::remove_if_there(&directory, name.as_str())?;
    if had_password {
        say::line(&format!("dunlin: {name}: password taken back\n"));
    } else if valid.is_empty() {
        return Err(AuthorityError::Unknown { name: name.to_string() }.into());
    }
    if valid.is_empty() {
        return Ok(());
    }
    let serials = valid.iter().map(|issued| &issued.certificate.serial);
    let count = authority.revoke(serials, Reason::Ceased, now)?;
    identity::tell(&directory);
    say::line(&format!(
        "dunlin: {name}: {count} certificate{} taken back\n",
        if count == 1 { "" } else { "s" }
    ));
    Ok(())
}
