//! A broker that runs for one measurement.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::file::{Broker, Scenario};

/// How long it may take to listen, and to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process of our own; it ends with this value, and its folder goes.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Running {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) fn start(broker: &Broker, scenario: &Scenario) -> Result<Self, String> {
        let port = free_port().map_err(|error| error.to_string())?;
        let folder = std::env::temp_dir().join(format!("dunlin-suite-{}-{port}", std::process::id()));
        let data = folder.join("data");
        fs::create_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        let config = folder.join("config.toml");
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string())
                .replace("{data}", &data.display().to_string())
                .replace("{config}", &config.display().to_string())
        };
        fs::write(&config, fill(&broker.config)).map_err(|error| format!("{}: {error}", config.display()))?;
        let more = scenario.arguments.get(&broker.name).into_iter().flatten();
        let words: Vec<String> = broker.command.iter().chain(more).map(|word| fill(word)).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let child = command.stderr(log).spawn().map_err(|error| format!("{}: {error}", words[0]))?;
        let mut running = Self { child, port, folder };
        running.wait_until_it_listens()?;
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident bytes now.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("it ended: {status}: {}", self.last_words()));
            }
            if Instant::now() >= until {
                return Err(format!("it does not listen after {PATIENCE:?}: {}", self.last_words()));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().rev().take(3).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has nothing that is worth a clean end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        eprintln!("{}: {error}", folder.display());
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
