//! Holds a file against the catalogue, key by key, and collects every fault.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use dunlin_codec::TopicFilter;
use dunlin_runtime::Network;
use dunlin_security::source::{Source, type_name};
use dunlin_security::spelling::nearest;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue, Deserializer};

use super::Config;
use super::catalogue::{Form, Key, Kind, SECTIONS, Section, section};
use super::fault::{Fault, Problem};
use super::listener;
use super::relation::{self, Places};
use crate::listen::ListenUrl;

/// Parses and checks.
pub(super) fn config(text: &str) -> Result<Config, Vec<Fault>> {
    let source = Source(text);
    let document = DeTable::parse(text).map_err(|error| vec![syntax(source, &error)])?;
    let mut check = Check { source, faults: Vec::new(), places: Places::new() };
    if let Some(root) = section("") {
        check.table(root, document.get_ref());
    }
    check.finish(document)
}

struct Check<'a> {
    source: Source<'a>,
    faults: Vec<Fault>,
    places: Places,
}

impl Check<'_> {
    fn finish(mut self, document: Spanned<DeTable<'_>>) -> Result<Config, Vec<Fault>> {
        if self.faults.is_empty() {
            match Config::deserialize(Deserializer::from(document)) {
                Ok(config) => {
                    self.faults = relation::faults(&config, self.source, &self.places);
                    if self.faults.is_empty() {
                        return Ok(config);
                    }
                }
                // The catalogue lets nothing pass that the structs refuse; should it, this still names the place.
                Err(error) => self.faults.push(syntax(self.source, &error)),
            }
        }
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        Err(self.faults)
    }

    fn table(&mut self, section: &Section, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = section.path(name.get_ref());
            if let Some(key) = section.key(name.get_ref()) {
                self.value(key, &path, value);
            } else if let Some(inner) = self::section(&path) {
                self.section(inner, value);
            } else {
                self.unknown(section, name, &path, value);
            }
        }
    }

    fn section(&mut self, section: &Section, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) if !section.is_repeated() => self.table(section, table),
            DeValue::Array(blocks) if section.is_repeated() => {
                for block in blocks.iter() {
                    self.block(section, block);
                }
            }
            other => {
                let expected = if section.is_repeated() { "a list of tables" } else { "a table" };
                let problem = Problem::WrongType { found: type_name(other), expected };
                let written = if section.is_repeated() {
                    format!("[[{}]]", section.name)
                } else {
                    format!("[{}]", section.name)
                };
                let fault = Fault::at(self.source, &value.span(), problem);
                self.faults.push(Fault {
                    key: Some(section.name.to_owned()),
                    allowed: Some(written),
                    ..fault
                });
            }
        }
    }

    fn block(&mut self, section: &Section, block: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = block.get_ref() else {
            let problem = Problem::WrongType { found: type_name(block.get_ref()), expected: "a table" };
            return self.fault(&block.span(), section.name, None, problem, None);
        };
        self.table(section, table);
        let needed = section.keys.iter().take(usize::from(section.form == Form::Blocks));
        for key in needed.filter(|key| !table.contains_key(key.name)) {
            let allowed = Some(key.kind.allowed());
            self.fault(&block.span(), &section.path(key.name), None, Problem::Missing, allowed);
        }
        self.listener(section, table, &block.span());
    }

    /// The keys of a listener that are another scheme's, and those that its scheme needs.
    fn listener(&mut self, section: &Section, table: &DeTable<'_>, block: &Range<usize>) {
        let text =
            |value: &DeValue<'_>| if let DeValue::String(text) = value { text.parse().ok() } else { None };
        let url: Option<ListenUrl> = table.get("url").and_then(|url| text(url.get_ref()));
        let Some(scheme) = url.map(|url| url.scheme()) else { return };
        for (name, value) in table {
            let (name, owners) = (name.get_ref(), listener::schemes_of(name.get_ref()));
            if !owners.is_empty() && !owners.contains(&scheme) {
                let problem = Problem::OfAnotherListener { scheme: scheme.name() };
                let allowed = owners.iter().map(|owner| owner.name()).collect::<Vec<_>>().join(", ");
                let shown = self.source.excerpt(&value.span());
                let allowed = Some(format!("with {allowed}"));
                self.fault(&value.span(), &section.path(name), Some(shown), problem, allowed);
            }
        }
        let count = |name: &str| {
            table.get(name).map_or(0, |value| value.get_ref().as_array().map_or(1, |list| list.len()))
        };
        let most = count("certificate");
        for (name, least) in [("key", most), ("ocsp", 0)] {
            if let Some(value) = table.get(name)
                && !(least..=most).contains(&count(name))
            {
                let problem = Problem::NotAsMany { of: "certificate", expected: most };
                self.fault(&value.span(), &section.path(name), None, problem, None);
            }
        }
        for (name, why) in listener::needs(scheme, |name| table.contains_key(name)) {
            self.fault(block, &section.path(name), None, Problem::Missing, Some(why.to_owned()));
        }
    }

    fn value(&mut self, key: &Key, path: &str, value: &Spanned<DeValue<'_>>) {
        let at = value.span();
        match problem(key.kind, value.get_ref()) {
            None => {
                self.places.insert(path.to_owned(), at);
            }
            Some(problem) => {
                let shown = self.source.excerpt(&at);
                self.fault(&at, path, Some(shown), problem, Some(key.kind.allowed()));
            }
        }
    }

    fn unknown(
        &mut self,
        section: &Section,
        name: &Spanned<DeString<'_>>,
        path: &str,
        value: &Spanned<DeValue<'_>>,
    ) {
        let wrong = name.get_ref().as_ref();
        let is_table = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
        let shown = (!is_table).then(|| self.source.excerpt(&value.span()));
        let elsewhere = || {
            let home = SECTIONS.iter().find(|other| other.key(wrong).is_some())?;
            Some(home.path(wrong))
        };
        let meant = nearest(wrong, names_in(section)).map(|name| section.path(name)).or_else(elsewhere);
        // The list of [limits] is long; it helps only who was far off.
        let allowed = meant.is_none().then(|| names_in(section).collect::<Vec<_>>().join(", "));
        self.fault(&name.span(), path, shown, Problem::UnknownKey { meant }, allowed);
    }

    fn fault(
        &mut self,
        at: &Range<usize>,
        key: &str,
        value: Option<String>,
        problem: Problem,
        allowed: Option<String>,
    ) {
        let fault = Fault::at(self.source, at, problem);
        self.faults.push(Fault { key: Some(key.to_owned()), value, allowed, ..fault });
    }
}

