//! Taps on a Server: what passes, read as packets; and spans.

use std::sync::Arc;

use dunlin_codec::{Frame, Framing, Packet, RuleSet, Tolerance};
use dunlin_engine::{Span, SpanRules, TapFilter, TapId};

use super::World;

impl World {
    /// On every shard.
    pub(crate) fn tap(&mut self, filter: TapFilter) -> Vec<Option<TapId>> {
        let filter = Arc::new(filter);
        self.engines.iter_mut().map(|engine| engine.tap(self.now, Arc::clone(&filter))).collect()
    }

    pub(crate) fn untap(&mut self, taps: &[Option<TapId>]) {
        for (engine, tap) in self.engines.iter_mut().zip(taps) {
            engine.untap(tap.unwrap());
        }
    }

    /// What passed since the last call: direction, Client, packet; and how many were lost. `None` where a tap is no more.
    pub(crate) fn tapped(&mut self, taps: &[Option<TapId>]) -> Option<(Vec<String>, u64)> {
        let (mut said, mut lost) = (Vec::new(), 0);
        for (engine, tap) in self.engines.iter_mut().zip(taps) {
            let batch = engine.tapped(self.now, tap.unwrap())?;
            lost += batch.lost;
            for packet in &batch.packets {
                let direction = if packet.sent { "to" } else { "from" };
                let client = batch.peers[packet.peer].client_id.as_deref().unwrap_or("?");
                let bytes = &batch.bytes[packet.start..packet.end];
                let Ok(Framing::Complete { frame, .. }) = Frame::split(bytes, u32::MAX) else {
                    said.push(format!("{direction} {client}: {} of {} bytes", bytes.len(), packet.len));
                    continue;
                };
                let decoded =
                    Packet::decode(frame, packet.version, Tolerance::default(), &mut RuleSet::default());
                let what = match decoded {
                    Ok(Packet::Publish(publish)) => {
                        let whole = packet.topic.as_ref().map(|whole| format!(" = {whole}"));
                        format!("PUBLISH {}{}", publish.topic, whole.unwrap_or_default())
                    }
                    Ok(Packet::Connect(connect)) => {
                        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                        format!("CONNECT {}", connect.password.map(text).unwrap_or_default())
                    }
                    Ok(packet) => packet.name().to_owned(),
                    Err(error) => format!("{error}"),
                };
                said.push(format!("{direction} {client}: {}", what.trim_end()));
            }
        }
        Some((said, lost))
    }

    pub(crate) fn follow(&mut self, rules: Option<SpanRules>) {
        self.engines.iter_mut().for_each(|engine| engine.follow(rules));
    }

    /// What was over since the last call, and how many were lost.
    pub(crate) fn spans(&mut self) -> (Vec<Span>, u64) {
        let (mut all, mut all_lost) = (Vec::new(), 0);
        for engine in &mut self.engines {
            let (spans, lost) = engine.spans();
            all.extend(spans);
            all_lost += lost;
        }
        (all, all_lost)
    }
}
