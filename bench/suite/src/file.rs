//! The file that says which brokers are measured, and how.

use std::path::Path;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The binary that has `bench`.
    pub(crate) generator: String,
    /// Rounds of every scenario.
    pub(crate) rounds: usize,
    /// Whose figures are 1 in the ratios.
    pub(crate) ruler: String,
    #[serde(rename = "broker")]
    pub(crate) brokers: Vec<Broker>,
    #[serde(rename = "scenario")]
    pub(crate) scenarios: Vec<Scenario>,
}

/// A broker and how it is started.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Broker {
    pub(crate) name: String,
    /// The program and its arguments; `{port}` and `{data}` (an empty folder) are filled in.
    pub(crate) command: Vec<String>,
    /// A file that it reads, by its text with the same filled in; its path is `{config}`.
    #[serde(default)]
    pub(crate) config: String,
    /// What an acknowledged message survives.
    pub(crate) durability: String,
    /// What is set otherwise than it comes.
    pub(crate) settings: String,
    /// Takes part in scenarios that name it only.
    #[serde(default)]
    pub(crate) by_name: bool,
}

/// What is measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Arguments of `dunlin bench`.
    pub(crate) bench: String,
    /// The figure that it is about, by its name in the JSON of `dunlin bench`.
    pub(crate) figure: String,
    /// Other figures to be shown.
    #[serde(default)]
    pub(crate) also: Vec<String>,
    /// The brokers that take part; where it is empty, all but those that are there by name only.
    #[serde(default)]
    pub(crate) brokers: Vec<String>,
    /// Appended to the command of the broker with this name.
    #[serde(default)]
    pub(crate) arguments: std::collections::BTreeMap<String, Vec<String>>,
}

impl File {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut file: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for broker in &file.brokers {
            if broker.command.is_empty() {
                return Err(format!("{}: {} has no command", path.display(), broker.name));
            }
        }
        for scenario in &mut file.scenarios {
            for name in scenario.brokers.iter().chain(scenario.arguments.keys()) {
                if file.brokers.iter().all(|broker| broker.name != *name) {
                    return Err(format!(
                        "{}: {}: there is no broker {name:?}",
                        path.display(),
                        scenario.name
                    ));
                }
            }
            if scenario.brokers.is_empty() {
                let all = file.brokers.iter().filter(|broker| !broker.by_name);
                scenario.brokers = all.map(|broker| broker.name.clone()).collect();
            }
        }
        Ok(file)
    }
}

impl Scenario {
    pub(crate) fn has(&self, broker: &str) -> bool {
        self.brokers.iter().any(|name| name == broker)
    }
}

impl Broker {
    /// Is its program there?
    pub(crate) fn is_installed(&self) -> bool {
        let program = Path::new(&self.command[0]);
        if program.components().count() > 1 {
            return program.is_file();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain([Path::new("/usr/sbin").to_owned()])
            .any(|dir| dir.join(program).is_file())
    }
}
