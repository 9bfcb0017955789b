//! What the operating system knows of the process.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// When the first look was taken, which is when the process began, about.
static BEGAN: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// In RAM now.
    pub(super) resident: u64,
    /// The most that ever was.
    pub(super) most: u64,
}

impl Memory {
    /// `None` where the operating system does not say.
    pub(super) fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { resident: bytes("VmRSS:")?, most: bytes("VmHWM:")? })
    }
}

/// When the process began: the first call says so.
pub(crate) fn began() -> SystemTime {
    *BEGAN
}

/// The same in seconds since 1970.
pub(super) fn began_seconds() -> f64 {
    began().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_kernel_says() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(Memory::parse(status), Some(Memory { resident: 1 << 20, most: 2 << 20 }));
        assert_eq!(Memory::parse("Name:\tx\n"), None);
    }
}
