//! The broker's process, where it is on this machine: found by its port, read from /proc.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds on a processor, of all threads, in user and system mode.
    pub(crate) cpu: f64,
    /// Resident bytes.
    pub(crate) memory: u64,
}

/// A process that is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) pid: u32,
    pub(crate) name: String,
}

/// In the state LISTEN, as /proc/net/tcp writes it.
const LISTEN: &str = "0A";

impl Probe {
    /// The process of this id, or else the one that listens at this address, if that is on this machine and visible.
    pub(crate) fn find(address: SocketAddr, pid: Option<u32>) -> Option<Self> {
        let pid = match pid {
            Some(pid) => pid,
            None if is_here(address) => listener(address.port())?,
            None => return None,
        };
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned();
        Some(Self { pid, name })
    }

    /// `None` when it has ended.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        Some(Usage { cpu: cpu_seconds(&stat)?, memory: resident(&statm)? })
    }
}

#[allow(clippy::cast_precision_loss, reason = "a measurement")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the process, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// A route to one's own address begins at that address.
fn is_here(address: SocketAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == address.ip())
}

/// Who listens on a TCP port.
fn listener(port: u16) -> Option<u32> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|table| table.lines().filter_map(|line| listening_inode(line, port)).collect::<Vec<_>>())
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let files = fs::read_dir(entry.path().join("fd")).ok()?;
        let mut links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
        links.any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str())).then_some(pid)
    })
}

/// The socket of a line of /proc/net/tcp, as links in /proc/PID/fd name it, if it listens on this port.
fn listening_inode(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace();
    let (_, local) = fields.nth(1)?.rsplit_once(':')?;
    let is_wanted = u16::from_str_radix(local, 16).ok()? == port && fields.nth(1)? == LISTEN;
    let inode = fields.nth(5)?;
    is_wanted.then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_found_by_its_port_and_is_this_process() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let probe = Probe::find(socket.local_addr().unwrap(), None).unwrap();
        assert_eq!(probe.pid, std::process::id());
        assert!(probe.usage().unwrap().memory > 0);
    }

    #[test]
    fn elsewhere_nobody_is_looked_for() {
        assert!(!is_here(SocketAddr::from(([192, 0, 2, 1], 1883))));
    }

    #[test]
    fn the_files_of_proc_are_read_as_they_are_written() {
        let line = "   0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1";
        assert_eq!(listening_inode(line, 1883).as_deref(), Some("socket:[1234]"));
        assert_eq!(listening_inode(line, 1884), None);
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), 1883), None, "not listening");
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = format!("5 (a) b) S 1 1 1 0 -1 0 0 0 0 0 {} {} 0 0 20", ticks * 2, ticks);
        assert_eq!(cpu_seconds(&stat), Some(3.0));
        assert_eq!(resident("100 2 1 1"), Some(2 * rustix::param::page_size() as u64));
    }
}
