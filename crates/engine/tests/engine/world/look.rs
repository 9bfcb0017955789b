//! What can be seen of a Server's Clients between two events.

use dunlin_engine::{Audience, ClientConduct, OriginConduct, OriginKey};

use super::World;

impl World {
    /// Connections come from this address and port from now on.
    pub(crate) fn come_from(&mut self, address: &str) {
        self.address = Some(address.parse().unwrap());
    }

    /// All that is known of a Client, which one shard knows.
    pub(crate) fn conduct(&self, client_id: &str) -> ClientConduct {
        let mut known = self.engines.iter().filter_map(|engine| engine.conduct_of(self.now, client_id));
        let conduct = known.next().expect("a Client that is known");
        assert_eq!(known.next(), None);
        conduct
    }

    /// Every Client with a Session, by pages of so many slots.
    pub(crate) fn conducts(&self, slots: u32) -> Vec<ClientConduct> {
        let mut clients = Vec::new();
        for engine in &self.engines {
            let mut next = Some(0);
            while let Some(from) = next {
                let page = engine.conduct(self.now, from, slots);
                assert!(page.clients.len() <= slots as usize);
                clients.extend(page.clients);
                next = page.next;
            }
        }
        clients
    }

    /// Clients that are remembered and have no Session.
    pub(crate) fn departed(&self) -> Vec<Box<str>> {
        let departed = self.engines.iter().flat_map(|engine| engine.departed(self.now));
        departed.map(|conduct| conduct.client_id).collect()
    }

    /// What came from an address or of a user, in all shards.
    pub(crate) fn origins(&self, key: &OriginKey) -> Vec<OriginConduct> {
        let all = self.engines.iter().flat_map(|engine| engine.origins(self.now));
        all.filter(|origin| origin.key == *key).collect()
    }

    /// Who gets messages of a topic, in all shards.
    pub(crate) fn audience(&self, topic: &str) -> Audience {
        let topics = [topic.to_owned()];
        let audiences = self.engines.iter().map(|engine| engine.audiences(&topics)[0]);
        audiences.fold(Audience::default(), |sum, one| Audience {
            receivers: sum.receivers + one.receivers,
            best: sum.best.max(one.best),
        })
    }
}