/// The keys of a section and the sections in it.
fn names_in(section: &Section) -> impl Iterator<Item = &'static str> {
    let prefix = section.path("");
    let inner = SECTIONS.iter().filter_map(move |other| other.name.strip_prefix(prefix.as_str()));
    let inner = inner.filter(|name| !name.is_empty() && !name.contains('.'));
    section.keys.iter().map(|key| key.name).chain(inner)
}

fn problem(kind: Kind, value: &DeValue<'_>) -> Option<Problem> {
    match (kind, value) {
        (Kind::Integer { least, most, .. }, DeValue::Integer(integer)) => match integer_of(integer) {
            Some(number) if (i128::from(least)..=i128::from(most)).contains(&number) => None,
            _ => Some(Problem::OutOfRange),
        },
        (Kind::Choice(choices), DeValue::String(choice)) => {
            let known = choices.contains(&choice.as_ref());
            let meant = || nearest(choice, choices.iter().copied()).map(|name| format!("\"{name}\""));
            (!known).then(|| Problem::NoSuchChoice { meant: meant() })
        }
        (Kind::Url, DeValue::String(url)) => url.parse::<ListenUrl>().err().map(Problem::from),
        (Kind::Mode, DeValue::String(mode)) => listener::mode(mode).is_none().then_some(Problem::NoMode),
        (Kind::Switch, DeValue::Boolean(_)) => None,
        (Kind::Text { most }, DeValue::String(text)) if text.len() > most => Some(Problem::TooLong),
        (Kind::Filter, DeValue::String(filter)) => {
            let is_plain = TopicFilter::parse(filter).is_ok_and(|filter| filter.shared().is_none());
            (!is_plain).then_some(Problem::NoFilter)
        }
        (Kind::Address, DeValue::String(text)) => {
            text.parse::<SocketAddr>().is_err().then_some(Problem::NoAddress)
        }
        (Kind::Service(schemes), DeValue::String(url)) => problem_of_service(url, schemes),
        (Kind::Mount, DeValue::String(text)) => {
            (!listener::is_mount_point(text)).then_some(Problem::NoMountPoint)
        }
        (Kind::Addresses, DeValue::Array(list)) => list.iter().find_map(|text| {
            let DeValue::String(text) = text.get_ref() else { return Some(no_string(text.get_ref())) };
            text.parse::<IpAddr>().is_err().then_some(Problem::NoIpAddress)
        }),
        (Kind::Path, DeValue::String(path)) => (!listener::is_path(path)).then_some(Problem::NoPath),
        (Kind::Networks, DeValue::Array(list)) => list.iter().find_map(|text| {
            let DeValue::String(text) = text.get_ref() else { return Some(no_string(text.get_ref())) };
            text.parse::<Network>().err().map(Problem::from)
        }),
        (Kind::Choices(choices), DeValue::Array(list)) => {
            let wrong = |choice: &Spanned<DeValue<'_>>| problem(Kind::Choice(choices), choice.get_ref());
            if list.is_empty() { Some(Problem::Missing) } else { list.iter().find_map(wrong) }
        }
        (Kind::Files, DeValue::Array(list)) => {
            let wrong = |file: &Spanned<DeValue<'_>>| problem(Kind::File, file.get_ref());
            if list.is_empty() { Some(Problem::Missing) } else { list.iter().find_map(wrong) }
        }
        (Kind::Files, file @ DeValue::String(_)) => problem(Kind::File, file),
        (Kind::Texts, DeValue::Array(list)) => {
            let other = list.iter().find(|text| !matches!(text.get_ref(), DeValue::String(_)))?;
            Some(no_string(other.get_ref()))
        }
        (Kind::File, DeValue::String(text)) if text.is_empty() => Some(Problem::Missing),
        (Kind::Text { .. } | Kind::File, DeValue::String(text)) => {
            text.chars().any(char::is_control).then_some(Problem::ControlCharacter)
        }
        (kind, other) => Some(Problem::WrongType { found: type_name(other), expected: type_of(kind) }),
    }
}

