//! Unix sockets to listen on.
//!
//! In:    a path, and who may connect.
//! Out:   one listening socket; its file, which goes with it.
//! Never: removes a file that is no socket, or a socket that somebody listens on.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::PathBuf;

use mio::net::UnixListener;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::listen::BACKLOG;

/// A Unix socket as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where its file is.
    pub path: PathBuf,
    /// Who may connect: those whom the mode of the file lets write.
    pub mode: u32,
}

/// The file of a socket that is listened on; removed when this is dropped, unless another has taken its place. To be
/// dropped before the socket: afterwards somebody may take the place at any time.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Listens on a path. A file that a process left behind when it was killed is replaced.
///
/// # Errors
/// `AddrInUse` where somebody listens there; `AlreadyExists` where the file is no socket; as the file system says.
pub(crate) fn bind(address: &UnixSocket) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(address)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&address.path)?)?;
    let file = SocketFile { path: address.path.clone(), identity: identity(&address.path)? };
    // Before it listens, nobody can connect: there is no moment at which too many may.
    fs::set_permissions(&address.path, fs::Permissions::from_mode(address.mode))?;
    socket.listen(BACKLOG)?;
    let listener = UnixListener::from_std(net::UnixListener::from(OwnedFd::from(socket)));
    Ok((listener, file))
}

fn remove_stale(address: &UnixSocket) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(&address.path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists and is no socket"));
    }
    match net::UnixStream::connect(&address.path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&address.path),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

fn identity(path: &std::path::Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Whoever comes next replaces what is left.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &str) -> UnixSocket {
        let path = std::env::temp_dir().join(format!("dunlin-net-{}-{name}", std::process::id()));
        UnixSocket { path, mode: 0o600 }
    }

    #[test]
    fn the_file_has_the_mode_and_goes_with_the_listener() {
        let address = address("mode");
        let (_listener, file) = bind(&address).unwrap();
        assert_eq!(fs::metadata(&address.path).unwrap().mode() & 0o777, 0o600);
        drop(file);
        assert!(!address.path.exists());
    }

    #[test]
    fn a_socket_in_use_is_left_alone_and_a_stale_one_replaced() {
        let address = address("stale");
        let (listener, file) = bind(&address).unwrap();
        assert_eq!(bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);

        drop(listener);
        std::mem::forget(file); // As if it had been killed: the file stays.
        let (_listener, second) = bind(&address).unwrap();
        drop(second);
        assert!(!address.path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let address = address("file");
        fs::write(&address.path, "precious").unwrap();
        assert_eq!(bind(&address).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&address.path).unwrap(), "precious");
        fs::remove_file(&address.path).unwrap();
    }
}
