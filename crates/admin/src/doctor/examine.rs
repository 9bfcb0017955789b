//! Asks every shard about its Clients, a page at a time, and judges what it hears.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use dunlin_codec::QoS;
use dunlin_engine::{Audience, ClientConduct, ConductPage, OriginConduct};
use dunlin_runtime::Observer;

use super::finding::{Check, Finding, Saving, Severity};
use super::judge::{Case, Merged, Wire, judge, judge_origin};
use super::report::{Findings, Report};

/// Slots of Sessions that a shard looks at between two events: less than a millisecond.
const SLOTS: u32 = 512;
/// Topics that are asked about in one visit.
const TOPICS: usize = 256;
/// A shard that does not answer for so long is not asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// One Client; `None`: all, and where they come from.
    pub client_id: Option<String>,
}

/// A listener, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doorway {
    /// Its URL.
    pub name: String,
    /// What lies between it and its Clients.
    pub wire: Wire,
}

/// A shard gave no answer: the Server ends, or is stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard} does not answer")]
pub struct Unanswered {
    /// Which.
    pub shard: usize,
}

/// Looks at the Clients of a running Server.
///
/// # Errors
/// Where a shard does not answer.
pub fn examine(observer: &Observer, doorways: &[Doorway], wanted: &Wanted) -> Result<Report, Unanswered> {
    let mut examiner =
        Examiner { observer, doorways, findings: Findings::default(), clients: 0, proxied: BTreeMap::new() };
    match &wanted.client_id {
        Some(client_id) => examiner.one(client_id)?,
        None => examiner.all()?,
    }
    examiner.judge_proxies();
    Ok(Report::of(examiner.clients, examiner.findings))
}

struct Examiner<'a> {
    observer: &'a Observer,
    doorways: &'a [Doorway],
    findings: Findings,
    clients: u64,
    /// Clients from elsewhere, by listener behind a proxy: how many, and one of them.
    proxied: BTreeMap<u16, (u64, String)>,
}

impl Examiner<'_> {
    fn all(&mut self) -> Result<(), Unanswered> {
        let mut merged = Merged::default();
        for shard in 0..self.observer.shards() {
            let mut next = Some(0);
            while let Some(from) = next {
                let page = self.ask(shard, |observer| {
                    observer.visit(shard, move |engine, now, _| engine.conduct(now, from, SLOTS))
                })?;
                let ConductPage { clients, next: following } = page;
                self.judge(&clients)?;
                next = following;
            }
            let (departed, origins): (Vec<ClientConduct>, Vec<OriginConduct>) =
                self.ask(shard, |observer| {
                    observer.visit(shard, |engine, now, _| (engine.departed(now), engine.origins(now)))
                })?;
            self.judge(&departed)?;
            merged.add(origins);
        }
        merged.into_all().flat_map(|origin| judge_origin(&origin)).for_each(|found| self.findings.add(found));
        Ok(())
    }

    fn one(&mut self, client_id: &str) -> Result<(), Unanswered> {
        for shard in 0..self.observer.shards() {
            let id = client_id.to_owned();
            let known = self.ask(shard, |observer| {
                observer.visit(shard, move |engine, now, _| engine.conduct_of(now, &id))
            })?;
            self.judge(known.as_slice())?;
        }
        Ok(())
    }

    fn ask<T>(&self, shard: usize, visit: impl FnOnce(&Observer) -> Receiver<T>) -> Result<T, Unanswered> {
        visit(self.observer).recv_timeout(PATIENCE).map_err(|_| Unanswered { shard })
    }

    fn judge(&mut self, clients: &[ClientConduct]) -> Result<(), Unanswered> {
        let audiences = self.audiences(clients)?;
        self.clients += clients.len() as u64;
        for client in clients {
            let of_samples: Vec<Option<Audience>> =
                client.samples.iter().map(|sample| audiences.get(&sample.topic).copied()).collect();
            let wire = self.wire(client);
            if wire == Wire::Proxied {
                self.note_proxied(client);
            }
            judge(&Case { client, audiences: &of_samples, wire })
                .into_iter()
                .for_each(|found| self.findings.add(found));
        }
        Ok(())
    }

    /// Who gets what these Clients publish with more than QoS 0, over all shards.
    fn audiences(&self, clients: &[ClientConduct]) -> Result<BTreeMap<String, Audience>, Unanswered> {
        let samples = clients.iter().flat_map(|client| &client.samples);
        let asked = samples.filter(|sample| sample.qos != QoS::AtMostOnce);
        let mut audiences: BTreeMap<String, Audience> =
            asked.map(|sample| (sample.topic.clone(), Audience::default())).collect();
        let topics: Vec<String> = audiences.keys().cloned().collect();
        for (topics, shard) in
            topics.chunks(TOPICS).flat_map(|some| (0..self.observer.shards()).map(move |shard| (some, shard)))
        {
            let asked = topics.to_vec();
            let answers = self
                .ask(shard, |observer| observer.visit(shard, move |engine, _, _| engine.audiences(&asked)))?;
            for (topic, answer) in topics.iter().zip(answers) {
                let sum = audiences.entry(topic.clone()).or_default();
                sum.receivers = sum.receivers.saturating_add(answer.receivers);
                sum.best = sum.best.max(answer.best);
            }
        }
        Ok(audiences)
    }

    fn wire(&self, client: &ClientConduct) -> Wire {
        let doorway = client.listener.and_then(|listener| self.doorways.get(usize::from(listener)));
        doorway.map_or(Wire::Private, |doorway| doorway.wire)
    }

    fn note_proxied(&mut self, client: &ClientConduct) {
        let address = client.address.filter(|address| !address.ip().to_canonical().is_loopback());
        if let (Some(address), Some(listener), true) = (address, client.listener, client.is_connected) {
            let (count, _) = self.proxied.entry(listener).or_insert((0, address.to_string()));
            *count += 1;
        }
    }

    fn judge_proxies(&mut self) {
        for (listener, (count, example)) in &self.proxied {
            let Some(doorway) = self.doorways.get(usize::from(*listener)) else { continue };
            self.findings.add(Finding {
                severity: Severity::Low,
                check: Check::PlainText,
                who: format!("listener {}", doorway.name),
                address: None,
                what: format!(
                    "{count} of its clients come from other machines, one from {example}, by way of a proxy and without TLS of \
                     this broker: whether the proxy ends TLS cannot be seen from here"
                ),
                mend: "TLS that ends at the proxy; or, if it does not, a listener with TLS: url = \"tls://...\" with the same \
                       proxies"
                    .to_owned(),
                saves: Saving::default(),
            });
        }
    }
}