/// A URL with a host, and without a name or a password in it, which messages would show.
fn problem_of_service(url: &str, schemes: &[&str]) -> Option<Problem> {
    let is_known = |rest: &(&str, &str)| schemes.contains(&rest.0);
    let Some((_, rest)) = url.split_once("://").filter(is_known) else { return Some(Problem::NoService) };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_clear = url.bytes().all(|byte| byte.is_ascii_graphic());
    (host.is_empty() || host.starts_with(':') || host.contains('@') || !is_clear)
        .then_some(Problem::NoService)
}

fn no_string(value: &DeValue<'_>) -> Problem {
    Problem::WrongType { found: type_name(value), expected: "a string" }
}

fn integer_of(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

const fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer { .. } => "an integer",
        Kind::Switch => "a boolean",
        Kind::Texts | Kind::Choices(_) | Kind::Networks | Kind::Addresses => "a list of strings",
        Kind::Files => "a string or a list of strings",
        Kind::Choice(_)
        | Kind::Text { .. }
        | Kind::Url
        | Kind::Mode
        | Kind::File
        | Kind::Path
        | Kind::Filter
        | Kind::Mount
        | Kind::Service(_)
        | Kind::Address => "a string",
    }
}

fn syntax(source: Source<'_>, error: &toml::de::Error) -> Fault {
    let at = error.span().unwrap_or_default();
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let excerpt = source.excerpt(&at);
    let near = if excerpt.trim().is_empty() { String::new() } else { format!(" at `{excerpt}`") };
    Fault::at(source, &at, Problem::Syntax(format!("not valid TOML: {message}{near}")))
}

#[cfg(test)]
mod tests;
