//! Several brokers, measured in turn over several rounds: medians, spreads, ratios.

use std::net::{SocketAddr, ToSocketAddrs};

use dunlin_bench::{Figure, Report, Spread};
use dunlin_client::{Address, Host};

/// A broker that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) host: Host,
}

/// All reports, by broker.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) brokers: Vec<Broker>,
}

/// A broker's reports, one a round.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) name: String,
    pub(crate) reports: Vec<Report>,
}

impl Target {
    /// `NAME=HOST:PORT`; the address may begin with mqtts://.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or("it is NAME=HOST:PORT")?;
        let address = address.parse().map_err(|error: dunlin_client::AddressError| error.to_string())?;
        let Address::Tcp(host) = address else {
            return Err("only TCP and TLS are measured".to_owned());
        };
        Ok(Self { name: name.to_owned(), host })
    }

    /// The first address of the host.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, String> {
        let Host { name: host, port, .. } = &self.host;
        let found = (host.as_str(), *port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        let addresses: Vec<SocketAddr> = found.collect();
        // A name of this machine may have an address that nobody listens on.
        let answers = |address: &&SocketAddr| {
            std::net::TcpStream::connect_timeout(address, std::time::Duration::from_secs(5)).is_ok()
        };
        let answering = if addresses.len() > 1 { addresses.iter().find(answers) } else { None };
        answering.or(addresses.first()).copied().ok_or_else(|| format!("{host} has no address"))
    }
}

impl Broker {
    /// A figure over all rounds; `None` where no round has it.
    pub(crate) fn spread(&self, key: &str) -> Option<Spread> {
        Spread::of(self.reports.iter().filter_map(|report| report.figure(key)).collect())
    }

    /// Something of every report.
    pub(crate) fn median(&self, of: impl Fn(&Report) -> Option<f64>) -> Option<f64> {
        Spread::of(self.reports.iter().filter_map(of).collect()).map(|spread| spread.median)
    }

    /// Something of every report, added up.
    pub(crate) fn total(&self, of: impl Fn(&Report) -> u64) -> u64 {
        self.reports.iter().map(of).sum()
    }
}

impl Comparison {
    pub(crate) fn new(targets: &[Target]) -> Self {
        let broker = |target: &Target| Broker { name: target.name.clone(), reports: Vec::new() };
        Self { brokers: targets.iter().map(broker).collect() }
    }

    pub(crate) fn add(&mut self, which: usize, report: Report) {
        self.brokers[which].reports.push(report);
    }

    /// The figures that any report has, in their order.
    pub(crate) fn figures(&self) -> Vec<&Figure> {
        let mut figures: Vec<&Figure> = Vec::new();
        for figure in self.reports().flat_map(|report| &report.figures) {
            if !figures.iter().any(|known| known.key == figure.key) {
                figures.push(figure);
            }
        }
        figures
    }

    pub(crate) fn reports(&self) -> impl Iterator<Item = &Report> {
        self.brokers.iter().flat_map(|broker| &broker.reports)
    }

    /// How a broker compares with the first one, by the ratio of the medians.
    pub(crate) fn ratio(&self, which: usize, key: &str) -> Option<f64> {
        let base = self.brokers.first()?.spread(key)?.median;
        let this = self.brokers.get(which)?.spread(key)?.median;
        (base > 0.0).then_some(this / base)
    }

    /// Did any broker break what it promised?
    pub(crate) fn is_broken(&self) -> bool {
        self.reports().any(Report::is_broken)
    }

    /// What makes the figures doubtful.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for broker in &self.brokers {
            let name = &broker.name;
            let busy = broker.median(|report| Some(report.generator.busy)).unwrap_or_default();
            let seconds = broker.median(|report| Some(report.generator.cpu_seconds)).unwrap_or_default();
            // Of a moment nothing can be said.
            if busy > 0.9 && seconds > 0.2 {
                let percent = busy * 100.0;
                warnings.push(format!(
                    "{name}: the generator was busy {percent:.0} % of the time: it, not the broker, may have been \
                     measured (more --threads, or another machine)"
                ));
            }
            let stalls = broker.total(|report| report.stalls);
            if stalls > 0 {
                warnings.push(format!(
                    "{name}: {stalls} times nothing arrived for a second, and what was missing was given up"
                ));
            }
            let unsent = broker.total(|report| report.unsent);
            if unsent > 0 {
                warnings.push(format!(
                    "{name}: {unsent} messages were due and never written: the rate is more than it takes, and \
                     latencies would grow without end"
                ));
            }
            for error in broker.reports.iter().flat_map(|report| &report.errors) {
                warnings.push(format!("{name}: {error}"));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_broker_is_a_name_and_an_address() {
        let target = Target::parse("their=broker:1884").unwrap();
        assert_eq!((target.name.as_str(), target.host.port), ("their", 1884));
        for text in ["broker:1884", "a=http://b", "a=b:99999"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
