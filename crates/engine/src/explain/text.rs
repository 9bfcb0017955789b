//! Texts of a ring: each written once while it is used, the oldest overwritten.
//!
//! Never: more bytes than it was made with; a text that was overwritten in part.

/// Texts that are looked up before they are written again.
const KNOWN: usize = 1024;

/// Where a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    at: u64,
    length: u16,
    pub(super) hash: u32,
}

/// Texts, the newest `capacity` bytes of them.
#[derive(Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    capacity: usize,
    /// Where the next one goes, counted from the beginning of time.
    next: u64,
    known: Vec<Text>,
}

impl Texts {
    /// Takes no memory before the first text.
    pub(super) const fn new(capacity: usize) -> Self {
        Self { bytes: Vec::new(), capacity, next: 0, known: Vec::new() }
    }

    /// Keeps a text; what is longer than a quarter of everything is cut.
    pub(super) fn keep(&mut self, text: &str, hash: u32) -> Text {
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.capacity];
            self.known = vec![Text::default(); KNOWN];
        }
        let place = hash as usize % KNOWN;
        let known = self.known[place];
        // One that is old would be gone before its entry.
        let is_young = self.next - known.at <= self.capacity as u64 / 2;
        if known.hash == hash && is_young && self.get(known) == Some(text) {
            return known;
        }
        let text = cut(text, (self.capacity / 4).min(usize::from(u16::MAX)));
        let room = self.capacity - self.offset(self.next);
        if text.len() > room {
            self.next += room as u64;
        }
        let start = self.offset(self.next);
        self.bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
        let kept = Text { at: self.next, length: u16::try_from(text.len()).unwrap_or(u16::MAX), hash };
        self.next += text.len() as u64;
        self.known[place] = kept;
        kept
    }

    /// The text, if it is still there.
    pub(super) fn get(&self, text: Text) -> Option<&str> {
        if self.bytes.is_empty() {
            return (text.length == 0).then_some("");
        }
        if self.next - text.at > self.capacity as u64 {
            return None;
        }
        let start = self.offset(text.at);
        std::str::from_utf8(&self.bytes[start..start + usize::from(text.length)]).ok()
    }

    fn offset(&self, at: u64) -> usize {
        usize::try_from(at % self.capacity as u64).unwrap_or_default()
    }
}

/// As much of a text as fits, in whole characters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_until_it_is_overwritten() {
        let mut texts = Texts::new(64);
        let first = texts.keep("plant/line-1", 1);
        assert_eq!(texts.keep("plant/line-1", 1), first);
        assert_eq!(texts.get(first), Some("plant/line-1"));
        for number in 2..20 {
            let text = format!("plant/line-{number}");
            let kept = texts.keep(&text, number);
            assert_eq!(texts.get(kept), Some(&*text));
        }
        assert_eq!(texts.get(first), None);
    }

    #[test]
    fn texts_with_the_same_hash_are_told_apart_and_long_ones_are_cut() {
        let mut texts = Texts::new(64);
        let (one, other) = (texts.keep("one", 7), texts.keep("other", 7));
        assert_eq!((texts.get(one), texts.get(other)), (Some("one"), Some("other")));
        let long = texts.keep(&"é".repeat(40), 8);
        assert_eq!(texts.get(long), Some(&*"é".repeat(8)));
    }
}
