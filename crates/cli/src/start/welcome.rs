//! How to go on after the first start.

use std::path::Path;

use crate::authority::publish_commands;
use crate::data::Data;

/// A device of the examples.
const DEVICE: &str = "sensor-1";

/// The commands that add a device and publish from it.
pub(super) fn text(directory: &Path, data: &Data, urls: &[String]) -> String {
    let port = urls.iter().find_map(|url| url.strip_prefix("tls://")?.rsplit(':').next()?.parse().ok());
    let identity =
        format!("--cafile {DEVICE}/authority.crt --cert {DEVICE}/{DEVICE}.crt --key {DEVICE}/{DEVICE}.key");
    let mut text = format!(
        "\nCertificates and users are in {}.\n\
         A client shows a certificate of this authority, or the password of a user. Add a device:\n  dunlin device add {DEVICE}{}\n",
        directory.display(),
        data.flag()
    );
    if let Some(port) = port {
        text.push_str("Publish from it, with either of\n");
        text.push_str(&publish_commands("localhost", port, &identity, DEVICE));
    }
    text
}
